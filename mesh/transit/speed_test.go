package transit

import (
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// counter is a receiver that only counts.
type counter struct{ frames, bytes int }

func (c *counter) Deliver(_ *drawbridge.Header, p *drawbridge.Packet) {
	c.frames++
	c.bytes += len(p.Frame)
}

func (c *counter) Flush() {}

// path is one way of a frame through a plane, over and over.
type path struct {
	name string
	size int // octets of frames for each run
	make func(t testing.TB) (run func())
}

// sendingMany seals sixteen of p in one datagram.
func sendingMany(p drawbridge.Packet, h drawbridge.Header) func(testing.TB) func() {
	return func(t testing.TB) func() {
		a := newStill(t, 1)
		a.neighbour(2, 7)
		return func() {
			for range 16 {
				c := p
				a.s.Send(&h, &c)
			}
			a.s.settleAll()
			forget(a.s)
		}
	}
}

// sending seals p to peer 2, or floods it.
func sending(p drawbridge.Packet, h drawbridge.Header) func(testing.TB) func() {
	return func(t testing.TB) func() {
		a := newStill(t, 1)
		a.neighbour(2, 7)
		a.neighbour(3, 8)
		a.SetRoutes(&Routes{Children: map[drawbridge.PeerID][]drawbridge.PeerID{1: {2, 3}}})
		return func() {
			c := p // sealing overwrites the frame, not its length
			a.s.Send(&h, &c)
			a.s.settleAll()
			forget(a.s)
		}
	}
}

// receiving opens, again and again, what p to dest was sealed to.
func receiving(p drawbridge.Packet, flags uint8, dest drawbridge.PeerID) func(testing.TB) func() {
	return func(t testing.TB) func() {
		a, b := newStill(t, 1), newStill(t, 2)
		a.neighbour(2, 7)
		b.neighbour(1, 7)
		b.neighbour(3, 8)
		b.SetRoutes(&Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{9: 3}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{1: {3}}})
		a.SetRoutes(&Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{9: 2}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{1: {2}}})
		if flags&flagFlood != 0 {
			dest = 0
		}
		c := drawbridge.Packet{Frame: append(make([]byte, 0, len(p.Frame)+256), p.Frame...), Offload: p.Offload}
		a.s.Send(&drawbridge.Header{Dest: dest, VNI: 5}, &c)
		all := a.sealed()
		got := &counter{}
		b.r.recv = got
		k := b.links[1].rx[0]
		once := func() {
			for _, d := range all {
				b.r.datagram(d.data, -1)
			}
			for len(b.r.pending) > 0 {
				b.r.close(b.r.pending[0])
			}
			b.r.head = 0
			forget(b.r.relay)
			*k.window(a.s.thread) = secure.Window{}
			if flags&flagFlood != 0 {
				*b.floods.of[1] = floodsOf{}
			}
		}
		if once(); (got.frames == 1) != (dest != 9) || len(b.Drops()) != 0 {
			t.Fatalf("%d frames, dropped %v", got.frames, b.Drops())
		}
		return once
	}
}

func superPacket() drawbridge.Packet {
	return superFrame{payload: 44 * 1448, mss: 1448, options: 12, flags: 0x18}.packet()
}

func sendPaths() []path {
	small, super := drawbridge.Packet{Frame: frameOf(64)}, superPacket()
	tight := func(p drawbridge.Packet) drawbridge.Packet { // no room behind
		return drawbridge.Packet{Frame: p.Frame[:len(p.Frame):len(p.Frame)], Offload: p.Offload}
	}
	segment := drawbridge.Header{Dest: 2, VNI: 5, Segment: 2, Epoch: 3}
	return []path{
		{"64", 64, sending(small, segment)},
		{"64K", len(super.Frame), sending(super, segment)},
		{"64 without room", 64, sending(tight(small), segment)},
		{"64K without room", len(super.Frame), sending(tight(super), segment)},
		{"16 of 64", 16 * 64, sendingMany(small, segment)},
		{"flood of 64 to two", 64, sending(small, drawbridge.Header{VNI: 5})},
	}
}

func receivePaths() []path {
	small, super := drawbridge.Packet{Frame: frameOf(64)}, superPacket()
	return []path{
		{"64", 64, receiving(small, 0, 2)},
		{"64K", len(super.Frame), receiving(super, 0, 2)},
		{"relay of 64", 64, receiving(small, 0, 9)},
		{"relay of 64K", len(super.Frame), receiving(super, 0, 9)},
		{"flood of 64 to one more", 64, receiving(small, flagFlood, 0)},
		{"flood of 64K to one more", len(super.Frame), receiving(super, flagFlood, 0)},
	}
}

// TestNothingIsAllocated takes every way that a frame goes.
func TestNothingIsAllocated(t *testing.T) {
	for kind, paths := range map[string][]path{"send ": sendPaths(), "receive ": receivePaths()} {
		for _, p := range paths {
			t.Run(kind+p.name, func(t *testing.T) {
				run := p.make(t)
				run() // the first makes what the others use again
				if n := testing.AllocsPerRun(100, run); n != 0 {
					t.Errorf("%v allocations a frame", n)
				}
			})
		}
	}
}

// TestHeartbeatsAllocateNothing sends and takes one.
func TestHeartbeatsAllocateNothing(t *testing.T) {
	a, b := pairOfStills(t)
	a.links[2].adopt(b.conns[0].Addr())
	k := b.links[1].rx[0]
	if n := testing.AllocsPerRun(100, func() {
		a.s.heartbeat(a.links[2], 1472, true)
		m := a.s.messages[0]
		b.r.now += time.Millisecond
		b.r.datagram(m.buf[:m.len], -1)
		forget(a.s)
		forget(b.r.relay)
	}); n != 0 {
		t.Errorf("%v allocations a heartbeat", n)
	}
	if !k.used.Load() || len(b.Drops()) != 0 {
		t.Errorf("not heard: %v", b.Drops())
	}
}

func bench(b *testing.B, paths []path) {
	for _, p := range paths {
		b.Run(p.name, func(b *testing.B) {
			run := p.make(b)
			b.SetBytes(int64(p.size))
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

// BenchmarkSend cuts and seals, without a system call.
func BenchmarkSend(b *testing.B) { bench(b, sendPaths()) }

// BenchmarkReceive opens and delivers, or seals again for the next peer, without a system call.
func BenchmarkReceive(b *testing.B) { bench(b, receivePaths()) }
