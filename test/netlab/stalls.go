package netlab

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stall is a time for which a processor of this machine ran nothing that we could tell it to run, though nothing has a
// higher priority: the hypervisor had taken it away, or the kernel was busy. Whatever was measured beside one says
// nothing about what was to be measured.
type Stall struct{ From, To time.Time }

func (s Stall) String() string {
	return fmt.Sprintf("a processor stood still for %v until %s", s.To.Sub(s.From), s.To.Format("15:04:05.000"))
}

// Stalls looks for stalls on every processor.
type Stalls struct {
	priority uint32 // of the threads that look; 0: an ordinary one, which has to wait as those do that carry frames
	least    time.Duration

	mu    sync.Mutex // guards what follows
	found []Stall
}

const (
	stallLook = 2 * time.Millisecond
	// AboveAll is a real-time priority above that of the lease agents (90).
	AboveAll = 95
)

// NewStalls looks for what lasts for least, with threads of a real-time priority; 0: with ordinary ones.
func NewStalls(priority uint32, least time.Duration) *Stalls {
	return &Stalls{priority: priority, least: least}
}

// Run looks until ctx ends.
func (s *Stalls) Run(ctx context.Context) {
	var all sync.WaitGroup
	for cpu := range runtime.NumCPU() {
		all.Go(func() { s.watch(ctx, cpu) })
	}
	all.Wait()
}

// watch never gives its thread back, which has the priority.
func (s *Stalls) watch(ctx context.Context, cpu int) {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cpu)
	_ = unix.SchedSetaffinity(0, &one) // without it, and without the priority, too much looks like a stall: see whose
	if s.priority > 0 {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: s.priority}, 0)
	}
	nap := unix.NsecToTimespec(int64(stallLook))
	for last := time.Now(); ctx.Err() == nil; {
		_ = unix.Nanosleep(&nap, nil) // woken early: looked early
		now := time.Now()
		if now.Sub(last) >= s.least {
			s.mu.Lock()
			s.found = append(s.found, Stall{last, now})
			s.mu.Unlock()
		}
		last = now
	}
}

// Between are the stalls that have a part in a time.
func (s *Stalls) Between(from, to time.Time) (found []Stall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.found {
		if one.To.After(from) && one.From.Before(to) {
			found = append(found, one)
		}
	}
	return found
}
