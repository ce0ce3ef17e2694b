package forwarder

import (
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// hosts makes a fabric of so many peers with one guest each, all in overlay 7.
func hosts(t testing.TB, count int) (f *fabric, guests []*station) {
	f = newFabric(t)
	for i := range count {
		w := f.wire()
		w.guest(f.node(), 7)
		guests = append(guests, w.station(i+1))
	}
	return f, guests
}

func TestAFloodReachesEverybodyElse(t *testing.T) {
	f, g := hosts(t, 3)
	here := f.wire() // a second guest port beside the first
	here.guest(f.nodes[0], 7)
	neighbour := here.station(4)
	for note, dst := range []drawbridge.MAC{drawbridge.Broadcast, {1, 0, 0x5e, 0, 0, 251}, address(99)} {
		g[0].say(dst, note)
		g[0].expect(note, 0)
		for _, s := range []*station{g[1], g[2], neighbour} {
			s.expect(note, 1)
		}
	}
}

func TestAKnownAddressGetsItsFramesAlone(t *testing.T) {
	f, g := hosts(t, 3)
	here := f.wire()
	here.guest(f.nodes[0], 7)
	neighbour := here.station(4)
	for _, s := range append(g, neighbour) {
		s.say(drawbridge.Broadcast, 0)
	}
	for _, s := range append(g, neighbour) {
		s.heard(0)
	}
	g[0].say(g[1].mac, 1) // to another peer
	g[1].expect(1, 1)
	g[2].expect(1, 0)
	neighbour.expect(1, 0)
	g[0].say(neighbour.mac, 2) // to another port here
	neighbour.expect(2, 1)
	g[1].expect(2, 0)
	g[1].say(neighbour.mac, 3) // to one of two ports there
	neighbour.expect(3, 1)
	g[0].expect(3, 0)
	if h := f.log[len(f.log)-1].header; h != (drawbridge.Header{Origin: 2, Dest: 1, VNI: 7}) {
		t.Errorf("the last frame went as %+v", h)
	}
}

func TestOverlaysAreApart(t *testing.T) {
	f := newFabric(t)
	a, b := f.node(), f.node()
	inside := map[drawbridge.VNI][]*station{}
	for vni := drawbridge.VNI(1); vni <= 3; vni++ { // a is in all three, b in the first two, with the same addresses in each
		for i, n := range []*node{a, b} {
			if i == 1 && vni == 3 {
				continue
			}
			w := f.wire()
			w.guest(n, vni)
			inside[vni] = append(inside[vni], w.station(i+1))
		}
	}
	inside[1][0].say(drawbridge.Broadcast, 1)
	inside[2][0].say(drawbridge.Broadcast, 2)
	for vni := drawbridge.VNI(1); vni <= 2; vni++ {
		if got := inside[vni][1]; got.heard(int(vni)) != 1 {
			t.Errorf("overlay %d: the broadcast did not arrive once", vni)
		}
	}
	inside[2][1].say(address(1), 3)
	inside[2][0].expect(3, 1)
	inside[1][0].expect(3, 0)
	inside[3][0].expect(3, 0)
}

func TestAFrameForItsOwnSideGoesNowhere(t *testing.T) {
	f, g := hosts(t, 2)
	w := f.wires[0]
	twin := w.station(9)
	twin.say(drawbridge.Broadcast, 0)
	g[0].say(drawbridge.Broadcast, 0)
	sent := len(f.log)
	g[0].say(twin.mac, 1) // both are behind the same port
	twin.expect(1, 1)     // from the wire itself
	if w.Worst() != 1 || len(f.log) != sent {
		t.Errorf("the frame came back %d times and went to the overlay %d times", w.Worst()-1, len(f.log)-sent)
	}
}

func TestAPortIsAttachedOnce(t *testing.T) {
	f := newFabric(t)
	n := f.node()
	w := f.wire()
	first := w.gateway(n, 7, "office")
	gate := failover.NewGate(nil, func() failover.Boottime { return 0 })
	id := drawbridge.SegmentIDOf("office")
	for want, cfg := range map[string]PortConfig{
		"attached already":     {Port: w.Attach(first.name), VNI: 7},
		"is on segment office": {Port: w.Attach("other"), VNI: 7, Segment: id, SegmentName: "office", Gate: gate},
		"has a gate":           {Port: w.Attach("third"), VNI: 7, Segment: id},
		"nothing else":         {Port: w.Attach("fourth"), VNI: 7, Gate: gate},
		"24 bits":              {Port: w.Attach("fifth"), VNI: drawbridge.MaxVNI + 1},
	} {
		if _, err := n.sw.Attach(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	first.Detach()
	first.Detach() // does no harm
	if _, err := n.sw.Attach(PortConfig{Port: w.Attach("other"), VNI: 7, Segment: id, SegmentName: "office", Gate: gate}); err != nil {
		t.Error(err)
	}
}

func TestADetachedPortIsForgotten(t *testing.T) {
	f, g := hosts(t, 2)
	w := f.wire()
	second := w.guest(f.nodes[0], 7)
	s := w.station(3)
	for _, from := range append(g, s) {
		from.say(drawbridge.Broadcast, 0)
	}
	if f.nodes[0].sw.Len() != 3 || second.Status().MACs != 1 {
		t.Fatalf("%d addresses, %+v", f.nodes[0].sw.Len(), second.Status())
	}
	second.Detach()
	if f.nodes[0].sw.Len() != 2 || second.Status().MACs != 0 || len(f.nodes[0].sw.Ports()) != 1 {
		t.Errorf("%d addresses, %+v", f.nodes[0].sw.Len(), second.Status())
	}
	s.heard(0)
	g[0].say(s.mac, 1)
	g[1].say(s.mac, 2)
	s.expect(1, 0)
}

func TestFramesForADetachedPortAreCounted(t *testing.T) {
	f, _ := pair(t)
	at := f.wires[1].ports[0]
	p := drawbridge.Packet{Frame: frame(address(2), address(1), 1)}
	f.nodes[1].r.Deliver(&drawbridge.Header{Origin: 1, Dest: 2, VNI: 7}, &p)
	at.Detach()
	f.nodes[1].r.Flush()
	if at.dropped(dropPort) != 1 || len(f.nodes[1].r.local.of) != 0 {
		t.Errorf("%v, %d queues", at.Status().Drops, len(f.nodes[1].r.local.of))
	}
}

// TestFramesForSomebodyElsewhere: one that was sent to this peer alone is not spread, one for everybody is.
func TestFramesForSomebodyElsewhere(t *testing.T) {
	f, g := hosts(t, 3)
	g[2].say(drawbridge.Broadcast, 0)
	n := f.nodes[1]
	for note, dest := range []drawbridge.PeerID{2, 0} {
		n.deliver(carried{drawbridge.Header{Origin: 1, Dest: dest, VNI: 7}, drawbridge.Packet{Frame: frame(g[2].mac, g[0].mac, note+1)}})
	}
	f.settle()
	g[1].expect(1, 0)
	if n.dropped(dropMisdirected) != 1 {
		t.Errorf("%v", n.sw.Drops())
	}
	g[1].expect(2, 1)
}

// TestAFloodForOneKnownHereGoesToItsPort: its sender did not know where to send it.
func TestAFloodForOneKnownHereGoesToItsPort(t *testing.T) {
	f, g := pair(t)
	w := f.wire()
	w.guest(f.nodes[1], 7)
	neighbour := w.station(3)
	f.nodes[1].deliver(carried{drawbridge.Header{Origin: 1, VNI: 7}, drawbridge.Packet{Frame: frame(g[1].mac, g[0].mac, 1)}})
	f.settle()
	g[1].expect(1, 1)
	neighbour.expect(1, 0)
}

func TestInventedOriginsAreBounded(t *testing.T) {
	f, _ := hosts(t, 1)
	n := f.nodes[0]
	for i := range 3 * maxPlaces {
		f.now += settle
		n.deliver(carried{drawbridge.Header{Origin: drawbridge.PeerID(10 + i), VNI: 7}, drawbridge.Packet{Frame: frame(drawbridge.Broadcast, address(9), i)}})
	}
	if len(n.r.peers) > maxPlaces || len(n.sw.table.peers) != 1 {
		t.Errorf("%d places, %d peers", len(n.r.peers), len(n.sw.table.peers))
	}
}

func TestStatusShowsWhatPassed(t *testing.T) {
	f, g := hosts(t, 2)
	g[0].say(drawbridge.Broadcast, 1)
	f.now += time.Second
	g[1].say(g[0].mac, 2)
	st := f.nodes[0].sw.Ports()[0]
	if st.Name != "p1.0" || st.VNI != 7 || !st.Open || st.MACs != 1 || st.RxFrames != 1 || st.RxBytes != 60 || st.TxFrames != 1 || st.TxBytes != 60 {
		t.Errorf("%+v", st)
	}
	all := f.nodes[0].sw.MACs()
	if len(all) != 2 || all[0].Port != "p1.0" || all[0].Peer != 0 || all[0].Seen != time.Second || all[1].Peer != 2 || all[1].Port != "" || all[1].MAC != g[1].mac {
		t.Errorf("%+v", all)
	}
}

func TestWhatAPortRefusesIsCounted(t *testing.T) {
	f, g := hosts(t, 2)
	at := f.wires[1].ports[0]
	at.port.Down(true)
	g[0].say(drawbridge.Broadcast, 1)
	if st := at.Status(); at.dropped(dropPort) != 1 || st.TxFrames != 0 || st.TxBytes != 0 {
		t.Errorf("%+v", st)
	}
}

var _ Port = (*porttest.Port)(nil)

// TestLocalCopiesOutliveSend floods what the mesh overwrites: super-frames, which it cuts, and small frames whose
// checksum it completes. The fabric's Send makes use of its right for every frame.
func TestLocalCopiesOutliveSend(t *testing.T) {
	f, g := hosts(t, 1)
	for range 3 {
		f.wire().guest(f.nodes[0], 7)
	}
	owed := drawbridge.Packet{Frame: frame(drawbridge.Broadcast, g[0].mac, 1), Offload: drawbridge.Offload{Flags: drawbridge.NeedsChecksum, ChecksumStart: 20}}
	for _, p := range []drawbridge.Packet{
		porttest.Super(drawbridge.GSOTCPv4, 60000, 1400), porttest.Super(drawbridge.GSOUDP, 9000, 1200), owed,
	} {
		want := drawbridge.Packet{Frame: append(drawbridge.Frame{}, p.Frame...), Offload: p.Offload}
		g[0].send(p)
		for _, w := range f.wires[1:] {
			if n := w.Copies(want.Frame); n != 1 {
				t.Errorf("%d bytes: one of the other ports wrote %d good copies", len(want.Frame), n)
			}
		}
		if sent := f.log[len(f.log)-1].packet; string(sent.Frame) != string(want.Frame) || sent.Offload != want.Offload {
			t.Errorf("%d bytes: the overlay got another frame", len(want.Frame))
		}
	}
}
