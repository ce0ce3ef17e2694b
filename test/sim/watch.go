package sim

import (
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// The driver of an alone.Machine, as failover/alone/runner is one.

func (n *node) tickALONE() {
	n.alone.SetTerm(n.w.term())
	n.carryOut(n.alone.Tick(n.since()))
}

// since is the clock in ALONE's words.
func (n *node) since() time.Duration { return time.Duration(n.read()) }

func (n *node) portOf(id alone.PortID) *port {
	for _, p := range n.ports {
		if p.id == id {
			return p
		}
	}
	return nil
}

// carryOut does what the machine asks for.
func (n *node) carryOut(out alone.Output) {
	n.perform(out)
	for _, p := range n.ports {
		n.followRegent(p)
		if p.segment != nil && p.held != 0 && (p.told != p.held || p.opened == 0) {
			p.tellALONE()
		}
		if p.segment != nil && p.held != 0 && p.opened == 0 && n.alone.IsClear(n.since(), p.id, p.held) {
			n.later(n.w.now+50e3, leases, p.lookAgain)
		}
	}
}

func (n *node) perform(out alone.Output) {
	for _, f := range out.Fence {
		p := n.portOf(f.Port)
		p.fence(f.Epoch)
		n.w.signal(n, "newer tenure on the wire")
		n.heardTenure(p.segment.id, f.Epoch)
	}
	for _, id := range out.Shut {
		n.vetoed(n.portOf(id))
	}
	for _, s := range out.Strays {
		o := n.w.nodes[s.Guest.Peer-1]
		n.w.transmit(n, o, watching, func() { o.carryOut(o.alone.HeardElsewhere(o.since(), s)) })
	}
	if len(out.Heard) > 0 {
		n.compareSoon()
	}
	if len(out.Listen) > 0 {
		n.later(n.w.now+50e3, control, n.stand)
	}
	for _, a := range out.Alarms {
		n.w.signal(n, "alarm "+string(a.Reason))
		n.w.alarms = append(n.w.alarms, alarm{n, a})
	}
	for _, s := range out.Send {
		f := s.Frame
		n.portOf(s.Port).put(&frame{src: n.portOf(s.Port).mac, dst: everybody, kind: hello, alone: &f})
	}
	n.armALONE(out.Wake)
}

// vetoed shuts a gate at once, when its machine is against it.
func (n *node) vetoed(p *port) {
	if p.gate == nil || n.w.plan.Without.Veto {
		return
	}
	if n.w.plan.Without.Fence && p.usable && n.stateOf(p) == alone.Fenced {
		return
	}
	n.w.signal(n, "veto")
	p.gate.Shut()
	p.noteShut()
	n.later(n.w.now+20e3, control, n.stand)
}

func (n *node) armALONE(wake time.Duration) {
	at := max(n.clock.when(n.w.now, int64(wake)), n.w.now+20e3)
	if n.aloneWake >= n.w.now && n.aloneWake <= at {
		return
	}
	n.aloneWake = at
	n.later(at+n.w.rnd.Int64N(50e3), watching, func() {
		if n.aloneWake == at {
			n.aloneWake = -1
			n.tickALONE()
		}
	})
}

// hearALONE takes a hello off a wire.
func (p *port) hearALONE(f *alone.Frame) {
	n := p.n
	var verdict error
	if f.Network != [8]byte{} {
		verdict = alone.ErrNetwork
	}
	n.carryOut(n.alone.Hear(n.since(), p.id, *f, verdict))
}

func (n *node) stateOf(p *port) alone.State {
	for _, s := range n.alone.Ports(n.since()) {
		if s.ID == p.id {
			return s.State
		}
	}
	return alone.Init
}

// tellALONE tells the machine of the lease once the port has listened, and again after whatever made it forget.
func (p *port) tellALONE() {
	n, now := p.n, p.n.since()
	if p.held == p.told && (p.held == 0 || n.alone.IsClear(now, p.id, p.told)) {
		return
	}
	switch state := n.stateOf(p); {
	case p.held == 0:
		p.told = 0
		n.perform(n.alone.Lease(now, p.id, 0))
	case state == alone.Init || state == alone.Listen || state == alone.Blocked:
		p.told = 0
	case p.held != p.told || state == alone.Passive:
		p.told = p.held
		n.perform(n.alone.Lease(now, p.id, p.held))
	}
}

// tellRegents tells ALONE what the network's policy allows, and whether the voters answer.
func (n *node) tellRegents() {
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		why := n.whyNot(p)
		r := alone.Rule{
			Policy: n.w.plan.Policy, Pair: n.w.plan.Pair && n.w.plan.Gateways == 2, Generation: n.lease.Generation(),
			May: why == "" || why == "listening",
		}
		for _, o := range n.w.nodes[:n.w.plan.Gateways] {
			if o != n {
				r.Others = append(r.Others, o.id)
			}
		}
		answers, _ := n.lease.Quorum(n.instant())
		n.carryOut(n.alone.SetRule(n.since(), p.id, r))
		n.carryOut(n.alone.Majority(n.since(), p.id, answers))
	}
}

