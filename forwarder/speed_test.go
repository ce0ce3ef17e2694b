package forwarder

import (
	"fmt"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// sink is a port and an overlay that take everything and do nothing with it.
type sink struct{ name string }

func (s sink) Name() string                                  { return s.name }
func (sink) ReadBatch([]drawbridge.Packet) (int, error)      { return 0, nil }
func (sink) WriteBatch(ps []drawbridge.Packet) (int, error)  { return len(ps), nil }
func (sink) Close() error                                    { return nil }
func (sink) MTU(drawbridge.PeerID) int                       { return 9000 }
func (sink) Send(h *drawbridge.Header, p *drawbridge.Packet) {}
func (sink) Flush()                                          {}

// sinkSender is a sink that closes as senders do.
type sinkSender struct{ sink }

func (sinkSender) Close() {}

func (sink) Sender() Sender { return sinkSender{} }

// bench is a gateway with two guest ports and an open segment port, in overlay 7. Peer 2 has known guests.
type bench struct {
	sw    *Switch
	guest *pump // of the first guest port
	vlan  *pump
	r     *Receiver
	now   time.Duration
}

// Addresses that a bench knows: far ones at peer 2, near ones at the second guest port, hosts on the segment.
const (
	far  = 1000
	near = 2000
	host = 3000
)

func newBench(t testing.TB, addresses int) *bench {
	b := &bench{now: time.Second}
	b.sw = New(Config{Self: 1, Overlay: sink{}, Now: func() time.Duration { return b.now }})
	gate := failover.NewGate(nil, func() failover.Boottime { return failover.Boottime(b.now) })
	gate.Open(5, failover.Forever)
	pumps := map[string]*pump{}
	for _, cfg := range []PortConfig{
		{Port: sink{"g0"}, VNI: 7},
		{Port: sink{"g1"}, VNI: 7},
		{Port: sink{"lan"}, VNI: 7, Segment: 9, SegmentName: "office", Gate: gate},
	} {
		a, err := b.sw.Attach(cfg)
		if err != nil {
			t.Fatal(err)
		}
		pumps[a.name] = newPump(a, cfg.Port)
		pumps[a.name].now = b.now
	}
	b.guest, b.vlan, b.r = pumps["g0"], pumps["lan"], b.sw.Receiver()
	for i := range addresses {
		b.deliver(drawbridge.Header{Origin: 2, VNI: 7}, batch(1, drawbridge.Broadcast, far+i, 1))
	}
	pumps["g1"].take(batch(1, drawbridge.Broadcast, near, 1))
	b.vlan.take(batch(1, drawbridge.Broadcast, host, 1))
	return b
}

// batch is frames from as many addresses, from src on.
func batch(n int, dst drawbridge.MAC, src, addresses int) (ps []drawbridge.Packet) {
	for i := range n {
		f := frame(dst, address(src+i%addresses), i)
		ps = append(ps, drawbridge.Packet{Frame: append(f, make([]byte, 1400)...)})
	}
	return ps
}

func (b *bench) take(u *pump, ps []drawbridge.Packet) {
	b.now += 10 * time.Millisecond // or floods would be a storm
	u.now = b.now
	u.take(ps)
}

func (b *bench) deliver(h drawbridge.Header, ps []drawbridge.Packet) {
	b.now += 10 * time.Millisecond
	for i := range ps {
		b.r.Deliver(&h, &ps[i])
	}
	b.r.Flush()
}

// work is every way of a batch of 64 through the switch.
func (b *bench) work() map[string]func() {
	const n, from = 64, 5000
	pump := func(u *pump, dst drawbridge.MAC, src int) func() {
		ps := batch(n, dst, src, 4)
		return func() { b.take(u, ps) }
	}
	mesh := func(h drawbridge.Header, dst drawbridge.MAC, src int) func() {
		ps := batch(n, dst, src, 4)
		return func() { b.deliver(h, ps) }
	}
	plain, captured := drawbridge.Header{Origin: 2, VNI: 7}, drawbridge.Header{Origin: 3, VNI: 7, Segment: 8, Epoch: 2}
	one := plain
	one.Dest = 1
	return map[string]func(){
		"port to peer":       pump(b.guest, address(far), from),
		"port to port":       pump(b.guest, address(near), from),
		"port to segment":    pump(b.guest, address(host), from),
		"port to everybody":  pump(b.guest, drawbridge.Broadcast, from),
		"segment to peer":    pump(b.vlan, address(far), from+100),
		"segment everywhere": pump(b.vlan, drawbridge.Broadcast, from+100),
		"mesh to port":       mesh(one, address(near), far),
		"mesh to segment":    mesh(one, address(host), far),
		"mesh to all ports":  mesh(plain, drawbridge.Broadcast, far),
		"captured to port":   mesh(captured, address(near), 6000),
		"captured to all":    mesh(captured, drawbridge.Broadcast, 6000),
		"echo":               pump(b.guest, drawbridge.Broadcast, near),
		"other overlay":      mesh(drawbridge.Header{Origin: 2, VNI: 99}, drawbridge.Broadcast, far),
	}
}

func TestNothingIsAllocatedPerFrame(t *testing.T) {
	b := newBench(t, 100)
	for name, work := range b.work() {
		if n := testing.AllocsPerRun(50, work); n != 0 {
			t.Errorf("%s: %v allocations for 64 frames", name, n)
		}
	}
	if n := cap(b.guest.kept.buf); n > 4*64*1500 {
		t.Errorf("%d octets are kept of a batch", n)
	}
	for _, st := range b.sw.Ports() {
		if n := st.Drops["storm"] + st.Drops["mac_limit"] + st.Drops["gate_shut"]; n != 0 {
			t.Errorf("%+v: not what was meant to be measured", st)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	for name, work := range newBench(b, 100).work() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				work()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/frame")
		})
	}
}

// BenchmarkManyAddresses has destinations that do not fit the cache of one goroutine.
func BenchmarkManyAddresses(b *testing.B) {
	for _, addresses := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(addresses), func(b *testing.B) {
			at := newBench(b, addresses)
			var ps []drawbridge.Packet
			for i := range addresses {
				ps = append(ps, drawbridge.Packet{Frame: frame(address(far+i), address(5000), i)})
			}
			n := 0
			for b.Loop() {
				at.take(at.guest, ps[n:min(n+64, len(ps))])
				if n += 64; n >= len(ps) {
					n = 0
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/frame")
		})
	}
}

// BenchmarkAge looks at a full table, which holds up whoever has to ask it meanwhile.
func BenchmarkAge(b *testing.B) {
	tab := newTable()
	c := cache{table: &tab}
	for i := range maxMACs {
		c.learn(macKey(i), &place{peer: drawbridge.PeerID(1 + i%10)}, 1)
	}
	for b.Loop() {
		tab.forget(StepFlushed, 0, func(_ key, e *entry) bool { return e.seen.Load() > 1 })
	}
}
