package mesh

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

const (
	// firstWait is the first back-off; it doubles up to joinWait or foundWait, and is jittered by half so
	// that the peers of a relay that restarts do not all call in the same moment.
	firstWait = 200 * time.Millisecond
	joinWait  = 3 * time.Second  // somebody wrote the address down, or there is nobody else: it is worth a packet every three seconds
	foundWait = 30 * time.Second // it may well be behind a NAT

	// settled is how long a link has to hold before its end is no longer held against its address.
	settled = 10 * time.Second

	// review is how often the choice of links is looked at when nothing happens, and rethink how often at
	// most when much does: unreachable peers are drawn anew each time, and called.
	review  = 5 * time.Second
	rethink = time.Second

	// pruneAfter is how long a link of ours that is no longer chosen is kept.
	pruneAfter = time.Minute
)

// States of an Attempt.
const (
	AttemptWaiting   = "waiting"   // for Next
	AttemptCalling   = "calling"   // right now
	AttemptConnected = "connected" // there is a link to the peer behind the address
	AttemptSelf      = "self"      // the address is our own
)

// Attempt is how it goes with one address to call.
type Attempt struct {
	Target string              // as configured or kept, or the addresses of a peer that gossip told of
	Peer   drawbridge.PeerName // who answers there, as far as known
	Join   bool                // from Config.Join
	State  string
	Err    error     // of the last attempt
	Tries  int       // in vain, since the last link
	Next   time.Time // when State is waiting
}

// target is an address, or a peer with addresses, that we want a link to.
type target struct {
	addrs []string
	join  bool
	kept  bool              // from an earlier run: called while there is no link at all
	peer  drawbridge.PeerID // who is there; 0: nobody has answered yet
	self  bool
	busy  bool
	idle  bool      // not wanted at present; kept for its back-off
	had   time.Time // when the present link was first seen; zero: there is none
	tries int
	err   error
	next  time.Time
}

// maker makes connections.
type maker struct {
	r    *Router
	kick chan struct{}
	rng  *rand.Rand

	// Of run alone.
	chosen   []drawbridge.PeerID
	chosenAt time.Time
	known    int // peers at that time

	mu       sync.Mutex
	targets  map[string]*target  // by address, of Config.Join or kept, or id of a peer
	unwanted map[*link]time.Time // since when
}

func newMaker(r *Router) *maker {
	m := &maker{
		r: r, kick: make(chan struct{}, 1), rng: rand.New(rand.NewPCG(uint64(r.uid), uint64(r.id))),
		targets: map[string]*target{}, unwanted: map[*link]time.Time{},
	}
	m.join(r.config.Join)
	for _, addr := range r.kept {
		if m.targets[addr] == nil {
			m.targets[addr] = &target{addrs: []string{addr}, kept: true}
		}
	}
	return m
}

// join replaces the addresses that are called whoever is there. A link that is up stays, for as long as it is wanted otherwise.
func (m *maker) join(addrs []string) {
	m.mu.Lock()
	maps.DeleteFunc(m.targets, func(key string, t *target) bool { return t.join && !slices.Contains(addrs, key) })
	for _, addr := range addrs {
		if t := m.targets[addr]; t == nil || !t.join {
			m.targets[addr] = &target{addrs: []string{addr}, join: true}
		}
	}
	m.mu.Unlock()
	m.wake()
}

func (m *maker) wake() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

func (m *maker) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
		case <-timer.C:
		}
		now := time.Now()
		linked, wanted := m.look(now)
		m.prune(now, linked, wanted)
		wait := m.turn(ctx, now, linked, wanted)
		if due := m.chosenAt.Add(rethink).Sub(now); 0 < due && due < rethink { // something has changed since
			wait = min(wait, due)
		}
		timer.Reset(wait)
	}
}

// look asks which links there are, and which peers with which addresses gossip tells to call.
func (m *maker) look(now time.Time) (linked map[drawbridge.PeerID]*link, wanted map[drawbridge.PeerID][]string) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaving {
		return maps.Clone(r.links), nil // call nobody
	}
	wanted = map[drawbridge.PeerID][]string{}
	if known := len(r.topo.Records()); known != m.known || now.Sub(m.chosenAt) >= rethink {
		m.chosen, m.chosenAt, m.known = r.topo.Choose(m.rng, r.roundTrip, r.config.Links), now, known
	}
	for _, id := range m.chosen {
		rec, ok := r.topo.Get(id)
		if !ok || rec.Gone {
			continue
		}
		wanted[id] = nil
		for _, e := range rec.Endpoints {
			wanted[id] = append(wanted[id], e.String())
		}
	}
	return maps.Clone(r.links), wanted
}

// roundTrip is what a link measures; called with mu held.
func (r *Router) roundTrip(id drawbridge.PeerID) (time.Duration, bool) {
	l := r.links[id]
	if l == nil || !l.state.Up {
		return 0, false
	}
	return l.state.RTT, true
}

