package forwarder

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// office is a fabric with a guest at peer 1 and a host on the segment "office", whose gateways peers 2 and 3 are,
// with a guest each. The gates are shut.
type office struct {
	*fabric
	vlan       *wire
	a, b       *attachment // the gateways' ports
	guest      *station    // of peer 1
	host       *station    // on the segment
	atA, atB   *station    // guests of the gateways
	everywhere []*station  // guests
}

func newOffice(t testing.TB) *office {
	f, g := hosts(t, 3)
	o := &office{fabric: f, vlan: f.wire(), guest: g[0], atA: g[1], atB: g[2], everywhere: g}
	o.a, o.b = o.vlan.gateway(f.nodes[1], 7, "office"), o.vlan.gateway(f.nodes[2], 7, "office")
	o.host = o.vlan.station(100)
	return o
}

// forget empties what stations and switches remember of who said what, but not of tenures.
func (o *office) forget() {
	o.listen()
	for _, w := range o.wires {
		for _, s := range w.stations {
			s.got = nil
		}
	}
	for _, n := range o.nodes {
		n.sw.Flush(func(MAC) bool { return true })
	}
}

func TestAShutGateLetsNothingThrough(t *testing.T) {
	o := newOffice(t)
	o.host.say(drawbridge.Broadcast, 1)
	o.host.say(o.guest.mac, 2)
	for _, s := range o.everywhere {
		s.expect(1, 0)
	}
	o.guest.say(drawbridge.Broadcast, 3)
	o.guest.say(o.host.mac, 4)
	o.host.expect(3, 0)
	if in, out := o.a.dropped(dropGateShut), o.b.dropped(dropGateShut); in != 4 || out != 4 {
		t.Errorf("the gates stopped %d and %d frames, want 2 captured and 2 to inject each", in, out)
	}
	if len(o.log) != 2 || o.nodes[0].sw.Len() != 1 {
		t.Errorf("%d frames crossed the overlay, %d addresses are known", len(o.log), o.nodes[0].sw.Len())
	}
}

func TestAnOpenGateJoinsSegmentAndOverlay(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 1)
	for _, s := range o.everywhere {
		s.expect(1, 1)
	}
	o.guest.say(o.host.mac, 2)
	o.host.expect(2, 1)
	o.host.say(o.guest.mac, 3)
	o.guest.expect(3, 1)
	o.atA.say(o.host.mac, 4) // without the overlay
	o.host.expect(4, 1)
	o.atB.say(o.host.mac, 5) // by the other gateway
	o.host.expect(5, 1)
	if n := o.vlan.Worst(); n != 1 {
		t.Errorf("a frame was on the segment %d times", n)
	}
	h := o.log[0].header
	if want := (drawbridge.Header{Origin: 2, VNI: 7, Segment: o.a.cfg.Segment, Epoch: 5}); h != want {
		t.Errorf("captured as %+v, want %+v", h, want)
	}
}

// TestAGateThatShutsStopsWhatIsUnderWay shuts it between the capture of a frame and its writing, on every way to a
// segment port: from another peer, and from a guest here.
func TestAGateThatShutsStopsWhatIsUnderWay(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	o.host.heard(0)
	writes := []func(){
		func() { // from the mesh, shut between Deliver and Flush
			p := drawbridge.Packet{Frame: frame(o.host.mac, o.guest.mac, 1)}
			o.nodes[1].r.Deliver(&drawbridge.Header{Origin: 1, Dest: 2, VNI: 7}, &p)
			o.a.gate.Shut()
			o.nodes[1].r.Flush()
		},
		func() { // from a guest, shut while the batch is taken
			u := o.wires[1].ports[0].pump
			p := drawbridge.Packet{Frame: frame(o.host.mac, o.atA.mac, 1)}
			u.frame(&p, 0)
			o.a.gate.Shut()
			u.local.flush()
		},
	}
	for i, write := range writes {
		o.a.open(5)
		before := o.a.dropped(dropGateShut)
		write()
		o.settle()
		o.host.expect(1, 0)
		if n := o.a.dropped(dropGateShut) - before; n != 1 {
			t.Errorf("way %d: the gate stopped %d frames", i, n)
		}
	}
}

// blocking is a port that is in the middle of a write until it is told.
type blocking struct {
	Port
	entered, leave chan struct{}
}

func (b *blocking) WriteBatch(ps []drawbridge.Packet) (int, error) {
	b.entered <- struct{}{}
	<-b.leave
	return b.Port.WriteBatch(ps)
}

