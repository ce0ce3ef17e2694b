package forwarder

import (
	"errors"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// TestASuspendedOverlay is taken in by somebody else: a frame that the switch took as well would be there twice. What others send by their
// switches is delivered all the same.
func TestASuspendedOverlay(t *testing.T) {
	f, g := hosts(t, 3)
	here := f.wire()
	here.guest(f.nodes[0], 7)
	neighbour := here.station(4)
	other := f.wire()
	other.guest(f.nodes[0], 8)
	var overheard int
	g[0].wire.ports[0].cfg.Overhear = func(drawbridge.Frame) { overheard++ }

	f.nodes[0].sw.Suspend(7, true)
	g[0].say(drawbridge.Broadcast, 1)
	g[1].say(drawbridge.Broadcast, 2)
	for _, s := range []*station{g[1], g[2], neighbour} {
		s.expect(1, 0)
	}
	for _, s := range []*station{g[0], g[2], neighbour} { // from a peer where it is the switch that takes frames in
		s.expect(2, 1)
	}
	g[0].send(drawbridge.Packet{Frame: hello(0)})
	if overheard != 1 || !g[0].wire.ports[0].Speak(hello(0)) {
		t.Error("ALONE does not hear or speak while another engine carries the frames")
	}
	if f.nodes[0].sw.Suspended(8) || len(f.nodes[0].sw.MACs()) != 1 {
		t.Errorf("the wrong overlay, or something was learned: %v", f.nodes[0].sw.MACs())
	}

	f.nodes[0].sw.Suspend(7, false)
	g[0].say(drawbridge.Broadcast, 3)
	g[1].expect(3, 1)
	neighbour.expect(3, 1)
}

// TestAHolderOfASuspendedPort gets nothing that the port reads: what it kept would be let go later, and the other engine had it too.
func TestAHolderOfASuspendedPort(t *testing.T) {
	f, g := hosts(t, 2)
	kept := &keeper{}
	f.nodes[0].sw.Suspend(7, true)
	g[0].wire.ports[0].SetHolder(kept)
	g[0].say(drawbridge.Broadcast, 1)
	if kept.frames != 0 {
		t.Errorf("%d frames were kept", kept.frames)
	}
}

// keeper counts what it is shown.
type keeper struct{ frames int }

func (k *keeper) Captured(ps []drawbridge.Packet) []drawbridge.Packet {
	k.frames += len(ps)
	return ps
}

func (k *keeper) Injected(ps []drawbridge.Packet, _ []bool) []drawbridge.Packet {
	k.frames += len(ps)
	return ps
}

func (*keeper) Turned(Turn) {}

// TestHearingFromAnotherEngine leaves the table as if the switch had heard it all.
func TestHearingFromAnotherEngine(t *testing.T) {
	f, g := hosts(t, 2)
	sw, port := f.nodes[0].sw, g[0].wire.ports[0].Attached
	segment := drawbridge.SegmentIDOf("office")
	at := func(m drawbridge.MAC) (w MAC) {
		for _, e := range sw.MACs() {
			if e.MAC == m {
				w = e
			}
		}
		return w
	}
	sw.Hear(7, []Heard{
		{Station: Station{MAC: g[0].mac}, Port: port},
		{Station: Station{MAC: g[1].mac, Peer: 2}},
		{Station: Station{MAC: address(9), Segment: segment}},
		{Station: Station{MAC: drawbridge.Broadcast, Peer: 2}},
		{Station: Station{MAC: address(10), Peer: sw.cfg.Self}},
		{Station: Station{MAC: address(11), Peer: 2, Age: time.Hour}},
	})
	if at(g[0].mac).Port != port.name || at(g[1].mac).Peer != 2 || at(address(9)).Segment != segment || sw.Len() != 3 {
		t.Errorf("heard %+v", sw.MACs())
	}
	sw.Hear(7, []Heard{{Station: Station{MAC: g[1].mac}, Port: port}}) // the guest has moved here
	if at(g[1].mac).Port != port.name || sw.Len() != 3 || port.macs.Load() != 2 {
		t.Errorf("after a move %+v, %d at the port", sw.MACs(), port.macs.Load())
	}
}

// TestASuspendedPortIsHushed: frames that the switch would drop are not even read, and all are again before the first is
// carried.
func TestASuspendedPortIsHushed(t *testing.T) {
	f := newFabric(t)
	n := f.node()
	p := &hushing{Port: f.wire().guest(n, 7).port}
	n.sw.all()[0].Detach()
	p.onHush = func(on bool) {
		if !on && !n.sw.Suspended(7) {
			t.Error("frames are carried before the port reads them all")
		}
	}
	n.sw.Suspend(7, true)
	a, err := n.sw.Attach(PortConfig{Port: p, VNI: 7}) // opened in the meantime
	if err != nil {
		t.Fatal(err)
	}
	n.sw.Suspend(7, true)
	if !p.hushed || p.changes != 1 {
		t.Errorf("hushed %v after %d changes", p.hushed, p.changes)
	}
	n.sw.Suspend(8, true)
	if n.sw.Suspend(7, false); p.hushed || p.changes != 2 {
		t.Errorf("hushed %v after %d changes", p.hushed, p.changes)
	}
	n.sw.Suspend(7, true)
	if p.err = errors.New("no memory"); a.reads.hushed {
		n.sw.Suspend(7, false)
	}
	if !p.closed {
		t.Error("a port that stays deaf is not opened anew")
	}
}

// TestAPortIsSharedBeforeItIsRead: with another engine at the overlay, a port that is opened is read when it has the filter that chooses, and
// has its own again when the other engine has gone.
func TestAPortIsSharedBeforeItIsRead(t *testing.T) {
	f := newFabric(t)
	n := f.node()
	p := &hushing{Port: f.wire().guest(n, 7).port, onHush: func(bool) {}}
	n.sw.all()[0].Detach()
	n.sw.Accompany(7, &deaf{})
	a, err := n.sw.Attach(PortConfig{Port: p, VNI: 7})
	if err != nil {
		t.Fatal(err)
	}
	pump := newPump(a, p)
	takes := func() bool {
		before := a.rxFrames.Load()
		pump.take([]drawbridge.Packet{{Frame: frame(drawbridge.Broadcast, address(1), 1)}})
		return a.rxFrames.Load() > before
	}
	if !p.hushed || takes() || n.sw.Shared(7) {
		t.Error("a port is read that the other engine may read, too")
	}
	var filters int
	n.sw.Suspend(7, true)
	if err := a.Share(func(int) error { filters++; return nil }); err != nil || filters != 0 || !p.hushed || takes() || !n.sw.Shared(7) {
		t.Errorf("shared while the other engine takes all: %v, %d filters", err, filters)
	}
	n.sw.Suspend(7, false)
	if filters != 1 || p.hushed || !takes() {
		t.Errorf("not shared in turn: %d filters, hushed %v", filters, p.hushed)
	}
	n.sw.Accompany(7, nil)
	if a.reads != (reads{}) || n.sw.Shared(7) || !takes() {
		t.Errorf("alone again the port reads %+v", a.reads)
	}
}

// deaf is another engine that has heard nothing, or everything.
type deaf struct{ elsewhere, asked bool }

func (d *deaf) Spoke(drawbridge.MAC, Spot) bool {
	d.asked = true
	return d.elsewhere
}

// TestEnginesKnowOfEachOthersEchoes: what the other engine has heard elsewhere is dropped here and not learned, and it is asked, and so
// told, again when its knowledge may be old.
func TestEnginesKnowOfEachOthersEchoes(t *testing.T) {
	f, g := hosts(t, 2)
	beside := &deaf{elsewhere: true}
	f.nodes[0].sw.Accompany(7, beside)
	g[0].say(drawbridge.Broadcast, 1)
	g[1].say(drawbridge.Broadcast, 2)
	g[1].expect(1, 0)
	g[0].expect(2, 0)
	if n := f.nodes[0].sw.Len(); n != 0 {
		t.Errorf("%d addresses were learned from echoes", n)
	}
	beside.elsewhere = false
	g[0].say(drawbridge.Broadcast, 3)
	g[1].expect(3, 1)
	table := &f.nodes[0].sw.table
	c, k := cache{table: table}, keyOf(7, frame(drawbridge.Broadcast, g[0].mac, 1), 6)
	e := table.find(k)
	for _, step := range []struct {
		after       time.Duration
		asked, echo bool
	}{{seenEvery, false, false}, {seenEvery + 1, true, false}, {seenEvery + 1, true, true}} {
		beside.asked, beside.elsewhere = false, step.echo
		seen := time.Duration(e.seen.Load())
		pass, _ := c.learn(k, e.at.Load(), seen+step.after)
		if beside.asked != step.asked || pass == step.echo {
			t.Errorf("%v later: asked %v, passes %v", step.after, beside.asked, pass)
		}
		if step.echo && time.Duration(e.seen.Load()) != seen {
			t.Error("an echo keeps an address young")
		}
	}
}

// hushing is a port that can leave frames to the kernel.
type hushing struct {
	Port
	hushed, closed bool
	changes        int
	err            error
	onHush         func(bool)
}

func (p *hushing) Hush(on bool) error {
	if p.onHush(on); p.err != nil {
		return p.err
	}
	p.hushed, p.changes = on, p.changes+1
	return nil
}

func (p *hushing) Share(attach func(fd int) error) error {
	p.hushed = false
	return attach(0)
}

func (p *hushing) Close() error {
	p.closed = true
	return nil
}

// TestAHailIsHeardByBothEngines: the frames of the other engine carry no epoch, so the new gateway's own frame must turn
// those who are in it.
func TestAHailIsHeardByBothEngines(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	var claims []tenure
	for _, n := range o.nodes {
		n.sw.Accompany(7, &deaf{})
		n.sw.Suspend(7, true)
	}
	peer := o.nodes[0].sw
	peer.cfg.Claimed = func(_ drawbridge.SegmentID, _ drawbridge.VNI, by drawbridge.PeerID, epoch drawbridge.Epoch) {
		claims = append(claims, tenure{active: by, epoch: epoch})
	}
	o.a.gate.Shut()
	o.b.open(6)
	for range 2 {
		o.b.Hail(frame(drawbridge.Broadcast, address(200), 9))
		o.settle()
	}
	if len(claims) != 1 || claims[0].active != 3 || claims[0].epoch != 6 {
		t.Errorf("heard %+v, want peer 3 since epoch 6, once", claims)
	}
	o.guest.expect(9, 2)
	peer.cfg.MayBridge = func(drawbridge.PeerID, drawbridge.SegmentID, drawbridge.VNI) bool { return false }
	o.b.open(7)
	if o.b.Hail(frame(drawbridge.Broadcast, address(200), 9)); len(claims) != 1 {
		t.Error("whoever claims it draws the segment's traffic")
	}
}
