package forwarder

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Config is what a switch needs to know once.
type Config struct {
	Self    drawbridge.PeerID
	Overlay Overlay
	// Batch is how many frames are taken from a port at once; 0: 64.
	Batch int
	// MayBridge says whether a peer may be the gateway of a segment at all, by what the network's authority and its
	// configuration say of it; nil: whoever claims it. Without it any peer could draw the traffic of a segment
	// by claiming a high epoch. It is asked when a frame claims a new tenure, without locks held, and must be quick.
	MayBridge func(drawbridge.PeerID, drawbridge.SegmentID, drawbridge.VNI) bool
	// Claimed is told when a frame of an overlay with another engine was captured under a tenure that was not known yet, by a peer that
	// may bridge; nil: nobody is. Goroutines of the mesh call it, and it must not wait.
	Claimed func(drawbridge.SegmentID, drawbridge.VNI, drawbridge.PeerID, drawbridge.Epoch)
	// Strayed is shown frames between neighbours that came out of the overlay; nil: nobody is. Goroutines of the mesh
	// call it. It must not wait, nor keep the frame.
	Strayed func(drawbridge.Frame)
	// Foreign says whether a frame of an overlay is an answer of somebody else's DHCP server or router, which does not
	// cross; nil: none is. It is asked for every frame that would cross, and must be quick.
	Foreign func(drawbridge.VNI, drawbridge.Frame) bool
	// Now is the time since some fixed moment; nil: since New.
	Now func() time.Duration

	without rules
}

// rules are switched off by tests only, which show what each is for.
type rules struct {
	splitHorizon, order, echo bool
}

// Switch is the learning switch of one peer: all its ports, all its overlays.
type Switch struct {
	// Set at construction, then constant.
	cfg Config
	now func() time.Duration

	table   table
	drops   drops
	circles circles
	pumps   atomic.Uint32 // made so far

	// Replaced whole under mu, read without.
	segments  atomic.Pointer[map[segmentKey]*segment]
	suspended atomic.Pointer[map[drawbridge.VNI]bool]
	ports     atomic.Pointer[map[drawbridge.VNI][]*Attached]

	mu     sync.Mutex // guards changes of segments, ports and taps, and what follows
	storms map[drawbridge.VNI]int64
}

// New makes a switch without ports.
func New(cfg Config) *Switch {
	if cfg.Batch <= 0 {
		cfg.Batch = 64
	}
	s := &Switch{cfg: cfg, now: cfg.Now, table: newTable()}
	if cfg.without.echo {
		s.table.settle = 0
	}
	if s.now == nil {
		start := time.Now()
		s.now = func() time.Duration { return time.Since(start) }
	}
	s.segments.Store(&map[segmentKey]*segment{})
	s.suspended.Store(&map[drawbridge.VNI]bool{})
	s.ports.Store(&map[drawbridge.VNI][]*Attached{})
	return s
}

// Attach adds a port. Frames go to it at once; none are read from it before Run.
func (s *Switch) Attach(cfg PortConfig) (*Attached, error) {
	a, err := s.attach(cfg)
	if err == nil {
		a.heed()
	}
	return a, err
}

func (s *Switch) attach(cfg PortConfig) (*Attached, error) {
	a := &Attached{cfg: cfg, sw: s, name: cfg.Port.Name(), gone: make(chan struct{})}
	a.blocked.Store(cfg.Blocked)
	a.apart.Store(s.table.companion(cfg.VNI) != nil)
	if (cfg.Segment != 0) != (cfg.Gate != nil) {
		return nil, fmt.Errorf("port %s: a segment port has a gate, and nothing else has", a.name)
	}
	if cfg.VNI > drawbridge.MaxVNI {
		return nil, fmt.Errorf("port %s: overlay %d: a VNI has 24 bits", a.name, cfg.VNI)
	}
	if cfg.Segment != 0 {
		a.segment = s.segment(cfg.Segment, cfg.VNI)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.all() {
		switch {
		case other.name == a.name:
			return nil, fmt.Errorf("port %s is attached already", a.name)
		case a.segment != nil && other.cfg.Segment == cfg.Segment:
			return nil, fmt.Errorf("port %s: port %s is on segment %s already", a.name, other.name, cfg.SegmentName)
		}
	}
	if a.segment != nil {
		a.segment.port.Store(a)
	}
	a.stormRate.Store(s.stormLimit(cfg.VNI))
	s.setPorts(func(all map[drawbridge.VNI][]*Attached) {
		all[cfg.VNI] = append(slices.Clone(all[cfg.VNI]), a)
	})
	return a, nil
}

// Detach removes the port and forgets the addresses behind it. The port itself is the caller's to close.
func (a *Attached) Detach() {
	if a.detached.Swap(true) {
		return
	}
	close(a.gone)
	s := a.sw
	s.mu.Lock()
	s.setPorts(func(all map[drawbridge.VNI][]*Attached) {
		left := slices.Clone(all[a.cfg.VNI])
		left = slices.DeleteFunc(left, func(o *Attached) bool { return o == a })
		if all[a.cfg.VNI] = left; len(left) == 0 {
			delete(all, a.cfg.VNI)
		}
	})
	if a.segment != nil {
		a.segment.port.CompareAndSwap(a, nil)
	}
	s.mu.Unlock()
	s.table.forget(StepGone, s.now(), func(_ key, e *entry) bool { return e.at.Load().port == a })
}

// all lists the ports. The caller holds s.mu or does not mind a change.
func (s *Switch) all() (all []*Attached) {
	for _, of := range *s.ports.Load() {
		all = append(all, of...)
	}
	slices.SortFunc(all, func(a, b *Attached) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all
}

func (s *Switch) setPorts(change func(map[drawbridge.VNI][]*Attached)) {
	all := maps.Clone(*s.ports.Load())
	change(all)
	s.ports.Store(&all)
}

// Age forgets addresses that were silent for too long. It is called now and then, say every ten seconds.
func (s *Switch) Age() {
	now := s.now()
	s.table.forget(StepAged, now, func(_ key, e *entry) bool { return now-time.Duration(e.seen.Load()) > maxAge })
}
