package sim

import "github.com/drawbridge-net/drawbridge/failover/alone"

// The health rules of the failure table that lie above lease and ALONE: who hears whom on the segment is compared over the
// underlay, and a gateway whose port is worse leaves the segment to the other.

const (
	compareEvery = 50 * ms
	// deafAfter is how long a port may hear nothing at all, while others hear it.
	deafAfter = 350 * ms
)

// compare looks at the ports of this gateway with the eyes of the others.
func (n *node) compare() {
	if !n.w.plan.Controller {
		return
	}
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		if poor := p.isPoor(); poor != p.poor {
			p.poor = poor
			n.w.signal(n, map[bool]string{true: "another gateway is better connected", false: "as well connected as others"}[poor])
			n.stand()
		}
	}
	n.later(n.w.now+compareEvery, control, n.compare)
}

func (p *port) isPoor() bool {
	n := p.n
	for _, o := range n.w.nodes[:n.w.plan.Gateways] {
		q := o.gateOf(p.segment.id)
		if o == n || !n.w.reach(n, o) || o.whyNot(q) != "" {
			continue
		}
		hearsOthers := o.read()-q.heardAt < deafAfter
		switch {
		case !q.hearsPort(p) && hearsOthers && p.hearsPort(q): // it cannot send
			return true
		case n.read()-p.heardAt > deafAfter && hearsOthers: // it cannot hear
			return true
		}
	}
	return false
}

// hearsPort reports whether ALONE at p has another gateway's port for a neighbour.
func (p *port) hearsPort(q *port) bool {
	for _, s := range p.n.alone.Ports(p.n.since()) {
		if s.ID != p.id {
			continue
		}
		for _, nb := range s.Neighbours {
			if nb.Place == (alone.Place{Peer: q.n.id, Port: q.id}) {
				return true
			}
		}
	}
	return false
}
