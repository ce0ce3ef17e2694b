package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// ErrUnknownPeer says that no peer has the name.
var ErrUnknownPeer = errors.New("no peer has this name")

// Forget removes a peer from the network for good: nobody talks to its key again. Only a peer that holds
// the authority's key can; the error of another says who does.
func (r *Router) Forget(ctx context.Context, name drawbridge.PeerName) error {
	id, ok := r.identify(name)
	if !ok {
		return fmt.Errorf("forget %s: %w", name, ErrUnknownPeer)
	}
	c := r.config.Credentials
	before := c.Revocations.Revoked(id)
	err := c.Revoke(name, id, time.Now())
	if errors.Is(err, secure.ErrNoAuthority) {
		return fmt.Errorf("%w; ask one of %s", err, r.authorities())
	}
	if c.Revocations.Revoked(id) && !before {
		r.removed([]secure.Revocation{{ID: id, Name: name}}, nil)
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", name, err)
	}
	return r.flush(ctx)
}

// identify finds the id of a peer: of one that gossip knows, or one that was admitted here and is not there.
func (r *Router) identify(name drawbridge.PeerName) (drawbridge.PeerID, bool) {
	if id, ok := r.names()[name]; ok {
		return id, true
	}
	if r.config.Tokens == nil {
		return 0, false
	}
	for _, issued := range slices.Backward(r.config.Tokens.Issued()) {
		if id := secure.PeerIDOf(issued.Key); issued.Name == name && !r.config.Credentials.Revocations.Revoked(id) {
			return id, true
		}
	}
	return 0, false
}

// authorities names the peers that can do what only the authority's key can.
func (r *Router) authorities() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, rec := range r.topo.Records() {
		if secure.Roles(rec.Roles).Has(secure.Voter) {
			names = append(names, string(rec.Name))
		}
	}
	if len(names) == 0 {
		return "the voters, none of which is known at the moment"
	}
	return strings.Join(names, ", ")
}

// flush waits until everything that was said before is on its way.
func (r *Router) flush(ctx context.Context) error {
	r.mu.Lock()
	links := r.linksNow()
	r.mu.Unlock()
	for _, l := range links {
		if err := l.queue.flush(ctx); err != nil {
			return fmt.Errorf("messages to peer %s: %w", l.peer.Name, err)
		}
	}
	return nil
}

// leaveLimit bounds memberlist's farewell when ctx does not.
const leaveLimit = 2 * time.Second

// Join replaces the addresses of Config.Join. Those that are new are called at once; links that are up stay.
func (r *Router) Join(addrs []string) error {
	if err := callable(addrs); err != nil {
		return err
	}
	r.maker.join(addrs)
	return nil
}

// Leave says goodbye: every peer learns that this one has gone on purpose, and all links end. The router can
// then only be stopped.
func (r *Router) Leave(ctx context.Context) error {
	r.mu.Lock()
	r.leaving = true
	links := r.linksNow()
	r.mu.Unlock()
	if err := r.settled(ctx); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	err := r.members.leave(ctx)
	for _, l := range links {
		r.send(l, wire.KindLeave, nil)
		l.finish(errLeaving)
	}
	for _, l := range links {
		select {
		case <-l.gone:
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("leave: peer %s has not taken note: %w", l.peer.Name, ctx.Err()))
		}
	}
	return err
}

func (m *members) leave(ctx context.Context) error {
	limit := leaveLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	if err := m.list.Leave(max(limit, time.Millisecond)); err != nil {
		return fmt.Errorf("leave the membership: %w", err)
	}
	return nil
}

// cloned notes that another process has our key, as it told us itself.
func (r *Router) reportCopy(at string) {
	r.mu.Lock()
	news := r.clone == ""
	r.clone = at
	r.touch()
	r.mu.Unlock()
	if news {
		r.journal.tell("clone", r.config.Credentials.Name, fmt.Sprintf("%v (seen at %s)", ErrClone, at))
	}
}
