package forwarder

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// The microscope: which frames come round, and from where to where. It looks at frames that the echo rule drops and at no other, so
// that a network without a loop pays nothing for it. A loop makes as many of them as its wire carries: there is room for so many kinds,
// and whoever finds the book taken only counts.
const (
	circlesKept  = 256
	circlesFor   = 10 * time.Minute
	circlesClean = 100 * time.Millisecond // between two searches for room
)

// Circle is one kind of frame that came where it cannot have come from: its station spoke elsewhere just before.
type Circle struct {
	VNI      drawbridge.VNI
	From, To drawbridge.MAC
	Type     uint16 // EtherType
	Heard    Where  // where the copy came in
	Known    Where  // where the station speaks
	Count    uint64
	First    time.Duration // ago
	Last     time.Duration // ago
}

type circleKey struct {
	vni      drawbridge.VNI
	from, to drawbridge.MAC
	kind     uint16
	heard    Where
	known    Where
}

type tally struct {
	count       uint64
	first, last time.Duration
}

// circles is what the microscope saw. The zero value is ready.
type circles struct {
	missed atomic.Uint64

	mu      sync.Mutex // guards what follows
	known   map[circleKey]*tally
	cleaned time.Duration
}

// circled notes a frame that was dropped as an echo, which was heard at a place.
func (s *Switch) circled(vni drawbridge.VNI, f drawbridge.Frame, heard *place, now time.Duration) {
	e := s.table.find(keyOf(vni, f, 6))
	if e == nil {
		return
	}
	k := circleKey{vni: vni, from: f.Src(), to: f.Dst(), kind: binary.BigEndian.Uint16(f[12:14]), heard: heard.where(), known: e.at.Load().where()}
	s.circles.note(k, now)
}

func (c *circles) note(k circleKey, now time.Duration) {
	if !c.mu.TryLock() {
		c.missed.Add(1)
		return
	}
	defer c.mu.Unlock()
	t := c.known[k]
	switch {
	case t != nil && now-t.last <= circlesFor:
		t.count++
		t.last = now
		return
	case t == nil && !c.room(now):
		c.missed.Add(1)
		return
	case c.known == nil:
		c.known = map[circleKey]*tally{}
	}
	c.known[k] = &tally{1, now, now}
}

// room makes room for one more, which takes time: not for every frame of a flood with ever new addresses. The caller holds mu.
func (c *circles) room(now time.Duration) bool {
	if len(c.known) < circlesKept {
		return true
	}
	if now-c.cleaned < circlesClean {
		return false
	}
	c.cleaned = now
	var oldest circleKey
	at := now + 1
	for k, t := range c.known {
		if t.last < at {
			oldest, at = k, t.last
		}
	}
	delete(c.known, oldest)
	return true
}

// Circles lists what came round within the last ten minutes, the newest first, and how many frames could not be looked at.
func (s *Switch) Circles() (all []Circle, missed uint64) {
	now, c := s.now(), &s.circles
	c.mu.Lock()
	for k, t := range c.known {
		if now-t.last <= circlesFor {
			all = append(all, Circle{k.vni, k.from, k.to, k.kind, k.heard, k.known, t.count, now - t.first, now - t.last})
		}
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b Circle) int {
		return cmp.Or(cmp.Compare(a.Last, b.Last), cmp.Compare(b.Count, a.Count), slices.Compare(a.From[:], b.From[:]), slices.Compare(a.To[:], b.To[:]))
	})
	return all, c.missed.Load()
}
