package lease

import "time"

// A clock is wild when it departs from another by more than this within a window: five times less than the drift that leases
// allow for, five times more than NTP slew and two crystals can explain.
const (
	driftWindow = 10 * time.Second
	wildDrift   = 1000 // parts per million
)

// comparison follows the difference between a voter's clock and ours.
type comparison struct {
	at, clock Instant       // first sample of the window
	last      Instant       // its clock in the newest sample: one that reads less has started again
	offset    time.Duration // clock less ours
	err       time.Duration // half of the round trip: the answer may have been made at either end
	verdict   int           // sign of the departure in the last window; 0 in step
}

// note takes an answer's clock into account, and reports whether a window is complete.
func (c *comparison) note(stamp, now, clock Instant) bool {
	err := now.Sub(stamp) / 2
	before := c.last
	c.last = clock
	sample := comparison{at: now, clock: clock, last: clock, offset: clock.Sub(stamp.Add(err)), err: err, verdict: c.verdict}
	switch elapsed := now.Sub(c.at); {
	case c.at == 0, clock < before, elapsed > 2*driftWindow: // new, started again, or not heard for long
		sample.verdict = 0
		*c = sample
		return false
	case elapsed < driftWindow:
		return false
	default:
		sample.verdict = 0
		departed := sample.offset - c.offset
		allowed := c.err + err + elapsed*wildDrift/1000000
		if departed > allowed {
			sample.verdict = 1
		} else if departed < -allowed {
			sample.verdict = -1
		}
		*c = sample
		return true
	}
}

// wild reports whether most of the other voters' clocks depart from ours in the same direction: then it is ours. With
// fewer than two others nobody can tell whose it is.
func (h *Holder) wild() bool {
	others, fast, slow := 0, 0, 0
	for i, peer := range h.quorum.peers {
		if peer == h.self {
			continue
		}
		others++
		switch h.views[i].clock.verdict {
		case 1:
			fast++
		case -1:
			slow++
		}
	}
	return others >= 2 && max(fast, slow) > others/2
}
