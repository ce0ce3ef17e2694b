package arp

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// News says why a sighting is worth telling.
type News uint8

// News values are only ever appended.
const (
	Nothing News = iota
	Appeared
	Moved // the address is used from another hardware address than before
	Again // still the same, and it was told longer ago than the listener's repeat time
)

func (n News) String() string {
	return [...]string{"nothing", "appeared", "moved", "again"}[min(n, Again)]
}

// Use is an address that somebody uses.
type Use struct {
	Addr  netip.Addr
	MAC   drawbridge.MAC
	First time.Time // from this MAC
	Last  time.Time
}

type user struct {
	mac               drawbridge.MAC
	first, last, told time.Time
}

// Listener remembers who uses which address, as heard on a wire, in bounded memory: forged messages push out old
// entries, not the process. It is safe for concurrent use and does not allocate for what it knows already.
type Listener struct {
	within []netip.Prefix
	half   int
	repeat time.Duration

	mu         sync.Mutex
	young, old map[netip.Addr]user // two generations: when the young one is full, the old one is forgotten
}

// NewListener listens for addresses within the prefixes; for all when there are none. It remembers at least the limit/2
// addresses that were heard last and at most limit. What it told once is told again after repeat.
func NewListener(within []netip.Prefix, limit int, repeat time.Duration) *Listener {
	return &Listener{
		within: slices.Clone(within), half: max(limit/2, 1), repeat: repeat,
		young: map[netip.Addr]user{}, old: map[netip.Addr]user{},
	}
}

// Hear is told a frame and answers the address that it shows in use, with what is new about it. Messages of those who
// only want an address are Nothing.
func (l *Listener) Hear(now time.Time, frame []byte) (Sighting, News) {
	s, ok := Parse(frame)
	if !ok || s.Kind != Claim || !l.covers(s.Addr) {
		return Sighting{}, Nothing
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u, known := l.find(s.Addr)
	news := u.hear(s.MAC, known, now, l.repeat)
	l.keep(s.Addr, u)
	return s, news
}

func (u *user) hear(mac drawbridge.MAC, known bool, now time.Time, repeat time.Duration) (news News) {
	switch {
	case !known:
		news = Appeared
	case u.mac != mac:
		news = Moved
	case now.Sub(u.told) >= repeat:
		news = Again
	}
	if news == Appeared || news == Moved {
		u.mac, u.first = mac, now
	}
	if news != Nothing {
		u.told = now
	}
	u.last = now
	return news
}

func (l *Listener) covers(a netip.Addr) bool {
	return len(l.within) == 0 || slices.ContainsFunc(l.within, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (l *Listener) find(a netip.Addr) (user, bool) {
	if u, ok := l.young[a]; ok {
		return u, true
	}
	u, ok := l.old[a]
	return u, ok
}

func (l *Listener) keep(a netip.Addr, u user) {
	if _, ok := l.young[a]; !ok && len(l.young) >= l.half {
		l.young, l.old = l.old, l.young
		clear(l.young)
	}
	delete(l.old, a)
	l.young[a] = u
}

// Lookup tells who was heard last to use a.
func (l *Listener) Lookup(a netip.Addr) (Use, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u, ok := l.find(a.Unmap())
	return Use{a.Unmap(), u.mac, u.first, u.last}, ok
}

// List is everything that is remembered, by address.
func (l *Listener) List() (list []Use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, generation := range []map[netip.Addr]user{l.young, l.old} {
		for a, u := range generation {
			list = append(list, Use{a, u.mac, u.first, u.last})
		}
	}
	slices.SortFunc(list, func(x, y Use) int { return x.Addr.Compare(y.Addr) })
	return list
}

// Forget drops an address, for example when it was given back.
func (l *Listener) Forget(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.young, a.Unmap())
	delete(l.old, a.Unmap())
}
