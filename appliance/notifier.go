package appliance

import (
	"context"
	"sync"
	"time"
)

// notifier is a channel that is closed at the next change, again and again.
type notifier struct {
	mu sync.Mutex
	ch chan struct{}
}

func (c *notifier) watch() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	return c.ch
}

func (c *notifier) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch != nil {
		close(c.ch)
		c.ch = nil
	}
}

// passOn tells of every change of what is watched, until ctx ends.
func passOn(ctx context.Context, watch func() <-chan struct{}, tell func()) {
	for changed := watch(); ; {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = watch() // before it is told, or a change that comes right after that would be told with the next
			tell()
		}
	}
}

// pause waits for d, or until ctx ends, and reports whether that goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
