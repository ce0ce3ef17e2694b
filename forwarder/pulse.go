package forwarder

import (
	"sync"
	"time"
)

// stallLimit is how long frames may wait at a port before its reader counts as dead: far longer than a busy host keeps a
// thread from running, and short against what an operator notices.
const stallLimit = time.Second

// waiter is a port that can tell whether frames wait in it. One that cannot is not judged.
type waiter interface{ Waiting() bool }

// pulse is how a port's reader goes on.
type pulse struct {
	mu      sync.Mutex // guards what follows
	seen    uint64     // batches when it was looked at last
	movedAt time.Duration
}

// Stalled reports whether frames have waited at the port for a second while its reader took none, as seen by those who
// ask: they should do so some times a second. Any goroutine may.
func (a *Attached) Stalled() bool {
	w, ok := a.cfg.Port.(waiter)
	if !ok {
		return false
	}
	now := a.sw.now()
	p := &a.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := a.batches.Load(); n != p.seen || p.movedAt == 0 || !w.Waiting() {
		p.seen, p.movedAt = n, now
		return false
	}
	return now-p.movedAt > stallLimit
}
