package mesh

import (
	"context"
	"crypto/x509"
	"maps"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/topology"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

const (
	// fluxFor is how long after a change floods go to all neighbours: ten times what a record takes to cross
	// a network of 100 peers, and little enough that the surplus does not hurt.
	fluxFor = 300 * time.Millisecond

	// clonePace holds back the own record when another process with the same key keeps overriding it.
	clonePace = time.Second
)

// pace is what was last said of ourselves.
type pace struct {
	version uint64            // that own is signed for
	cert    *x509.Certificate // and with: renewal replaces it
	told    uint64            // that all neighbours have been sent
	at      time.Time
	cloned  bool
}

// flow is what the data plane was last given.
type flow struct {
	seen   bool // there were routes
	change uint64
	routes topology.Routes
	flux   bool
	until  time.Time // flux ends
}

// steer turns changes into records, rumours and routes until ctx ends.
func (r *Router) steer(ctx context.Context) {
	digests := time.NewTicker(digestEvery)
	defer digests.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		var asked chan struct{}
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		case <-again.C:
		case asked = <-r.asks:
		case <-digests.C:
			r.reconcile()
		}
		if wait := r.settle(time.Now()); wait > 0 {
			again.Reset(wait)
		}
		if asked != nil {
			close(asked)
		}
	}
}

// settled waits until the consequences of what happened so far have been drawn.
func (r *Router) settled(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case r.asks <- done:
	case <-r.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-r.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle draws the consequences of all changes so far. It says when it wants to be called again, 0: when
// something changes.
func (r *Router) settle(now time.Time) time.Duration {
	r.mu.Lock()
	hold := r.describe(now)
	rumours := r.outbox
	r.outbox = nil
	links := r.linksNow()
	routes, flux := r.reroute(now)
	moved := len(rumours) > 0 || routes != nil
	if moved {
		r.noteStates(now)
		r.touch()
	}
	r.mu.Unlock()
	if routes != nil {
		r.config.Plane.SetRoutes(routes)
	}
	r.spread(rumours, links)
	if moved {
		r.maker.wake()
	}
	return soonest(hold, flux)
}

// soonest is the smaller of two waits, 0 meaning none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// describe brings the own record up to date and makes a rumour of it. It says how long it holds one back.
// Called with mu held.
func (r *Router) describe(now time.Time) (hold time.Duration) {
	r.topo.SetLinks(r.upLinks())
	r.topo.SetEndpoints(r.endpoints())
	r.topo.SetRoles(uint8(r.config.Credentials.Self().Roles))
	if r.leaving {
		r.topo.Leave()
	}
	version := r.topo.Self().Version
	if version == r.announce.told {
		return 0
	}
	if wait := r.announce.at.Add(clonePace).Sub(now); r.announce.cloned && wait > 0 {
		return wait
	}
	r.announce.told, r.announce.at = version, now
	r.outbox = append(r.outbox, rumour{signed: r.sign()})
	return 0
}

// upLinks are the links that frames can take; called with mu held.
func (r *Router) upLinks() (out []wire.Link) {
	for _, l := range r.links {
		if !l.state.Up {
			continue
		}
		w := wire.Link{Peer: l.id(), Metric: uint32(max(1, l.state.MinRTT.Microseconds())), MTU: uint16(min(l.state.MTU, 1<<16-1))}
		if l.state.Path == transit.PathTCP {
			w.Flags |= wire.LinkTCP
		}
		out = append(out, w)
	}
	return out
}

// reroute computes the routes when the graph has changed, or when floods may follow the trees again; nil
// when the data plane need not hear. Called with mu held.
func (r *Router) reroute(now time.Time) (*transit.Routes, time.Duration) {
	f := &r.flow
	changed := false
	if c := r.topo.Changes(); !f.seen || c != f.change {
		routes := r.topo.Routes()
		changed = !f.seen || !sameRoutes(routes, f.routes)
		if !sameTrees(routes, f.routes) {
			f.flux, f.until = true, now.Add(fluxFor)
		}
		f.seen, f.change, f.routes = true, c, routes
	}
	if f.flux && !now.Before(f.until) {
		f.flux, changed = false, true
	}
	wait := time.Duration(0)
	if f.flux {
		wait = f.until.Sub(now)
	}
	if !changed {
		return nil, wait
	}
	return &transit.Routes{Next: f.routes.Next, Children: f.routes.Children, PathMTU: f.routes.PathMTU, Flux: f.flux}, wait
}

// sameTrees reports whether frames take the same ways. Changes elsewhere, and metrics that move without
// moving a way, are no reason to flood: the peers whose own trees changed do, and the mark sticks.
func sameTrees(a, b topology.Routes) bool {
	return maps.Equal(a.Next, b.Next) && maps.EqualFunc(a.Children, b.Children, slices.Equal[[]drawbridge.PeerID])
}

func sameRoutes(a, b topology.Routes) bool {
	return sameTrees(a, b) && maps.Equal(a.PathMTU, b.PathMTU)
}
