package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Rhythm of telling. A sink that does not answer is asked again after retryFirst, then twice as late each time, up to
// retryLast: an outage of a collector that ends is noticed within minutes, and one that does not costs next to nothing.
const (
	tellFor    = 15 * time.Second // one attempt
	retryFirst = time.Second
	retryLast  = 5 * time.Minute
	// giveUpAfter is how long one message may keep those behind it: a day, so that a sink may be down for a night.
	giveUpAfter = 24 * time.Hour
	// refusals is how often a sink may answer that it will never take a message before that is believed.
	refusals = 5
)

// Courier tells one sink what its queue holds.
type Courier struct {
	// Set at construction, then constant.
	driver Driver
	spool  *Spool
	wrap   func(Item) *Message
	gaveUp func(Item, error) // nil: nobody wants to know
	hurry  chan struct{}     // one slot: the next attempt is due now

	mu    sync.Mutex // guards what follows
	state State
}

// State is how the telling goes.
type State struct {
	Tried    time.Time // last attempt
	Took     time.Time // last success
	Next     time.Time // the next attempt, when it waits for one
	Failures int       // attempts since the last success
	Failed   uint64    // attempts that failed, in this run
	Err      error     // of the last attempt; nil after a success
}

// NewCourier joins a driver and a queue. wrap addresses an item; gaveUp hears of items whose content is dropped.
func NewCourier(driver Driver, spool *Spool, wrap func(Item) *Message, gaveUp func(Item, error)) *Courier {
	return &Courier{driver: driver, spool: spool, wrap: wrap, gaveUp: gaveUp, hurry: make(chan struct{}, 1)}
}

// Hurry makes the next attempt due now: the operator has mended something.
func (c *Courier) Hurry() {
	select {
	case c.hurry <- struct{}{}:
	default:
	}
}

// State is how the telling goes just now.
func (c *Courier) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Run tells until ctx ends, and closes the driver.
func (c *Courier) Run(ctx context.Context) error {
	defer func() { _ = c.driver.Close() }()
	for {
		item, ok, changed := c.spool.First()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			continue
		}
		c.deliver(ctx, item)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// deliver tells one item, however often it takes.
func (c *Courier) deliver(ctx context.Context, item Item) {
	m := c.wrap(item)
	began, refused := time.Now(), 0
	for n := 0; ; n++ {
		err := c.attempt(ctx, m)
		switch {
		case err == nil:
			c.spool.Done(item.Sequence)
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrRefused):
			refused++
		}
		if refused >= refusals || time.Since(began) >= giveUpAfter {
			c.giveUp(item, err)
			return
		}
		if !c.wait(ctx, pause(n, err)) {
			return
		}
	}
}

// giveUp lets the next item pass. The sink is told that this one was dropped; when it does not even take that, nothing.
func (c *Courier) giveUp(item Item, err error) {
	if item.Lost > 0 {
		c.spool.Done(item.Sequence)
	} else {
		c.spool.GiveUp(err.Error())
	}
	if c.gaveUp != nil {
		c.gaveUp(item, err)
	}
}

func (c *Courier) attempt(ctx context.Context, m *Message) error {
	ctx, cancel := context.WithTimeout(ctx, tellFor)
	defer cancel()
	err := c.driver.Tell(ctx, m)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.state
	s.Tried, s.Next, s.Err = time.Now(), time.Time{}, err
	if err != nil {
		s.Failures++
		s.Failed++
		return err
	}
	s.Took, s.Failures = s.Tried, 0
	return nil
}

// pause is how long to wait after attempt n, counted from 0. A fifth of it is by chance, so that peers that lost the same
// sink do not come back as one.
func pause(n int, err error) time.Duration {
	d := min(retryFirst<<min(n, 20), retryLast)
	d += time.Duration(rand.Int64N(int64(d)/5 + 1))
	var later *laterError
	if errors.As(err, &later) {
		d = max(d, min(later.after, retryLast))
	}
	return d
}

// wait reports whether to go on.
func (c *Courier) wait(ctx context.Context, d time.Duration) bool {
	c.mu.Lock()
	c.state.Next = time.Now().Add(d)
	c.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-c.hurry:
	}
	return true
}
