package lease

import (
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// State is where a gateway stands with a segment.
type State uint8

// States of a segment at one gateway.
const (
	Idle    State = 0 // no candidate
	Waiting State = 1 // until the segment is free and its turn has come
	Asking  State = 2 // collects promises
	Holding State = 3 // gate open
	Closing State = 4 // gate shut, last frames on their way out, not yet released
)

func (s State) String() string {
	return [...]string{"idle", "waiting", "asking", "holding", "closing"}[s]
}

// copies is how often a release is sent; it is idempotent, and a lost one costs a whole term.
const copies = 3

// tenure is one segment at one gateway.
type tenure struct {
	segment drawbridge.SegmentID
	state   State
	wanted  bool
	rank    int

	epoch drawbridge.Epoch // asked for or held
	since Instant          // start of the tenure
	until Instant          // gate's deadline
	ends  [MaxVoters]Instant

	seen     drawbridge.Epoch // highest epoch heard of in any way
	rival    drawbridge.Epoch // highest tenure of another peer
	freed    drawbridge.Epoch // last release heard
	freedBy  drawbridge.PeerID
	free     Instant       // somebody else's promise ends then
	pause    Instant       // own reasons not to ask before: a failed attempt, a tenure given up
	delay    time.Duration // how long to wait after both
	attempts uint8         // failed in a row
	asked    Instant
	again    Instant // an attempt asks those that refused once more then; Never: with the next round
	refused  uint16

	closing      Instant // release then
	cause        Cause
	heir         drawbridge.PeerID
	release      drawbridge.Epoch // being released
	releaseHeir  drawbridge.PeerID
	releaseFlags uint16
	releaseLeft  int
	releaseAgain Instant
}

// remap moves what is kept per voter to the places of a new configuration.
func (t *tenure) remap(from, to *quorum) {
	var ends [MaxVoters]Instant
	for i, peer := range to.peers {
		if old := from.index(peer); old >= 0 {
			ends[i] = t.ends[old]
		}
	}
	t.ends, t.refused = ends, 0
}

// turn is when t may ask.
func (t *tenure) turn() Instant { return max(t.free, t.pause).Add(t.delay) }

// ask begins an attempt with a new epoch, above all that were heard of. The own voter goes first: if it has promised
// somebody else, nobody is bothered.
func (h *Holder) ask(now Instant, t *tenure, out *Output) {
	if p := h.local.find(t.segment); p != nil {
		t.seen = max(t.seen, p.seen)
	}
	generation := h.config.Generation
	ballot := uint32(1)
	if t.seen.Generation() == generation {
		ballot = t.seen.Ballot() + 1
	}
	if t.seen.Generation() > generation || ballot == 0 {
		t.pause = now.Add(h.config.Renew) // a newer configuration must come first
		return
	}
	t.epoch = drawbridge.MakeEpoch(generation, ballot)
	t.seen, t.asked, t.again, t.refused, t.ends = t.epoch, now, Never, 0, [MaxVoters]Instant{}
	t.state = Asking
	h.request(now, t, Ask, out)
}

// request sends one request about t to every voter; the local one answers on the spot.
func (h *Holder) request(now Instant, t *tenure, kind Kind, out *Output) {
	e := Entry{Kind: kind, Segment: t.segment, Epoch: t.epoch, Micros: micros(h.config.Term)}
	if i := h.quorum.index(h.self); i >= 0 {
		if answer, ok := h.local.Answer(now, h.self, h.config.Generation, e); ok {
			h.answer(now, i, now, answer, out)
		}
	}
	if t.state != Asking && t.state != Holding { // the own voter refused
		return
	}
	for _, peer := range h.quorum.peers {
		if peer != h.self {
			out.Requests = append(out.Requests, Send{To: peer, Entry: e})
		}
	}
}

// answer takes one voter's answer to the request that was made at stamp.
func (h *Holder) answer(now Instant, voter int, stamp Instant, e Entry, out *Output) {
	t := h.find(e.Segment)
	if t == nil || e.Epoch != t.epoch || t.state != Asking && t.state != Holding {
		return
	}
	switch e.Kind {
	case Grant:
		h.granted(now, t, voter, stamp, e, out)
	case Refuse:
		h.refusal(now, t, voter, e, out)
	}
}

func (h *Holder) granted(now Instant, t *tenure, voter int, stamp Instant, e Entry, out *Output) {
	length := h.config.held(fromMicros(e.Micros))
	if h.rules.ignoreDrift {
		length = fromMicros(e.Micros)
	}
	if h.rules.countFromAnswer {
		stamp = now
	}
	t.refused &^= 1 << voter
	t.ends[voter] = max(t.ends[voter], stamp.Add(length))
	until := h.quorum.reached(&t.ends).Add(-h.config.Grace)
	if until <= now || t.state == Holding && until <= t.until {
		return
	}
	first := t.state == Asking
	if first {
		t.state, t.since, t.attempts = Holding, now, 0
		h.round = now // tell the voters at once that the attempt became a tenure
	}
	t.until = until
	out.Actions = append(out.Actions, Action{Do: Open, First: first, Segment: t.segment, Epoch: t.epoch, Until: until})
}

func (h *Holder) refusal(now Instant, t *tenure, voter int, e Entry, out *Output) {
	foreign := e.Peer != 0 && e.Peer != h.self
	if foreign && e.Flags&Tenured != 0 {
		h.Heard(now, t.segment, e.Seen, out)
	}
	if t.state != Asking {
		return
	}
	t.seen = max(t.seen, e.Seen)
	until := now.Add(fromMicros(e.Micros))
	switch {
	case e.Reason != Promised:
		t.pause = max(t.pause, until)
	case e.Flags&Tenured != 0 && e.Peer == t.freedBy && e.Seen <= t.freed:
		// That tenure's release has come here, but not yet to the voter, which will not refuse for long.
		t.again = min(t.again, now.Add(h.config.Renew/8))
		return
	default:
		t.free = max(t.free, until)
	}
	t.refused |= 1 << voter
	if h.quorum.peers[voter] == h.self && foreign {
		t.state = Waiting // nobody else has been asked: nothing to withdraw
		h.draw(t)
	} else if !h.quorum.possible(t.refused) {
		h.abandon(now, t, out)
	} else if e.Reason == Promised {
		t.again = min(t.again, now.Add(max(fromMicros(e.Micros), h.config.Renew/8)))
	}
}

// abandon withdraws an attempt, so that its votes are free for others, and backs off. Without the quarter of a renewal
// two candidates of one rank would ask as fast as the network is.
func (h *Holder) abandon(now Instant, t *tenure, out *Output) {
	t.state, t.pause = Waiting, max(t.pause, now.Add(h.config.Renew/4))
	if t.attempts < 255 {
		t.attempts++
	}
	h.draw(t)
	h.startRelease(now, t, 0, 0, out)
}

// close shuts the gate of a tenure. The release waits until the driver says that it did so, and until the last frame
// is out.
func (h *Holder) close(now Instant, t *tenure, cause Cause, heir drawbridge.PeerID, out *Output) {
	t.state, t.cause, t.heir, t.closing = Closing, cause, heir, Never
	if h.rules.releaseBeforeClose {
		t.closing = now.Add(h.config.promised(h.config.Grace))
		h.startRelease(now, t, heir, Tenured, out)
		return
	}
	out.Actions = append(out.Actions, Action{Do: Shut, Cause: cause, Segment: t.segment, Epoch: t.epoch})
}

// wasShut starts the grace period of the gates that the driver has shut by now.
func (h *Holder) wasShut(now Instant) {
	for i := range h.tenures {
		if t := &h.tenures[i]; t.state == Closing && t.closing == Never {
			t.closing = now.Add(h.config.promised(h.config.Grace))
		}
	}
}

// closed ends a tenure whose last frame is out.
func (h *Holder) closed(now Instant, t *tenure, out *Output) {
	if h.rules.releaseBeforeClose {
		out.Actions = append(out.Actions, Action{Do: Shut, Cause: t.cause, Segment: t.segment, Epoch: t.epoch})
	}
	t.state, t.pause = Waiting, now
	if t.cause != Lapsed {
		t.pause = now.Add(h.config.Term)
	}
	if !t.wanted {
		t.state = Idle
	}
	h.draw(t)
	if !h.rules.releaseBeforeClose {
		flags := Tenured
		if t.cause == Lapsed { // a regent may go on under it (docs/protocol/alone.md)
			flags = 0
		}
		h.startRelease(now, t, t.heir, flags, out)
	}
}

// startRelease tells that a tenure is over, with the flag Tenured if its gate was open and is shut for good.
func (h *Holder) startRelease(now Instant, t *tenure, heir drawbridge.PeerID, flags uint16, out *Output) {
	t.release, t.releaseHeir, t.releaseFlags, t.releaseLeft = t.epoch, heir, flags, copies
	h.sendRelease(now, t, out)
}

// sendRelease sends one copy to every voter and to the heir, who may be none.
func (h *Holder) sendRelease(now Instant, t *tenure, out *Output) {
	t.releaseLeft--
	t.releaseAgain = now.Add(h.config.Renew / 2)
	e := Entry{Kind: Release, Segment: t.segment, Epoch: t.release, Peer: t.releaseHeir, Flags: t.releaseFlags}
	h.local.Answer(now, h.self, h.config.Generation, e)
	for _, peer := range h.quorum.peers {
		if peer != h.self {
			out.Requests = append(out.Requests, Send{To: peer, Entry: e})
		}
	}
	if t.releaseHeir != 0 && h.quorum.index(t.releaseHeir) < 0 {
		out.Requests = append(out.Requests, Send{To: t.releaseHeir, Entry: e})
	}
}
