package lease

import "testing"

// mutations name, beside the rule, the troubles that provoke what it prevents, and a seed from which the search is short.
var mutations = []struct {
	name       string
	broken     rules
	seed       uint64
	favourites []int
}{
	{"countFromAnswer", rules{countFromAnswer: true}, 30, nil},
	{"skipRestartRule", rules{skipRestartRule: true}, 89, []int{processDies, linkChanges}},
	{"releaseBeforeClose", rules{releaseBeforeClose: true}, 0, []int{yields}},
	{"ignoreDrift", rules{ignoreDrift: true}, 89, []int{clockRate}},
	{"promiseTwice", rules{promiseTwice: true}, 0, nil},
	{"acceptOldGeneration", rules{acceptOldGeneration: true}, 256, []int{reconfigures, raftLags, linkChanges}},
	{"newSetOnly", rules{newSetOnly: true}, 14, []int{reconfigures}},
	{"renewLapsed", rules{renewLapsed: true}, 15, []int{processStops, linkChanges}},
	{"forgetBirth", rules{forgetBirth: true}, 666, []int{processDies, raftLags, linkChanges}},
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
