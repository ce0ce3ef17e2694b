package transit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/udp"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestFramesStayInOrder sends frames of all lengths to three peers by one sender, in batches: each peer gets
// its own, in order.
func TestFramesStayInOrder(t *testing.T) {
	a := newStill(t, 1)
	for range 200 {
		a.s.grow() // so that a batch is collected whole
	}
	hearers := map[drawbridge.PeerID]*still{}
	for id := range drawbridge.PeerID(3) {
		a.neighbour(id+2, uint32(id+2))
		hearers[id+2] = newStill(t, id+2)
		hearers[id+2].neighbour(1, uint32(id+2))
	}
	rapid.Check(t, func(t *rapid.T) {
		sent := map[drawbridge.PeerID][]drawbridge.Frame{}
		for range rapid.IntRange(1, 40).Draw(t, "frames") {
			dest := drawbridge.PeerID(rapid.IntRange(2, 4).Draw(t, "to"))
			f := frameOf(rapid.SampledFrom([]int{14, 60, 61, 1400, 1414, 1431, 1432, 1433, 3000}).Draw(t, "length"))
			if len(f) > 18 {
				binary.BigEndian.PutUint32(f[14:], uint32(len(sent[dest])))
			}
			sent[dest] = append(sent[dest], bytes.Clone(f))
			a.s.Send(&drawbridge.Header{Dest: dest}, &drawbridge.Packet{Frame: f})
		}
		for _, d := range a.sealed() {
			h := hearers[d.to]
			h.r.now = h.now()
			h.r.datagram(d.data, -1)
		}
		for id, h := range hearers {
			got := h.finish()
			if len(got) != len(sent[id]) {
				t.Fatalf("%d frames of %d came to %v", len(got), len(sent[id]), id)
			}
			for i, g := range got {
				if !bytes.Equal(g.packet.Frame, sent[id][i]) {
					t.Fatalf("frame %d of %d bytes to %v came as one of %d", i, len(sent[id][i]), id, len(g.packet.Frame))
				}
			}
		}
	})
}

// TestManySmallFrames collects more than the kernel cuts from one message, and as many octets.
func TestManySmallFrames(t *testing.T) {
	for _, size := range []int{60, 1400} {
		a, b := pairOfStills(t)
		const count = 300
		for range count {
			a.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: frameOf(size)})
		}
		if messages := a.s.used; messages > count/40 {
			t.Errorf("%d frames of %d in %d messages", count, size, messages)
		}
		var all [][]byte
		for _, d := range a.sealed() { // which looks at the messages, too
			all = append(all, d.data)
		}
		if got := b.hear(all...); len(got) != count {
			t.Errorf("%d frames arrived", len(got))
		}
	}
}

// TestSendTouchesWhatItMay looks at the memory around a frame: nothing in front, and at most 256 octets behind
// within its capacity.
func TestSendTouchesWhatItMay(t *testing.T) {
	for _, room := range []int{0, 1, 20, 100, 255, 256, 1000} {
		for _, p := range []drawbridge.Packet{
			{Frame: frameOf(60)},
			{Frame: frameOf(5000)},
			superFrame{payload: 30000, mss: 1000, v6: true, tags: 2, options: 40}.packet(),
			superFrame{payload: 300, mss: 1000}.packet(),
		} {
			a, b := pairOfStills(t)
			const front = 100
			memory := bytes.Repeat([]byte{0xee}, front+len(p.Frame)+2000)
			copy(memory[front:], p.Frame)
			f := memory[front : front+len(p.Frame) : front+len(p.Frame)+room]
			want := bytes.Clone(p.Frame)
			a.s.Send(&drawbridge.Header{Dest: 2, Segment: 1, Epoch: 1}, &drawbridge.Packet{Frame: f, Offload: p.Offload})
			for i, c := range memory {
				if c != 0xee && (i < front || i >= front+len(p.Frame)+min(room, 256)) {
					t.Fatalf("room %d: octet %d behind a frame of %d was overwritten", room, i-front-len(p.Frame), len(p.Frame))
				}
			}
			var all [][]byte
			for _, d := range a.sealed() {
				all = append(all, d.data)
			}
			if got := b.hear(all...); len(got) != 1 || !bytes.Equal(got[0].packet.Frame, want) {
				t.Errorf("room %d: a frame of %d did not arrive as sent", room, len(want))
			}
		}
	}
}

// TestAFloodByBothPaths sends to a neighbour by UDP and to one that UDP does not reach: both get all of it.
func TestAFloodByBothPaths(t *testing.T) {
	s := superFrame{payload: 20000, mss: 1000, flags: 0x18}
	a := newStill(t, 1)
	a.neighbour(2, 7)
	var msgs [][]byte
	l := a.neighbour(3, 8)
	l.path.Store(pathTCP)
	l.cfg.Control = func(msg []byte) error { msgs = append(msgs, bytes.Clone(msg)); return nil }
	p := s.packet()
	a.s.Send(&drawbridge.Header{}, &p)
	var all [][]byte
	for _, d := range a.sealed() {
		all = append(all, d.data)
	}
	b, c := newStill(t, 2), newStill(t, 3)
	b.neighbour(1, 7)
	far := c.neighbour(1, 8)
	for _, msg := range msgs {
		far.HandleControl(msg)
	}
	for len(c.tcp) > 0 {
		c.r.control(<-c.tcp)
	}
	for name, got := range map[string][]got{"UDP": b.hear(all...), "control link": c.finish()} {
		if len(got) != 1 {
			t.Errorf("by %s: %d frames", name, len(got))
			continue
		}
		if _, _, wrong := s.check(&got[0].packet); wrong != nil || got[0].header.Dest != 0 {
			t.Errorf("by %s: %v", name, wrong)
		}
	}
}

