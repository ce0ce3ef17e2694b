package e2e

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/web"
)

// fewFaults is how many happen where nobody asks for more: DRAWBRIDGE_E2E_FAULTS=200, and DRAWBRIDGE_E2E_SEED for others.
const fewFaults = 20

func fromEnvironment(key string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(key)); err == nil {
		return n
	}
	return otherwise
}

// mishap is something that happens to a node, or between two, and that can be undone.
type mishap struct {
	name         string
	strike, mend func(f *field, who, whom string)
}

// mishapsOfHosts and mishapsOfLines may happen at once, one of each.
var (
	mishapsOfHosts = []mishap{
		{"machine dies", func(f *field, who, _ string) { f.powerOff(who) }, func(f *field, who, _ string) { f.start(who) }},
		{"daemon is killed", func(f *field, who, _ string) { f.kill(who) }, func(f *field, who, _ string) { f.start(who) }},
		{"agent is killed", func(f *field, who, _ string) { f.signalAgent(who, os.Kill) }, func(*field, string, string) {}},
		{"daemon is frozen", func(f *field, who, _ string) { f.freeze(who) }, func(f *field, who, _ string) { f.thaw(who) }},
		{"machine is frozen", func(f *field, who, _ string) { f.freezeWhole(who) }, func(f *field, who, _ string) { f.thawWhole(who) }},
		{"segment is moved", (*field).move, func(*field, string, string) {}},
		{"gates are forced open", func(f *field, _, _ string) {
			eventually(f.t, talkLimit, "a gateway has the segment", f.held)
			f.do(lab.Force(f.t.Context(), f.Name, []string{"a", "b"}, 300*time.Millisecond))
		}, func(*field, string, string) {}},
	}
	mishapsOfLines = []mishap{
		{"cable to the segment is pulled", func(f *field, who, _ string) { f.cut(who, "office") }, func(f *field, who, _ string) { f.heal(who, "office") }},
		{"line is cut", func(f *field, who, whom string) { f.cut(who, whom) }, func(f *field, who, whom string) { f.heal(who, whom) }},
		{"line carries one way", func(f *field, who, whom string) { f.mute(who, whom) }, func(f *field, who, whom string) { f.unmute(who, whom) }},
		{"line carries the other way", func(f *field, who, whom string) { f.mute(whom, who) }, func(f *field, who, whom string) { f.unmute(whom, who) }},
		{"VLAN splits", func(f *field, _, _ string) { f.split(true) }, func(f *field, _, _ string) { f.split(false) }},
	}
)

// move asks for a planned move of the segment, which may be refused.
func (f *field) move(string, string) {
	_, err := f.api(observer).Switchover(within(f.t, reachLimit), "office", web.SwitchoverRequest{By: "test"})
	if err != nil {
		f.t.Logf("not moved: %v", err)
	}
}

// held reports whether a gateway has the segment: while nobody has, two gates that are forced open both carry what is flooded,
// since neither knows of the other's tenure, and that is no news. The observer may be cut off and know less, and a gate that was
// forced open a moment ago is shown as open; the journal tells of gates that a lease moved.
func (f *field) held() bool {
	open := map[string]bool{}
	for _, h := range f.j.now() {
		switch h.Kind {
		case "gate_open", "gate_shut":
			open[h.node] = h.Kind == "gate_open"
		}
	}
	for _, name := range []string{"a", "b"} {
		if !open[name] {
			continue
		}
		segments, err := f.api(name).Segments(within(f.t, reachLimit))
		if err != nil {
			continue // it is just starting
		}
		for _, s := range segments {
			if slices.ContainsFunc(s.Gateways, func(g web.Gateway) bool { return g.Peer == name && g.Gate == web.GateOpen }) {
				return true
			}
		}
	}
	return false
}

// TestMixedFaults lets faults happen in a row, some two at once, some long and some short. No broadcast is doubled or comes
// back, and the journals of all nodes never show two holders at one instant.
func TestMixedFaults(t *testing.T) {
	n, seed := fromEnvironment("DRAWBRIDGE_E2E_FAULTS", fewFaults), fromEnvironment("DRAWBRIDGE_E2E_SEED", 1)
	dice := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // it is to be the same again
	f := newField(t, "mixed", pairAndWitness)
	f.reach(t, 0)
	f.twoSwitches()
	f.calm(t)
	f.from = time.Now()
	count := f.count(t)
	for i := 0; i < n; {
		i += f.mishap(dice, i)
		eventually(t, talkLimit, "somebody is active", func() bool { return f.holder() != "" })
	}
	came := count()
	f.calm(t)
	f.reach(t, 0)
	t.Logf("%d faults, %d broadcasts", n, came.Sent)
	if !came.Single() {
		t.Errorf("doubled or looped: %+v", came)
	}
	f.j.alwaysOneHolder(t)
	if t.Failed() {
		t.Log(f.told())
	}
}

// mishap lets one or two faults happen, and answers how many.
func (f *field) mishap(dice *rand.Rand, number int) (happened int) {
	f.t.Helper()
	gateways, others := []string{"a", "b"}, []string{"w", "x"}
	who := gateways[dice.IntN(2)]
	whom := append([]string{"a", "b"}, others...)[dice.IntN(4)]
	if whom == who {
		whom = "w"
	}
	first, second := mishapsOfHosts[dice.IntN(len(mishapsOfHosts))], mishapsOfLines[dice.IntN(len(mishapsOfLines))]
	all := []mishap{first, second}
	switch dice.IntN(3) {
	case 0:
		all = all[:1]
	case 1:
		all = all[1:]
	}
	lasts := time.Duration(50+dice.IntN(700)) * time.Millisecond
	for i, m := range all {
		f.t.Logf("%s %d: %s (%s, %s)", time.Now().Format("15:04:05.000"), number+i+1, m.name, who, whom)
		m.strike(f, who, whom)
	}
	<-time.After(lasts)
	for _, m := range all {
		m.mend(f, who, whom)
	}
	return len(all)
}
