package sim

import (
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// The driver of a lease.Node, as docs/protocol/lease.md, "Agent", wants it.

const (
	// vetoFor is how long a tenure lasts behind a gate that ALONE keeps shut; as in failover/lease/agent.
	vetoFor = time.Second
	// lookEvery is how often it is seen whether anything speaks against taking a lease; as in appliance.
	lookEvery = 100 * ms
	// reopenAfter is how often an interface without carrier is tried; as in appliance.
	reopenAfter = 500 * ms
	// stuckFor is how long the data path may stand still, guardEvery how often it is looked at. Stuck of failover/lease/agent is four times
	// that: faults of random schedules last for 0.6 s at most, and none would ever be noticed so.
	stuckFor   = 500 * time.Millisecond
	guardEvery = 10 * ms
	// lateShut is how late the mutation of Rules.ShutFirst shuts the gate: longer than d and a round trip.
	lateShut = 6 * ms
)

// withLease calls the node with its time and carries out what it wants.
func (n *node) withLease(f func(now lease.Instant, l *lease.Node, out *lease.Output)) {
	n.enter(leases, func() {
		f(n.instant(), n.lease, &n.out)
		n.moveGates()
		n.sendLeases(0, 0)
		n.armLease()
	})
}

func (n *node) armLease() {
	deadline := n.lease.Deadline()
	if deadline == lease.Never {
		return
	}
	at := n.clock.when(n.w.now, int64(deadline))
	if at <= n.w.now {
		at = n.w.now + 20e3 // a loop takes a while
	}
	if n.leaseWake >= n.w.now && n.leaseWake <= at {
		return // it is awake before that
	}
	n.leaseWake = at
	n.later(at+n.w.rnd.Int64N(50e3), leases, func() {
		if n.leaseWake != at {
			return
		}
		n.leaseWake = -1
		n.withLease(func(now lease.Instant, l *lease.Node, out *lease.Output) { l.Tick(now, out) })
	})
}

// moveGates does what the node wants done with gates, before anything is sent.
func (n *node) moveGates() {
	var useless []drawbridge.SegmentID
	for _, do := range n.out.Actions {
		p := n.gateOf(do.Segment)
		if p == nil {
			continue
		}
		switch do.Do {
		case lease.Open:
			if !p.hold(do) {
				useless = append(useless, do.Segment)
			}
		case lease.Shut:
			p.over(do.Cause)
		case lease.Fence:
			p.fence(do.Epoch)
		case lease.Over:
			n.later(n.w.now+20e3, watching, func() { p.heardRelease(do.Peer, do.Epoch) })
		}
	}
	n.out.Actions = n.out.Actions[:0]
	n.lease.WasShut(n.instant())
	for _, id := range useless {
		n.lease.Yield(n.instant(), id, 0, &n.out)
	}
	if len(useless) > 0 {
		n.moveGates()
	}
}

func (n *node) gateOf(id drawbridge.SegmentID) *port {
	for _, p := range n.ports {
		if p.segment != nil && p.segment.id == id {
			return p
		}
	}
	return nil
}

// hold notes a tenure or its renewal, and opens the gate unless something speaks against it. False: the tenure is of
// no use.
func (p *port) hold(do lease.Action) bool {
	n := p.n
	p.until, p.asRegent = do.Until, false
	if p.held != do.Epoch {
		p.held, p.since = do.Epoch, 0
		n.w.note("%s holds segment %d under %v", n.name, do.Segment, do.Epoch)
		n.w.checkTenure(p)
		if n.w.plan.Without.HailGate {
			n.later(n.w.now+20e3, control, p.hailEarly)
		}
	}
	return p.open()
}

// lookAgain opens the gate of a tenure against which nothing speaks any more.
func (p *port) lookAgain() {
	if p.held != 0 && p.opened == 0 {
		p.open()
	}
}

// open opens the gate or says why not.
func (p *port) open() bool {
	n := p.n
	if !p.allowed() {
		return p.keepShut()
	}
	p.since = 0
	n.w.checkOverlap(p, p.held)
	if !p.gate.Open(p.held, failover.Boottime(p.until)) {
		p.shut("a later tenure is known")
		return n.instant() >= p.until
	}
	if p.opened != p.held {
		p.opened = p.held
		p.tenureBegan()
		n.later(n.w.now+50e3+n.w.rnd.Int64N(500e3), control, p.tenured)
	}
	return true
}

// allowed reports whether the gate may be open under the tenure that is held.
func (p *port) allowed() bool {
	n := p.n
	if !p.usable || n.unwell {
		return false
	}
	p.tellALONE()
	if n.w.plan.Without.Promise && n.stateOf(p) == alone.Active {
		return true
	}
	return n.w.plan.Without.Veto || n.alone.IsClear(time.Duration(n.read()), p.id, p.held)
}

func (p *port) keepShut() bool {
	p.shut("the segment itself speaks against it")
	now := p.n.instant()
	if p.since == 0 {
		p.since = now
	}
	return now.Sub(p.since) < p.n.w.patience(vetoFor)
}

func (p *port) shut(why string) {
	p.closeGate()
	if p.opened != 0 {
		p.n.w.signal(p.n, why)
		p.opened = 0
		p.n.later(p.n.w.now+50e3, control, p.n.publish)
	}
}

// closeGate shuts the gate, or does so too late when the rule is missing.
func (p *port) closeGate() {
	if !p.n.w.plan.Without.ShutFirst {
		p.gate.Shut()
		p.noteShut()
		return
	}
	p.n.later(p.n.w.now+lateShut, leases, func() {
		if p.opened == 0 {
			p.gate.Shut()
			p.noteShut()
		}
	})
}

// over ends a tenure.
func (p *port) over(cause lease.Cause) {
	p.shut(cause.String())
	was := p.held
	p.held = 0
	p.n.later(p.n.w.now+20e3, watching, func() {
		if cause == lease.Lapsed && p.told == was && p.held == 0 {
			p.told = 0
			p.n.carryOut(p.n.alone.Lapsed(p.n.since(), p.id, was))
			return
		}
		p.tellALONE()
	})
}

func (p *port) fence(e drawbridge.Epoch) {
	if !p.n.w.plan.Without.Fence {
		p.gate.Fence(e)
	}
}

// tenured does what follows from a tenure that has begun, in the control thread: peers, mesh and segment are told.
func (p *port) tenured() {
	if p.opened == 0 {
		return
	}
	p.n.sw.tell(p.segment.id, p.n.id, p.opened)
	p.hail()
	p.n.publish()
	p.announceStations()
}

// sendLeases sends what is to be sent, in one datagram to each peer.
func (n *node) sendLeases(asker drawbridge.PeerID, stamp lease.Instant) {
	now := n.instant()
	for _, o := range n.w.nodes {
		var entries []lease.Entry
		for _, r := range n.out.Requests {
			if r.To == o.id {
				entries = append(entries, r.Entry)
			}
		}
		if entries != nil {
			n.sendLease(o, &lease.Message{Class: lease.Request, Stamp: now, Entries: entries})
		}
	}
	if len(n.out.Answers) > 0 && asker != 0 {
		answers := append([]lease.Entry(nil), n.out.Answers...)
		if n.w.plan.Without.OnePromise {
			promiseTwice(answers)
		}
		n.sendLease(n.w.nodes[asker-1], &lease.Message{Class: lease.Answer, Stamp: stamp, Clock: now, Entries: answers})
	}
	n.out.Reset()
}

// promiseTwice grants what was refused for somebody else's promise.
func promiseTwice(answers []lease.Entry) {
	for i, a := range answers {
		if a.Kind == lease.Refuse && a.Reason == lease.Promised {
			answers[i] = lease.Entry{Kind: lease.Grant, Segment: a.Segment, Epoch: a.Epoch, Micros: uint32(lease.Default.Term / time.Microsecond)}
		}
	}
}

func (n *node) sendLease(to *node, m *lease.Message) {
	m.Generation, m.Floor = n.lease.Generation(), n.lease.Floor()
	n.w.transmit(n, to, leases, func() { to.hearLease(n.id, m) })
}

func (n *node) hearLease(from drawbridge.PeerID, m *lease.Message) {
	if n.w.plan.Without.StampOfRequest && m.Class == lease.Answer {
		late := *m
		late.Stamp = n.instant()
		m = &late
	}
	n.lease.Receive(n.instant(), from, m, &n.out)
	n.moveGates()
	n.sendLeases(from, m.Stamp)
	n.armLease()
}

// heardTenure tells the lease of a tenure that came to light elsewhere.
func (n *node) heardTenure(s drawbridge.SegmentID, e drawbridge.Epoch) {
	if n.w.plan.Without.Fence {
		return
	}
	n.later(n.w.now+20e3, leases, func() {
		n.withLease(func(now lease.Instant, l *lease.Node, out *lease.Output) { l.Heard(now, s, e, out) })
	})
}

// look sees again and again whether this gateway would take each lease, as appliance does.
func (n *node) look() {
	n.stand()
	n.enter(watching, n.tellRegents)
	n.later(n.w.now+lookEvery, control, n.look)
}

func (n *node) stand() {
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		wanted := n.whyNot(p) == ""
		n.withLease(func(now lease.Instant, l *lease.Node, out *lease.Output) {
			rank := p.rank
			if p.comparison.Recused(n.since()) {
				rank += n.w.plan.Gateways // it asks last
			}
			l.SetCandidate(now, p.segment.id, rank, wanted, out)
		})
	}
}

// yield gives a lease up.
func (p *port) yield(heir drawbridge.PeerID) {
	p.n.withLease(func(now lease.Instant, l *lease.Node, out *lease.Output) {
		l.Yield(now, p.segment.id, heir, out)
	})
}

// guard watches the data path, as the lease agent does: a stopped process is noticed within a renewal, a hung one after
// stuckFor.
func (n *node) guard() {
	stopped := n.asleep[control] && n.asleep[capture] && n.asleep[overlay]
	switch {
	case !n.asleep[capture] && !n.asleep[overlay]:
		n.movedAt = n.read()
	case stopped || time.Duration(n.read()-n.movedAt) > n.w.patience(stuckFor):
		stopped = true
	}
	if stopped != n.unwell {
		n.unwell = stopped
		n.w.signal(n, map[bool]string{true: "the data path stands still", false: "the data path is back"}[stopped])
		for _, p := range n.ports {
			if p.segment != nil && stopped {
				p.shut("the data path stands still")
			}
		}
		n.stand()
	}
	n.later(n.w.now+guardEvery, leases, n.guard)
}