// TestTheGateIsAskedAfterOthersHaveWritten shuts the gate while one writes and another waits for its turn.
func TestTheGateIsAskedAfterOthersHaveWritten(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	b := &blocking{Port: o.a.port, entered: make(chan struct{}), leave: make(chan struct{})}
	o.a.Attached.cfg.Port = b
	done := make(chan struct{})
	write := func(note int) {
		o.a.write(queueOf([]drawbridge.Packet{{Frame: frame(o.host.mac, o.guest.mac, note)}}))
		done <- struct{}{}
	}
	go write(1)
	<-b.entered
	go write(2)
	o.a.gate.Shut()
	b.leave <- struct{}{}
	<-done
	<-done // it would hang in entered if the second were written
	o.settle()
	o.host.expect(2, 0)
}

func TestAGateShutByItsDeadlineStopsFrames(t *testing.T) {
	o := newOffice(t)
	o.a.gate.Open(5, failover.Boottime(o.now+40*time.Millisecond))
	o.host.say(drawbridge.Broadcast, 1)
	o.guest.expect(1, 1)
	o.now += 40 * time.Millisecond
	o.host.say(drawbridge.Broadcast, 2)
	o.guest.say(drawbridge.Broadcast, 3)
	o.guest.expect(2, 0)
	o.host.expect(3, 0)
}

// TestANewerTenureStopsAnOpenGate: what is heard of in a frame stops the gate before anybody shuts it.
func TestANewerTenureStopsAnOpenGate(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	o.nodes[1].deliver(carried{
		drawbridge.Header{Origin: 3, VNI: 7, Segment: o.a.cfg.Segment, Epoch: 6},
		drawbridge.Packet{Frame: frame(drawbridge.Broadcast, address(101), 1)},
	})
	o.settle()
	o.forget()
	o.host.say(drawbridge.Broadcast, 2)
	o.guest.say(drawbridge.Broadcast, 3)
	o.guest.expect(2, 0)
	o.host.expect(3, 0)
	if in := o.a.dropped(dropStaleEpoch); in != 2 {
		t.Errorf("%d frames stopped, want one captured and one to inject", in)
	}
	o.a.open(7)
	o.host.say(drawbridge.Broadcast, 4)
	o.guest.expect(4, 1)
}

// TestAnOpenGateIsOursBeforeAnybodyKnows: after a handover the first frame from our own guest goes straight to the
// segment, although the last that was heard is that the other peer is its gateway.
func TestAnOpenGateIsOursBeforeAnybodyKnows(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	o.a.gate.Shut()
	o.b.open(6)
	o.host.heard(0)
	o.atB.say(o.host.mac, 1)
	o.host.expect(1, 1)
	o.b.gate.Shut()
	o.atB.say(o.host.mac, 2)
	if last := o.log[len(o.log)-1].header; last.Dest != 2 {
		t.Errorf("with the gate shut the frame went as %+v, want to the last known gateway", last)
	}
}

func TestNoGatewayNoWay(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	sent := len(o.log)
	for _, n := range o.nodes {
		n.sw.SetSegment(o.a.cfg.Segment, 7, 0, 6)
	}
	o.guest.say(o.host.mac, 1)
	o.a.Detach() // it was its own gateway, and cannot be any more
	o.nodes[1].sw.SetSegment(o.a.cfg.Segment, 7, 2, 7)
	o.atA.say(o.host.mac, 2)
	o.host.expect(1, 0)
	if len(o.log) != sent || o.wires[0].ports[0].dropped(dropNoGateway) != 1 || o.wires[1].ports[0].dropped(dropNoGateway) != 1 {
		t.Errorf("%d frames sent to nobody", len(o.log)-sent)
	}
}

func TestFramesOfOurOwnObeyTheGate(t *testing.T) {
	o := newOffice(t)
	own := []drawbridge.Packet{{Frame: frame(drawbridge.Broadcast, o.guest.mac, 1)}}
	o.a.Inject(own)
	o.a.Inject(nil)
	o.settle()
	o.host.expect(1, 0)
	o.a.open(5)
	o.a.Inject(own)
	o.settle()
	o.host.expect(1, 1)
	o.guest.expect(1, 0) // they are for the segment alone
	select {
	case <-o.a.Gone():
		t.Error("it is still attached")
	default:
	}
	o.a.Detach()
	<-o.a.Gone()
}