// TestManyNeighbours floods to more of them than a sender collects messages for, twice before it flushes: large frames,
// which leave in a datagram each, and small ones, of which both share one.
func TestManyNeighbours(t *testing.T) {
	for size, each := range map[int]int{1000: 2, 60: 1} {
		const neighbours = 3 * queued
		a := newStill(t, 1)
		c := listenUDP(t)
		defer func() { _ = c.Close() }()
		for i := range drawbridge.PeerID(neighbours) {
			a.neighbour(i+2, uint32(i+2)).adopt(addrOf(c))
		}
		for range 2 {
			a.s.Send(&drawbridge.Header{}, &drawbridge.Packet{Frame: frameOf(size)})
		}
		a.s.Flush()
		seen := map[string]bool{}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for range each * neighbours {
			d := make([]byte, 2000)
			n, err := c.Read(d)
			if err != nil {
				t.Fatalf("%d datagrams of %d: %v", len(seen), each*neighbours, err)
			}
			seen[string(d[:min(n, clearLen)])] = true
		}
		if len(seen) != each*neighbours || len(a.Drops()) != 0 {
			t.Errorf("%d different datagrams, dropped %v", len(seen), a.Drops())
		}
	}
}

// TestAnswersLeaveWhereTheyWereAsked gives a peer two sockets: the far end, behind NAT, calls the second, and
// hears from that.
func TestAnswersLeaveWhereTheyWereAsked(t *testing.T) {
	t.Parallel()
	two := func(c *Config) { c.Listen = append(c.Listen, netip.MustParseAddrPort("127.0.0.2:0")) }
	a, b := start(t, 1, quick), start(t, 2, quick, two)
	p := newProxy(t, b.Addrs()[1])
	connectBy(t, a, b, []netip.AddrPort{addrOf(p.front)}, nil)
	upOn(t, PathUDP, a, b)
	flow(t, a, b)
	if r := b.links[1].remote.Load(); r.conn != 1 {
		t.Errorf("answers leave by socket %d", r.conn)
	}
}

// TestSendersWithoutAWay counts what does not leave.
func TestSendersWithoutAWay(t *testing.T) {
	a, _ := pairOfStills(t)
	l := a.links[2]
	send := func(h drawbridge.Header, n int) {
		a.s.Send(&h, &drawbridge.Packet{Frame: frameOf(n)})
		a.s.Flush()
	}
	for i, step := range []struct {
		change func()
		dest   drawbridge.PeerID
		want   map[string]uint64
	}{
		{func() {}, 3, map[string]uint64{"no_route": 1}},
		{func() {}, 2, map[string]uint64{"link_down": 1}}, // no address yet
		{func() { l.path.Store(pathNone) }, 2, map[string]uint64{"link_down": 1}},
		{func() {}, 0, nil}, // a flood to nobody is no loss
		{func() { l.path.Store(pathUDP); l.tx.Store(nil) }, 2, map[string]uint64{"link_down": 1}},
	} {
		before := a.Drops()
		step.change()
		send(drawbridge.Header{Dest: step.dest}, 60)
		if got := since(a, before); fmt.Sprint(got) != fmt.Sprint(step.want) && len(got)+len(step.want) > 0 {
			t.Errorf("step %d: dropped %v, want %v", i, got, step.want)
		}
	}
}

// TestTheKernelRefuses sends to where nothing can go, and more than the interface takes.
func TestTheKernelRefuses(t *testing.T) {
	a, _ := pairOfStills(t)
	l := a.links[2]
	l.adopt(netip.MustParseAddrPort("127.0.0.1:0")) // EINVAL
	a.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: frameOf(60)})
	a.s.Flush()
	wantDrops(t, a, nil, map[string]uint64{"send_failed": 1})

	l.max.Store(8972)
	before := a.Drops()
	tooBig := []udp.Message{{Segment: 8972, Err: unix.EMSGSIZE}}
	a.s.explain(tooBig, []*message{{link: l, frames: 3}})
	if got := l.max.Load(); got != 8952 {
		t.Errorf("%d in use after EMSGSIZE", got)
	}
	wantDrops(t, a, before, map[string]uint64{"too_big": 3})
	before = a.Drops()
	tooBig[0].Segment = 8972 // a probe, which is no loss and says nothing of what is in use
	a.s.explain(tooBig, []*message{{link: l, frames: 1, probe: true}})
	if got := l.max.Load(); got != 8952 {
		t.Errorf("%d in use after a probe", got)
	}
	wantDrops(t, a, before, map[string]uint64{})
}
