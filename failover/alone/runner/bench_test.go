package runner

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

func BenchmarkIsClear(b *testing.B) {
	r := New(Config{})
	if err := r.AddPort(PortConfig{ID: 1, Interface: "a1", Segment: testSegment}); err != nil {
		b.Fatal(err)
	}
	(*r.table.Load())[1].clear.Store(uint64(epoch5))
	for b.Loop() {
		if !r.IsClear(1, epoch5) {
			b.Fatal("not clear")
		}
	}
}

// BenchmarkHello is what one hello of an ACTIVE port costs, the kernel's part on veth and a bridge included: 100 of
// them a second, in µs, are the port's share of a core in units of 0.01 %. That a timer wakes a Go process costs more
// than that, and once for all ports: see BenchmarkActivePorts.
func BenchmarkHello(b *testing.B) {
	f := newFloor(b, "a")
	now := time.Hour
	r := New(Config{Peer: 1, Timers: alone.Default, Now: func() time.Duration { return now }})
	p := &port{PortConfig: PortConfig{ID: 1, Segment: testSegment}, wire: f.wire(b, "a", "eth0", 0)}
	p.carrier.Store(true)
	p.lease.Store(uint64(epoch5))
	r.own.ports = append(r.own.ports, p)
	r.own.machine.AddPort(alone.Port{ID: 1, Segment: testSegment})
	r.followCarrier(p)
	step := func() {
		now = max(r.own.wake, now+time.Millisecond)
		r.carryOut(r.own.machine.Tick(now))
		r.show()
	}
	for !r.own.machine.IsClear(now, 1, epoch5) {
		step()
	}
	sent, spent := p.sent, processorTime(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(processorTime(b)-spent)/float64(p.sent-sent)/1e3, "cpu-µs/hello")
}

// BenchmarkActivePorts is the processor time of a process with so many ACTIVE ports, each on its own wire, in per cent
// of one core. Of one port it is nearly all the price of being woken every 10 ms; a bare time.Ticker costs the same.
func BenchmarkActivePorts(b *testing.B) {
	for _, ports := range []int{1, 11} {
		b.Run(fmt.Sprint(ports), func(b *testing.B) {
			f := newFloor(b, "a")
			n := startWith(b, Config{Peer: 1, Boot: 1}, inside(f.hosts["a"]))
			far := space(b, "far")
			for i := range ports {
				id := alone.PortID(i + 1)
				name := fmt.Sprintf("wire%d", i)
				must(b, netlab.Wire(netlab.End{In: f.hosts["a"], Name: name}, netlab.End{In: far, Name: name}),
					f.hosts["a"].Silence(name), far.Silence(name))
				n.plug(b, id, name)
				n.Lease(id, epoch5)
			}
			for i := range ports {
				eventually(b, "clear", func() bool { return n.IsClear(alone.PortID(i+1), epoch5) })
			}
			n.measure(b)
		})
	}
}

func (n *node) measure(b *testing.B) {
	from, spent, began := n.port(1).Sent, processorTime(b), time.Now()
	b.ResetTimer()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for n.port(1).Sent-from < uint64(b.N) {
		<-poll.C
	}
	took := processorTime(b) - spent
	b.ReportMetric(float64(took)/float64(n.port(1).Sent-from)/1e3, "cpu-µs/hello")
	b.ReportMetric(100*float64(took)/float64(time.Since(began)), "%core")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHear is a frame's way through the reader's check and the machine, of a neighbour and of a forger.
func BenchmarkHear(b *testing.B) {
	for name, c := range map[string]alone.Codec{
		"neighbour": alone.NewCodec(drawbridge.NetworkID{1}, [32]byte{1}),
		"forger":    forgers()[0],
	} {
		b.Run(name, func(b *testing.B) {
			r := New(Config{Peer: 1, Network: drawbridge.NetworkID{1}, Key: [32]byte{1}, Timers: alone.Default})
			p := &port{PortConfig: PortConfig{ID: 1, Segment: testSegment}}
			r.own.ports = append(r.own.ports, p)
			r.own.machine.AddPort(alone.Port{ID: 1, Segment: testSegment})
			r.own.machine.Carrier(r.cfg.Now(), 1, true)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				f := forged(c, uint64(i+1))
				b.StartTimer()
				if e, ok := r.parse(p, f); ok {
					r.take(e)
				}
			}
		})
	}
}
