package forwarder

import (
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Storm control: how many flooded frames a port may begin in a second, and how many at once. A /16 of hosts
// that all ask by ARP in the same second stays below; a loop on the VLAN does not. A network that needs another limit
// says so for each overlay; the burst is the same fifth of a second of it.
const (
	stormRate  = 20000
	stormBurst = stormRate / burstShare
	burstShare = 5
)

// SetStormLimit says how many frames a port of an overlay may flood in a second, those that are attached later
// included; 0: the default. Frames that cross meanwhile go by the old limit or the new one.
func (s *Switch) SetStormLimit(vni drawbridge.VNI, perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.storms == nil {
		s.storms = map[drawbridge.VNI]int64{}
	}
	s.storms[vni] = int64(perSecond)
	for _, a := range (*s.ports.Load())[vni] {
		a.stormRate.Store(s.stormLimit(vni))
	}
}

// stormLimit is that of an overlay. The caller holds mu.
func (s *Switch) stormLimit(vni drawbridge.VNI) int64 {
	if limit := s.storms[vni]; limit > 0 {
		return limit
	}
	return stormRate
}

// StormLimit is how many frames the port may flood in a second.
func (a *Attached) StormLimit() int { return int(a.stormRate.Load()) }

// mayFlood takes a token for one frame.
func (a *Attached) mayFlood(now time.Duration) bool {
	rate := a.stormRate.Load()
	return a.stormTokens.take(now, rate, max(rate/burstShare, 1))
}

// storm is a token bucket.
type storm struct {
	// full is when the bucket will be full again, on the switch's clock in ns (a virtual scheduling time).
	full atomic.Int64
}

// take asks for one token at now.
func (s *storm) take(now time.Duration, rate, burst int64) bool {
	each := int64(time.Second) / rate
	for {
		full := s.full.Load()
		next := max(full, int64(now)) + each
		if next-int64(now) > burst*each {
			return false
		}
		if s.full.CompareAndSwap(full, next) {
			return true
		}
	}
}
