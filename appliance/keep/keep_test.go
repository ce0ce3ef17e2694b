package keep

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// strand is a segment port, and wireless an overlay, that keep what they are given.
type strand struct{ wrote *[]uint32 }

func (strand) Name() string                               { return "wire" }
func (strand) ReadBatch([]drawbridge.Packet) (int, error) { return 0, os.ErrClosed }
func (strand) Close() error                               { return nil }
func (w strand) WriteBatch(ps []drawbridge.Packet) (int, error) {
	for i := range ps {
		note(w.wrote, &ps[i])
	}
	return len(ps), nil
}

type wireless struct{ sent *[]uint32 }

func (o wireless) Sender() forwarder.Sender                        { return o }
func (wireless) MTU(drawbridge.PeerID) int                         { return 9000 }
func (wireless) Flush()                                            {}
func (wireless) Close()                                            {}
func (o wireless) Send(_ *drawbridge.Header, p *drawbridge.Packet) { note(o.sent, p) }

// note keeps the number of a frame of this test.
func note(all *[]uint32, p *drawbridge.Packet) {
	if f := p.Frame; f.EtherType() == 0x0800 {
		*all = append(*all, binary.BigEndian.Uint32(f[14:]))
	}
}

// Stations of the test: hosts on the segment, guests in the overlay.
var (
	serverMAC  = drawbridge.MAC{2, 0, 0, 0, 1, 1}
	stationMAC = drawbridge.MAC{2, 0, 0, 0, 2, 1}
)

func numbered(dst, src drawbridge.MAC, n uint32) drawbridge.Packet {
	f := make(drawbridge.Frame, 60)
	copy(f, dst[:])
	copy(f[6:], src[:])
	f[12] = 8
	binary.BigEndian.PutUint32(f[14:], n)
	return drawbridge.Packet{Frame: f}
}

// bench is a gateway with what keeps its frames, and where they come out.
type bench struct {
	holder forwarder.Holder
	gate   *failover.Gate
	out    [2][]uint32 // captured ones sent to the overlay, injected ones written to the segment
	posted []byte      // by a giver
}

func newBench(t *testing.T, self drawbridge.PeerID) (*bench, Port) {
	t.Helper()
	b := &bench{gate: failover.NewGate(nil, gate.Now)}
	sw := forwarder.New(forwarder.Config{Self: self, Overlay: wireless{&b.out[0]}})
	a, err := sw.Attach(forwarder.PortConfig{
		Port: strand{&b.out[1]}, VNI: 1, Segment: drawbridge.SegmentIDOf("office"), SegmentName: "office", Gate: b.gate,
	})
	if err != nil {
		t.Fatal(err)
	}
	sw.Teach(1, []forwarder.Station{{MAC: serverMAC, Segment: drawbridge.SegmentIDOf("office")}, {MAC: stationMAC, Peer: 99}})
	started := time.Now()
	return b, Port{
		Attached: a, Gate: b.gate, Now: func() time.Duration { return time.Since(started) },
		Where: func(m drawbridge.MAC) (known, behind bool) { return sw.Where(1, m) },
	}
}

func newGiverBench(t *testing.T) (*bench, *Giver) {
	t.Helper()
	b, p := newBench(t, 1)
	g := NewGiver(p, 7, func(m *handover.Message) bool {
		b.posted = m.Append(b.posted)
		return true
	})
	b.holder = g
	return b, g
}

func newTakerBench(t *testing.T) (*bench, *Taker) {
	t.Helper()
	b, p := newBench(t, 2)
	k := NewTaker(p)
	t.Cleanup(k.Close)
	b.holder = k
	return b, k
}

// gets lets frames arrive at a gateway, in one direction. What the keeper leaves goes on if the gate is open.
func (b *bench) gets(d int, p drawbridge.Packet, flood bool) {
	ps := []drawbridge.Packet{p}
	if d == 0 {
		ps = b.holder.Captured(ps)
	} else {
		ps = b.holder.Injected(ps, []bool{flood})
	}
	if _, open := b.gate.Permit(); open {
		for i := range ps {
			note(&b.out[d], &ps[i])
		}
	}
}

// TestEachFrameIsForwardedOnceAndInOrder moves a segment while floods reach both gateways, at different times, and
// frames for one station reach first the one and then the other. Every frame comes out once, by whatever gateway, and
// those of a flow in their order.
func TestEachFrameIsForwardedOnceAndInOrder(t *testing.T) {
	for seed := range uint64(400) {
		runMove(t, rand.New(rand.NewPCG(seed, 3)), seed)
	}
}

