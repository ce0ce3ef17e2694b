package forwarder

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// waited is a frame that reached a gateway at a moment and lay in its socket since then.
type waited struct {
	note    int
	to      drawbridge.MAC
	arrived time.Duration // 0: nobody knows
}

// reads has a gateway read its socket at last, in one batch.
func (o *office) reads(n *node, all ...waited) {
	for _, w := range all {
		h := drawbridge.Header{Origin: 1, VNI: 7, Arrived: int64(w.arrived)}
		if w.to != drawbridge.Broadcast {
			h.Dest = n.id
		}
		n.r.Deliver(&h, &drawbridge.Packet{Frame: frame(w.to, o.guest.mac, w.note)})
	}
	n.r.Flush()
	o.settle()
}

// TestAFloodIsWrittenIfItCameToAnOpenGate: while it waited in a socket the gate was shut, and the gateway before has written its copy.
func TestAFloodIsWrittenIfItCameToAnOpenGate(t *testing.T) {
	o := newOffice(t)
	a, everybody := o.nodes[1], drawbridge.Broadcast
	closed := o.now
	o.now += time.Second
	o.a.gate.Open(5, failover.Boottime(o.now+time.Minute))
	opened := o.now
	o.now += time.Second
	o.a.gate.Open(5, failover.Boottime(o.now+time.Minute)) // renewed: the gate has been open for a second
	o.reads(
		a, waited{1, everybody, closed}, waited{2, everybody, opened}, waited{3, o.host.mac, closed}, waited{4, everybody, opened - 1},
		waited{5, everybody, 0}, waited{6, everybody, o.now},
	)
	for note, want := range map[int]int{1: 0, 2: 1, 3: 1, 4: 0, 5: 1, 6: 1} {
		o.host.expect(note, want)
		if got := o.atA.heard(note); got != 1 && note != 3 {
			t.Errorf("a guest got frame %d %d times: no gate keeps it from there", note, got)
		}
	}
	if n := o.a.dropped(dropGateShut); n != 2 {
		t.Errorf("%d are counted as stopped by the gate", n)
	}
	o.a.gate.Shut()
	between := o.now
	o.now += time.Second
	o.a.open(5) // again, in the same tenure
	o.reads(a, waited{7, everybody, opened}, waited{8, everybody, between}, waited{9, everybody, o.now})
	o.host.expect(7, 0)
	o.host.expect(8, 0)
	o.host.expect(9, 1)
	for note, s := range []*station{o.guest, o.atB} { // behind other ports and on other ways nothing has waited
		s.say(everybody, 10+note)
		o.host.expect(10+note, 1)
	}
}

// TestAFloodOfAKnownStationIsOne: its sender did not know the station, so both gateways have been sent it.
func TestAFloodOfAKnownStationIsOne(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	o.a.gate.Shut()
	before := o.now
	o.now += time.Second
	o.a.open(6)
	for _, dest := range []drawbridge.PeerID{0, 2} {
		o.nodes[1].deliver(carried{
			drawbridge.Header{Origin: 1, Dest: dest, VNI: 7, Arrived: int64(before)}, drawbridge.Packet{Frame: frame(o.host.mac, o.guest.mac, int(dest))},
		})
	}
	o.settle()
	o.host.expect(0, 0)
	o.host.expect(2, 1)
}

// witness is a holder that keeps what it is shown.
type witness struct{ notes []int }

func (s *witness) Captured(ps []drawbridge.Packet) []drawbridge.Packet { return ps }
func (s *witness) Turned(Turn)                                         {}
func (s *witness) Injected(ps []drawbridge.Packet, floods []bool) []drawbridge.Packet {
	for i := range ps {
		s.notes = append(s.notes, int(binary.BigEndian.Uint32(ps[i].Frame[14:])))
		if group := ps[i].Frame[0]&1 == 1; floods[i] != group {
			s.notes = append(s.notes, -1)
		}
	}
	return ps[:0]
}

// TestAHolderIsShownWhatCameSinceTheHold: what came before, the giver has listed as written. The giver itself is shown everything
// that has come since its gate is open.
func TestAHolderIsShownWhatCameSinceTheHold(t *testing.T) {
	o := newOffice(t)
	everybody, shut := drawbridge.Broadcast, o.now
	o.now += time.Second
	o.a.open(5)
	opened := o.now
	o.now += time.Second
	giver, taker := &witness{}, &witness{}
	o.a.SetHolder(giver)
	o.b.SetHolder(taker)
	held := o.now
	o.now += time.Second
	all := []waited{{1, everybody, shut}, {2, o.host.mac, shut}, {3, everybody, opened}, {4, everybody, held - 1}, {5, everybody, held}, {6, everybody, 0}}
	o.reads(o.nodes[1], all...)
	o.a.gate.Shut()
	o.b.open(6)
	o.reads(o.nodes[2], all...)
	for _, c := range []struct {
		who  string
		got  []int
		want []int
	}{{"giver", giver.notes, []int{2, 3, 4, 5, 6}}, {"taker", taker.notes, []int{2, 5, 6}}} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("the %s was shown %v, want %v", c.who, c.got, c.want)
		}
	}
	o.b.SetHolder(nil)
	o.reads(o.nodes[2], all...)
	for note := range 7 {
		o.host.expect(note, map[int]int{2: 1, 6: 1}[note])
	}
}

// TestAHoldIsGoodForOneTenure: a taker goes on looking at what comes for a while after the move. When its gate shuts in that time and opens
// again, another gateway has written what came in between.
func TestAHoldIsGoodForOneTenure(t *testing.T) {
	o := newOffice(t)
	everybody, taker := drawbridge.Broadcast, &witness{}
	pass := func() (now time.Duration) {
		now = o.now
		o.now += time.Second
		return now
	}
	pass()
	o.b.SetHolder(taker)
	held := pass()
	o.b.open(6)
	o.b.HolderOpens()
	opened := pass()
	all := []waited{{1, everybody, held - 1}, {2, everybody, held}, {3, everybody, opened}, {4, o.host.mac, held - 1}}
	o.reads(o.nodes[2], all...)
	o.b.gate.Shut()
	between := pass()
	o.b.open(8)
	again := pass()
	o.reads(o.nodes[2], append(all, waited{5, everybody, between}, waited{6, everybody, again}, waited{7, o.host.mac, between})...)
	if want := []int{2, 3, 4, 4, 6, 7}; !slices.Equal(taker.notes, want) {
		t.Errorf("the taker was shown %v, want %v", taker.notes, want)
	}
}
