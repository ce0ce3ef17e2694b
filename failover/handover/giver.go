package handover

import "time"

// GiverState is where the giver stands.
type GiverState uint8

// States of the giver, in their order.
const (
	GiverIdle GiverState = iota
	GiverWatching
	GiverPreparing
	GiverHolding
	GiverYielding
	GiverShut
	GiverDraining
	GiverTrailing
	GiverDone
)

func (s GiverState) String() string {
	return [...]string{"idle", "watching", "preparing", "holding", "yielding", "shut", "draining", "trailing", "done"}[s]
}

// Giver is the part of the gateway that holds the lease. It belongs to one goroutine.
type Giver struct {
	Term time.Duration // of the lease

	State    GiverState
	Result   Result
	Reason   string // why it did not work
	deadline time.Duration
	until    time.Duration // of the hold
}

// Deadline is when Tick is due.
func (g *Giver) Deadline() time.Duration {
	if g.State == GiverIdle || g.State == GiverDone {
		return Never
	}
	return g.deadline
}

// Begin starts the move.
func (g *Giver) Begin(now time.Duration) []Do {
	if g.State != GiverIdle {
		return nil
	}
	return g.to(GiverWatching, now+Watch, DoList)
}

// Ready hears that the taker is ready.
func (g *Giver) Ready(now time.Duration) []Do {
	if g.State != GiverPreparing {
		return nil
	}
	g.until = now + HoldFor
	return g.to(GiverHolding, g.until, DoHold)
}

// Held hears that nothing is on its way past the hold any more.
func (g *Giver) Held(now time.Duration) []Do {
	if g.State != GiverHolding {
		return nil
	}
	if now >= g.until {
		return g.fail("the hold took too long", DoDrop, DoAbort)
	}
	return g.to(GiverYielding, g.until, DoYield)
}

// Yielded hears whether there was a lease to yield.
func (g *Giver) Yielded(now time.Duration, had bool) []Do {
	if g.State != GiverYielding {
		return nil
	}
	if !had {
		return g.fail("the lease was lost before it could be handed over", DoDrop, DoAbort)
	}
	return g.to(GiverShut, now+g.Term+OpenFor, DoShut)
}

// Opened hears that the taker's gate is open.
func (g *Giver) Opened(now time.Duration) []Do {
	if !g.gaveUp() {
		return nil
	}
	g.Result = Moved
	return g.to(GiverDraining, now+MarkerFor)
}

// gaveUp reports whether the taker may have the lease, of whose gate nothing has been heard. The lease may be faster than the answer
// about it.
func (g *Giver) gaveUp() bool { return g.State == GiverShut || g.State == GiverYielding }

// Marked hears that everything the switch sent here before it turned to the taker has been read. Its gate is open, then, whether
// its word for that has come or not.
func (g *Giver) Marked(now time.Duration) []Do {
	if !g.gaveUp() && g.State != GiverDraining {
		return nil
	}
	g.Result = Moved
	return g.to(GiverTrailing, now+TrailFor, DoNarrow)
}

// Refused hears that the taker does not want to, or gives up.
func (g *Giver) Refused(reason string) []Do { return g.broken(reason) }

// Broken hears that the stream ended.
func (g *Giver) Broken(reason string) []Do { return g.broken(reason) }

func (g *Giver) broken(reason string) []Do {
	switch g.State {
	case GiverWatching, GiverPreparing:
		do := g.fail(reason, DoEnd)
		g.Result = Refused
		return do
	case GiverHolding, GiverYielding, GiverShut:
		return g.fail(reason, DoDrop)
	case GiverDraining, GiverTrailing:
		return g.to(GiverDone, Never, DoEnd, DoClose)
	}
	return nil
}

// Tick does what the clock demands.
func (g *Giver) Tick(now time.Duration) []Do {
	if g.State == GiverIdle || g.State == GiverDone || now < g.deadline {
		return nil
	}
	switch g.State {
	case GiverWatching:
		return g.to(GiverPreparing, now+PrepareFor, DoPrepare)
	case GiverPreparing:
		do := g.fail("the other gateway did not answer", DoAbort, DoEnd)
		g.Result = Refused
		return do
	case GiverHolding, GiverYielding:
		return g.fail("the gate did not shut in time", DoDrop, DoAbort)
	case GiverShut:
		return g.fail("the other gateway did not open in time", DoDrop, DoAbort)
	case GiverDraining:
		return g.Marked(now)
	}
	return g.to(GiverDone, Never, DoEnd, DoClose)
}

func (g *Giver) fail(reason string, do ...Do) []Do {
	g.Reason, g.Result = reason, Failed
	return g.to(GiverDone, Never, append(do, DoClose)...)
}

func (g *Giver) to(s GiverState, deadline time.Duration, do ...Do) []Do {
	g.State, g.deadline = s, deadline
	return do
}
