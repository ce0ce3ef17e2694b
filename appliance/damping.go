package appliance

import (
	"sync"

	"github.com/drawbridge-net/drawbridge/failover/handover"
)

// startedCause is why the gate of a port that has just begun is shut.
const startedCause = "started"

// damping is a port's memory of leases that it lost.
type damping struct {
	mu sync.Mutex // guards what follows
	handover.Damping
}

// mover says who has a segment moved, for the cause chain of what follows.
type mover struct {
	mu   sync.Mutex // guards what follows
	text string
}

func (m *mover) set(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = text
}

// take answers it once.
func (m *mover) take() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := m.text
	m.text = ""
	return text
}
