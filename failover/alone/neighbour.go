package alone

import (
	"cmp"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// neighbour is another port that was heard on one of ours.
type neighbour struct {
	boot     uint32
	top      uint64 // highest sequence heard in this boot
	window   uint64 // bit i: top-i was heard
	heardAt  time.Duration
	namedMe  time.Duration // when its hello last named our port; 0 never
	dead     time.Duration // silence after which it is gone
	state    State
	epoch    drawbridge.Epoch
	segment  drawbridge.SegmentID
	injected uint32
	captured uint32
	nonce    uint32        // of its last hello: microseconds of its clock
	promised bool          // its last hello promises, and answers a hello of ours
	echoed   time.Duration // when we sent that one
	quiet    time.Duration // since when its hellos say that it does not carry the segment; 0: they have not, or it was silent
	beside   witness       // who was heard since it was
	missed   bool          // for so long that it is not this port's own doing

	shown     hearing       // as the driver knows it
	strayAt   time.Duration // when its peer was told that it is heard where it should not be; 0 never
	alarmedAt time.Duration // when an alarm about it was raised; 0 never
}

// hearing is how well two ports hear each other.
type hearing uint8

const (
	silent hearing = iota
	missed         // silent, while others were heard
	oneWay
	bothWays
)

func (h hearing) heard() bool { return h >= oneWay }

func (n *neighbour) hearing(now time.Duration) hearing {
	switch {
	case now-n.heardAt >= n.dead && n.missed:
		return missed
	case now-n.heardAt >= n.dead:
		return silent
	case n.bothWays(now):
		return bothWays
	}
	return oneWay
}

// fresh reports whether the frame is neither old nor a repetition, and remembers it.
func (n *neighbour) fresh(f Frame) bool {
	switch {
	case f.Boot < n.boot:
		return false
	case f.Boot > n.boot:
		n.boot, n.top, n.window = f.Boot, f.Sequence, 1
		return true
	case f.Sequence > n.top:
		if d := f.Sequence - n.top; d < 64 {
			n.window = n.window<<d | 1
		} else {
			n.window = 1
		}
		n.top = f.Sequence
		return true
	}
	d := n.top - f.Sequence
	if d >= 64 || n.window&(1<<d) != 0 {
		return false
	}
	n.window |= 1 << d
	return true
}

// Neighbour is what an operator sees of another port on the same wire.
type Neighbour struct {
	Place
	State    State
	Epoch    drawbridge.Epoch
	Silent   time.Duration // since it was heard
	BothWays bool          // it hears us as well
}

// PortState is what an operator sees of a port.
type PortState struct {
	ID         PortID
	State      State
	Reason     Reason
	Since      time.Duration
	Carrier    bool
	Neighbours []Neighbour
	Unsure     []Place // neighbours that have fallen silent, if it may be that this port did not listen
}

// Ports lists the ports by id.
func (m *Machine) Ports(now time.Duration) (list []PortState) {
	for _, id := range m.order {
		p := m.ports[id]
		s := PortState{ID: id, State: p.state, Reason: p.reason, Since: p.since, Carrier: p.carrier, Unsure: p.unsure(now)}
		for place, n := range p.neighbours {
			if now-n.heardAt < n.dead {
				s.Neighbours = append(s.Neighbours, Neighbour{place, n.state, n.epoch, now - n.heardAt, n.bothWays(now)})
			}
		}
		slices.SortFunc(s.Neighbours, func(a, b Neighbour) int {
			return a.compare(b.Place)
		})
		list = append(list, s)
	}
	return list
}

// Drops counts, by reason, what was heard and not obeyed.
func (m *Machine) Drops() map[string]uint64 { return m.drops }

func (n *neighbour) bothWays(now time.Duration) bool {
	return n.namedMe > 0 && now-n.namedMe < n.dead
}

// adjacent reports whether a neighbour is heard better or worse, or missed, otherwise than when this was asked last. Whoever is not heard any more is told so
// at once, in a hello that does not name it.
func (p *port) adjacent(now time.Duration) (news bool) {
	for _, n := range p.neighbours {
		if h := n.hearing(now); h != n.shown {
			if n.shown.heard() && !h.heard() {
				p.nextHello = min(p.nextHello, now)
			}
			n.shown, news = h, true
		}
	}
	return news
}

// silence is when the next neighbour will have been silent for too long, if it goes on.
func (p *port) silence(at time.Duration) time.Duration {
	for _, n := range p.neighbours {
		if n.shown.heard() {
			at = min(at, n.heardAt+n.dead)
		}
	}
	return at
}

func (p *port) heardBothWays() bool {
	for _, n := range p.neighbours {
		if n.namedMe > 0 {
			return true
		}
	}
	return false
}

// olderHolder is a neighbour that shows a tenure of this segment older than epoch, and has not given it up.
func (p *port) olderHolder(now time.Duration, epoch drawbridge.Epoch) *neighbour {
	for place, n := range p.neighbours {
		if n.carries() && n.segment == p.Segment && n.epoch < epoch && n.epoch > p.released[place.Peer] && now-n.heardAt < n.dead {
			return n
		}
	}
	return nil
}

// silentAt is when no older holder of the segment will be left, if none is heard again.
func (p *port) silentAt(now time.Duration) time.Duration {
	at := now
	for _, n := range p.neighbours {
		if (n.state == Active || n.state == Drain) && n.segment == p.Segment && n.epoch < p.held {
			at = max(at, n.heardAt+n.dead)
		}
	}
	return at
}

func (p *port) forgetDead(now time.Duration) {
	for place, n := range p.neighbours {
		if now-n.heardAt >= n.dead {
			n.namedMe, n.state, n.epoch, n.quiet = 0, Init, 0, 0
		}
		// The window of a silent neighbour is kept a while, or its old hellos could be played again.
		if now-n.heardAt >= maxDelay {
			delete(p.neighbours, place)
		}
	}
}

// listed names the freshest neighbours.
func (p *port) listed(now time.Duration) (list []Listed) {
	for place, n := range p.neighbours {
		if now-n.heardAt < n.dead {
			list = append(list, Listed{Key: place.Key(), Age: uint32((now - n.heardAt) / time.Millisecond), Echo: n.nonce})
		}
	}
	slices.SortFunc(list, func(a, b Listed) int { return cmp.Or(cmp.Compare(a.Age, b.Age), cmp.Compare(a.Key, b.Key)) })
	return list[:min(len(list), maxListed)]
}
