package kernel

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/forwarder/afpacket"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// What from_port takes for one frame to a neighbour, without the way out: the difference of the first two is the gate's price.
func BenchmarkFromPort(b *testing.B) {
	d := newDry(b)
	d.gate.Open(1, gate.Now().Add(time.Hour))
	check(b, d.e.SetMAC(guest(1), Place{Origin: dryFirst}))
	b.Run("guest", func(b *testing.B) { timed(b, d.guest, 1) })
	b.Run("segment", func(b *testing.B) { timed(b, d.segment, 2) })
	for i := range 10_000 {
		check(b, d.e.SetMAC(drawbridge.MAC{2, 8, 0, 0, byte(i >> 8), byte(i)}, Place{Origin: dryFirst}))
	}
	b.Run("guest with 10,000 addresses", func(b *testing.B) { timed(b, d.guest, 1) })
}

// BenchmarkGuards compares the programs as the service loads them, which has no CAP_PERFMON, with those of a loader that has: the verifier
// guards the former against speculation, with barriers after stores to the stack and masks on indices. They take turns.
func BenchmarkGuards(b *testing.B) {
	d := newDry(b)
	d.gate.Open(1, gate.Now().Add(time.Hour))
	check(b, d.e.SetMAC(guest(1), Place{Origin: dryFirst}))
	bare := *d
	check(b, asTheService(b, func() error { d.load(b); return nil }))
	for from, ps := range map[string][2]*ebpf.Program{"guest": {d.guest, bare.guest}, "segment": {d.segment, bare.segment}} {
		b.Run(from, func(b *testing.B) {
			f := dryFrame(guest(1), drawbridge.MAC{2, 7, 0, 0, 0, byte(len(from))})
			best := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i, p := range ps {
					_, each, err := p.Benchmark(f, 20_000, b.ResetTimer)
					check(b, err)
					best[i] = min(best[i], each)
				}
			}
			b.ReportMetric(float64(best[0]), "guarded-ns/frame")
			b.ReportMetric(float64(best[1]), "bare-ns/frame")
		})
	}
}

// timed lets the kernel repeat the program and takes its own measurement.
func timed(b *testing.B, p *ebpf.Program, from byte) {
	f := dryFrame(guest(1), drawbridge.MAC{2, 7, 0, 0, 0, from})
	best := time.Hour // of many: the rest is what the machine did besides
	for b.Loop() {
		_, each, err := p.Benchmark(f, 20_000, b.ResetTimer)
		check(b, err)
		best = min(best, each)
	}
	b.ReportMetric(float64(best), "ns/frame")
}

// BenchmarkBesideASocket compares what a frame costs the whole machine that the engine forwards from one guest to another
// while nobody else reads the port, while the daemon's socket copies every frame, and while it is hushed. The three take turns,
// as only their ratios mean anything.
func BenchmarkBesideASocket(b *testing.B) {
	for _, size := range []int{64, 1500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			betweenGuests(b)
			var costs [3][]float64
			for b.Loop() {
				for how := range costs {
					costs[how] = append(costs[how], passed(b, how, size))
				}
			}
			median := func(how int) float64 { slices.Sort(costs[how]); return costs[how][len(costs[how])/2] }
			b.ReportMetric(median(1)/median(0), "copied/alone")
			b.ReportMetric(median(2)/median(0), "hushed/alone")
			b.ReportMetric(median(1)/median(2), "copied/hushed")
		})
	}
}

// betweenGuests has an engine forward from the peer of h1 to that of h2.
func betweenGuests(b *testing.B) {
	porttest.Namespace(b)
	porttest.Veth(b, "h1", "p1")
	porttest.Veth(b, "h2", "p2")
	e, err := Load(Options{Device: "dbk0", Port: 4790, Settle: time.Millisecond})
	check(b, err)
	b.Cleanup(func() { check(b, e.Remove()) })
	check(b, errors.Join(e.Take(Everything), e.Renew(time.Hour)))
	for i, name := range []string{"p1", "p2"} {
		link, err := net.InterfaceByName(name)
		check(b, err)
		check(b, e.AddPort(Port{Ifindex: link.Index, Self: 1, Gate: -1}))
		check(b, e.SetMAC(guest(byte(i)), Place{Origin: 1, Port: link.Index}))
	}
}

// passed is the processor time of one frame: with no socket at the port, with one that copies, with one that is hushed.
func passed(b *testing.B, how, size int) float64 {
	const frames = 50_000
	if how > 0 {
		p, err := afpacket.Open(afpacket.Config{Interface: "p1", Promiscuous: true})
		check(b, err)
		if how == 2 {
			check(b, p.Hush(true))
		}
		var reading sync.WaitGroup
		reading.Go(func() {
			for ps := make([]drawbridge.Packet, 64); ; {
				if _, err := p.ReadBatch(ps); err != nil {
					return
				}
			}
		})
		defer reading.Wait()
		defer p.Close()
	}
	out, err := afpacket.Open(afpacket.Config{Interface: "h1", Filter: func(fd int) error { return nil }})
	check(b, err)
	defer out.Close()
	check(b, out.Hush(true))
	f := make(drawbridge.Frame, size)
	to, from := guest(1), guest(0)
	copy(f, append(to[:], from[:]...))
	f[12], f[13] = 0x88, 0xb5
	batch := slices.Repeat([]drawbridge.Packet{{Frame: f}}, 50)
	before := busy(b)
	for range frames / len(batch) {
		_, err := out.WriteBatch(batch)
		check(b, err)
	}
	return float64(busy(b)-before) / frames
}

// busy is this process's processor time.
func busy(b *testing.B) time.Duration {
	var u unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
