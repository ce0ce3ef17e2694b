package appliance

import (
	"context"
	"errors"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/keep"
	"github.com/drawbridge-net/drawbridge/failover/handover"
)

// moves are the planned moves that are under way here.
type moves struct {
	mu     sync.Mutex // guards what follows
	giving map[drawbridge.SegmentID]bool
	taking map[drawbridge.SegmentID]chan drawbridge.Epoch
}

// errMoving refuses a second move of a segment.
var errMoving = errors.New("the segment is being moved already")

// startGiving claims a segment for one move.
func (m *moves) startGiving(id drawbridge.SegmentID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.giving[id] || m.taking[id] != nil {
		return false
	}
	if m.giving == nil {
		m.giving = map[drawbridge.SegmentID]bool{}
	}
	m.giving[id] = true
	return true
}

// awaitGiving claims a segment for one move, as soon as the trail of the last one has ended.
func (m *moves) awaitGiving(ctx context.Context, id drawbridge.SegmentID) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*handover.TrailFor)
	defer cancel()
	again := time.NewTicker(handover.Watch)
	defer again.Stop()
	for !m.startGiving(id) {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
	}
	return true
}

func (m *moves) endGiving(id drawbridge.SegmentID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.giving, id)
}

// startTaking claims a segment, and answers where the beginning of the tenure will be told; nil: it is moving already.
func (m *moves) startTaking(id drawbridge.SegmentID) chan drawbridge.Epoch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taking[id] != nil {
		return nil
	}
	if m.taking == nil {
		m.taking = map[drawbridge.SegmentID]chan drawbridge.Epoch{}
	}
	m.taking[id] = make(chan drawbridge.Epoch, 1)
	return m.taking[id]
}

func (m *moves) endTaking(id drawbridge.SegmentID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.taking, id)
}

// under reports whether a segment is being moved, either way.
func (m *moves) under(id drawbridge.SegmentID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.giving[id] || m.taking[id] != nil
}

// tenure hears from the lease agent that a gate here has opened or shut. It must not wait.
func (m *moves) tenure(segment drawbridge.SegmentID, epoch drawbridge.Epoch, held bool) {
	if !held {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.taking[segment] <- epoch:
	default: // nobody waits for it
	}
}

// kept is the port for what keeps its frames during a move.
func (p *port) kept() keep.Port {
	p.mu.Lock()
	attached := p.attached
	p.mu.Unlock()
	return keep.Port{
		Attached: attached, Gate: p.gate, Self: p.stationAddress(), Now: p.node.elapsed,
		Where: func(m drawbridge.MAC) (known, behind bool) { return p.node.sw.Where(p.vni(), m) },
	}
}