// followRegent keeps the gate open for as long as the machine says without a lease.
func (n *node) followRegent(p *port) {
	if p.segment == nil {
		return
	}
	epoch, until := n.alone.Regency(n.since(), p.id)
	if p.regent != 0 && epoch != p.regent {
		p.regent = 0
		if p.held == 0 {
			n.w.signal(n, "regency over")
		}
		n.later(n.w.now+50e3, control, n.publish)
	}
	if epoch == 0 || until <= n.since() || !p.usable || n.unwell {
		return
	}
	n.w.checkOverlap(p, epoch)
	p.until, p.asRegent = lease.Instant(until), true
	if !p.gate.Open(epoch, failover.Boottime(until)) {
		p.regent = 0
		n.perform(n.alone.Lease(n.since(), p.id, 0))
		return
	}
	if p.regent != epoch {
		p.regent = epoch
		n.w.signal(n, "regent")
		n.heardTenure(p.segment.id, epoch)
		n.later(n.w.now+50e3, control, func() {
			if p.regent == epoch {
				n.sw.tell(p.segment.id, n.id, epoch)
				n.publish()
				p.announceStations()
			}
		})
	}
}

// heardRelease tells ALONE that another gateway has given the segment up.
func (p *port) heardRelease(by drawbridge.PeerID, epoch drawbridge.Epoch) {
	p.n.carryOut(p.n.alone.Released(p.n.since(), p.id, by, epoch))
}

// carrier tells that the cable of a port came or went.
func (p *port) carrier(up bool) {
	n := p.n
	if p.usable == up {
		return
	}
	p.usable = up
	n.perform(n.alone.Carrier(n.since(), p.id, up))
	if !up && p.gate != nil {
		n.w.signal(n, "carrier lost")
		p.gate.Shut()
		p.noteShut()
		p.yield(0)
	}
	n.w.note("%s port %d has carrier: %v", n.name, p.id, up)
	n.stand()
}

// beat finds the interfaces that there are.
func (n *node) beat() {
	for _, p := range n.ports {
		if !p.jack.down {
			p.carrier(true)
		}
	}
	n.later(n.w.now+reopenAfter, control, n.beat)
}

// setCarrier plugs a cable or pulls it.
func (p *port) setCarrier(up bool) {
	p.jack.setDown(!up)
	p.tellCarrier(p.n.w.now+100e3, !up)
}

// flap pulls the cable of a port and plugs it in at once. The kernel tells late of a loss that follows another.
func (p *port) flap() {
	if p.jack.down {
		return
	}
	told := p.n.w.now + 2*ms
	if p.n.w.overlapping && p.n.w.rnd.IntN(3) == 0 {
		told += p.n.w.rnd.Int64N(second)
	}
	p.jack.setDown(true)
	p.n.w.after(ms, func() { p.jack.setDown(false) })
	p.tellCarrier(told, true)
}

// tellCarrier is the kernel's word on a cable. It counts losses, so that none is missed although the carrier is back
// (docs/protocol/alone.md, "Driver").
func (p *port) tellCarrier(at int64, lost bool) {
	p.n.later(at, control, func() {
		if lost {
			p.carrier(false)
		}
		p.carrier(!p.jack.down)
	})
}

// whyNot is what speaks against taking the lease of a port; empty: nothing.
func (n *node) whyNot(p *port) string {
	switch state := n.stateOf(p); {
	case !p.usable:
		return "no carrier"
	case p.maintenance:
		return "maintenance"
	case n.lease.Unfit():
		return "the clock is not trusted"
	case n.unwell:
		return "the data path stands still"
	case !n.w.plan.Without.Veto && state == alone.Blocked:
		return "blocked by ALONE"
	case state == alone.Init || state == alone.Listen:
		return "listening"
	case p.segment != nil && !slices.Contains(n.w.raft.config.Sets[0], n.id):
		return "not a voter"
	}
	return ""
}

// clearPorts takes verdicts of ALONE back, as an operator does after the repair.
func (n *node) clearPorts() {
	n.enter(watching, func() {
		for _, p := range n.ports {
			n.perform(n.alone.Clear(n.since(), p.id))
		}
	})
}
