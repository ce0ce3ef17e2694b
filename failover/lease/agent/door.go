package agent

import (
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// door is a segment here: whether its lease is wanted, its gate, and what may forbid to open it.
type door struct {
	segment drawbridge.SegmentID
	rank    int
	wanted  bool

	gate  *failover.Gate // nil until the daemon has handed it over
	allow *atomic.Uint64

	held  drawbridge.Epoch // of the lease; 0: not held
	until lease.Instant    // the gate's deadline while it is
	epoch drawbridge.Epoch // open under it; 0: shut
	since lease.Instant    // behind a gate that must stay shut since then; 0: it need not
}

func (a *Agent) door(segment drawbridge.SegmentID) *door {
	d := a.doors[segment]
	if d == nil {
		d = &door{segment: segment}
		a.doors[segment] = d
	}
	return d
}

// recently is the clock of the gates: read once for all that are moved together. To be late by so little only lets a gate
// be given a deadline that has just passed, which is shut.
func (a *Agent) recently() failover.Boottime { return a.moved }

func (a *Agent) moveGates() {
	if len(a.out.Actions) == 0 {
		return
	}
	a.moved = gate.Now()
	shut := false
	var useless []drawbridge.SegmentID
	for _, do := range a.out.Actions {
		shut = shut || do.Do == lease.Shut
		d := a.doors[do.Segment]
		if d == nil {
			continue
		}
		switch do.Do {
		case lease.Open:
			if !a.hold(d, do) {
				useless = append(useless, do.Segment)
			}
		case lease.Shut:
			a.over(d, a.why(do.Cause))
		case lease.Fence:
			if d.gate != nil {
				d.gate.Fence(do.Epoch)
			}
		case lease.Over:
			a.tell(pipe.Report{Kind: pipe.Over, Number: uint64(do.Peer), Segment: do.Segment, Epoch: do.Epoch})
		}
	}
	a.out.Actions = a.out.Actions[:0]
	if shut {
		a.node.WasShut(a.now())
	}
	for _, id := range useless {
		a.node.Yield(a.now(), id, 0, &a.out)
	}
	if len(useless) > 0 {
		a.moveGates()
	}
}

func (a *Agent) why(c lease.Cause) string {
	if c == lease.Retired && a.unwell != "" {
		return a.unwell
	}
	return c.String()
}

// hold notes a tenure or its renewal, and opens the gate. It answers false when the tenure is of no use.
func (a *Agent) hold(d *door, do lease.Action) (useful bool) {
	d.until = do.Until
	if d.held != do.Epoch {
		d.held, d.since = do.Epoch, 0
		a.tell(pipe.Report{Kind: pipe.Won, Segment: d.segment, Epoch: do.Epoch})
	}
	return a.open(d)
}

// vetoFor is how long a tenure may last behind a gate that the wire keeps shut, before another gateway is
// given the chance: the holder of an older tenure falls silent much sooner, and the daemon answers. A longer term adds to it.
const vetoFor = time.Second

// open lets frames pass, unless the daemon has something against it. It answers false when the tenure is of no
// use: a later one is known, or the wire has spoken against it for long.
func (a *Agent) open(d *door) (useful bool) {
	if d.gate == nil || !d.allowed() {
		return a.keepShut(d)
	}
	d.since = 0
	if !d.gate.Open(d.held, boottime(d.until)) {
		a.shut(d, "a later tenure is known")
		return a.now() >= d.until // or else it was only late, and the node will say so
	}
	if !d.allowed() { // forbidden between the question and the store: see pipe.Board
		return a.keepShut(d)
	}
	if d.epoch != d.held {
		d.epoch = d.held
		a.tell(pipe.Report{Kind: pipe.Opened, Segment: d.segment, Epoch: d.held, At: lease.Instant(a.moved)})
	}
	return true
}

func (d *door) allowed() bool { return d.allow.Load() == uint64(d.held) }

func (a *Agent) keepShut(d *door) (useful bool) {
	a.shut(d, "the segment itself speaks against it")
	now := a.now()
	if d.since == 0 {
		d.since = now
	}
	return now.Sub(d.since) < failover.Patience(vetoFor, a.guard.term)
}

// shut shuts the gate; the tenure goes on.
func (a *Agent) shut(d *door, cause string) {
	if d.gate != nil {
		d.gate.Shut()
	}
	if d.epoch != 0 {
		a.tell(pipe.Report{Kind: pipe.Ended, Segment: d.segment, Epoch: d.epoch, At: a.ended(d), Text: cause})
		d.epoch = 0
	}
}

// over shuts the gate at the end of a tenure.
func (a *Agent) over(d *door, cause string) {
	if d.gate != nil {
		d.gate.Shut()
	}
	if d.held != 0 {
		a.tell(pipe.Report{Kind: pipe.Ended, Segment: d.segment, Epoch: d.held, At: a.ended(d), Text: cause, Yes: true})
	}
	d.held, d.epoch = 0, 0
}

// ended is when the gate of a tenure shut: now, or before by its own clock, when nobody was there to do it.
func (a *Agent) ended(d *door) lease.Instant { return min(a.now(), d.until) }
