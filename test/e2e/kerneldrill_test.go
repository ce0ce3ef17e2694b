package e2e

import (
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
)

// TestADrillInTheKernel rehearses a switchover while the kernel carries the frames: what no gate lets through is lost and forgiven, and
// the report says so.
func TestADrillInTheKernel(t *testing.T) {
	b := up(t, "default")
	must(t, b.EnterKernel(t.Context()))
	b.reach(t, 0)
	active, other := b.gateways(t)
	halt := watchStalls(t)
	eventually(t, reachLimit, "the other gateway is ready", func() bool { return b.ready(t, other) })
	o, err := b.api(active).Drill(within(t, reachLimit), "office", web.DrillRequest{By: "test"})
	must(t, err)
	eventually(t, talkLimit, "the drill is over", func() bool {
		o, err = b.api(active).Operation(within(t, reachLimit), o.ID)
		must(t, err)
		return o.State != web.OperationRunning
	})
	d := o.Drill
	if o.State != web.OperationDone || d == nil || len(d.Legs) != 2 {
		t.Fatalf("the drill ended as %s: %s", o.State, o.Outcome)
	}
	for _, l := range d.Legs {
		t.Logf("%s to %s: %+v", l.From, l.To, l.Probes)
		if l.Handover == nil || l.Handover.Buffered || len(l.Probes) != 2 {
			t.Errorf("%s to %s: the kernel keeps no frames, and two directions are measured: %+v", l.From, l.To, l)
		}
	}
	if why := halt.Between(d.Time, *o.Ended); !d.OK && len(why) > 0 {
		t.Logf("not the product's: %s, and %v", d.Outcome, why)
	} else if !d.OK {
		t.Errorf("the drill failed: %s", d.Outcome)
	}
}
