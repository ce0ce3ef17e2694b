package handover

import (
	"math/rand/v2"
	"testing"
)

// TestLeavingAlwaysEnds kills the gateway, fails moves and takes back the decision at random: with the flag set it holds
// nothing after a bounded number of steps, and does not take anything again; without it, it takes part.
func TestLeavingAlwaysEnds(t *testing.T) {
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var l Leaving
		flag, holding, moving := false, true, false
		for step := range 200 {
			candidate, move := l.Step(flag, holding)
			if move && moving {
				t.Fatalf("seed %d step %d: two moves at once", seed, step)
			}
			moving = moving || move
			if !candidate {
				holding = false // the lease is let go
				if moving {
					t.Fatalf("seed %d step %d: let go in the middle of a move", seed, step)
				}
			}
			if !flag && !candidate {
				t.Fatalf("seed %d step %d: no candidate without maintenance", seed, step)
			}
			switch what := r.IntN(8); {
			case step > 100: // nothing happens any more but that moves end
				flag = true
				if moving {
					moving = false
					holding = holding && r.IntN(2) == 0
					l.Moved(!holding)
				}
			case what == 0:
				flag = !flag
			case what == 1: // SIGKILL: the lease lapses, the flag stays
				l, holding, moving = Leaving{}, false, false
			case what == 2 && candidate && !flag:
				holding = true
			case what <= 4 && moving:
				moving = false
				ok := r.IntN(2) == 0
				holding = holding && !ok
				l.Moved(ok)
			}
		}
		if candidate, _ := l.Step(true, holding); candidate || holding {
			t.Fatalf("seed %d: still a candidate (%v) or holding (%v)", seed, candidate, holding)
		}
	}
}
