// Package lease decides who may open the gate of a segment: a gateway holds a segment while a majority of voters
// has promised it to nobody else. It is pure: it has no clock, socket, goroutine or randomness of its own; every call
// takes the time and returns what is to be sent and done. The protocol and why it is safe: docs/protocol/lease.md.
package lease

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Instant is a reading of CLOCK_BOOTTIME in nanoseconds. The root package has no clock type and this one may not
// import package failover, so the driver converts; the numbers are the same.
type Instant int64

// Never is later than every deadline.
const Never = Instant(math.MaxInt64)

// Add moves i by d.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub is the time from o to i.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }

// MaxVoters bounds the voters of all sets together: seven in the new set and as many in the old, and one to spare.
const MaxVoters = 15

// Timing holds the timers that an operator chooses as one. Validate says which go together.
type Timing struct {
	Renew time.Duration // R: how often a holder renews
	Term  time.Duration // T: how long a promise lasts, a whole number of microseconds
	Grace time.Duration // d: how long a frame that passed the gate may still be on its way out
	Step  time.Duration // how much longer each rank of candidate waits
	Drift int           // e: bound of a clock's rate error, in parts per million
}

// The three sets of timers of docs/protocol/lease.md. Fast needs real-time scheduling of the driver.
var (
	Default = timing(10*time.Millisecond, 40*time.Millisecond)
	Fast    = timing(5*time.Millisecond, 20*time.Millisecond)
	Wide    = timing(50*time.Millisecond, 250*time.Millisecond)
)

func timing(renew, term time.Duration) Timing {
	return Timing{Renew: renew, Term: term, Grace: time.Millisecond, Step: renew / 2, Drift: 5000}
}

// ErrTiming is the condition behind every refused set of timers.
var ErrTiming = errors.New("lease timers do not fit together")

// Validate reports which rule the timers break; nil when they can be used.
func (t Timing) Validate() error {
	switch {
	case t.Renew < time.Millisecond:
		return fmt.Errorf("renew %v is below 1ms: %w", t.Renew, ErrTiming)
	case t.Term > 10*time.Second || t.Term%time.Microsecond != 0:
		return fmt.Errorf("term %v is above 10s or no whole number of microseconds: %w", t.Term, ErrTiming)
	case t.Drift < 1000 || t.Drift > 50000:
		return fmt.Errorf("drift %d ppm is not within 1000 and 50000: %w", t.Drift, ErrTiming)
	case t.Grace < 0 || t.Step < 0 || t.Step > t.Term:
		return fmt.Errorf("grace %v or step %v is negative or longer than the term %v: %w", t.Grace, t.Step, t.Term, ErrTiming)
	case t.held(t.Term)-t.Grace < 3*t.Renew:
		return fmt.Errorf("term %v less drift and grace %v holds no three renewals of %v: %w", t.Term, t.Grace, t.Renew, ErrTiming)
	}
	return nil
}

// slack is d times e, rounded up.
func (t Timing) slack(d time.Duration) time.Duration {
	return (d*time.Duration(t.Drift) + 999999) / 1000000
}

// held is how long a holder may count on a promise of length d, from the moment it asked.
func (t Timing) held(d time.Duration) time.Duration { return d - t.slack(d) }

// promised is how long a voter keeps a promise of length d, from the moment it was asked.
func (t Timing) promised(d time.Duration) time.Duration { return d + t.slack(d) }

// try is how long an attempt may last before it withdraws, so that votes are not kept from others.
func (t Timing) try() time.Duration { return 2 * t.Renew }

// probe is how often a node that renews nothing asks the voters whether they would answer.
func (t Timing) probe() time.Duration { return 10 * t.Renew }

// Config is what Raft committed about the lease.
type Config struct {
	Generation uint32                // number of this configuration
	Floor      uint32                // requests of older generations get no promise
	Sets       [][]drawbridge.PeerID // voters; first the present set, then those whose leases may still live
	Timing
	Longest time.Duration // largest term of any configuration whose leases may still live
}

// ErrConfig is the condition behind every refused configuration.
var ErrConfig = errors.New("lease configuration is not usable")

// Validate reports why c cannot be used.
func (c Config) Validate() error {
	if err := c.Timing.Validate(); err != nil {
		return err
	}
	switch {
	case c.Generation == 0 || c.Floor > c.Generation:
		return fmt.Errorf("generation %d with floor %d: %w", c.Generation, c.Floor, ErrConfig)
	case c.Longest < c.Term || c.Longest > 10*time.Second:
		return fmt.Errorf("longest term %v is below the term %v or above 10s: %w", c.Longest, c.Term, ErrConfig)
	}
	_, err := newQuorum(c.Sets)
	return err
}