// turn starts the calls that are due, and says when the next one is.
func (m *maker) turn(ctx context.Context, now time.Time, linked map[drawbridge.PeerID]*link, wanted map[drawbridge.PeerID][]string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait := review
	if wanted == nil {
		return wait
	}
	m.sync(now, linked, wanted)
	for _, t := range m.targets {
		t.observe(now, linked[t.peer] != nil)
		switch {
		case t.busy || t.self || t.idle || !t.had.IsZero():
		case t.next.After(now):
			wait = min(wait, t.next.Sub(now))
		default:
			t.busy = true
			m.r.all.Go(func() { m.call(ctx, t) })
		}
	}
	return wait
}

// sync makes targets of the peers that are wanted, and rests those that no longer are. Peers without an
// address call us, or nobody does. Addresses of an earlier run rest while anybody tells of better ones.
func (m *maker) sync(now time.Time, linked map[drawbridge.PeerID]*link, wanted map[drawbridge.PeerID][]string) {
	for id, addrs := range wanted {
		t := m.targets[id.String()]
		if t != nil {
			t.idle = false
		}
		switch {
		case t == nil && len(addrs) > 0:
			m.targets[id.String()] = &target{addrs: addrs, peer: id}
		case t != nil && len(addrs) > 0 && !slices.Equal(addrs, t.addrs):
			t.addrs, t.tries, t.next = addrs, 0, time.Time{} // it has moved: call at once
		}
	}
	for key, t := range m.targets {
		if t.kept {
			t.idle = len(linked) > 0
			continue
		}
		if _, ok := wanted[t.peer]; ok || t.join || t.busy {
			continue
		}
		t.idle = true
		if now.Sub(t.next) > foundWait {
			delete(m.targets, key)
		}
	}
}

// observe notes whether there is a link. One that did not hold counts as an attempt in vain.
func (t *target) observe(now time.Time, linked bool) {
	switch {
	case linked && t.had.IsZero():
		t.had, t.err = now, nil
	case !linked && !t.had.IsZero():
		if now.Sub(t.had) >= settled {
			t.tries = 0
		}
		t.had = time.Time{}
		t.backOff(now, rand.Float64())
	}
}

// backOff puts the next attempt off; at is in [0, 1).
func (t *target) backOff(now time.Time, at float64) {
	limit := foundWait
	if t.join || t.kept {
		limit = joinWait
	}
	wait := limit
	if t.tries < 8 { // 2^8 first waits are more than any limit
		wait = min(limit, firstWait<<t.tries)
	}
	t.tries++
	t.next = now.Add(wait/2 + time.Duration(at*float64(wait/2)))
}

// call tries one address of t.
func (m *maker) call(ctx context.Context, t *target) {
	m.mu.Lock()
	addr := t.addrs[t.tries%len(t.addrs)]
	m.mu.Unlock()
	peer, err := m.r.dial(ctx, addr)
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.wake()
	t.busy = false
	if peer != 0 && (t.join || t.kept) {
		t.peer = peer
	}
	switch {
	case err == nil || errors.Is(err, errDuplicate):
		t.err = nil
		t.backOff(time.Now(), rand.Float64()) // counts only if there turns out to be no link
		return
	case errors.Is(err, ErrSelf):
		t.self = true
	}
	t.err = err
	t.backOff(time.Now(), rand.Float64())
	if t.join && t.tries&(t.tries-1) == 0 {
		m.r.log.Warn("cannot reach a peer to join", "target", addr, "err", err)
	}
}

// prune ends links that we asked for and no longer choose. The far end calls us if it wants one, and that
// one we keep.
func (m *maker) prune(now time.Time, linked map[drawbridge.PeerID]*link, wanted map[drawbridge.PeerID][]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	joined := map[drawbridge.PeerID]bool{}
	for _, t := range m.targets {
		joined[t.peer] = joined[t.peer] || t.join
	}
	before := m.unwanted
	m.unwanted = map[*link]time.Time{}
	for id, l := range linked {
		if _, ok := wanted[id]; ok || joined[id] || !l.dialled {
			continue
		}
		since, ok := before[l]
		if !ok {
			since = now
		}
		m.unwanted[l] = since
		if now.Sub(since) >= pruneAfter {
			l.end(errPruned)
		}
	}
}

var errPruned = errors.New("no longer needed")

// Attempts tells how it goes with the addresses to call, those of Config.Join first.
func (r *Router) Attempts() []Attempt {
	names := map[drawbridge.PeerID]drawbridge.PeerName{}
	for name, id := range r.names() {
		names[id] = name
	}
	m := r.maker
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Attempt
	for key, t := range m.targets {
		if t.idle {
			continue
		}
		a := Attempt{Target: key, Peer: names[t.peer], Join: t.join, State: t.state(), Err: t.err, Tries: t.tries, Next: t.next}
		if !t.join {
			a.Target = t.addrs[0]
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Attempt) int {
		if a.Join != b.Join {
			if a.Join {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Target, b.Target)
	})
	return out
}

func (t *target) state() string {
	switch {
	case !t.had.IsZero():
		return AttemptConnected
	case t.self:
		return AttemptSelf
	case t.busy:
		return AttemptCalling
	}
	return AttemptWaiting
}
