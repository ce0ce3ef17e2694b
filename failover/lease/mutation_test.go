package lease

import (
	"os"
	"testing"
)

// mutations name, beside the rule, the troubles that provoke what it prevents, and a seed from which the search is short.
var mutations = []struct {
	name       string
	broken     rules
	seed       uint64
	favourites []int
}{
	{"countFromAnswer", rules{countFromAnswer: true}, 30, nil},
	{"skipRestartRule", rules{skipRestartRule: true}, 91, []int{processDies, linkChanges}},
	{"releaseBeforeClose", rules{releaseBeforeClose: true}, 0, []int{yields}},
	{"ignoreDrift", rules{ignoreDrift: true}, 93, []int{clockRate}},
	{"promiseTwice", rules{promiseTwice: true}, 0, nil},
	{"acceptOldGeneration", rules{acceptOldGeneration: true}, 519, []int{reconfigures, raftLags, linkChanges}},
	{"newSetOnly", rules{newSetOnly: true}, 36, []int{reconfigures}},
	{"renewLapsed", rules{renewLapsed: true}, 156, []int{processStops, linkChanges}},
	{"forgetBirth", rules{forgetBirth: true}, 737, []int{processDies, raftLags, linkChanges}},
}

// TestMutations takes one rule away at a time and demands that the simulation then finds a violation: the rule is needed,
// and the simulation would notice its loss.
func TestMutations(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			for seed := m.seed; seed < m.seed+3000; seed++ {
				if w := simulate(seed, m.broken, 200, m.favourites...); w.bad != "" {
					t.Logf("seed %d, %d steps: %s", seed, w.steps, w.bad)
					return
				}
			}
			t.Error("the rule is gone and nothing went wrong")
		})
	}
}

// TestExplorerFindsMutations does the same with the explorer, for the rules that its model can need: it has no drift, no change
// of voters and only one restart.
func TestExplorerFindsMutations(t *testing.T) {
	for _, m := range []struct {
		name             string
		broken           rules
		restarts, yields int
		depth            int
		long             bool
	}{
		{"countFromAnswer", rules{countFromAnswer: true}, 0, 0, 10, false},
		{"releaseBeforeClose", rules{releaseBeforeClose: true}, 0, 1, 8, false},
		{"promiseTwice", rules{promiseTwice: true}, 0, 0, 9, false},
		{"renewLapsed", rules{renewLapsed: true}, 0, 0, 14, true},
		{"skipRestartRule", rules{skipRestartRule: true}, 1, 0, 10, true}, // 180,000 states
	} {
		if m.long && os.Getenv("DRAWBRIDGE_LONG") == "" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			start := steady(m.broken)
			start.restarts, start.yields = m.restarts, m.yields
			states, bad := explore(start, m.depth)
			if bad == nil {
				t.Fatal("the rule is gone and nothing went wrong")
			}
			t.Logf("%d states: %s", states, bad.bad)
		})
	}
}
