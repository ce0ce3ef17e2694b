package forwarder

import (
	"maps"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// maxSegments bounds the segments that frames alone may make known. Ports and news may add to them.
const maxSegments = 1024

// segmentKey tells segments apart. One that two peers bridge into different overlays, by mistake, is two: frames
// of one must not say who is the gateway of the other.
type segmentKey struct {
	id  drawbridge.SegmentID
	vni drawbridge.VNI
}

// segment is what the switch knows of a real layer-2 domain: who its active gateway is. Addresses behind it
// point here, so that a handover moves all of them with one pointer.
type segment struct {
	// Set at construction, then constant.
	id  drawbridge.SegmentID
	vni drawbridge.VNI
	cfg *Config // of the switch
	at  place   // what addresses behind it share

	// Any goroutine; atomic.
	tenure atomic.Pointer[tenure]
	port   atomic.Pointer[Attached] // our own port on it, if we are a gateway
	macs   atomic.Int32
}

func newSegment(k segmentKey, cfg *Config) *segment {
	s := &segment{id: k.id, vni: k.vni, cfg: cfg}
	s.at.segment = s
	s.tenure.Store(&tenure{})
	return s
}

// heard compares the epoch under which a frame was captured with the newest that is known, and follows it
// if it is newer and its origin may be a gateway. Epoch 0 is no tenure.
func (s *segment) heard(origin drawbridge.PeerID, epoch drawbridge.Epoch, now time.Duration) (r reason, ok bool) {
	for {
		t := s.tenure.Load()
		switch {
		case s.cfg.without.order:
			return 0, true
		case epoch == 0 || epoch < t.epoch:
			return dropStaleEpoch, false
		case epoch == t.epoch && t.active == origin:
			return 0, true
		case epoch == t.epoch && t.active != 0:
			return dropEpochConflict, false
		case origin != s.cfg.Self && !s.cfg.mayBridge(origin, segmentKey{s.id, s.vni}):
			return dropNotGateway, false
		}
		if s.tenure.CompareAndSwap(t, t.next(origin, epoch, now)) {
			return 0, true
		}
	}
}

// refuses reports whether a frame that was captured on a segment must not be written to s: the two are the same.
// The overlay does not matter, as peers may disagree about it by mistake.
func (s *segment) refuses(captured drawbridge.SegmentID) bool {
	return s != nil && s.id == captured && !s.cfg.without.splitHorizon
}

func (c *Config) mayBridge(origin drawbridge.PeerID, k segmentKey) bool {
	return c.MayBridge == nil || c.MayBridge(origin, k.id, k.vni)
}

// gateway is where frames for the segment go: to our own port, or to another peer, or to nobody. Our own gate may
// be open before anybody heard of it, and a tenure of ours that is over leads nowhere.
func (s *segment) gateway(self drawbridge.PeerID) (own *Attached, other drawbridge.PeerID) {
	t := s.tenure.Load()
	own = s.port.Load()
	switch {
	case own == nil && t.active == self:
		return nil, 0
	case own == nil:
		return nil, t.active
	case t.active == self || t.active == 0:
		return own, 0
	}
	if epoch, open := own.permit(); open && epoch > t.epoch {
		return own, 0
	}
	return nil, t.active
}

// SetSegment says who is the active gateway of a segment, and since which epoch; news that are older than
// what is known are ignored. active 0: nobody.
func (s *Switch) SetSegment(id drawbridge.SegmentID, vni drawbridge.VNI, active drawbridge.PeerID, epoch drawbridge.Epoch) {
	g := s.segment(id, vni)
	for {
		t := g.tenure.Load()
		if epoch < t.epoch || epoch == t.epoch && (t.active == active || t.active != 0 && active != 0) {
			return
		}
		if g.tenure.CompareAndSwap(t, t.next(active, epoch, s.now())) {
			return
		}
	}
}

// segment finds a segment, or begins to know it.
func (s *Switch) segment(id drawbridge.SegmentID, vni drawbridge.VNI) *segment {
	k := segmentKey{id, vni}
	if g := (*s.segments.Load())[k]; g != nil {
		return g
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := (*s.segments.Load())[k]; g != nil {
		return g
	}
	all := maps.Clone(*s.segments.Load())
	all[k] = newSegment(k, &s.cfg)
	s.segments.Store(&all)
	return all[k]
}

// claimed finds the segment that a frame from origin says it is from, or begins to know it when origin may be its
// gateway; else it answers why not.
func (s *Switch) claimed(h *drawbridge.Header) (*segment, reason) {
	k := segmentKey{h.Segment, h.VNI}
	known := *s.segments.Load()
	if g := known[k]; g != nil {
		return g, 0
	}
	if h.Epoch == 0 {
		return nil, dropStaleEpoch
	}
	if len(known) >= maxSegments || !s.cfg.mayBridge(h.Origin, k) {
		return nil, dropNotGateway
	}
	return s.segment(h.Segment, h.VNI), 0
}
