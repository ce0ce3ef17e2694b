package lease

import (
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// voterView is what a node knows of one voter.
type voterView struct {
	stamp      Instant // stamp of the newest request that it answered
	rtt        time.Duration
	generation uint32
	floor      uint32
	floorSince Instant
	clock      comparison
}

func (v *voterView) noteFloor(now Instant, floor uint32) {
	if floor > v.floor {
		v.floor, v.floorSince = floor, now
	}
}

// Holder takes, keeps and gives up the leases of many segments for one gateway. On a witness it holds nothing, and only
// probes.
type Holder struct {
	self       drawbridge.PeerID
	local      *Voter // this node's own voter, asked before all others and without a datagram
	configured bool
	config     Config
	quorum     quorum
	views      []voterView // by the quorum's index
	tenures    []tenure    // sorted by segment
	index      index       // of tenures
	unfit      bool
	round      Instant // next renewals
	hasty      Instant // a round was late not long before then
	probing    Instant // next probes
	random     uint64
	rules      rules
}

// NewHolder begins a run of a holder. Seed spreads the waits of candidates; local is the node's own voter.
func NewHolder(self drawbridge.PeerID, local *Voter, seed uint64) Holder {
	return Holder{self: self, local: local, random: seed}
}

// SetConfig takes a newer, valid configuration. Promises of voters that stay are kept; attempts begin anew because the
// epoch that they ask for names the old generation.
func (h *Holder) SetConfig(now Instant, c Config, out *Output) bool {
	q, err := newQuorum(c.Sets)
	if err != nil || h.configured && c.Generation <= h.config.Generation {
		return false
	}
	for i := range h.tenures {
		if t := &h.tenures[i]; t.state == Asking {
			h.abandon(now, t, out)
			t.pause, t.attempts = now, 0
			h.draw(t)
		}
	}
	if h.rules.newSetOnly {
		q.sets = q.sets[:1]
	}
	views := make([]voterView, len(q.peers))
	for i, peer := range q.peers {
		if old := h.quorum.index(peer); old >= 0 {
			views[i] = h.views[old]
		}
	}
	for i := range h.tenures {
		h.tenures[i].remap(&h.quorum, &q)
	}
	if i := q.index(h.self); i >= 0 {
		views[i].noteFloor(now, c.Floor)
	}
	h.configured, h.config, h.quorum, h.views = true, c, q, views
	h.round, h.probing = min(h.round, now), now
	return true
}

// SetCandidate says whether this gateway would take the lease of a segment, and with which rank: 0 asks first.
func (h *Holder) SetCandidate(now Instant, segment drawbridge.SegmentID, rank int, wanted bool, out *Output) {
	t := h.tenure(segment)
	if t.rank != rank {
		t.rank = rank
		h.draw(t) // a gateway that asked last while it settled, and does no longer, would else wait for a step for ever
	}
	if t.wanted == wanted {
		return
	}
	t.wanted = wanted
	switch {
	case wanted && t.state == Idle:
		t.state, t.attempts = Waiting, 0
		h.draw(t)
	case !wanted && t.state == Holding:
		h.close(now, t, Retired, 0, out)
	case !wanted && t.state == Asking:
		h.abandon(now, t, out)
		t.state = Idle
	case !wanted && t.state == Waiting:
		t.state = Idle
	}
}

// Yield ends a tenure: shut, wait, release. With an heir, it is a handover to that peer. It reports whether there was
// a tenure to end.
func (h *Holder) Yield(now Instant, segment drawbridge.SegmentID, heir drawbridge.PeerID, out *Output) bool {
	t := h.find(segment)
	if t == nil || t.state != Holding || heir == h.self {
		return false
	}
	cause := Yielded
	if heir != 0 {
		cause = Handed
	}
	h.close(now, t, cause, heir, out)
	return true
}

// Heard takes note of another peer's tenure, from whatever source. A later one than ours ends ours.
func (h *Holder) Heard(now Instant, segment drawbridge.SegmentID, epoch drawbridge.Epoch, out *Output) {
	t := h.find(segment)
	if t == nil || epoch <= t.rival || epoch <= t.epoch && t.state == Holding {
		return
	}
	t.rival, t.seen = epoch, max(t.seen, epoch)
	out.Actions = append(out.Actions, Action{Do: Fence, Segment: segment, Epoch: epoch})
	switch {
	case t.state == Holding:
		h.close(now, t, Fenced, 0, out)
	case t.state == Asking && epoch >= t.epoch:
		h.abandon(now, t, out)
	}
}

// setUnfit stops or resumes asking; a tenure ends.
func (h *Holder) setUnfit(now Instant, unfit bool, out *Output) {
	h.unfit = unfit
	for i := range h.tenures {
		switch t := &h.tenures[i]; {
		case unfit && t.state == Holding:
			h.close(now, t, BadClock, 0, out)
		case unfit && t.state == Asking:
			h.abandon(now, t, out)
		}
	}
}

// busy takes note that the local voter promised a segment to somebody else until then.
func (h *Holder) busy(segment drawbridge.SegmentID, until Instant) {
	if t := h.find(segment); t != nil && t.state == Waiting {
		t.free = max(t.free, until)
		if t.attempts > 0 || t.delay < time.Duration(t.rank)*h.config.Step {
			t.attempts = 0
			h.draw(t)
		}
	}
}

// freed takes note of a release: the heir asks at once, the others leave it half a term.
func (h *Holder) freed(now Instant, from drawbridge.PeerID, e Entry) {
	t := h.find(e.Segment)
	if t == nil || t.state != Waiting || from == t.freedBy && e.Epoch <= t.freed {
		return
	}
	t.freed, t.freedBy, t.seen = e.Epoch, from, max(t.seen, e.Epoch)
	switch e.Peer {
	case h.self:
		t.free, t.pause, t.delay = now, now, 0
	case 0:
		t.free = now
	default:
		t.free = now.Add(h.config.Term / 2)
	}
}

// draw chooses how long t waits once its segment is free: its rank, and a jitter that doubles with every failed attempt.
func (h *Holder) draw(t *tenure) {
	spread := h.config.Step / 8
	if t.attempts > 0 {
		spread = max(h.config.Step, h.config.Renew) / 8 << min(t.attempts, 16)
	}
	spread = min(spread, h.config.Term/2)
	t.delay = time.Duration(t.rank) * h.config.Step
	if spread > 0 && !h.rules.noJitter {
		t.delay += time.Duration(h.next() % uint64(spread))
	}
}

// next is splitmix64 (Steele et al., OOPSLA 2014): jitter need not be secret, only different between gateways.
func (h *Holder) next() uint64 {
	h.random += 0x9e3779b97f4a7c15
	z := h.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (h *Holder) find(segment drawbridge.SegmentID) *tenure {
	i, ok := h.index.find(segment)
	if !ok {
		return nil
	}
	return &h.tenures[i]
}

func (h *Holder) tenure(segment drawbridge.SegmentID) *tenure {
	i, ok := h.index.find(segment)
	if !ok {
		h.index.insert(i, segment)
		h.tenures = slices.Insert(h.tenures, i, tenure{segment: segment})
	}
	return &h.tenures[i]
}
