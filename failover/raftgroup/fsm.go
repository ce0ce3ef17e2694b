package raftgroup

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// machine adapts State to hashicorp/raft and publishes it.
type machine struct {
	mu      sync.Mutex
	state   State
	longest time.Duration // of any lease that was ever in force, or may have been
	changed chan struct{} // closed when state is replaced
}

// newMachine knows from the disk how long a lease this voter may have promised.
func newMachine(longest time.Duration) *machine {
	return &machine{state: newState(), longest: longest, changed: make(chan struct{})}
}

// get returns the present state and a channel that is closed when it is no longer the present one.
func (m *machine) get() (State, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, m.changed
}

func (m *machine) promised() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.longest
}

func (m *machine) set(s State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.longest = s, max(m.longest, s.Timers.Longest)
	close(m.changed)
	m.changed = make(chan struct{})
}

// Apply carries out a committed entry. What it returns reaches the proposer.
func (m *machine) Apply(l *raft.Log) any {
	old, _ := m.get()
	next, err := old.applyEntry(l)
	m.set(next)
	if err != nil {
		return err
	}
	return nil
}

func (s State) applyEntry(l *raft.Log) (State, error) {
	var c Command
	if err := json.Unmarshal(l.Data, &c); err != nil {
		s.Index = l.Index
		return s, fmt.Errorf("read entry %d: %w: %w", l.Index, err, ErrCommand)
	}
	return s.Apply(l.Index, c)
}

// Snapshot hands out the present state, which nobody changes any more.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	s, _ := m.get()
	return snapshot{s}, nil
}

// Restore replaces the state by a snapshot.
func (m *machine) Restore(r io.ReadCloser) error {
	defer r.Close()
	s, err := readState(r)
	if err != nil {
		return fmt.Errorf("restore a snapshot: %w", err)
	}
	m.set(s)
	return nil
}

// snapshot is a state on its way to disk.
type snapshot struct{ state State }

// Persist writes the state. When it fails, the snapshot before this one stays.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := writeState(sink, s.state); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release has nothing to let go of.
func (snapshot) Release() {}
