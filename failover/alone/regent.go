package alone

import (
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// A regent stands in for the voters on one segment while no majority of them answers, as far as the network's policy
// lets it. What makes that safe, and where it is not, stands in docs/protocol/alone.md, "Without a majority".

// Policy says what becomes of a segment without a majority of voters.
type Policy uint8

// The policies.
const (
	// CloseGates is the default: the gate shuts when the lease ends.
	CloseGates Policy = iota
	// HoldGates lets the last holder go on for as long as every other gateway promises, in its hellos, not to open.
	HoldGates
	// BySegment lets two gateways without a witness elect on the wire. Two are active when the wire is cut: unsafe.
	BySegment
)

func (p Policy) String() string {
	names := [...]string{"close", "hold", "segment"}
	if int(p) < len(names) {
		return names[p]
	}
	return "unknown"
}

// Rule is what a regent goes by.
type Rule struct {
	Policy Policy
	// Others are all peers that may take the segment's lease beside this one, heard of or not.
	Others []drawbridge.PeerID
	// Pair says that this gateway and the one in Others are the only voters, so that neither has a majority alone.
	Pair bool
	// May says that this gateway would take the segment: BySegment elects no other.
	May bool
	// Generation is the newest that is known; an elected tenure is of it.
	Generation uint32
}

func (r Rule) equal(o Rule) bool {
	return r.Policy == o.Policy && r.Pair == o.Pair && r.May == o.May && r.Generation == o.Generation && slices.Equal(r.Others, o.Others)
}

// Promises is the flag of a hello whose sender goes by HoldGates: it does not carry the segment, and will not within
// promiseFor of sending this, unless it knows by then that nobody else does. Such a hello lists with each neighbour which
// hello of it was heard last, so that the neighbour can count the promise from when it asked.
const Promises uint8 = 1

const (
	// promiseFor is ten hellos of 10 ms: a busy host sends one of them in time.
	promiseFor = 100 * time.Millisecond
	// promiseGrace is d of docs/protocol/lease.md: a frame that has passed the gate may still be on its way out.
	promiseGrace = time.Millisecond
	// promiseDrift is 1/e of docs/protocol/lease.md.
	promiseDrift = 200
	// oldestEcho bounds what is taken for an answer to a hello of ours; its 32 bits of microseconds come round in 71 min.
	oldestEcho = 10 * time.Second
	// electAfter is how long a segment must have been without an active gateway, and the voters without a majority,
	// before one is elected; the second in order waits electStep more. VRRP's default is 3 s (RFC 9568 §6.1). A longer term adds to
	// both: whoever stands still for less is not dead.
	electAfter = time.Second
	electStep  = 500 * time.Millisecond
	// electLead is how long an elected gateway says so before it opens: ten hellos.
	electLead = 100 * time.Millisecond
	// standFor is how long the gate of an elected one stays open without another word of the machine.
	standFor = 100 * time.Millisecond
)

// counted is how long whoever asked for a promise may rely on it, owed how long whoever gave it keeps it.
func counted() time.Duration { return promiseFor - promiseFor/promiseDrift - promiseGrace }
func owed() time.Duration    { return promiseFor + promiseFor/promiseDrift }

// regency is the part of a port.
type regency struct {
	rule     Rule
	majority bool
	lostAt   time.Duration    // the majority, if it is lost
	lapsed   drawbridge.Epoch // our tenure that ended for want of a majority, if nothing has followed it
	epoch    drawbridge.Epoch
	elected  bool
	openAt   time.Duration // not before
	ballots  drawbridge.Epoch
}

// SetRule tells what a regent of a port's segment goes by.
func (m *Machine) SetRule(now time.Duration, id PortID, r Rule) Output {
	if p := m.ports[id]; p != nil && !p.ID.Guest() && !p.regency.rule.equal(r) {
		p.regency.rule = r
		p.nextHello = min(p.nextHello, now+m.every(p))
	}
	return m.Tick(now)
}

// Majority tells whether a majority of the voters answers.
func (m *Machine) Majority(now time.Duration, id PortID, answers bool) Output {
	if p := m.ports[id]; p != nil {
		if r := &p.regency; r.majority && !answers || r.lostAt == 0 {
			r.lostAt = now
		}
		p.regency.majority = answers
	}
	return m.Tick(now)
}

// Lapsed tells that this peer's own tenure has ended for want of a majority. A regent goes on under it, if the rule and
// the wire allow that; otherwise it is as if Lease had told 0.
func (m *Machine) Lapsed(now time.Duration, id PortID, epoch drawbridge.Epoch) Output {
	p := m.ports[id]
	if p == nil || p.held != epoch || epoch == 0 || p.state != Active || p.regency.rule.Policy == CloseGates || !p.regency.rule.May {
		return m.Lease(now, id, 0)
	}
	p.regency.lapsed = epoch
	p.regency.epoch, p.regency.elected, p.regency.openAt = epoch, false, now
	return m.Tick(now) // which ends it when nothing speaks for it
}

// Regency is the tenure under which a regent keeps the gate of a port open, and until when without another word; 0: there
// is none. The gate may be open under it only while IsClear answers yes for it.
func (m *Machine) Regency(now time.Duration, id PortID) (epoch drawbridge.Epoch, until time.Duration) {
	p := m.ports[id]
	if p == nil || p.regency.epoch == 0 {
		return 0, 0
	}
	if now < p.regency.openAt || !m.IsClear(now, id, p.regency.epoch) {
		return p.regency.epoch, 0
	}
	return p.regency.epoch, p.regentUntil(now)
}

// regent ends a regency whose ground is gone, resumes one whose ground is back, or elects.
func (m *Machine) regent(now time.Duration, p *port) {
	r := &p.regency
	switch {
	case p.ID.Guest():
	case r.epoch != 0 && (p.held != r.epoch || p.state != Active || p.regentUntil(now) <= now):
		m.endRegency(now, p)
	case r.epoch == 0 && p.mayResume(now):
		r.epoch, r.elected, r.openAt = r.lapsed, false, now
		p.held, p.heldAt, p.waitTo = r.epoch, now, 0
		p.enter(now, Active)
		p.nextHello = now
	case r.epoch == 0 && p.mayElect(m.cfg.Peer) && now >= m.electAt(p):
		r.epoch, r.elected, r.openAt = r.number(p.highest, m.cfg.Peer), true, now+electLead
		r.ballots = r.epoch
		p.held, p.heldAt, p.waitTo = r.epoch, now, 0
		p.enter(now, Active)
		p.nextHello = now
		m.alarm(p, "", Place{}, "elected on the wire without a majority of the voters, tenure "+r.epoch.String()+": another gateway may be active behind a cut")
	}
	if r.epoch != 0 {
		m.out.Wake = min(m.out.Wake, max(p.regentUntil(now), now+time.Millisecond))
		if now < r.openAt {
			m.out.Wake = min(m.out.Wake, r.openAt)
		}
	} else if p.mayElect(m.cfg.Peer) {
		m.out.Wake = min(m.out.Wake, m.electAt(p))
	}
}

func (m *Machine) endRegency(now time.Duration, p *port) {
	if p.held == p.regency.epoch && p.state == Active {
		p.held = 0
		p.enter(now, Passive)
		p.nextHello = now
	}
	p.regency.epoch = 0
	m.out.Shut = append(m.out.Shut, p.ID)
}

// regentUntil is until when the regency of a port stands on what has been heard.
func (p *port) regentUntil(now time.Duration) time.Duration {
	switch r := &p.regency; r.rule.Policy {
	case HoldGates:
		if r.elected || !r.rule.May {
			return 0
		}
		until := now + counted()
		for _, peer := range r.rule.Others {
			until = min(until, p.promisedBy(peer))
		}
		return until
	case BySegment:
		if r.rule.Pair && r.rule.May && !(r.elected && r.majority) {
			return now + standFor
		}
	}
	return 0
}

// mayResume reports whether a hold goes on that has ended: everybody promises again, and nobody has heard of a later
// tenure, nor have we.
func (p *port) mayResume(now time.Duration) bool {
	r := &p.regency
	return r.lapsed != 0 && r.rule.Policy == HoldGates && p.state == Passive && p.held == 0 && p.highest <= r.lapsed && p.regentUntil(now) > now
}

// latest is the latest tenure that this port knows of, its own included.
func (p *port) latest() drawbridge.Epoch { return max(p.highest, p.own) }

// promisedBy is until when a peer has promised not to open; 0: it has not.
func (p *port) promisedBy(peer drawbridge.PeerID) (until time.Duration) {
	for place, n := range p.neighbours {
		if place.Peer == peer && n.segment == p.Segment && n.promised && !n.carries() && n.epoch <= p.regency.lapsed {
			until = max(until, n.echoed+counted())
		}
	}
	return until
}

// owes reports whether a promise of our own still keeps the port from being clear: it was given a moment ago, and some
// other gateway may be relying on it.
func (p *port) owes(now time.Duration) bool {
	return p.promisedAt != 0 && now < p.promisedAt+owed() && !p.nobodyElse(now)
}

// nobodyElse reports whether every other gateway is known not to carry the segment since our tenure began.
func (p *port) nobodyElse(now time.Duration) bool {
	for _, peer := range p.regency.rule.Others {
		if !p.isShut(now, peer) {
			return false
		}
	}
	return len(p.regency.rule.Others) > 0 // or it is not known who they are
}

// isShut reports whether a peer has said that it does not carry the segment, and its last frames are out: in a hello that
// answers one of ours of this tenure, or by giving up the tenure directly before ours.
func (p *port) isShut(now time.Duration, peer drawbridge.PeerID) bool {
	shut := p.released[peer] != 0 && p.released[peer]+1 == p.held
	for place, n := range p.neighbours {
		switch {
		case place.Peer != peer || n.segment != p.Segment:
		case n.carries() && n.epoch > p.released[peer]:
			return false
		case !n.carries() && n.promised && n.echoed > p.heldAt && now >= n.quiet+promiseGrace+promiseGrace/promiseDrift:
			shut = true
		}
	}
	return shut
}

func (n *neighbour) carries() bool { return n.state == Active || n.state == Drain }

// note keeps what a hello says of a promise.
func (n *neighbour) note(now time.Duration, f Frame, me uint32) {
	if f.Kind != Hello {
		return
	}
	switch {
	case f.State == Active || f.State == Drain:
		n.quiet = 0
	case n.quiet == 0:
		n.quiet = now
	}
	n.nonce, n.promised = uint32(f.Nonce), false
	for _, l := range f.Listed {
		if age := time.Duration(uint32(now/time.Microsecond)-l.Echo) * time.Microsecond; f.Flags&Promises != 0 && l.Key == me && age <= oldestEcho {
			n.promised, n.echoed = true, now-age
		}
	}
}

// mayElect reports whether this gateway would be elected if nobody was heard.
func (p *port) mayElect(self drawbridge.PeerID) bool {
	r := &p.regency
	return r.rule.Policy == BySegment && r.rule.Pair && r.rule.May && len(r.rule.Others) == 1 && r.rule.Others[0] != self &&
		!r.majority && r.lostAt != 0 && (p.state == Passive || p.state == Fenced) && p.held == 0 && r.rule.Generation != 0
}

// electAt is when, if nothing else is heard until then.
func (m *Machine) electAt(p *port) time.Duration {
	at := max(p.regency.lostAt, p.since, p.carriedAt)
	if p.regency.rule.Others[0] < m.cfg.Peer {
		at += failover.Patience(electStep, m.term)
	}
	return at + failover.Patience(electAfter, m.term)
}

// number is the epoch of an election: above all that were heard of, and never one that the other gateway could choose,
// nor the voters before they heard of this one. Ballots of elections have their first bit set, the last one tells the
// two gateways apart.
func (r *regency) number(highest drawbridge.Epoch, self drawbridge.PeerID) drawbridge.Epoch {
	highest = max(highest, r.ballots)
	generation := max(r.rule.Generation, highest.Generation())
	round := uint32(0)
	if highest.Generation() == generation {
		round = max(highest.Ballot(), drawbridge.Elections)&^drawbridge.Elections>>1 + 1
	}
	ballot := drawbridge.Elections | round<<1
	if r.rule.Others[0] < self {
		ballot |= 1
	}
	return drawbridge.MakeEpoch(generation, ballot)
}
