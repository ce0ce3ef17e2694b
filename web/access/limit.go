package access

import (
	"net/netip"
	"sync"
	"time"
)

// allowance is how often something may fail: burst times at once, then once per refill.
type allowance struct {
	burst  int
	refill time.Duration
}

// How often log in may fail. One address gets five tries and one a minute. One account gets twenty and twelve a
// minute from everywhere together: less than a stranger needs to guess, more than one address can use up, so
// that nobody locks an admin out from a single place. An address at which the account logged in before is
// not bound by the account's limit at all; only a stranger with a dozen networks and more can make an admin
// wait, at a new place, until they stop.
var (
	perAddress = allowance{burst: 5, refill: time.Minute}
	perAccount = allowance{burst: 20, refill: 5 * time.Second}
)

const (
	maxBuckets = 16384 // of each kind: about 2 MB
	maxKnown   = 4096
	knownFor   = 30 * 24 * time.Hour
)

// limiter bounds guessing. A try is taken before the password is looked at, or a hundred at once would pass,
// and given back when it was right.
type limiter struct {
	mu        sync.Mutex // guards what follows
	addresses map[netip.Prefix]time.Time
	accounts  map[string]time.Time
	known     map[place]time.Time // when the account last logged in from there
}

// place is an account at an address.
type place struct {
	account string
	network netip.Prefix
}

func newLimiter() *limiter {
	return &limiter{addresses: map[netip.Prefix]time.Time{}, accounts: map[string]time.Time{}, known: map[place]time.Time{}}
}

// network is what one subscriber has: an IPv4 address, or 64 bits of an IPv6 one.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // bits fit; an invalid address gives the zero prefix
	return p
}

// take spends a try, or reports how long to wait for the next.
func (l *limiter) take(account string, from netip.Addr, now time.Time) time.Duration {
	net := network(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := perAddress.wait(l.addresses[net], now)
	seen, known := l.known[place{account, net}]
	known = known && now.Sub(seen) < knownFor
	if !known {
		wait = max(wait, perAccount.wait(l.accounts[account], now))
	}
	if wait > 0 {
		return wait
	}
	put(l.addresses, net, perAddress.spend(l.addresses[net], now), now)
	if !known {
		put(l.accounts, account, perAccount.spend(l.accounts[account], now), now)
	}
	return 0
}

// back gives a try back that was neither right nor wrong.
func (l *limiter) back(account string, from netip.Addr, now time.Time) {
	net := network(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addresses[net] = l.addresses[net].Add(-perAddress.refill)
	if seen, known := l.known[place{account, net}]; !known || now.Sub(seen) >= knownFor {
		l.accounts[account] = l.accounts[account].Add(-perAccount.refill)
	}
}

// right gives a try back, and remembers the place.
func (l *limiter) right(account string, from netip.Addr, now time.Time) {
	l.back(account, from, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	at := place{account, network(from)}
	if _, there := l.known[at]; !there && len(l.known) >= maxKnown {
		forgetOldest(l.known)
	}
	l.known[at] = now
}

// wait is how long until a try is free. A bucket is the time at which it is full again (GCRA, ITU-T I.371).
func (a allowance) wait(full, now time.Time) time.Duration {
	return full.Sub(now.Add(time.Duration(a.burst-1) * a.refill))
}

// spend is the bucket after a try.
func (a allowance) spend(full, now time.Time) time.Time {
	if full.Before(now) {
		full = now
	}
	return full.Add(a.refill)
}

// put keeps the map bounded: buckets that are full say nothing, and of the others the fullest goes.
func put[K comparable](m map[K]time.Time, key K, full, now time.Time) {
	if _, there := m[key]; !there && len(m) >= maxBuckets {
		before := len(m)
		for k, v := range m {
			if !v.After(now) {
				delete(m, k)
			}
		}
		if len(m) == before {
			forgetOldest(m)
		}
	}
	m[key] = full
}

func forgetOldest[K comparable](m map[K]time.Time) {
	var oldest K
	var at time.Time
	for k, v := range m {
		if at.IsZero() || v.Before(at) {
			oldest, at = k, v
		}
	}
	delete(m, oldest)
}
