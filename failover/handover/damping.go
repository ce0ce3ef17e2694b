package handover

import (
	"math"
	"time"
)

// Damping keeps a gateway that loses its lease again and again from being the first to take it (RFC 2439 has the idea,
// for routes). Every loss that nobody wanted adds a penalty, which halves each HalfLife; above Suppress the gateway is
// damped until the penalty is below Reuse. A damped gateway still votes, and still takes a segment that nobody else
// takes: it asks last. Zero is ready.
type Damping struct {
	penalty float64
	at      time.Duration
	damped  bool
}

// The figures: three losses within half a minute damp, and two minutes without one end it.
const (
	LossPenalty = 1000
	Suppress    = 2000
	Reuse       = 750
	HalfLife    = 60 * time.Second
	maxPenalty  = 8000 // so that nobody is damped for more than three and a half minutes
)

// Lost notes a loss.
func (d *Damping) Lost(now time.Duration) {
	d.penalty = min(d.Penalty(now)+LossPenalty, maxPenalty)
	d.at = now
	d.damped = d.damped || d.penalty > Suppress
}

// Penalty is what is left of it.
func (d *Damping) Penalty(now time.Duration) float64 {
	return d.penalty * math.Exp2(-float64(now-d.at)/float64(HalfLife))
}

// Damped reports whether the gateway asks last, and for how long yet if nothing happens.
func (d *Damping) Damped(now time.Duration) (damped bool, left time.Duration) {
	p := d.Penalty(now)
	if d.damped = d.damped && p >= Reuse; !d.damped {
		return false, 0
	}
	return true, time.Duration(math.Log2(p/Reuse) * float64(HalfLife))
}

// HoldDown is how long a gateway whose port has come back asks last: its switch port may still be learning, and whoever
// is active has no reason to be disturbed.
const HoldDown = 5 * time.Second
