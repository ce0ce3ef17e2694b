package dhcp

import (
	"sync"
	"time"
)

// rate is a token bucket: burst messages at once, and one more every interval.
type rate struct {
	burst    float64
	interval time.Duration
}

// Limits. A client sends two messages for a lease and repeats each after 3 s at the earliest; a port may have a
// hypervisor's guests behind it that start together.
var (
	clientRate = rate{8, time.Second}
	portRate   = rate{256, 10 * time.Millisecond}
)

type bucket struct {
	tokens float64
	at     time.Time
}

// limiter holds buckets by name in bounded memory: two generations of at most half the limit each. A flood of invented
// names makes it forget, and the bucket of the flood's port is what holds then.
type limiter struct {
	rate rate
	half int

	mu         sync.Mutex
	young, old map[string]bucket
}

func newLimiter(r rate, limit int) *limiter {
	return &limiter{rate: r, half: max(limit/2, 1), young: map[string]bucket{}, old: map[string]bucket{}}
}

// allow takes a token from the bucket of that name, if there is one.
func (l *limiter) allow(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.young[name]
	if !ok {
		if b, ok = l.old[name]; !ok {
			b = bucket{l.rate.burst, now}
		}
		if len(l.young) >= l.half {
			l.young, l.old = l.old, l.young
			clear(l.young)
		}
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens, b.at = min(l.rate.burst, b.tokens+float64(passed)/float64(l.rate.interval)), now
	}
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	l.young[name] = b
	return allowed
}
