package runner

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
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

// BenchmarkActivePort is the price of an ACTIVE port on veth and a bridge, nobody else there: the processor time of
// this process for hellos every 10 ms, in per cent of one core. One op is one frame sent.
func BenchmarkActivePort(b *testing.B) {
	f := newFloor(b, "a")
	n := startWith(b, Config{Peer: 1, Boot: 1}, inside(f.hosts["a"]))
	n.plug(b, 1, "eth0")
	n.Lease(1, epoch5)
	eventually(b, "clear", func() bool { return n.IsClear(1, epoch5) })
	n.measure(b)
}

// BenchmarkActivePortWithNeighbour hears another ACTIVE port's 100 hellos a second besides; both are in this process.
func BenchmarkActivePortWithNeighbour(b *testing.B) {
	f := newFloor(b, "a", "b")
	n, m := startWith(b, Config{Peer: 1, Boot: 1}, inside(f.hosts["a"])), startWith(b, Config{Peer: 2, Boot: 1}, inside(f.hosts["b"]))
	n.plug(b, 1, "eth0")
	m.plug(b, 1, "eth0")
	n.Lease(1, epoch5)
	eventually(b, "clear", func() bool { return n.IsClear(1, epoch5) && m.port(1).State == alone.Passive })
	n.measure(b)
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
