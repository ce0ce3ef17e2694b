// Package failover decides who may touch a segment. Its Gate is the one door between a segment port and the
// overlay: shut by default, open only while a lease lasts, and shut by the clock when nobody renews.
package failover

import (
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Boottime is a reading of CLOCK_BOOTTIME in nanoseconds. Leases are counted on it because it goes on during
// suspend and no administrator or time server can set it (docs/protocol/lease.md, "Clock").
type Boottime int64

// Add moves b by d.
func (b Boottime) Add(d time.Duration) Boottime { return b + Boottime(d) }

// Sub is the time from o to b.
func (b Boottime) Sub(o Boottime) time.Duration { return time.Duration(b - o) }

// Forever is the deadline of a gate that an operator opened by hand: 146 years, half of what the clock can hold.
const Forever = Boottime(1 << 62)

// Cell is the memory of a gate. The kernel programs of package gate map the same bytes and compare Until with
// their own clock for every frame, so shutting is one store and needs no system call.
//
//	 0  until     CLOCK_BOOTTIME ns at which the gate shuts; 0: shut
//	 8  epoch     tenure under which it is open
//	16  fence     highest epoch heard from anyone; an older tenure cannot pass
//	24  passed    frames that the kernel let through
//	32  refused   frames that the kernel stopped
//	40  last      CLOCK_BOOTTIME ns of the last frame let through
//	48  hold      CLOCK_BOOTTIME ns until which frames may be read although the gate is shut; 0: they may not
//	56  since     CLOCK_BOOTTIME ns at which it was opened last; renewals do not move it
type Cell struct {
	Until, Epoch, Fence, Passed, Refused, Last, Hold, Since atomic.Uint64
}

// Gate is the door of one segment port. Any goroutine may use it; only the failover controller opens it.
type Gate struct {
	cell  *Cell
	now   func() Boottime
	ended atomic.Uint64 // when Shut of this process found it open or past its deadline last: that moment or the deadline
}

// NewGate returns a gate over cell, shut whatever the cell held before. A nil cell is given ordinary memory:
// a soft gate, which only this process obeys.
func NewGate(cell *Cell, now func() Boottime) *Gate {
	if cell == nil {
		cell = new(Cell)
	}
	g := &Gate{cell: cell, now: now}
	g.Shut()
	g.Hold(0)
	return g
}

// Permit reports whether frames may cross to or from the segment now, and under which epoch. It is asked once a
// batch on the data path, never blocks and allocates nothing. It answers no once the lease has run out or a
// higher epoch has been heard, even if the controller is stuck: doubt shuts the gate.
func (g *Gate) Permit() (drawbridge.Epoch, bool) {
	until := g.cell.Until.Load()
	if until == 0 || g.now() >= Boottime(until) {
		return 0, false
	}
	epoch := g.cell.Epoch.Load()
	return drawbridge.Epoch(epoch), epoch >= g.cell.Fence.Load()
}

// Open lets frames pass under epoch until the given time, or renews that. It refuses, and stays shut, when a
// higher epoch has been heard or the time has passed.
func (g *Gate) Open(epoch drawbridge.Epoch, until Boottime) bool {
	now := g.now()
	if until <= now || uint64(epoch) < g.cell.Fence.Load() {
		g.Shut()
		return false
	}
	if g.cell.Epoch.Load() != uint64(epoch) {
		g.cell.Until.Store(0) // shut while epoch and deadline disagree
		g.cell.Epoch.Store(uint64(epoch))
	}
	if now >= g.Deadline() {
		g.cell.Since.Store(uint64(now))
	}
	g.cell.Until.Store(uint64(until))
	return true
}

// Shut stops all frames from this moment on. What had passed the check before may still be on its way out:
// whoever promises that nothing more will come waits a grace period after Shut (docs/protocol/lease.md).
func (g *Gate) Shut() {
	if until := g.cell.Until.Swap(0); until != 0 {
		g.ended.Store(uint64(min(g.now(), Boottime(until))))
	}
}

// Ended is when the gate shut: at its deadline, or when this process shut it before that; now, if it is open or another process shut it.
func (g *Gate) Ended() Boottime {
	now := g.now()
	if deadline := g.Deadline(); deadline != 0 {
		return min(now, deadline)
	}
	if ended := Boottime(g.ended.Load()); ended > g.Since() {
		return ended
	}
	return now
}

// Deadline is when the gate shuts by the clock, or has shut; 0: it was shut before that.
func (g *Gate) Deadline() Boottime { return Boottime(g.cell.Until.Load()) }

// Since is when the gate was opened last. Asked after Permit has let a frame pass, it tells whether the frame came to an open gate.
func (g *Gate) Since() Boottime { return Boottime(g.cell.Since.Load()) }

// Now reads the clock that the gate goes by.
func (g *Gate) Now() Boottime { return g.now() }

// Hold lets frames be read from the segment until the given time although the gate is shut, for a handover to keep
// them in memory; 0: no longer. Whether they may go on is still for Permit to say, and nothing is written.
func (g *Gate) Hold(until Boottime) { g.cell.Hold.Store(uint64(until)) }

// Fence records that epoch was heard from somebody else. A gate that is open under an older one is shut by it.
func (g *Gate) Fence(epoch drawbridge.Epoch) {
	for {
		old := g.cell.Fence.Load()
		if uint64(epoch) <= old || g.cell.Fence.CompareAndSwap(old, uint64(epoch)) {
			return
		}
	}
}

// GateState is what an operator sees of a gate.
type GateState struct {
	Open            bool
	Epoch           drawbridge.Epoch
	Left            time.Duration // until the deadline; 0 when shut
	Fence           drawbridge.Epoch
	Passed, Refused uint64 // frames counted by the kernel programs; 0 on a soft gate
}

// State reads the gate for display.
func (g *Gate) State() GateState {
	epoch, open := g.Permit()
	s := GateState{Open: open, Epoch: epoch, Fence: drawbridge.Epoch(g.cell.Fence.Load()), Passed: g.cell.Passed.Load(), Refused: g.cell.Refused.Load()}
	if open {
		s.Left = Boottime(g.cell.Until.Load()).Sub(g.now())
	}
	return s
}
