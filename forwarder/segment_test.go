package forwarder

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// captured is a frame as a gateway sends it to everybody.
func captured(origin drawbridge.PeerID, src drawbridge.MAC, epoch drawbridge.Epoch, note int) carried {
	h := drawbridge.Header{Origin: origin, VNI: 7, Segment: drawbridge.SegmentIDOf("office"), Epoch: epoch}
	return carried{h, drawbridge.Packet{Frame: frame(drawbridge.Broadcast, src, note)}}
}

func TestAHandoverMovesAllAddressesAtOnce(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	var behind []*station
	for i := range 50 {
		s := o.vlan.station(200 + i)
		behind = append(behind, s)
		s.say(drawbridge.Broadcast, 0)
	}
	o.a.gate.Shut()
	o.b.open(6)
	behind[0].say(drawbridge.Broadcast, 1000) // one frame of one of them
	for _, s := range behind {
		s.heard(0)
	}
	sent := len(o.log)
	for i, s := range behind {
		o.guest.say(s.mac, i)
		s.expect(i, 1)
	}
	for _, c := range o.log[sent:] {
		if c.header.Dest != 3 {
			t.Fatalf("sent as %+v, want to peer 3", c.header)
		}
	}
	for _, m := range o.nodes[0].sw.MACs() {
		if m.Segment != 0 && (m.Peer != 3 || m.Moves != 0) {
			t.Errorf("%+v, want behind peer 3 without having moved", m)
		}
	}
	if o.vlan.Worst() != 1 {
		t.Errorf("a frame was on the segment %d times", o.vlan.Worst())
	}
}

// TestAHailMovesASegmentAtOnce: before any host has said anything, and not while a planned move keeps the port's frames.
func TestAHailMovesASegmentAtOnce(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	hail := func() { o.b.Hail(frame(drawbridge.Broadcast, address(200), 9)); o.settle() }
	want := func(active drawbridge.PeerID, epoch drawbridge.Epoch, why string) {
		t.Helper()
		if who, at := o.nodes[0].sw.Tenure(o.a.cfg.Segment, 7); who != active || at != epoch {
			t.Errorf("%s: the peer knows %d since %s, want %d since %s", why, who, at, active, epoch)
		}
	}
	hail()
	want(2, 5, "a shut gate")
	o.a.gate.Shut()
	o.b.open(6)
	o.b.SetHolder(&recorder{})
	hail()
	want(2, 5, "a planned move")
	o.b.SetHolder(nil)
	hail()
	want(3, 6, "an open gate")
}

func TestNewsMoveASegmentToo(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	sw, id := o.nodes[0].sw, o.a.cfg.Segment
	for _, c := range []struct {
		active       drawbridge.PeerID
		epoch        drawbridge.Epoch
		after        drawbridge.PeerID
		tenureOfThat drawbridge.Epoch
	}{
		{3, 4, 2, 5}, // older
		{3, 5, 2, 5}, // as old, but of another
		{2, 5, 2, 5}, // known
		{3, 6, 3, 6}, // newer
		{0, 5, 3, 6}, // an older one is over
		{0, 6, 0, 6}, // this one is
		{3, 6, 3, 6}, // renewed after all: a gate may open again under its epoch
		{2, drawbridge.MakeEpoch(1, 0), 2, drawbridge.MakeEpoch(1, 0)}, // a new generation
	} {
		sw.SetSegment(id, 7, c.active, c.epoch)
		if active, epoch := sw.Tenure(id, 7); active != c.after || epoch != c.tenureOfThat {
			t.Errorf("after %+v: %d since %s", c, active, epoch)
		}
	}
	if active, epoch := sw.Tenure(id, 8); active != 0 || epoch != 0 {
		t.Errorf("overlay 8: %d since %s", active, epoch)
	}
}

