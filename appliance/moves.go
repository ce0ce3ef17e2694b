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
	taking map[drawbridge.SegmentID]func(drawbridge.Epoch)
	held   map[drawbridge.SegmentID]chan struct{} // closed when no frame waits for the move any more
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
	m.pass(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.giving, id)
}

// startTaking claims a segment for one move, which is told of the beginning of the tenure; false: it is moving already.
func (m *moves) startTaking(id drawbridge.SegmentID, opened func(drawbridge.Epoch)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taking[id] != nil {
		return false
	}
	if m.taking == nil {
		m.taking = map[drawbridge.SegmentID]func(drawbridge.Epoch){}
	}
	m.taking[id] = opened
	return true
}

func (m *moves) endTaking(id drawbridge.SegmentID) {
	m.pass(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.taking, id)
}

// hold says that frames of a segment wait from now on.
func (m *moves) hold(id drawbridge.SegmentID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		m.held = map[drawbridge.SegmentID]chan struct{}{}
	}
	if m.held[id] == nil {
		m.held[id] = make(chan struct{})
	}
}

// pass says that they do no longer.
func (m *moves) pass(id drawbridge.SegmentID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.held[id]; held != nil {
		close(held)
		delete(m.held, id)
	}
}

// tellWithin is how long the news of a gate may wait for the frames: those of a peer that was not turned by the first frame are handed
// over for as long.
const tellWithin = 2 * handover.MarkerFor

// passed waits until no frame of a segment waits for a move, for tellWithin at most. What is told of the move has every peer sign, check
// and pass on records: 7 ms of processor time in a network of six, which on one host or on small ones the frames would wait for.
func (m *moves) passed(ctx context.Context, id drawbridge.SegmentID) {
	m.mu.Lock()
	held := m.held[id]
	m.mu.Unlock()
	if held == nil {
		return
	}
	timer := time.NewTimer(tellWithin)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-held:
	case <-timer.C:
	}
}

// under reports whether a segment is being moved, either way.
func (m *moves) under(id drawbridge.SegmentID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.giving[id] || m.taking[id] != nil
}

// opened hears, on the thread of the lease's news, that a gate here has opened. The move goes on there: frames wait.
func (m *moves) opened(segment drawbridge.SegmentID, epoch drawbridge.Epoch) {
	m.mu.Lock()
	opened := m.taking[segment]
	m.mu.Unlock()
	if opened != nil {
		opened(epoch)
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
