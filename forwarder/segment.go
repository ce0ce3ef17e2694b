package forwarder

import (
	"sync/atomic"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// segment is what the switch knows of a real layer-2 domain: who its active gateway is. Addresses behind it
// point here, so that a handover moves all of them with one pointer.
type segment struct {
	// Set at construction, then constant.
	id  drawbridge.SegmentID
	vni drawbridge.VNI
	at  place // what addresses behind it share

	// Any goroutine; atomic.
	tenure atomic.Pointer[tenure]
	port   atomic.Pointer[Attached] // our own port on it, if we are a gateway
	macs   atomic.Int32
}

// tenure is who bridges a segment, and since which epoch.
type tenure struct {
	active drawbridge.PeerID
	epoch  drawbridge.Epoch
}

func newSegment(id drawbridge.SegmentID, vni drawbridge.VNI) *segment {
	s := &segment{id: id, vni: vni}
	s.at.segment = s
	s.tenure.Store(&tenure{})
	return s
}

// heard compares the epoch under which a frame was captured with the newest that is known, and follows it
// if it is newer.
func (s *segment) heard(origin drawbridge.PeerID, epoch drawbridge.Epoch) (r reason, ok bool) {
	for {
		t := s.tenure.Load()
		switch {
		case epoch < t.epoch:
			return dropStaleEpoch, false
		case epoch == t.epoch && t.active == origin:
			return 0, true
		case epoch == t.epoch && t.active != 0:
			return dropEpochConflict, false
		}
		if s.tenure.CompareAndSwap(t, &tenure{origin, epoch}) {
			return 0, true
		}
	}
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
		if g.tenure.CompareAndSwap(t, &tenure{active, epoch}) {
			return
		}
	}
}

// segment finds a segment, or begins to know it.
func (s *Switch) segment(id drawbridge.SegmentID, vni drawbridge.VNI) *segment {
	if g := (*s.segments.Load())[id]; g != nil {
		return g
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.segments.Load()
	if g := old[id]; g != nil {
		return g
	}
	all := make(map[drawbridge.SegmentID]*segment, len(old)+1)
	for i, g := range old {
		all[i] = g
	}
	all[id] = newSegment(id, vni)
	s.segments.Store(&all)
	return all[id]
}
