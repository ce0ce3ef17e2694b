package failover

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// clock is a hand-moved CLOCK_BOOTTIME.
type clock Boottime

func (c *clock) now() Boottime { return Boottime(*c) }

func TestAGateIsShutUntilItIsOpened(t *testing.T) {
	c := clock(1000)
	cell := new(Cell)
	cell.Until.Store(uint64(Forever)) // memory left behind by somebody else
	g := NewGate(cell, c.now)
	if _, ok := g.Permit(); ok {
		t.Fatal("a new gate let frames pass")
	}
}

func TestAGateShutsByItselfAtTheDeadline(t *testing.T) {
	c := clock(1000)
	g := NewGate(nil, c.now)
	if !g.Open(drawbridge.MakeEpoch(1, 1), 2000) {
		t.Fatal("a fresh lease was refused")
	}
	for c = 1000; c < 2000; c += 100 {
		if e, ok := g.Permit(); !ok || e != drawbridge.MakeEpoch(1, 1) {
			t.Fatalf("at %d: got %v, %v within the lease", c, e, ok)
		}
	}
	for _, c = range []clock{2000, 2001, clock(Forever)} {
		if _, ok := g.Permit(); ok {
			t.Fatalf("at %d: open past the deadline", c)
		}
	}
}

func TestALeaseThatIsAlreadyOverOpensNothing(t *testing.T) {
	c := clock(5000)
	g := NewGate(nil, c.now)
	g.Open(1, 9000)
	if g.Open(1, 5000) {
		t.Fatal("opened for no time at all")
	}
	if _, ok := g.Permit(); ok {
		t.Fatal("a renewal that came too late left the gate open")
	}
}

func TestAHigherEpochHeardShutsTheGate(t *testing.T) {
	c := clock(0)
	g := NewGate(nil, c.now)
	g.Open(drawbridge.MakeEpoch(1, 5), Forever)
	g.Fence(drawbridge.MakeEpoch(1, 4))
	g.Fence(drawbridge.MakeEpoch(1, 5))
	if _, ok := g.Permit(); !ok {
		t.Fatal("an older or equal epoch shut the gate")
	}
	g.Fence(drawbridge.MakeEpoch(1, 6))
	if _, ok := g.Permit(); ok {
		t.Fatal("frames passed under a superseded epoch")
	}
	if g.Open(drawbridge.MakeEpoch(1, 5), Forever) {
		t.Fatal("a superseded epoch opened the gate again")
	}
	if !g.Open(drawbridge.MakeEpoch(1, 7), Forever) {
		t.Fatal("a newer epoch was refused")
	}
	g.Fence(drawbridge.MakeEpoch(1, 3))
	if _, ok := g.Permit(); !ok {
		t.Fatal("the fence went backwards")
	}
}

// TestAGateTellsSinceWhenItIsOpen: renewals do not move it, and each new opening does, whether the gate was shut, ran out or is another tenure's.
func TestAGateTellsSinceWhenItIsOpen(t *testing.T) {
	c := clock(1000)
	g := NewGate(nil, c.now)
	for _, step := range []struct {
		at          clock
		epoch       drawbridge.Epoch
		until, want Boottime
		shut        bool
	}{
		{at: 1000, epoch: 3, until: 2000, want: 1000},
		{at: 1999, epoch: 3, until: 3000, want: 1000},
		{at: 3000, epoch: 3, until: 4000, want: 3000},
		{at: 3100, epoch: 3, until: 4000, want: 3100, shut: true},
		{at: 3200, epoch: 4, until: 4000, want: 3200},
		{at: 3300, epoch: 4, until: 3300, want: 3200}, // refused
	} {
		c = step.at
		if step.shut {
			g.Shut()
		}
		g.Open(step.epoch, step.until)
		if g.Since() != step.want {
			t.Errorf("opened at %d under %v: since %d, want %d", step.at, step.epoch, g.Since(), step.want)
		}
	}
}

// TestAGateTellsWhenItShut, also to whoever asks after it was shut once more, and not of a former opening.
func TestAGateTellsWhenItShut(t *testing.T) {
	c := clock(1000)
	cell := new(Cell)
	g := NewGate(cell, c.now)
	other := &Gate{cell: cell, now: c.now} // of the process that keeps the lease
	for _, step := range []struct {
		what string
		at   clock
		do   func()
		want Boottime
	}{
		{"open", 1000, func() { other.Open(1, 2000) }, 1000},
		{"still open", 1500, func() {}, 1500},
		{"past its deadline", 2500, func() {}, 2000},
		{"and shut then", 2600, g.Shut, 2000},
		{"twice", 2700, g.Shut, 2000},
		{"open again", 3000, func() { other.Open(2, 4000) }, 3000},
		{"shut before its deadline", 3100, g.Shut, 3100},
		{"some time ago", 3900, g.Shut, 3100},
		{"open once more", 5000, func() { other.Open(3, 6000) }, 5000},
		{"shut by the other process, nobody knows when", 5500, other.Shut, 5500},
		{"the same", 5600, g.Shut, 5600},
	} {
		c = step.at
		if step.do(); g.Ended() != step.want {
			t.Errorf("%s: shut at %d, want %d", step.what, g.Ended(), step.want)
		}
	}
}

func TestGateStateTellsWhatIsLeft(t *testing.T) {
	c := clock(1000)
	g := NewGate(nil, c.now)
	g.Open(3, Boottime(1000).Add(40*time.Millisecond))
	if s := g.State(); !s.Open || s.Epoch != 3 || s.Left != 40*time.Millisecond {
		t.Fatalf("got %+v", s)
	}
	g.Shut()
	if s := g.State(); s.Open || s.Left != 0 {
		t.Fatalf("got %+v after Shut", s)
	}
}

func TestPermitAllocatesNothing(t *testing.T) {
	c := clock(0)
	g := NewGate(nil, c.now)
	g.Open(1, Forever)
	if n := testing.AllocsPerRun(100, func() { g.Permit() }); n != 0 {
		t.Fatalf("Permit allocates %v times", n)
	}
}

func BenchmarkPermit(b *testing.B) {
	c := clock(0)
	g := NewGate(nil, c.now)
	g.Open(1, Forever)
	for b.Loop() {
		g.Permit()
	}
}
