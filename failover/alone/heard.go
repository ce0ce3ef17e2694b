package alone

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Hear takes a frame that came in on a port, with the codec's verdict on it.
func (m *Machine) Hear(now time.Duration, id PortID, f Frame, verdict error) Output {
	p := m.ports[id]
	if p == nil || !p.carrier {
		m.drops["no_port"]++
		return m.Tick(now)
	}
	switch {
	case errors.Is(verdict, ErrNetwork):
		m.foreign(now, p, f)
	case verdict != nil:
		m.suspicious(now, p, verdict)
	case f.From.Peer == m.cfg.Peer:
		m.ownFrame(now, p, f)
	default:
		m.other(now, p, f)
	}
	return m.Tick(now)
}

// HearOverlay takes an authentic frame that came out of the overlay, where ALONE is never carried: somebody else
// bridges the sender's wire to the overlay.
func (m *Machine) HearOverlay(now time.Duration, f Frame) Output {
	m.drops["from_overlay"]++
	if p := m.ports[f.From.Port]; f.From.Peer == m.cfg.Peer && p != nil {
		m.block(now, p, BridgedElsewhere, f.From, "a frame sent on this port came back through the overlay: something else bridges the two")
	}
	return m.Tick(now)
}

// HearSpanningTree tells that a bridge protocol frame was heard: the switch may hold our frames back for a while.
func (m *Machine) HearSpanningTree(id PortID) {
	if p := m.ports[id]; p != nil {
		p.spanning = true
	}
}

// foreign is a hello of another network. It keeps a port that starts from opening; a port that runs is not shut by
// what anybody could forge.
func (m *Machine) foreign(now time.Duration, p *port, f Frame) {
	m.drops["foreign_network"]++
	if p.foreign.count == 0 || now-p.foreign.first > 10*foreignSpan {
		p.foreign.first, p.foreign.count = now, 0
		m.alarm(p, "", f.From, fmt.Sprintf("another Drawbridge network (%x) is on this wire, at its peer %s", f.Network, f.From.Peer))
	}
	p.foreign.count++
	starting := p.state == Init || p.state == Listen
	if starting && p.foreign.count >= foreignHellos && now-p.foreign.first >= foreignSpan {
		m.block(now, p, ForeignNetwork, f.From, fmt.Sprintf("another Drawbridge network (%x) is on this wire: remove one of the two", f.Network))
	} else if starting {
		p.listenTo = max(p.listenTo, now+m.cfg.Timers.Listen) // until it is one thing or the other
	}
}

// suspicious is a frame that does not authenticate. It delays a port that starts, within bounds.
func (m *Machine) suspicious(now time.Duration, p *port, verdict error) {
	m.drops[dropReason(verdict)]++
	if p.state == Listen && !errors.Is(verdict, ErrTruncated) && !errors.Is(verdict, ErrMagic) {
		p.listenTo = min(now+m.cfg.Timers.Listen, p.carrierAt+maxDelay)
	}
}

func dropReason(err error) string {
	for _, r := range []struct {
		err  error
		word string
	}{{ErrTruncated, "truncated"}, {ErrMagic, "bad_magic"}, {ErrVersion, "unknown_version"}, {ErrTag, "bad_tag"}, {ErrField, "bad_field"}} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "unreadable"
}

// ownFrame is one of ours that came back.
func (m *Machine) ownFrame(now time.Duration, p *port, f Frame) {
	if f.Boot != m.cfg.Boot {
		m.drops["own_past"]++ // of an earlier boot, or of a copy of this peer
		return
	}
	sender := m.ports[f.From.Port]
	switch {
	case sender == nil:
		m.drops["own_past"]++
	case sender == p:
		p.mine = append(slices.DeleteFunc(p.mine, func(t time.Duration) bool { return now-t >= reflectWindow }), now)
		if len(p.mine) > tooMany {
			m.block(now, p, Reflection, f.From, "the switch sends this port's own frames back to it")
		}
	default:
		loser, winner := p, sender
		if loser.ID < winner.ID {
			loser, winner = winner, loser
		}
		m.block(now, loser, SameWire, Place{m.cfg.Peer, winner.ID}, "another port of this peer is on the same wire")
	}
}