// TestFramesOfOtherTenuresAreDropped: they neither arrive nor teach anything.
func TestFramesOfOtherTenuresAreDropped(t *testing.T) {
	f, g := hosts(t, 1)
	n := f.nodes[0]
	for i, c := range []struct {
		origin drawbridge.PeerID
		epoch  drawbridge.Epoch
		why    reason // reasons: none
	}{
		{2, 0, dropStaleEpoch}, // epoch 0 is no tenure
		{2, 5, reasons},
		{2, 4, dropStaleEpoch},
		{3, 4, dropStaleEpoch},
		{3, 5, dropEpochConflict},
		{3, 0, dropStaleEpoch},
		{2, 5, reasons},
		{3, 6, reasons},
		{2, 5, dropStaleEpoch}, // was on its way during the handover
		{2, 6, dropEpochConflict},
		{3, drawbridge.MakeEpoch(1, 1), reasons},
		{3, 7, dropStaleEpoch},
	} {
		before, want := n.sw.Drops(), 1
		if c.why != reasons {
			want = 0
		}
		n.deliver(captured(c.origin, address(100+i), c.epoch, i))
		f.settle()
		g[0].expect(i, want)
		if known := n.sw.table.find(keyOf(7, frame(address(100+i), address(1), 0), 0)) != nil; known != (want == 1) {
			t.Errorf("step %d: learned %v", i, known)
		}
		if want == 0 && n.sw.Drops()[reasonNames[c.why]] != before[reasonNames[c.why]]+1 {
			t.Errorf("step %d: %v, want one more %s", i, n.sw.Drops(), reasonNames[c.why])
		}
	}
}

// TestASegmentInTwoOverlaysIsTwo: frames with the right segment and the wrong overlay must not move the right one.
func TestASegmentInTwoOverlaysIsTwo(t *testing.T) {
	o := newOffice(t)
	other := o.wire()
	other.guest(o.nodes[0], 8)
	eavesdropper := other.station(300)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	c := captured(3, o.host.mac, 99, 1)
	c.header.VNI = 8
	o.nodes[0].deliver(c)
	o.settle()
	eavesdropper.expect(1, 1)
	if active, epoch := o.nodes[0].sw.Tenure(o.a.cfg.Segment, 7); active != 2 || epoch != 5 {
		t.Errorf("overlay 7: %d since %s", active, epoch)
	}
	o.guest.say(o.host.mac, 2)
	o.host.expect(2, 1)
	eavesdropper.expect(2, 0)
}

// TestTheSegmentStaysClosedInAnyOverlay: a frame is not injected where it was captured, even if the peers disagree
// about the overlay.
func TestTheSegmentStaysClosedInAnyOverlay(t *testing.T) {
	f := newFabric(t)
	n, w := f.node(), f.wire()
	at := w.gateway(n, 8, "office")
	at.open(5)
	host := w.station(100)
	c := captured(3, address(101), 4, 1)
	c.header.VNI = 8
	n.deliver(c)
	f.settle()
	host.expect(1, 0)
	if at.dropped(dropSplitHorizon) != 1 {
		t.Errorf("%v", at.Status().Drops)
	}
}

func TestOnlyWhoMayBridgeIsFollowed(t *testing.T) {
	o := newOffice(t)
	o.nodes[1].sw.cfg.MayBridge = func(drawbridge.PeerID, drawbridge.SegmentID, drawbridge.VNI) bool { return false } // an open gate is enough
	sw := o.nodes[0].sw
	sw.cfg.MayBridge = func(p drawbridge.PeerID, id drawbridge.SegmentID, vni drawbridge.VNI) bool {
		return id == o.a.cfg.Segment && vni == 7 && (p == 2 || p == 3)
	}
	o.nodes[0].deliver(captured(9, address(200), 1, 1)) // before anybody knows the segment
	if active, _ := sw.Tenure(o.a.cfg.Segment, 7); active != 0 || len(*sw.segments.Load()) != 0 {
		t.Errorf("%d is the gateway", active)
	}
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	o.nodes[0].deliver(captured(9, o.host.mac, drawbridge.MakeEpoch(1<<31, 0), 2)) // from the far future
	o.settle()
	o.guest.expect(2, 0)
	if n := o.nodes[0].dropped(dropNotGateway); n != 2 {
		t.Errorf("%d frames dropped as not from a gateway, want 2", n)
	}
	o.host.say(o.guest.mac, 3)
	o.guest.say(o.host.mac, 4)
	o.guest.expect(3, 1)
	o.host.expect(4, 1)
	o.nodes[0].deliver(captured(3, o.host.mac, 6, 5))
	if active, epoch := sw.Tenure(o.a.cfg.Segment, 7); active != 3 || epoch != 6 {
		t.Errorf("%d since %s", active, epoch)
	}
}