func runMove(t *testing.T, r *rand.Rand, seed uint64) {
	a, giver := newGiverBench(t)
	b, taker := newTakerBench(t)
	a.gate.Open(drawbridge.MakeEpoch(1, 1), failover.Forever)
	var n [2]uint32   // frames so far, by direction; odd ones are floods
	var late []func() // on their way to b
	var toA []func()  // frames of a source on the old way
	turned := false   // sources and switches have turned to b
	arrive := func(slack int) {
		for len(late) > slack && len(late) > 0 {
			late[0]()
			late = late[1:]
		}
		for len(toA) > 4*slack && len(toA) > 0 {
			toA[0]()
			toA = toA[1:]
		}
	}
	frames := func(count int) {
		for range count {
			d := r.IntN(2)
			n[d]++
			i := n[d]
			dst, src := stationMAC, serverMAC
			if d == 1 {
				dst, src = src, dst
			}
			if i%2 == 1 {
				p := numbered(drawbridge.Broadcast, src, i)
				a.gets(d, p, true)
				late = append(late, func() { b.gets(d, p, true) })
			} else if p := numbered(dst, src, i); turned {
				late = append(late, func() { b.gets(d, p, false) })
			} else if d == 0 {
				a.gets(d, p, false)
			} else {
				toA = append(toA, func() { a.gets(d, p, false) })
			}
			arrive(r.IntN(4))
		}
	}
	frames(5)
	giver.List()
	frames(10 + r.IntN(20))
	arrive(0) // as long as the giver watches, both have heard what was sent before
	taker.Hold()
	frames(r.IntN(20))
	giver.Hold()
	frames(r.IntN(20))
	a.gate.Shut()
	deliver(t, a, taker)
	frames(r.IntN(20))
	b.gate.Open(drawbridge.MakeEpoch(1, 2), failover.Forever)
	taker.Open(7)
	deliver(t, a, taker)
	frames(r.IntN(20))
	// The announcement is on the segment: what is sent from now on goes to b. The source's turn is behind its last frame.
	turned = true
	mark := forwarder.Turn{Segment: drawbridge.SegmentIDOf("office"), Origin: 99, Source: 1, Number: 1}
	toA = append(toA, func() { giver.Turned(mark) })
	late = append(late, func() { taker.Turned(mark) })
	frames(r.IntN(20))
	giver.Narrow()
	deliver(t, a, taker)
	taker.Release()
	frames(r.IntN(20))
	arrive(0)
	deliver(t, a, taker)
	taker.Release()
	giver.End()
	taker.End()
	for d := range n {
		check(t, seed, d, n[d], a.out[d], b.out[d])
	}
}

// deliver hands the taker what the giver has posted.
func deliver(t *testing.T, a *bench, to *Taker) {
	t.Helper()
	buf := a.posted
	a.posted = nil
	for len(buf) > 0 {
		size, err := handover.BodyLen(buf)
		if err != nil {
			t.Fatal(err)
		}
		var m handover.Message
		if err := handover.Parse(buf[:handover.HeaderSize+size], &m); err != nil {
			t.Fatal(err)
		}
		buf = buf[handover.HeaderSize+size:]
		switch m.Kind {
		case handover.Frame:
			to.Given(&m)
		case handover.Seen:
			to.Listed(&m)
		case handover.Turn:
			to.Ended(m.Turned)
		}
	}
}

func check(t *testing.T, seed uint64, d int, n uint32, a, b []uint32) {
	t.Helper()
	seen := map[uint32]int{}
	last := map[uint32]uint32{} // by flow
	for _, i := range append(append([]uint32{}, a...), b...) {
		seen[i]++
		if flow := i % 2; i < last[flow] {
			t.Fatalf("seed %d direction %d: frame %d after %d\n%v\n%v", seed, d, i, last[flow], a, b)
		} else {
			last[flow] = i
		}
	}
	for i := uint32(1); i <= n; i++ {
		if seen[i] != 1 {
			t.Fatalf("seed %d direction %d: frame %d came out %d times\n%v\n%v", seed, d, i, seen[i], a, b)
		}
	}
}

// TestAPortThatDoesNotWorkKeepsNothing, and the move goes its way without it.
func TestAPortThatDoesNotWorkKeepsNothing(t *testing.T) {
	p := Port{Gate: failover.NewGate(nil, gate.Now)}
	posted := 0
	giver := NewGiver(p, 7, func(*handover.Message) bool { posted++; return true })
	giver.List()
	giver.Hold()
	giver.Narrow()
	giver.End()
	if giver.Keeps() || giver.Lost() != 0 || posted != 1 { // the end of its part in floods
		t.Errorf("keeps %v, %d messages", giver.Keeps(), posted)
	}
	taker := NewTaker(p)
	taker.Hold()
	taker.Open(7)
	given := numbered(stationMAC, serverMAC, 1)
	taker.Given(&handover.Message{Kind: handover.Frame, Direction: handover.Captured, Packet: given})
	taker.Announce(nil, 7)
	if !taker.Release() || taker.Waits() {
		t.Error("something waits")
	}
	taker.End()
	taker.Close()
	if c := taker.Account(); c != (handover.Counts{}) {
		t.Errorf("%+v", c)
	}
}

// TestFramesWaitForTheOldWay, and not when its end was heard before the first frame of the new one.
func TestFramesWaitForTheOldWay(t *testing.T) {
	turn := func(n uint32) forwarder.Turn {
		return forwarder.Turn{Segment: drawbridge.SegmentIDOf("office"), Origin: 99, Source: 1, Number: n}
	}
	_, taker := newTakerBench(t)
	now := time.Duration(0)
	taker.port.Now = func() time.Duration { return now }
	taker.Hold()
	taker.Ended(turnedOf(turn(1)))
	taker.Turned(turn(1))
	if !taker.Release() {
		t.Error("frames wait for what has come")
	}
	taker.Turned(turn(2))
	if taker.Release() || !taker.Waits() {
		t.Error("frames pass those on the old way")
	}
	taker.Ended(turnedOf(turn(2)))
	if !taker.Release() || taker.Waits() {
		t.Error("frames wait although the old way has ended")
	}
	taker.Turned(turn(3)) // whose mark is lost
	now += handover.TurnFor
	if !taker.Release() {
		t.Error("frames wait for a mark that was lost")
	}
	taker.End()
}
