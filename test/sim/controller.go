package sim

import (
	"encoding/binary"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// Gateways compare what they hear of the segment, and the active one leaves it to another whose port serves it better; as in appliance.

// lookAtPorts is how often they do when nothing has changed on the wire.
const lookAtPorts = int64(time.Second)

// lookAtOverlay is how often an active gateway looks whether it reaches anybody; as in appliance.
const lookAtOverlay = 200 * ms

// watchOverlay leaves segments to another gateway when nobody is reached over the overlay.
func (n *node) watchOverlay() {
	reached, heir := 0, drawbridge.PeerID(0)
	for _, up := range n.mesh.up {
		if up {
			reached++
		}
	}
	_, voters := n.lease.Quorum(n.instant())
	young := max(150*time.Millisecond, 3*n.w.plan.Timing.Renew)
	for _, v := range voters {
		if v.Peer != n.id && int(v.Peer) <= n.w.plan.Gateways && v.Age >= 0 && v.Age < young {
			heir = v.Peer
		}
	}
	for _, p := range n.ports {
		if p.segment == nil || p.opened == 0 || p.keeper != nil {
			continue
		}
		p.cut.Term = n.w.term()
		if p.cut.Look(n.since(), len(n.w.nodes)-1, reached, heir != 0) && !p.comparison.Recused(n.since()) {
			n.w.signal(n, "nobody is reached over the overlay")
			p.comparison.Yielded(n.since())
			n.stand()
			p.yield(heir)
		}
	}
	n.later(n.w.now+lookAtOverlay, control, n.watchOverlay)
}

// compare looks at the ports of this gateway beside those of the others.
func (n *node) compare() {
	next := lookAtPorts
	for _, p := range n.ports {
		if p.segment != nil && p.compare() {
			next = int64(alone.ReportEvery)
		}
	}
	n.compareAt = n.w.now + next
	n.later(n.compareAt, control, func() {
		if n.compareAt <= n.w.now {
			n.compare()
		}
	})
}

// compareSoon does so since something has changed.
func (n *node) compareSoon() {
	n.later(n.w.now+20e3, control, n.compare)
}

func (p *port) compare() (apart bool) {
	n := p.n
	own := p.own()
	if !p.judge(&own) {
		return false
	}
	for _, id := range n.otherGateways() {
		o, r := n.w.nodes[id-1], p.comparison.Report(n.since(), &own, id)
		r.Segment, r.Fit = p.segment.id, n.whyNot(p) == ""
		n.w.transmit(n, o, control, func() { o.hearReport(r) })
	}
	return true
}

// judge does what follows from a comparison, and answers whether another gateway is not heard both ways.
func (p *port) judge(own *alone.Own) (apart bool) {
	n := p.n
	p.comparison.Term = n.w.term()
	advice := p.comparison.Look(n.since(), own, n.otherGateways())
	p.comparison.Listen(n.since(), advice.Apart && p.usable)
	if advice.Yield != 0 && p.opened != 0 && p.keeper == nil {
		n.w.signal(n, "another gateway is better connected")
		p.comparison.Yielded(n.since())
		n.stand()
		p.yield(advice.Yield)
	}
	for _, a := range advice.Alarms {
		n.w.signal(n, "alarm "+string(a.Reason))
	}
	return advice.Apart
}

// hearReport takes another gateway's word, and looks at once: it may be what was missing.
func (n *node) hearReport(r alone.Report) {
	p := n.gateOf(r.Segment)
	if p == nil {
		return
	}
	r.Recused = r.Recused && !n.w.plan.Without.Recusal
	p.comparison.Told(n.since(), r)
	own := p.own()
	p.judge(&own)
}

// otherGateways are those that the mesh reaches.
func (n *node) otherGateways() (ids []drawbridge.PeerID) {
	for _, o := range n.w.nodes[:n.w.plan.Gateways] {
		if o != n && n.mesh.up[o.index] {
			ids = append(ids, o.id)
		}
	}
	return ids
}

func (p *port) own() (own alone.Own) {
	own.Port = alone.Place{Peer: p.n.id, Port: p.id}
	for _, s := range p.n.alone.Ports(p.n.since()) {
		if s.ID == p.id {
			own.Hears, own.Unsure = s.Neighbours, s.Unsure
			own.Spoke = p.n.alone.Spoke(p.id)
		}
	}
	own.Ours = func(m drawbridge.MAC) bool {
		at := mac(binary.BigEndian.Uint16(m[4:]))
		if at == p.mac {
			return true
		}
		known := m[0] == 2 && int(at) < len(p.n.sw.table) && p.n.sw.table[at].known
		return known && p.n.sw.table[at].at.segment != p.segment.id
	}
	return own
}

// sight hears what a station says to everybody.
func (p *port) sight(f *frame) {
	if p.segment == nil || f.dst != everybody || f.kind == hello || p.n.gateOf(p.segment.id) != p {
		return
	}
	station := drawbridge.MAC{2}
	binary.BigEndian.PutUint16(station[4:], uint16(f.src))
	at := p.n.since()
	p.n.enter(control, func() {
		if p.comparison.Sight(at, station) {
			p.n.compareSoon()
		}
	})
}
