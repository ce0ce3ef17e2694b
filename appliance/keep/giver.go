package keep

import (
	"sync"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/announce"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// Phases of a giver, in their order.
const (
	giverIdle    = iota
	giverListing // notes what passes its gate
	giverHolding // hands over all that comes
	giverNarrow  // hands over what peers still send to it alone
)

// Giver is the part of the gateway that has the segment before the move. It is the port's forwarder.Holder from List to End.
type Giver struct {
	// Set at construction, then constant.
	port   Port
	post   func(*handover.Message) bool
	marker uint32
	marked chan struct{} // closed when the marker was heard

	mu      sync.Mutex // guards what follows; never held while the port is called
	phase   int
	lists   [2]handover.List // by direction: what this gateway had
	dropped uint64           // for want of room
	heard   bool             // the marker
}

var _ forwarder.Holder = (*Giver)(nil)

// NewGiver keeps frames for a taker, which announces itself by a marker. post sends it a message, in order and without waiting; false:
// there is no room.
func NewGiver(p Port, marker uint32, post func(*handover.Message) bool) *Giver {
	return &Giver{port: p, post: post, marker: marker, marked: make(chan struct{})}
}

// Marked is closed when the taker's marker came from the segment.
func (g *Giver) Marked() <-chan struct{} { return g.marked }

// Keeps reports whether there is anything to keep: the port works.
func (g *Giver) Keeps() bool { return g.port.works() }

// List begins the list of frames that this gateway has.
func (g *Giver) List() {
	g.mu.Lock()
	g.phase = giverListing
	g.mu.Unlock()
	if g.port.works() {
		g.port.Attached.SetHolder(g)
	}
}

// Hold keeps every frame from now on. The list is sent at that moment, and Hold returns when nothing is on its way past the hold any more.
func (g *Giver) Hold() {
	if !g.port.works() {
		return
	}
	g.port.hold()
	g.mu.Lock()
	g.phase = giverHolding
	for d := range g.lists {
		g.sendList(uint8(d)+handover.Captured, g.lists[d].All())
	}
	g.mu.Unlock()
	g.port.Attached.SetHolder(g)
	g.port.Attached.Quiesce()
}

func (g *Giver) sendList(direction uint8, all []uint64) {
	for len(all) > 0 {
		n := min(len(all), handover.MaxHashes)
		g.post(&handover.Message{Kind: handover.Seen, Direction: direction, Hashes: all[:n]})
		all = all[n:]
	}
}

// Captured implements forwarder.Holder.
func (g *Giver) Captured(ps []drawbridge.Packet) []drawbridge.Packet {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.phase {
	case giverListing:
		g.note(0, ps)
	case giverHolding:
		for i := range ps {
			g.captured(&ps[i])
		}
		return nil
	}
	return ps
}

// note lists frames. The caller holds mu.
func (g *Giver) note(d int, ps []drawbridge.Packet) {
	for i := range ps {
		g.lists[d].Add(handover.Hash(ps[i].Frame))
	}
}

// captured hands a frame of the segment to the taker, unless the taker itself has just sent it there. The caller holds mu.
func (g *Giver) captured(p *drawbridge.Packet) {
	if id, ok := announce.MarkerID(p.Frame); ok {
		if id == g.marker && !g.heard {
			g.heard = true
			close(g.marked)
		}
		return
	}
	if len(p.Frame) >= drawbridge.MinFrame && g.port.elsewhere(p.Frame.Src()) {
		return
	}
	g.hand(handover.Captured, p, false)
}

// hand sends a frame to the taker. The caller holds mu.
func (g *Giver) hand(direction uint8, p *drawbridge.Packet, flood bool) {
	if !g.post(&handover.Message{Kind: handover.Frame, Direction: direction, Flood: flood, Packet: *p}) {
		g.dropped++
	}
}

// Injected implements forwarder.Holder.
func (g *Giver) Injected(ps []drawbridge.Packet, floods []bool) []drawbridge.Packet {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.phase == giverListing:
		g.note(1, ps)
	case g.phase == giverHolding, g.phase == giverNarrow && !g.cameBack():
		for i := range ps {
			flood := i < len(floods) && floods[i]
			if g.phase == giverHolding || !flood {
				g.hand(handover.Injected, &ps[i], flood)
			}
		}
		return nil
	}
	return ps
}

// cameBack reports whether this gateway has the segment again, because the taker lost it at once: then it writes for
// itself, and nothing more is handed over.
func (g *Giver) cameBack() bool {
	_, open := g.port.Gate.Permit()
	return open
}

// Turned implements forwarder.Holder.
func (g *Giver) Turned(t forwarder.Turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase == giverHolding || g.phase == giverNarrow {
		g.post(&handover.Message{Kind: handover.Turn, Turned: turnedOf(t)})
	}
}

func turnedOf(t forwarder.Turn) handover.Turned {
	return handover.Turned{Origin: t.Origin, Source: t.Source, Number: t.Number}
}

// Narrow ends this gateway's part in floods and in what the segment sends: from now on they are the taker's. What peers
// still send to this gateway alone goes on being handed over.
func (g *Giver) Narrow() {
	g.mu.Lock()
	g.phase = giverNarrow
	g.mu.Unlock()
	g.port.Gate.Hold(0)
	g.post(&handover.Message{Kind: handover.End, Phase: 1})
}

// End ends the hold.
func (g *Giver) End() {
	if !g.port.works() {
		return
	}
	g.port.Attached.SetHolder(nil)
	g.port.Gate.Hold(0)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase == giverNarrow {
		g.post(&handover.Message{Kind: handover.End, Phase: 2})
	}
	g.phase = giverIdle
}

// Lost is how many frames there was no room for.
func (g *Giver) Lost() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dropped
}
