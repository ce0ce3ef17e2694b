package keep

import (
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/announce"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// Taker is the part of the gateway that has the segment after the move. It is the port's forwarder.Holder from Hold to End.
type Taker struct {
	// Set at construction, then constant.
	port  Port
	again chan struct{} // to look whether frames can be released

	mu        sync.Mutex // guards what follows; never held while the port is called
	holding   bool
	lists     [2]handover.List                  // by direction: what the giver had
	own       [2]shelf                          // its own, by direction
	given     [2]shelf                          // the giver's, until the gate is open
	opened    bool                              // the gate is open: only what both gateways were sent may be twice
	givenPass bool                              // the giver's frames pass
	passes    [2]bool                           // so do its own, by direction
	settled   bool                              // the giver has sent its list
	begun     map[handover.Turned]time.Duration // sources that have turned, and when
	ended     map[handover.Turned]bool          // whose last frame the old way came before the first here
	echoes    handover.List                     // what the giver injected, which the segment may bring back
	counts    handover.Counts

	// Owned by whoever forwards the giver's frames: Open, then the stream's goroutine.
	theirsOut *forwarder.Releaser
	// Owned by whoever calls Hold, Release and End: what forwards its own ones, made before anybody waits for it.
	ownOut *forwarder.Releaser
}

var _ forwarder.Holder = (*Taker)(nil)

// NewTaker keeps frames beside a giver. Whoever makes one closes it.
func NewTaker(p Port) *Taker {
	t := &Taker{port: p, again: make(chan struct{}, 1), begun: map[handover.Turned]time.Duration{}, ended: map[handover.Turned]bool{}}
	if p.works() {
		t.theirsOut = p.Attached.Releaser()
	}
	return t
}

// Again has something when it is time to look whether frames that wait can be released.
func (t *Taker) Again() <-chan struct{} { return t.again }

// Hold keeps every frame from now on, and returns when nothing is on its way past the hold any more.
func (t *Taker) Hold() {
	if !t.port.works() {
		return
	}
	t.ownOut = t.port.Attached.Releaser()
	t.port.hold()
	t.mu.Lock()
	t.holding = true
	t.mu.Unlock()
	t.port.Attached.SetHolder(t)
	t.port.Attached.Quiesce()
}

// Captured implements forwarder.Holder.
func (t *Taker) Captured(ps []drawbridge.Packet) []drawbridge.Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fresh(0, ps, func(i int) bool { return t.flooded(ps[i].Frame) })
}

// flooded reports whether a frame that is read from the segment after the overlay's stations were announced there may have reached the
// giver, too.
func (t *Taker) flooded(f drawbridge.Frame) bool {
	if len(f) < drawbridge.MinFrame || f.Dst().Group() {
		return true
	}
	known, behind := t.port.Where(f.Dst())
	return !known || behind
}

// Injected implements forwarder.Holder.
func (t *Taker) Injected(ps []drawbridge.Packet, floods []bool) []drawbridge.Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fresh(1, ps, func(i int) bool { return i < len(floods) && floods[i] })
}

// fresh keeps frames of this gateway's own, and lets pass what may go on: nothing until those that were kept have gone.
// After that floods may still come that the giver has forwarded, because the way here was longer. The caller holds mu.
func (t *Taker) fresh(d int, ps []drawbridge.Packet, flood func(int) bool) []drawbridge.Packet {
	if !t.holding {
		return ps
	}
	rest := ps[:0]
	for i := range ps {
		mayBeTwo := !t.opened || flood(i)
		switch {
		case !t.passes[d]:
			if !t.own[d].put(&ps[i], mayBeTwo) {
				t.counts.Dropped++
			}
		case mayBeTwo && t.lists[d].Take(handover.Hash(ps[i].Frame)):
			t.counts.Twice++
		default:
			rest = append(rest, ps[i])
		}
	}
	return rest
}

// Given hears a frame that the giver kept.
func (t *Taker) Given(m *handover.Message) {
	if !t.port.works() {
		return
	}
	d := index(m.Direction)
	if d == 0 && t.port.elsewhere(m.Packet.Frame.Src()) {
		return
	}
	t.mu.Lock()
	h := handover.Hash(m.Packet.Frame)
	t.lists[d].Add(h)
	if !t.givenPass {
		if !t.given[d].put(&m.Packet, false) {
			t.counts.Dropped++
		}
		t.mu.Unlock()
		return
	}
	t.counts.Handed++
	t.mu.Unlock()
	t.pass(d, []drawbridge.Packet{{Frame: copyFrame(m.Packet.Frame), Offload: m.Packet.Offload}})
}

func (t *Taker) pass(d int, ps []drawbridge.Packet) {
	if d == 0 {
		t.theirsOut.Capture(ps)
	} else {
		t.port.Attached.InjectHeld(ps)
	}
}

// Listed hears what the giver has forwarded itself.
func (t *Taker) Listed(m *handover.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range m.Hashes {
		t.lists[index(m.Direction)].Add(h)
		if m.Direction == handover.Injected {
			t.echoes.Add(h)
		}
	}
}

// Open forwards what the giver has sent, and from then on lets it pass as it comes. The first frame turns the
// peers to this gateway: each believes the frame of a newer tenure, before any news.
func (t *Taker) Open(marker uint32) {
	if !t.port.works() {
		return
	}
	t.port.Attached.HolderOpens()
	t.pass(0, []drawbridge.Packet{{Frame: announce.Marker(t.port.Self, marker)}})
	t.mu.Lock()
	t.opened = true
	for {
		captured, injected := t.given[0].take(), t.given[1].take()
		if len(captured)+len(injected) == 0 {
			break
		}
		t.counts.Handed += uint64(len(captured) + len(injected))
		t.mu.Unlock()
		t.pass(1, packets(injected))
		t.pass(0, packets(captured))
		t.mu.Lock()
	}
	t.givenPass = true
	t.mu.Unlock()
}

// Announce tells the segment's switches where the overlay's stations are now, and the giver that they have been told.
func (t *Taker) Announce(stations []drawbridge.Packet, marker uint32) {
	if !t.port.works() {
		return
	}
	t.port.Attached.InjectHeld(append(stations, drawbridge.Packet{Frame: announce.Marker(t.port.Self, marker)}))
}

// End ends the hold, and drops what is still kept.
func (t *Taker) End() {
	if !t.port.works() {
		return
	}
	t.port.Attached.SetHolder(nil)
	t.port.Gate.Hold(0)
	if t.ownOut != nil {
		t.ownOut.Close()
		t.ownOut = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holding = false
	for d := range t.own {
		t.counts.Dropped += uint64(len(t.own[d].take()) + len(t.given[d].take()))
	}
}

// Account is what has become of the frames so far.
func (t *Taker) Account() handover.Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// Close gives back what forwards the giver's frames; nothing is forwarded after it.
func (t *Taker) Close() {
	if t.theirsOut != nil {
		t.theirsOut.Close()
	}
}
