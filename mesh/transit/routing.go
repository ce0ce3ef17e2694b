package transit

import (
	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Overhead is what a datagram carries beside an Ethernet frame at most, UDP and IP not counted: clear
// header, tag and meta of a frame from a segment that crosses a relay. With IPv4 on a 1,500-octet underlay
// that leaves 1,414: hosts with an MTU of 1,400.
const Overhead = clearLen + 16 + fixedLen + segmentLen + destLen + offloadLen

// routing is Routes made ready for the data path: links instead of ids. It is replaced whole.
type routing struct {
	next     map[drawbridge.PeerID]hop
	children map[drawbridge.PeerID][]*Link
	all      []*Link
	flux     bool
	floodMTU int // largest frame that reaches everybody in one datagram; 0: not known
}

// hop is the way to one destination.
type hop struct {
	link    *Link
	pathMTU int // largest frame that crosses the links beyond the first; 0: not known
}

// SetRoutes replaces the routes. r is not changed afterwards by anyone.
func (p *Plane) SetRoutes(r *Routes) {
	p.mu.Lock()
	p.routes = r
	p.compile()
	p.mu.Unlock()
}

// compile makes the routing of routes and links. The caller holds p.mu.
func (p *Plane) compile() {
	r := &routing{
		next:     make(map[drawbridge.PeerID]hop, len(p.routes.Next)+len(p.links)),
		children: make(map[drawbridge.PeerID][]*Link, len(p.routes.Children)),
		all:      make([]*Link, 0, len(p.links)),
		flux:     p.routes.Flux,
	}
	for id, l := range p.links {
		r.next[id] = hop{link: l} // until routes say better
		r.all = append(r.all, l)
	}
	for dest, via := range p.routes.Next {
		if l := p.links[via]; l != nil {
			r.next[dest] = hop{l, p.routes.PathMTU[dest]}
		}
		if m := p.routes.PathMTU[dest]; m > 0 && (r.floodMTU == 0 || m < r.floodMTU) {
			r.floodMTU = m
		}
	}
	for origin, vias := range p.routes.Children {
		for _, via := range vias {
			if l := p.links[via]; l != nil {
				r.children[origin] = append(r.children[origin], l)
			}
		}
	}
	if len(p.routes.Children) == 0 {
		r.flux = true // nothing known yet: everybody gets everything, once
	}
	p.routing.Store(r)
}

// MTU is the largest frame, Ethernet header included, that reaches dst in one datagram; dst 0: everybody.
// It is 0 when there is no way.
func (p *Plane) MTU(dst drawbridge.PeerID) int {
	r := p.routing.Load()
	if dst != 0 {
		h, ok := r.next[dst]
		if !ok {
			return 0
		}
		return h.mtu()
	}
	mtu := r.floodMTU
	for _, l := range r.all {
		if m := l.mtu(); m > 0 && (mtu == 0 || m < mtu) {
			mtu = m
		}
	}
	return mtu
}

func (h hop) mtu() int {
	m := h.link.mtu()
	if h.pathMTU > 0 {
		m = min(m, h.pathMTU)
	}
	return m
}

// Flux reports whether floods take every link at the moment.
func (p *Plane) Flux() bool { return p.routing.Load().flux }
