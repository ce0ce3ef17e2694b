package lease

import (
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Node is one run of one peer's part in the leases: voter and holder together. A witness has no candidates.
type Node struct {
	self   drawbridge.PeerID
	voter  Voter
	holder Holder
}

// NewNode begins a run at now. Its first configuration must be committed after that, and so must every restart's: a
// node that forgot its ballots is safe only below a generation newer than all it forgot.
func NewNode(self drawbridge.PeerID, now Instant, seed uint64) *Node {
	n := &Node{self: self, voter: NewVoter(self, now)}
	n.holder = NewHolder(self, &n.voter, seed)
	return n
}

// SetConfig takes a newer configuration; older and present ones change nothing.
func (n *Node) SetConfig(now Instant, c Config, out *Output) error {
	if err := c.Validate(); err != nil {
		return err
	}
	n.holder.advance(now, out)
	n.voter.SetConfig(c)
	if n.holder.SetConfig(now, c, out) {
		n.holder.advance(now, out)
	}
	return nil
}

// SetCandidate says whether this gateway would take the lease of a segment; rank 0 asks first.
func (n *Node) SetCandidate(now Instant, segment drawbridge.SegmentID, rank int, wanted bool, out *Output) {
	n.holder.advance(now, out)
	n.holder.SetCandidate(now, segment, rank, wanted, out)
	n.holder.advance(now, out)
}

// Yield gives a tenure up, to heir if that is not 0. It reports false when there is none, or heir is this node.
func (n *Node) Yield(now Instant, segment drawbridge.SegmentID, heir drawbridge.PeerID, out *Output) bool {
	n.holder.advance(now, out)
	return n.holder.Yield(now, segment, heir, out)
}

// Heard tells of another peer's tenure that came to light elsewhere: in a frame, in an ALONE hello.
func (n *Node) Heard(now Instant, segment drawbridge.SegmentID, epoch drawbridge.Epoch, out *Output) {
	n.holder.advance(now, out)
	n.holder.Heard(now, segment, epoch, out)
}

// setUnfit takes this node out of voting and holding while its clock is not to be trusted, and back in.
func (n *Node) setUnfit(now Instant, unfit bool, out *Output) {
	if n.voter.unfit != unfit {
		n.voter.unfit = unfit
		n.holder.setUnfit(now, unfit, out)
	}
}

// Unfit reports whether this node has stopped voting and holding because its clock departs from the others'.
func (n *Node) Unfit() bool { return n.voter.unfit }

// Tick does what the clock demands. It may be called at any time and must be at Deadline.
func (n *Node) Tick(now Instant, out *Output) { n.holder.advance(now, out) }

// WasShut tells that all Shut actions so far have been carried out, at a time read after that. No release leaves before:
// the process may have been stopped between deciding and shutting.
func (n *Node) WasShut(now Instant) { n.holder.wasShut(now) }

// Deadline is when Tick is due; it changes with every call.
func (n *Node) Deadline() Instant { return n.holder.deadline() }

// Generation is that of the present configuration; 0 before the first.
func (n *Node) Generation() uint32 { return n.holder.config.Generation }

// Floor is that of the present configuration.
func (n *Node) Floor() uint32 { return n.holder.config.Floor }

// Receive handles an authentic message of a peer, at the time of its receipt or later.
func (n *Node) Receive(now Instant, from drawbridge.PeerID, m *Message, out *Output) {
	n.holder.advance(now, out)
	if from == n.self {
		return
	}
	if n.holder.view(now, from, m) {
		n.setUnfit(now, n.holder.wild(), out)
	}
	for _, e := range m.Entries {
		if m.Class == Request {
			n.request(now, from, m.Generation, e, out)
		} else if voter := n.holder.quorum.index(from); voter >= 0 && m.Stamp <= now {
			n.holder.answer(now, voter, m.Stamp, e, out)
		}
	}
	n.holder.advance(now, out)
}

func (n *Node) request(now Instant, from drawbridge.PeerID, generation uint32, e Entry, out *Output) {
	if e.Kind == Renew {
		n.holder.Heard(now, e.Segment, e.Epoch, out)
	}
	if e.Kind == Release && e.Flags&Tenured != 0 {
		out.Actions = append(out.Actions, Action{Do: Over, Segment: e.Segment, Epoch: e.Epoch, Peer: from})
	}
	answer, ok := n.voter.Answer(now, from, generation, e)
	if ok {
		out.Answers = append(out.Answers, answer)
	}
	p := n.voter.find(e.Segment)
	switch {
	case answer.Kind == Grant:
		n.holder.busy(e.Segment, p.until)
	case e.Kind == Release && (p == nil || now >= p.until):
		n.holder.freed(now, from, e)
	}
}

// view takes note of what a voter's message says about it, and reports whether its clock was compared with ours.
func (h *Holder) view(now Instant, from drawbridge.PeerID, m *Message) bool {
	i := h.quorum.index(from)
	if i < 0 {
		return false
	}
	v := &h.views[i]
	v.noteFloor(now, m.Floor)
	v.generation = max(v.generation, m.Generation)
	if m.Class != Answer || m.Stamp > now || m.Stamp <= v.stamp {
		return false
	}
	v.stamp, v.rtt = m.Stamp, now.Sub(m.Stamp)
	return m.Clock != 0 && v.clock.note(m.Stamp, now, m.Clock)
}

// FloorSince is when a majority of set was first known to refuse every generation below floor; false before that. The
// third step of a change of voters waits for it and for the longest term with its drift.
func (n *Node) FloorSince(now Instant, set []drawbridge.PeerID, floor uint32) (Instant, bool) {
	if len(set) == 0 || len(set) > MaxVoters {
		return 0, false
	}
	var since [MaxVoters]Instant // counted down from Never: reached looks for the largest
	for i, peer := range set {
		if view := n.holder.quorum.index(peer); view >= 0 && n.holder.views[view].floor >= floor {
			since[i] = Never - n.holder.views[view].floorSince
		}
	}
	at := Never - majorityOf(1<<len(set)-1, &since)
	return at, at <= now
}

// Retired reports whether no lease of a generation below floor can live that a majority of set had to grant.
func (n *Node) Retired(now Instant, set []drawbridge.PeerID, floor uint32) bool {
	since, ok := n.FloorSince(now, set, floor)
	return ok && now.Sub(since) >= n.holder.config.promised(n.holder.config.Longest)
}

// Leaving reports whether a tenure has ended that is not yet released in full.
func (n *Node) Leaving() bool {
	for i := range n.holder.tenures {
		if t := &n.holder.tenures[i]; t.state == Closing || t.releaseLeft > 0 {
			return true
		}
	}
	return false
}

// Segments are those that this node is or was a candidate for, and those that it was asked to promise.
func (n *Node) Segments() (all []drawbridge.SegmentID) {
	for i := range n.holder.tenures {
		all = append(all, n.holder.tenures[i].segment)
	}
	for i := range n.voter.promises {
		all = append(all, n.voter.promises[i].segment)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// SegmentStatus is what an operator sees of one segment at one gateway.
type SegmentStatus struct {
	Segment   drawbridge.SegmentID
	State     State
	Candidate bool
	Rank      int
	Epoch     drawbridge.Epoch  // of the tenure in being, ours or another's; 0 unknown
	Holder    drawbridge.PeerID // 0: nobody, or unknown
	Since     Instant           // when Holder began, as far as this node saw
	Margin    time.Duration     // until the holder's lease, as known here, would end unrenewed
	Takeover  time.Duration     // if the holder died now, how long until this candidate held; 0 when it holds
}

// Status reads one segment for display.
func (n *Node) Status(now Instant, segment drawbridge.SegmentID) SegmentStatus {
	s := SegmentStatus{Segment: segment}
	if p := n.voter.find(segment); p != nil && now < p.until && p.renewed {
		s.Holder, s.Epoch, s.Since, s.Margin = p.holder, p.epoch, p.since, p.until.Sub(now)
	}
	t := n.holder.find(segment)
	if t == nil {
		return s
	}
	s.State, s.Candidate, s.Rank = t.state, t.wanted, t.rank
	if t.state == Holding {
		s.Holder, s.Epoch, s.Since, s.Margin = n.self, t.epoch, t.since, t.until.Sub(now)
	} else if t.wanted {
		wait := max(s.Margin, t.free.Sub(now), t.pause.Sub(now), n.voter.Ready().Sub(now), 0)
		s.Takeover = wait + t.delay + n.holder.quorumRTT()
	}
	return s
}

// quorumRTT is how long a majority of every set takes to answer, by their last answers.
func (h *Holder) quorumRTT() time.Duration {
	var rtt [MaxVoters]Instant
	for i, v := range h.views {
		rtt[i] = -Instant(v.rtt)
		if h.quorum.peers[i] == h.self {
			rtt[i] = 0
		}
	}
	if !h.configured {
		return 0
	}
	return time.Duration(-h.quorum.reached(&rtt))
}

// VoterStatus is what an operator sees of one voter.
type VoterStatus struct {
	Peer       drawbridge.PeerID
	Age        time.Duration // since it last answered; negative: never
	RTT        time.Duration
	Generation uint32
}

// Quorum reads whether a majority of every set has answered within three probes, and each voter's last answer.
func (n *Node) Quorum(now Instant) (reachable bool, voters []VoterStatus) {
	h := &n.holder
	refusing := uint16(0)
	for i, peer := range h.quorum.peers {
		v := VoterStatus{Peer: peer, Age: now.Sub(h.views[i].stamp), RTT: h.views[i].rtt, Generation: h.views[i].generation}
		switch {
		case peer == n.self:
			v.Age, v.Generation = 0, h.config.Generation
		case h.views[i].stamp == 0:
			v.Age = -1
		}
		if v.Age < 0 || v.Age > 3*h.config.probe() {
			refusing |= 1 << i
		}
		voters = append(voters, v)
	}
	return h.configured && h.quorum.possible(refusing), voters
}