// TestInventedSegmentsAreBounded: a peer cannot fill memory with them, and those that news tell of are still known.
func TestInventedSegmentsAreBounded(t *testing.T) {
	f, g := hosts(t, 1)
	n := f.nodes[0]
	for i := range 2 * maxSegments {
		c := captured(9, address(200), 5, i)
		c.header.Segment = drawbridge.SegmentID(i + 1)
		f.now += settle // so that it is a move and no echo
		n.deliver(c)
	}
	if got := len(*n.sw.segments.Load()); got != maxSegments {
		t.Errorf("%d segments", got)
	}
	g[0].got = nil
	id := drawbridge.SegmentIDOf("office")
	n.sw.SetSegment(id, 7, 2, 5)
	f.now += time.Second
	n.deliver(captured(2, address(100), 5, 1))
	f.settle()
	if g[0].heard(1) == 0 {
		t.Error("a segment that was announced is not known")
	}
}

// TestOwnFramesDoNotComeBack: the mesh drops them as well, but a forged one could set our own tenure.
func TestOwnFramesDoNotComeBack(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	o.nodes[1].deliver(captured(2, o.host.mac, 99, 1))
	if active, epoch := o.nodes[1].sw.Tenure(o.a.cfg.Segment, 7); active != 2 || epoch != 5 || o.nodes[1].dropped(dropEcho) != 1 {
		t.Errorf("%d since %s, %v", active, epoch, o.nodes[1].sw.Drops())
	}
}

func TestEpochZeroIsNoTenure(t *testing.T) {
	o := newOffice(t)
	o.nodes[1].deliver(captured(3, address(101), 0, 1)) // it knows the segment, and nobody who bridges it
	o.settle()
	o.atA.expect(1, 0)
	if active, _ := o.nodes[1].sw.Tenure(o.a.cfg.Segment, 7); active != 0 || o.nodes[1].dropped(dropStaleEpoch) != 1 {
		t.Errorf("%d is the gateway", active)
	}
}

func TestFramesOfOtherOverlaysTeachNothing(t *testing.T) {
	f, _ := hosts(t, 1)
	c := captured(2, address(100), 5, 1)
	c.header.VNI = 8
	f.nodes[0].deliver(c)
	if n := f.nodes[0]; n.sw.Len() != 0 || len(*n.sw.segments.Load()) != 0 || n.dropped(dropUnknownVNI) != 1 {
		t.Errorf("%d addresses, %v", n.sw.Len(), n.sw.Drops())
	}
}

func TestSplitHorizon(t *testing.T) {
	o := newOffice(t)
	for _, n := range o.nodes {
		n.sw.cfg.without.order = true // or that alone would stop what follows
	}
	o.a.open(5)
	o.b.open(6) // both, which must never be
	o.host.say(drawbridge.Broadcast, 1)
	o.host.expect(1, 0)
	if n := o.vlan.Worst(); n != 1 {
		t.Errorf("the broadcast was on its segment %d times", n)
	}
	o.nodes[2].deliver(captured(2, address(101), 7, 2)) // for everybody
	p := captured(2, address(101), 7, 3)                // for one that is on the segment as well
	copy(p.packet.Frame, o.host.mac[:])
	p.header.Dest = 3
	o.nodes[2].deliver(p)
	o.settle()
	o.host.expect(2, 0)
	o.host.expect(3, 0)
}
