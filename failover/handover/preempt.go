package handover

import (
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Preemption decides when the preferred gateway takes a segment over from one that works, where the network asks for that
// (preempt = true). It belongs to the preferred gateway, which alone knows without a gap how well it has been; whoever is
// active carries the move out, and may refuse. Zero is ready. It belongs to one goroutine.
type Preemption struct {
	wellSince time.Duration
	well      bool
	tenure    drawbridge.Epoch // of the active gateway
	since     time.Duration    // when it was first seen
	moving    bool
	again     time.Duration // not before
	last      stamp
	before    stamp // the one before the move that is under way
}

// stamp is when something happened, if it did.
type stamp struct {
	at    time.Duration
	known bool
}

// The figures: a move every five minutes is rare enough that a gateway which comes and goes is no worse than one that is
// away, and one that was refused is asked for again when a trail, a drill or a listening port has had time to end.
const (
	PreemptEvery = 5 * time.Minute
	PreemptAgain = 10 * time.Second
)

// Preferred is how the preferred gateway finds itself and the segment.
type Preferred struct {
	Asked    bool             // the network wants it to preempt, and another gateway is active
	Well     bool             // nothing speaks against its taking the segment
	Tenure   drawbridge.Epoch // of the active gateway
	HoldDown time.Duration
	Busy     string // what is under way that must not be disturbed; empty: nothing
}

// Step answers whether to ask for the move now, and what it waits for if not. Every true is followed by one Ended.
func (p *Preemption) Step(now time.Duration, v *Preferred) (move bool, waits string) {
	if v.Well && !p.well {
		p.wellSince = now
	}
	if p.well = v.Well; p.tenure != v.Tenure {
		p.tenure, p.since = v.Tenure, now
	}
	switch {
	case p.moving:
		return false, "moving"
	case !v.Asked:
		return false, ""
	case !v.Well:
		return false, "not well"
	}
	// A gateway that has just become active is left alone as long: a switchover away would be undone at once, and the second
	// half of somebody's drill would meet another gateway.
	hold, since := max(v.HoldDown, HoldDown), max(p.wellSince, p.since)
	if now < since+hold {
		return false, "well and undisturbed for " + seconds(now-since) + " of " + seconds(hold)
	}
	if left := p.last.at + PreemptEvery - now; p.last.known && left > 0 {
		return false, "moved by this " + seconds(PreemptEvery-left) + " ago: once in " + seconds(PreemptEvery) + " at most"
	}
	switch {
	case v.Busy != "":
		return false, v.Busy
	case now < p.again:
		return false, "refused; asks again in " + seconds(p.again-now)
	}
	p.moving, p.before, p.last = true, p.last, stamp{now, true}
	return true, ""
}

// WellFor is for how long the gateway has been well without a break.
func (p *Preemption) WellFor(now time.Duration) time.Duration {
	if !p.well {
		return 0
	}
	return now - p.wellSince
}

// Moved notes that the segment was preempted then, by whoever: other gateways tell of what this one has forgotten.
func (p *Preemption) Moved(at time.Duration) {
	if !p.last.known || at > p.last.at {
		p.last = stamp{at, true}
	}
}

// Last is when the segment was last preempted, as far as is known. A move that is under way may yet be refused.
func (p *Preemption) Last() (at time.Duration, known bool) {
	if p.moving {
		return p.before.at, p.before.known
	}
	return p.last.at, p.last.known
}

// Ended tells how the move that Step asked for ended. One that was refused moved nothing, so it does not count against
// later ones.
func (p *Preemption) Ended(now time.Duration, refused bool) {
	p.moving = false
	if refused {
		p.last, p.again = p.before, now+PreemptAgain
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%d s", int(max(d, 0).Seconds())) }
