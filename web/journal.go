package web

import (
	"sync"
	"time"
)

// journalLength is how many events a Journal keeps: about 1 MiB, and days of a quiet network.
const journalLength = 4096

// Journal keeps the last events of a peer and numbers them. Numbers begin at the time of its making in
// microseconds, so they grow across restarts and a client that was away sees that it missed something. They
// stay below 2^53, which JSON readers keep exact. Any goroutine may use it.
type Journal struct {
	now func() time.Time

	mu     sync.Mutex
	events []Event // a ring once it is full: next is the oldest
	next   int
	last   uint64
	change chan struct{}
}

// NewJournal returns an empty journal. now is time.Now outside of tests.
func NewJournal(now func() time.Time) *Journal {
	return &Journal{now: now, last: uint64(now().UnixMicro()), change: make(chan struct{})}
}

// Add numbers and dates e and keeps it; it never blocks.
func (j *Journal) Add(e Event) Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.ID = j.last
	if e.Time.IsZero() {
		e.Time = j.now().UTC()
	}
	if len(j.events) < journalLength {
		j.events = append(j.events, e)
	} else {
		j.events[j.next] = e
		j.next = (j.next + 1) % journalLength
	}
	close(j.change)
	j.change = make(chan struct{})
	return e
}

// After are the events that are kept with an ID above id, oldest first.
func (j *Journal) After(id uint64) (events []Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(j.events)
	for i := range n {
		if e := j.events[(j.next+i)%n]; e.ID > id {
			events = append(events, e)
		}
	}
	return events
}

// Watch returns a channel that is closed when the next event is added.
func (j *Journal) Watch() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.change
}
