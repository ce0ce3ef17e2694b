package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// preempted has the preferred gateway take the segment over when it has been well for a while.
const preempted = `
[[overlay]]
name = "main"
vni = 1

[[segment]]
name = "office"
overlay = "main"
preferred = %q
preempt = true
hold_down = "5s"
`

// preemptLimit is what a preemption may take: the hold-down, the 10 s after which it is asked for again when it was refused, and the
// minute for which a gateway stands back that left the segment to another one for what was heard on the wire.
const preemptLimit = 100 * time.Second

// helloMissed is for how long threads of no priority may wait for a processor before a gateway misses the hellos of the active
// one (docs/protocol/alone.md, "Timers"): then it says that this one is mute, as long as it counts a third one as heard.
const helloMissed = 35 * time.Millisecond

// TestMovesAmongThreeGateways: a drill goes to the gateway that was named and back, and the preferred gateway takes the
// segment over from whichever has it, though a third one could as well. Nobody else ever opens.
func TestMovesAmongThreeGateways(t *testing.T) {
	f := newField(t, "moves", triple)
	slow := watchProcessors(t, 0, helloMissed)
	f.reach(t, 0)
	f.calm(t)
	for _, to := range []string{"a", "b", "c"} {
		if f.calm(t); to == f.a {
			continue
		}
		f.drillTo(t, to, slow)
	}
	f.calm(t)
	f.from = time.Now()
	preferred := f.c
	_, err := f.api(observer).PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: fmt.Sprintf(preempted, preferred)})
	must(t, err)
	eventually(t, preemptLimit, "the preferred gateway "+preferred+" is active", func() bool { return f.holder() == preferred })
	for _, h := range since(f.j.settled(), f.from) {
		if h.Kind == "gate_open" && h.node != preferred && !f.stalled() && len(slow.Between(f.from, h.Time)) == 0 {
			t.Errorf("another gateway opened: %v", h)
		}
	}
	f.j.alwaysOneHolder(t)
}

// drillTo rehearses with one of the other gateways, which is the only other one that opens.
func (f *field) drillTo(t *testing.T, to string, slow *netlab.Stalls) {
	t.Helper()
	var from string
	eventually(t, wellLimit, to+" could take the segment over", func() bool {
		from = f.holder()
		o, err := f.api(observer).Switchover(within(t, reachLimit), "office", web.SwitchoverRequest{To: to, DryRun: true, By: "test"})
		return from == to || err == nil && o.State == "done"
	})
	if from == to {
		return // by a stall before
	}
	f.from = time.Now()
	o, err := f.api(from).Drill(within(t, reachLimit), "office", web.DrillRequest{To: to, By: "test"})
	must(t, err)
	eventually(t, talkLimit, "the drill with "+to+" is over", func() bool {
		o, err = f.api(from).Operation(within(t, reachLimit), o.ID)
		must(t, err)
		return o.State != "running"
	})
	if why := slow.Between(f.from, time.Now()); len(why) > 0 && o.State != "done" || f.stalled() {
		t.Logf("not the product's: %s, and %v", o.Outcome, why)
		return
	}
	if o.Drill == nil || o.State != "done" {
		t.Fatalf("the drill with %s: %+v", to, o)
	}
	for i, want := range [][2]string{{from, to}, {to, from}} {
		if i >= len(o.Drill.Legs) || o.Drill.Legs[i].From != want[0] || o.Drill.Legs[i].To != want[1] {
			t.Errorf("the drill with %s went %+v", to, o.Drill.Legs)
			break
		}
	}
	if f.holder() != from {
		t.Errorf("after the drill with %s, %s is active and not %s", to, f.holder(), from)
	}
	for _, h := range since(f.j.settled(), f.from) {
		if h.Kind == "gate_open" && h.node != to && h.node != from {
			t.Errorf("a gateway opened that had no part in the drill: %v", h)
		}
	}
	t.Logf("drill with %s: %s", to, o.Drill.Outcome)
}
