package keeper

import (
	"net/netip"
	"slices"
	"sync"
)

// subnets are those that the peer knows, for whoever waits for one.
type subnets struct {
	mu      sync.Mutex // guards what follows
	all     []netip.Prefix
	changed chan struct{}
}

// set is called with a slice that nobody changes any more.
func (s *subnets) set(all []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(all, s.all) {
		return
	}
	close(s.changed)
	s.all, s.changed = all, make(chan struct{})
}

// Subnets are those that the peer knows by the decisions that it has applied, and a channel that is closed when it knows others. A
// caller changes nothing in them.
func (k *Keeper) Subnets() ([]netip.Prefix, <-chan struct{}) {
	k.subnets.mu.Lock()
	defer k.subnets.mu.Unlock()
	return k.subnets.all, k.subnets.changed
}
