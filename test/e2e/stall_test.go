package e2e

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stall is a time for which a processor of this machine ran nothing that we could tell it to run, though nothing has a higher
// priority: the hypervisor had taken it away, or the kernel was busy. Lease agents stood still as well.
type stall struct{ from, to time.Time }

// stallWatch looks for stalls on every processor. Whatever a lease does beside one says nothing about the product; whatever
// it does without one, does.
type stallWatch struct {
	priority uint32 // of the threads that look; 0: an ordinary one
	least    time.Duration

	mu    sync.Mutex // guards what follows
	found []stall
}

const (
	stallLook  = 2 * time.Millisecond
	stallLeast = 10 * time.Millisecond // a quarter of a term
	// stallPriority is above that of the lease agents.
	stallPriority = 95
	// busyLeast is the same for threads as those that carry frames: for so long a datagram waits for one, which is longer than
	// a gateway that takes over lets those of the other one go ahead (docs/protocol/handover.md, "Attack it here", 1).
	busyLeast = 4 * time.Millisecond
)

// watchStalls watches until the test ends.
func watchStalls(t *testing.T) *stallWatch {
	t.Helper()
	return watchProcessors(t, &stallWatch{priority: stallPriority, least: stallLeast})
}

// watchBusy watches for times in which the threads that carry frames had to wait for a processor.
func watchBusy(t *testing.T) *stallWatch {
	t.Helper()
	return watchProcessors(t, &stallWatch{least: busyLeast})
}

func watchProcessors(t *testing.T, w *stallWatch) *stallWatch {
	t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for cpu := range runtime.NumCPU() {
		all.Go(func() { w.watch(cpu, stop) })
	}
	t.Cleanup(func() { close(stop); all.Wait() })
	return w
}

// watch never gives its thread back, which has the priority.
func (w *stallWatch) watch(cpu int, stop <-chan struct{}) {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cpu)
	_ = unix.SchedSetaffinity(0, &one) // without it, and without the priority, too much looks like a stall: see whose
	if w.priority > 0 {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: w.priority}, 0)
	}
	nap := unix.NsecToTimespec(int64(stallLook))
	for last := time.Now(); ; {
		select {
		case <-stop:
			return
		default:
		}
		_ = unix.Nanosleep(&nap, nil) // woken early: looked early
		now := time.Now()
		if now.Sub(last) >= w.least {
			w.mu.Lock()
			w.found = append(w.found, stall{last, now})
			w.mu.Unlock()
		}
		last = now
	}
}

// before names the stalls within a time before a moment, or just about it.
func (w *stallWatch) before(at time.Time, within time.Duration) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.found {
		if s.to.After(at.Add(-within)) && s.from.Before(at) {
			found = append(found, fmt.Sprintf("a processor stood still for %v until %s", s.to.Sub(s.from), s.to.Format("15:04:05.000")))
		}
	}
	return found
}
