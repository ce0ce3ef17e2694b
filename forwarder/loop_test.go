package forwarder

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
	"pgregory.net/rapid"
)

// doubleBridge is the unforgivable case: two gateways on one segment, both gates open, with a guest at each and one
// at a third peer. Their epochs tell whether the gateways know of each other: a correct failover never gives two the
// same.
type doubleBridge struct {
	*fabric
	vlan   *wire
	host   *station
	guests []*station
}

func newDoubleBridge(t testing.TB, a, b drawbridge.Epoch, without rules) *doubleBridge {
	f := newFabric(t)
	f.without = without
	d := &doubleBridge{fabric: f}
	for i := range 3 {
		w := f.wire()
		w.guest(f.node(), 7)
		d.guests = append(d.guests, w.station(i+1))
	}
	d.vlan = f.wire()
	d.vlan.gateway(f.nodes[0], 7, "office").open(a)
	d.vlan.gateway(f.nodes[1], 7, "office").open(b)
	d.host = d.vlan.station(100)
	return d
}

// copies is the most that anybody saw of a frame that from said once: stations, and the segment itself.
func (d *doubleBridge) copies(from *station, note int) int {
	from.say(drawbridge.Broadcast, note)
	most := d.vlan.Copies(frame(drawbridge.Broadcast, from.mac, note))
	for _, s := range append(d.guests, d.host) {
		n := s.heard(note)
		if s == from {
			n++ // what it said itself
		}
		most = max(most, n)
	}
	return most
}

// epochsOfTwo are what two gates may be open under at once.
var epochsOfTwo = map[string][2]drawbridge.Epoch{"first older": {5, 6}, "second older": {6, 5}, "same": {5, 5}}

// TestTwoOpenGatesDoNotMultiply: one broadcast is seen at most twice, in whatever order ports and mesh are served,
// also when the rule about segments or the rule about epochs does not work. Without the rule about echoes frames of
// guests are seen more often, but not without end.
func TestTwoOpenGatesDoNotMultiply(t *testing.T) {
	for name, epochs := range epochsOfTwo {
		for _, without := range []rules{{}, {splitHorizon: true}, {order: true}, {echo: true}} {
			t.Run(fmt.Sprintf("%s without %+v", name, without), func(t *testing.T) {
				for seed := range uint64(60) {
					d := newDoubleBridge(t, epochs[0], epochs[1], without)
					d.choose = rand.New(rand.NewPCG(seed, 0)).IntN
					for i, s := range append(d.guests, d.host) {
						most := 2
						if without.echo {
							most = 4
						}
						if n := d.copies(s, i); n > most {
							t.Fatalf("order %d, from %s: %d copies", seed, s.mac, n)
						}
					}
				}
			})
		}
	}
}

// TestWithoutSplitHorizonTwoOpenGatesMultiply is what split horizon is for: where epochs do not help either, for
// instance because they never reached the other, one broadcast of a host goes round until something breaks.
func TestWithoutSplitHorizonTwoOpenGatesMultiply(t *testing.T) {
	for name, epochs := range epochsOfTwo {
		d := newDoubleBridge(t, epochs[0], epochs[1], rules{splitHorizon: true, order: true})
		if n := d.copies(d.host, 1); n <= porttest.LoopLimit {
			t.Errorf("%s: only %d copies; the test does not show what it is for", name, n)
		}
		d = newDoubleBridge(t, epochs[0], epochs[1], rules{order: true})
		if n := d.copies(d.host, 1); n > 2 {
			t.Errorf("%s: %d copies with split horizon", name, n)
		}
	}
}

// guestLoop is a cable between the guest ports of two peers, with a guest on it, and one at a third peer.
func guestLoop(t testing.TB, without rules) (f *fabric, cable *wire, on, far *station) {
	f = newFabric(t)
	f.without = without
	cable = f.wire()
	cable.guest(f.node(), 7)
	cable.guest(f.node(), 7)
	w := f.wire()
	w.guest(f.node(), 7)
	return f, cable, cable.station(1), w.station(2)
}

// TestALoopAmongGuestsDoesNotMultiply: nothing marks frames of guest ports, the echo rule alone ends their loops.
func TestALoopAmongGuestsDoesNotMultiply(t *testing.T) {
	for seed := range uint64(200) {
		f, cable, on, far := guestLoop(t, rules{})
		f.choose = rand.New(rand.NewPCG(seed, 0)).IntN
		on.say(drawbridge.Broadcast, 1)
		far.say(drawbridge.Broadcast, 2)
		// Both peers may carry the frame of the one before they hear that the other did.
		if a, b := far.heard(1), on.heard(2); a < 1 || a > 2 || b < 1 || b > 2 || cable.Worst() > 3 {
			t.Fatalf("order %d: %d and %d copies arrived, at most %d were on the cable", seed, a, b, cable.Worst())
		}
	}
	_, cable, _, far := guestLoop(t, rules{echo: true})
	far.say(drawbridge.Broadcast, 2)
	if n := cable.Worst(); n <= porttest.LoopLimit {
		t.Errorf("only %d copies without the echo rule; the test does not show what it is for", n)
	}
}

