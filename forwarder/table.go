package forwarder

import (
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Limits of the MAC table. Age is what IEEE 802.1Q §8.8.3 recommends; the numbers keep one port, and all
// ports together, from filling memory with invented addresses.
const (
	maxAge     = 300 * time.Second
	maxMACs    = 65536
	maxPerPort = 8192
)

// settle is how long an address must have been silent where it was before it may turn up elsewhere. A copy
// that comes back through a loop is there within milliseconds; a guest that moves between hosts is away
// for longer.
const settle = 300 * time.Millisecond

// key is an address within its overlay: 48 bits of address, 24 of overlay, in two words that compare fast.
type key struct {
	mac uint64
	vni drawbridge.VNI
}

func keyOf(vni drawbridge.VNI, f drawbridge.Frame, at int) key {
	_ = f[at+5]
	return key{
		uint64(f[at])<<40 | uint64(f[at+1])<<32 | uint64(f[at+2])<<24 | uint64(f[at+3])<<16 | uint64(f[at+4])<<8 | uint64(f[at+5]),
		vni,
	}
}

func (k key) address() drawbridge.MAC {
	return drawbridge.MAC{byte(k.mac >> 40), byte(k.mac >> 32), byte(k.mac >> 24), byte(k.mac >> 16), byte(k.mac >> 8), byte(k.mac)}
}

// place is where an address is: at exactly one of these. It never changes; an address that moves gets
// another place.
type place struct {
	port    *Attached         // a guest port here
	peer    drawbridge.PeerID // another peer
	segment *segment          // behind a segment, whoever is its gateway
}

// entry is one address.
type entry struct {
	at      atomic.Pointer[place]
	seen    atomic.Int64 // since the switch began
	learned atomic.Int64
	moves   atomic.Uint32
	gone    atomic.Bool // no longer in the table: caches must look again
}

// table is the MAC table of a switch. Any goroutine may use it.
type table struct {
	mu      sync.RWMutex
	entries map[key]*entry
}

func (t *table) find(k key) *entry {
	t.mu.RLock()
	e := t.entries[k]
	t.mu.RUnlock()
	return e
}

// insert adds an entry, unless the table is full or somebody else was faster.
func (t *table) insert(k key, p *place, now time.Duration) (*entry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[k]; e != nil {
		return e, false
	}
	if len(t.entries) >= maxMACs {
		return nil, false
	}
	e := &entry{}
	e.at.Store(p)
	e.seen.Store(int64(now))
	e.learned.Store(int64(now))
	t.entries[k] = e
	p.count(1)
	return e, true
}

// forget removes the entries that match and answers how many they were.
func (t *table) forget(match func(key, *entry) bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, e := range t.entries {
		if match(k, e) {
			e.gone.Store(true)
			e.at.Load().count(-1)
			delete(t.entries, k)
			n++
		}
	}
	return n
}

func (t *table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.entries)
}

// count keeps the number of addresses of a port.
func (p *place) count(n int32) {
	switch {
	case p.port != nil:
		p.port.macs.Add(n)
	case p.segment != nil:
		p.segment.macs.Add(n)
	}
}

func (p *place) full() bool {
	return p.port != nil && p.port.macs.Load() >= maxPerPort
}

// cacheSize is how many addresses a goroutine finds without a lock; a power of two.
const cacheSize = 256

// cache is one goroutine's memory of the table.
type cache struct {
	table *table
	slots [cacheSize]struct {
		key   key
		entry *entry
	}
}

func (c *cache) find(k key) *entry {
	slot := &c.slots[(k.mac*0x9e3779b97f4a7c15>>32)%cacheSize]
	if slot.key == k && slot.entry != nil && !slot.entry.gone.Load() {
		return slot.entry
	}
	e := c.table.find(k)
	if e != nil {
		slot.key, slot.entry = k, e
	}
	return e
}

// learn notes that k was seen at p and answers whether the frame may pass: not while the address speaks
// elsewhere, for then this is an echo.
func (c *cache) learn(k key, p *place, now time.Duration) (pass, learned bool) {
	e := c.find(k)
	if e == nil {
		if p.full() {
			return true, false
		}
		if e, learned = c.table.insert(k, p, now); e == nil || learned {
			return true, e != nil
		}
	}
	old := e.at.Load()
	seen := time.Duration(e.seen.Load())
	if *old == *p {
		if now-seen > time.Second/16 { // spares a write to a shared line for every frame
			e.seen.Store(int64(now))
		}
		return true, true
	}
	if now-seen < settle {
		return false, true
	}
	if e.at.CompareAndSwap(old, p) {
		old.count(-1)
		p.count(1)
		e.seen.Store(int64(now))
		e.learned.Store(int64(now))
		e.moves.Add(1)
	}
	return true, true
}
