package forwarder

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"pgregory.net/rapid"
)

// community is a network as drawn, without loops: each wire has a guest port of one peer, or segment ports of some
// peers, of which at most one is open.
type community struct {
	*fabric
	r        *rapid.T
	stations []*resident
	notes    int
}

// resident is a station and the overlay that it is in.
type resident struct {
	*station
	vni  drawbridge.VNI
	open bool // whether its wire is joined to the overlay
}

func drawCommunity(t *testing.T, r *rapid.T) *community {
	n := &community{fabric: newFabric(t), r: r}
	n.choose = rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "order"), 0)).IntN
	for range rapid.IntRange(1, 5).Draw(r, "peers") {
		n.node()
	}
	for i := range rapid.IntRange(1, 8).Draw(r, "wires") {
		n.drawWire(i)
	}
	return n
}

func (n *community) drawWire(number int) {
	w, vni := n.wire(), drawbridge.VNI(rapid.IntRange(1, 2).Draw(n.r, "vni"))
	joined := true
	if rapid.Bool().Draw(n.r, "segment") {
		joined = n.drawGateways(w, vni, fmt.Sprintf("segment-%d", number))
	} else {
		w.guest(rapid.SampledFrom(n.nodes).Draw(n.r, "peer"), vni)
	}
	for range rapid.IntRange(1, 3).Draw(n.r, "stations") {
		s := w.station(len(n.stations) + 1)
		n.stations = append(n.stations, &resident{s, vni, joined})
	}
}

// drawGateways attaches some peers and opens one of their gates, or none.
func (n *community) drawGateways(w *wire, vni drawbridge.VNI, name string) (joined bool) {
	active := rapid.IntRange(-1, len(n.nodes)-1).Draw(n.r, "active")
	for i, peer := range n.nodes {
		if i == active || rapid.Bool().Draw(n.r, "gateway") {
			at := w.gateway(peer, vni, name)
			if i == active {
				at.open(drawbridge.Epoch(rapid.IntRange(1, 9).Draw(n.r, "epoch")))
				joined = true
			}
		}
	}
	return joined
}

// handOver moves the active gate of a segment to another of its gateways.
func (n *community) handOver() {
	w := rapid.SampledFrom(n.wires).Draw(n.r, "wire")
	if len(w.ports) == 0 || w.ports[0].gate == nil {
		return
	}
	heir := rapid.SampledFrom(w.ports).Draw(n.r, "heir")
	var newest drawbridge.Epoch
	for _, at := range w.ports {
		if epoch, open := at.gate.Permit(); open {
			newest = epoch
		}
		at.gate.Shut()
	}
	if newest != 0 {
		heir.open(newest + 1)
	}
}

// want is how often a station gets a broadcast of another: once, wherever both are joined to the same overlay or on
// the same wire.
func want(from, to *resident) int {
	if from != to && (from.wire == to.wire || from.vni == to.vni && from.open && to.open) {
		return 1
	}
	return 0
}

func (n *community) broadcast() {
	from := rapid.SampledFrom(n.stations).Draw(n.r, "from")
	n.notes++
	from.say(drawbridge.Broadcast, n.notes)
	for _, to := range n.stations {
		if got := to.heard(n.notes); got != want(from, to) {
			n.r.Fatalf("the broadcast of %s reached %s %d times, want %d", from.mac, to.mac, got, want(from, to))
		}
	}
	if worst := n.worst(); worst > 1 {
		n.r.Fatalf("a frame was on its own segment %d times", worst)
	}
}

func (n *community) worst() (worst int) {
	for _, w := range n.wires {
		worst = max(worst, w.Worst())
	}
	return worst
}

// talk has one station answer another that has spoken: the frame goes to one wire, and to no other.
func (n *community) talk() {
	from, to := rapid.SampledFrom(n.stations).Draw(n.r, "from"), rapid.SampledFrom(n.stations).Draw(n.r, "to")
	if want(from, to) == 0 {
		return // whoever is not known is looked for everywhere
	}
	to.say(drawbridge.Broadcast, n.notes+1)
	n.clear()
	n.notes += 2
	sent := len(n.log)
	from.say(to.mac, n.notes)
	for _, s := range n.stations {
		reached := 0
		if s != from && (s.wire == from.wire || s.wire == to.wire) {
			reached = want(from, s)
		}
		if got := s.heard(n.notes); got != reached {
			n.r.Fatalf("from %s to %s: %s got it %d times, want %d", from.mac, to.mac, s.mac, got, reached)
		}
	}
	frames := slices.DeleteFunc(slices.Clone(n.log[sent:]), func(c carried) bool {
		_, turn := parseTurn(c.header.Origin, c.packet.Frame) // the gateway is another one since the last frame
		return turn
	})
	if len(frames) > 1 || len(frames) == 1 && frames[0].header.Dest == 0 {
		n.r.Fatalf("from %s to %s: sent as %+v", from.mac, to.mac, frames)
	}
}

func (n *community) clear() {
	for _, s := range n.stations {
		s.got = nil
	}
}

// TestEveryFrameGoesWhereItShould: in any network without loops, whatever was said and handed over before.
func TestEveryFrameGoesWhereItShould(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := drawCommunity(t, r)
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			n.now += time.Second
			switch rapid.IntRange(0, 5).Draw(r, "what") {
			case 0:
				n.handOver()
			case 1:
				n.now += maxAge
				for _, peer := range n.nodes {
					peer.sw.Age()
				}
			case 2, 3:
				n.talk()
			default:
				n.broadcast()
			}
		}
	})
}
