package forwarder

import (
	"sync/atomic"
	"time"
)

// Storm control: how many flooded frames a port may begin in a second, and how many at once. A /16 of hosts
// that all ask by ARP in the same second stays below; a loop on the VLAN does not.
const (
	stormRate  = 20000
	stormBurst = 4000
)

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
