package forwarder

import (
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Limits of the MAC table. Age is what IEEE 802.1Q §8.8.3 recommends; the numbers keep one port, one peer, one
// segment, and all together, from filling memory with invented addresses, and leave room for the others.
const (
	maxAge        = 300 * time.Second
	maxMACs       = 65536
	maxPerPort    = 8192
	maxPerPeer    = 16384
	maxPerSegment = 32768
)

// settle is how long an address must have been silent where it was before it may turn up elsewhere. A copy
// that comes back through a loop is there within milliseconds; a guest that moves between hosts is away
// for longer.
const settle = 300 * time.Millisecond

// seenEvery is how exactly it is known when an address spoke: it spares a write to a shared line for every frame.
// Echoes are therefore recognised for settle less seenEvery at least.
const seenEvery = time.Second / 16

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

// table is the MAC table of a switch. Any goroutine may use it. Entries change places under mu only, so that
// one that is moved and forgotten at the same time is counted once.
type table struct {
	settle time.Duration // constant

	companions atomic.Pointer[map[drawbridge.VNI]Companion] // replaced whole under the switch's mu, read without

	mu      sync.RWMutex // guards what follows
	entries map[key]*entry
	peers   map[drawbridge.PeerID]int // how many addresses of each
	tales   tales
	known   overlays
}

// overlays counts what the table knows of each, so that an address is found in all of them by its keys.
type overlays map[drawbridge.VNI]int

func (o overlays) count(vni drawbridge.VNI, n int) {
	if o[vni] += n; o[vni] == 0 {
		delete(o, vni)
	}
}

func newTable() table {
	known := overlays{}
	return table{
		settle: settle, entries: map[key]*entry{}, peers: map[drawbridge.PeerID]int{}, known: known,
		tales: tales{of: map[key][]step{}, known: known},
	}
}

func (t *table) find(k key) *entry {
	t.mu.RLock()
	e := t.entries[k]
	t.mu.RUnlock()
	return e
}

// insert adds an entry, unless there is no room or somebody else was faster.
func (t *table) insert(k key, p *place, now time.Duration) (e *entry, learned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[k]; e != nil {
		return e, false
	}
	if len(t.entries) >= maxMACs || !t.admits(p) {
		return nil, false
	}
	e = &entry{}
	e.at.Store(p)
	e.seen.Store(int64(now))
	e.learned.Store(int64(now))
	t.entries[k] = e
	t.known.count(k.vni, 1)
	t.tales.goesOn(k, StepLearned, p, now)
	t.count(p, 1)
	return e, true
}

// move gives e another place, unless there is no room or somebody else did so already.
func (t *table) move(k key, e *entry, from, to *place, now time.Duration) (learned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.gone.Load() || e.at.Load() != from {
		return true // by somebody else
	}
	if !t.admits(to) {
		return false
	}
	t.count(from, -1)
	t.count(to, 1)
	t.tales.moved(k, e, to, now)
	e.at.Store(to)
	e.seen.Store(int64(now))
	e.learned.Store(int64(now))
	e.moves.Add(1)
	return true
}

// forget removes the entries that match, for a reason that their stories tell, and answers how many they were.
func (t *table) forget(why string, now time.Duration, match func(key, *entry) bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, e := range t.entries {
		if match(k, e) {
			e.gone.Store(true)
			t.tales.goesOn(k, why, e.at.Load(), now)
			t.count(e.at.Load(), -1)
			delete(t.entries, k)
			t.known.count(k.vni, -1)
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

// count keeps the number of addresses of a place. The caller holds mu.
func (t *table) count(p *place, n int) {
	switch {
	case p.port != nil:
		p.port.macs.Add(int32(n))
	case p.segment != nil:
		p.segment.macs.Add(int32(n))
	default:
		if t.peers[p.peer] += n; t.peers[p.peer] == 0 {
			delete(t.peers, p.peer)
		}
	}
}

// admits reports whether p may have another address. A port that is being detached may not, or it would leave
// addresses behind that lead nowhere. The caller holds mu.
func (t *table) admits(p *place) bool {
	switch {
	case p.port != nil:
		return p.port.macs.Load() < maxPerPort && !p.port.detached.Load()
	case p.segment != nil:
		return p.segment.macs.Load() < maxPerSegment
	}
	return t.peers[p.peer] < maxPerPeer
}

// full is admits for one who does not hold mu: invented addresses must not make the others wait for it.
func (t *table) full(p *place) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.entries) >= maxMACs || !t.admits(p)
}

// same reports whether both are the same place.
func (p *place) same(q *place) bool { return p == q || *p == *q }

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
	var old *place
	if e != nil {
		old = e.at.Load()
		switch seen := time.Duration(e.seen.Load()); {
		case old.same(p) && now-seen <= seenEvery:
			return true, true
		case !old.same(p) && now-seen < c.table.settle:
			return false, true
		}
	}
	switch {
	case c.table.echoes(k, p):
		return false, true
	case e == nil:
		return c.meet(k, p, now)
	case old.same(p):
		e.seen.Store(int64(now))
		return true, true
	}
	return true, c.table.move(k, e, old, p, now)
}

// meet notes an address that was not known a moment ago.
func (c *cache) meet(k key, p *place, now time.Duration) (pass, learned bool) {
	if c.table.full(p) {
		return true, false
	}
	e, learned := c.table.insert(k, p, now)
	if e == nil || learned {
		return true, learned
	}
	if old := e.at.Load(); !old.same(p) { // somebody else was faster
		return false, true
	}
	return true, true
}