// other is an authentic frame of another peer.
func (m *Machine) other(now time.Duration, p *port, f Frame) {
	n := p.neighbours[f.From]
	if n == nil {
		if len(p.neighbours) >= maxNeighbours {
			m.drops["too_many_neighbours"]++
			return
		}
		n = &neighbour{}
		p.neighbours[f.From] = n
	}
	if !n.fresh(f) {
		m.drops["replayed"]++
		return
	}
	n.note(now, f, Place{m.cfg.Peer, p.ID}.Key())
	p.witnessed(now, f)
	n.heardAt, n.dead = now, deadAfter(time.Duration(f.Interval)*time.Millisecond)
	n.state, n.epoch, n.segment, n.injected, n.captured = f.State, f.Epoch, f.Segment, f.Injected, f.Captured
	me := Place{m.cfg.Peer, p.ID}
	if f.Kind == Hello {
		if slices.ContainsFunc(f.Listed, func(l Listed) bool { return l.Key == me.Key() }) {
			n.namedMe = now
		} else if len(f.Listed) < maxListed { // it has room for everybody that it hears
			n.namedMe = 0
		}
	}
	switch {
	case p.ID.Guest() && !f.From.Port.Guest():
		m.block(now, p, GuestOnSegment, f.From, "this guest port is cabled to a segment")
	case p.ID.Guest() && f.From.before(me):
		m.block(now, p, GuestOnGuest, f.From, "this guest port shares a wire with a guest port of another peer")
	case p.ID.Guest():
		m.stray(now, p, n, f)
	case f.From.Port.Guest():
		m.stray(now, p, n, f)
		m.alarmOnce(now, p, n, f.From, "a guest port of another peer is cabled to this segment; it blocks itself")
	case f.Segment != p.Segment:
		if f.From.before(me) {
			m.block(now, p, TwoSegments, f.From, "another segment is on the same wire")
		} else {
			m.alarmOnce(now, p, n, f.From, "another segment is on the same wire; its port blocks itself")
		}
	default:
		m.tenure(now, p, f)
	}
}

// tenure compares epochs on one segment: the newer one stays.
func (m *Machine) tenure(now time.Duration, p *port, f Frame) {
	carries := f.State == Active || f.State == Drain
	if !carries && f.Kind != Close {
		return
	}
	if carries {
		p.carriedAt = now
	}
	if f.Epoch > p.highest {
		p.highest = f.Epoch
		m.out.Fence = append(m.out.Fence, Newer{p.ID, f.Epoch, f.From})
	}
	running := p.state == Active || p.state == Drain
	switch {
	case running && (f.Epoch > p.held || f.Epoch == p.held && f.From.before(Place{m.cfg.Peer, p.ID})): // equal ones are both by hand
		p.held = 0
		p.enter(now, Fenced)
		p.nextHello = now // the newer holder waits for as long as it believes that we carry the segment
		m.out.Shut = append(m.out.Shut, p.ID)
		m.alarm(p, "", f.From, fmt.Sprintf("peer %s carries this segment under the newer epoch %s", f.From.Peer, f.Epoch))
	case running && carries && f.Epoch < p.held:
		young := now < p.heldAt+m.lease()
		if young && f.Epoch <= p.released[f.From.Peer] {
			return // it was under way when its sender gave that tenure up
		}
		reply := m.frame(p, Close)
		m.out.Send = append(m.out.Send, Send{Port: p.ID, Broadcast: true, Frame: reply})
		if young {
			p.waitTo = p.heldAt + m.lease()
		}
		m.alarmOnce(now, p, p.neighbours[f.From], f.From, fmt.Sprintf("peer %s still carries this segment under the older epoch %s", f.From.Peer, f.Epoch))
	}
}

func (m *Machine) block(now time.Duration, p *port, why Reason, by Place, text string) {
	if p.state == Blocked {
		return
	}
	p.reason, p.held = why, 0
	p.enter(now, Blocked)
	m.out.Shut = append(m.out.Shut, p.ID)
	m.alarm(p, why, by, text)
}

func (m *Machine) alarm(p *port, why Reason, by Place, text string) {
	m.out.Alarms = append(m.out.Alarms, Alarm{Port: p.ID, Reason: why, Text: text, From: by})
}

// alarmOnce raises an alarm about a neighbour when it is new, not for every hello.
func (m *Machine) alarmOnce(now time.Duration, p *port, n *neighbour, by Place, text string) {
	if n.alarmedAt == 0 || now-n.alarmedAt > maxDelay {
		n.alarmedAt = now
		m.alarm(p, "", by, text)
	}
}
