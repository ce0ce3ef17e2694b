package meshtest

import (
	"net/netip"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// Plane is a data plane without data: a link is up once the far end's message has come over the control
// link, until it is told to fail.
type Plane struct {
	addr netip.AddrPort

	mu     sync.Mutex
	links  map[drawbridge.PeerID]*Link
	routes *transit.Routes
	floods int // SetRoutes with Flux
	sets   int
	failed map[drawbridge.PeerID]bool
	double int
}

// NewPlane returns a plane that claims to listen on addr.
func NewPlane(addr netip.AddrPort) *Plane {
	return &Plane{addr: addr, links: map[drawbridge.PeerID]*Link{}, failed: map[drawbridge.PeerID]bool{}}
}

// Link is a data link of a Plane.
type Link struct {
	plane  *Plane
	Config transit.LinkConfig

	mu     sync.Mutex
	state  transit.LinkState
	heard  bool
	failed bool
	closed bool
}

// AddLink implements mesh.Plane.
func (p *Plane) AddLink(c transit.LinkConfig) mesh.DataLink {
	p.mu.Lock()
	l := &Link{plane: p, Config: c, failed: p.failed[c.Peer], state: transit.LinkState{Path: transit.PathNone, Since: time.Now()}}
	if old := p.links[c.Peer]; old != nil && !old.isClosed() {
		p.double++
	}
	p.links[c.Peer] = l
	p.mu.Unlock()
	c.Control(c.Exporter) // a link that is gone already says so by closing us
	return l
}

// SetRoutes implements mesh.Plane.
func (p *Plane) SetRoutes(r *transit.Routes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes = r
	p.sets++
	if r.Flux {
		p.floods++
	}
}

// Addrs implements mesh.Plane.
func (p *Plane) Addrs() []netip.AddrPort { return []netip.AddrPort{p.addr} }

// Routes are those of the last SetRoutes; nil when there was none.
func (p *Plane) Routes() *transit.Routes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.routes
}

// Sets counts calls of SetRoutes, and those with Flux.
func (p *Plane) Sets() (all, flux int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sets, p.floods
}

// Fail makes the data link to a peer fail, or work again, while the control link stays.
func (p *Plane) Fail(peer drawbridge.PeerID, failed bool) {
	p.mu.Lock()
	p.failed[peer] = failed
	l := p.links[peer]
	p.mu.Unlock()
	if l != nil {
		l.update(func() { l.failed = failed })
	}
}

// Measure makes the data link to a peer report a round-trip time.
func (p *Plane) Measure(peer drawbridge.PeerID, rtt time.Duration) {
	p.mu.Lock()
	l := p.links[peer]
	p.mu.Unlock()
	if l != nil {
		l.update(func() { l.state.RTT, l.state.MinRTT = rtt, rtt })
	}
}

// Doubled counts links that were added while there was one to the same peer.
func (p *Plane) Doubled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.double
}

// Open counts the links that were not closed.
func (p *Plane) Open() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		if !l.isClosed() {
			n++
		}
	}
	return n
}

func (l *Link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// HandleControl implements mesh.DataLink: the far end sends the secret that both share.
func (l *Link) HandleControl(msg []byte) {
	if string(msg) == string(l.Config.Exporter) {
		l.update(func() { l.heard = true })
	}
}

func (l *Link) update(f func()) {
	l.mu.Lock()
	f()
	up := l.heard && !l.failed && !l.closed
	if up != l.state.Up {
		l.state.Since = time.Now()
	}
	l.state.Up, l.state.Path, l.state.MTU = up, transit.PathNone, 0
	if up {
		l.state.Path, l.state.MTU = transit.PathUDP, 1400
	}
	state := l.state
	l.mu.Unlock()
	l.Config.Changed(state)
}

// State implements mesh.DataLink.
func (l *Link) State() transit.LinkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Close implements mesh.DataLink.
func (l *Link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}