// TestEchoesAreRemembered: the frame of a station on a looped wire comes to the second peer by mesh before it comes by
// wire. It is carried round once; other frames are not held up, nor is the same after a while.
func TestEchoesAreRemembered(t *testing.T) {
	f, cable, on, far := guestLoop(t, rules{})
	first, late := cable.ports[0], cable.ports[1]
	for note := range 2 {
		said := frame(drawbridge.Broadcast, on.mac, note)
		if _, err := on.port.WriteBatch([]drawbridge.Packet{{Frame: said}}); err != nil {
			t.Fatal(err)
		}
		f.collect()
		first.take(1)
		for _, d := range f.sent {
			d.to.deliver(d.carried)
		}
		f.sent = nil
		f.settle()
		if n := cable.Copies(said); n != 2 || far.heard(note) != 2 || late.dropped(dropEcho) != 2*(note+1) {
			t.Errorf("frame %d was on the cable %d times; dropped %v", note, n, late.Status().Drops)
		}
	}
	wrote := func(note int) int {
		before := late.txFrames.Load()
		late.write(queueOf([]drawbridge.Packet{{Frame: frame(drawbridge.Broadcast, on.mac, note)}}))
		return int(late.txFrames.Load() - before)
	}
	if wrote(0) != 0 || wrote(1) != 0 || wrote(2) != 1 {
		t.Error("it is not the frames that were heard that are held up")
	}
	f.now += echoesFor
	late.echoes.note(frame(drawbridge.Broadcast, on.mac, 3), f.now)
	f.now++
	if wrote(0) != 1 || wrote(3) != 0 {
		t.Error("frames are held up for another time than they should be")
	}
	f.now += echoesFor
	if wrote(3) != 1 {
		t.Error("a frame is held up for ever")
	}
}

func TestAnEchoAtTheBeginningIsRemembered(t *testing.T) {
	var e echoes
	now := func() time.Duration { return 0 }
	if e.recent(now) {
		t.Error("nothing was heard")
	}
	if e.note(frame(address(1), address(2), 3), 0); !e.recent(now) {
		t.Error("it was heard when the switch began")
	}
}

// TestALoopOnOnePeerDoesNotMultiply: a cable between two guest ports of the same peer.
func TestALoopOnOnePeerDoesNotMultiply(t *testing.T) {
	for _, without := range []rules{{}, {echo: true}} {
		f := newFabric(t)
		f.without = without
		n, cable := f.node(), f.wire()
		cable.guest(n, 7)
		cable.guest(n, 7)
		w := f.wire()
		w.guest(f.node(), 7)
		far, on := w.station(1), cable.station(2)
		far.say(drawbridge.Broadcast, 1)
		on.say(drawbridge.Broadcast, 2)
		ends := cable.Worst() <= 3
		if ends != !without.echo {
			t.Errorf("without %+v: %d copies", without, cable.Worst())
		}
	}
}

// TestNothingMultipliesInAnyLoop draws networks with every kind of loop at once, of which the gates may be open or
// not: whoever speaks, every frame is seen a bounded number of times and then rests.
func TestNothingMultipliesInAnyLoop(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFabric(t)
		f.choose = rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "order"), 0)).IntN
		for range rapid.IntRange(2, 3).Draw(r, "peers") {
			f.node()
		}
		ports := 0
		for w := range rapid.IntRange(1, 3).Draw(r, "wires") {
			wire, name := f.wire(), fmt.Sprintf("segment-%d", w)
			bridged, misnamed := rapid.Bool().Draw(r, "bridged"), rapid.Bool().Draw(r, "misnamed")
			for _, n := range f.nodes {
				if misnamed { // each gateway has its own name for the wire
					name = fmt.Sprintf("segment-%d-%d", w, n.id)
				}
				switch {
				case !rapid.Bool().Draw(r, "attached"):
				case bridged:
					wire.gateway(n, 7, name).open(drawbridge.Epoch(rapid.IntRange(1, 3).Draw(r, "epoch")))
					ports++
				default:
					wire.guest(n, 7)
					ports++
				}
			}
			wire.station(w + 1)
		}
		for note, w := range f.wires {
			s := w.stations[0]
			s.say(drawbridge.Broadcast, note)
			for _, other := range f.wires {
				// Each port may write it once as the first to hear of it, and the station itself said it.
				if n := other.Copies(frame(drawbridge.Broadcast, s.mac, note)); n > 2*ports+1 {
					r.Fatalf("%d copies among %d ports", n, ports)
				}
			}
			if len(f.sent) != 0 {
				r.Fatal("it goes on")
			}
		}
	})
}
