package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/web"
)

// votes lists the voters as a node knows them.
func (b *bed) votes(t *testing.T, node string) (names []string) {
	t.Helper()
	v, err := b.api(node).Voters(within(t, reachLimit))
	must(t, err)
	for _, o := range v.Voters {
		names = append(names, o.Name)
	}
	return names
}

// TestPeersLeave removes gateways and voters by themselves: never below what can decide, and the one that is left of all
// voters still has the segment.
func TestPeersLeave(t *testing.T) {
	b := up(t, "default")
	active, passive := b.gateways(t)
	eventually(t, reachLimit, "all vote", func() bool { return len(b.votes(t, active)) == 3 })

	must(t, lab.Kill(b.Name, "w"))
	for _, at := range []string{passive, active} {
		if err := b.api(at).Forget(within(t, reachLimit), passive); err == nil || !strings.Contains(err.Error(), "1 of 2 voters answer") {
			t.Errorf("%s leaves beside a dead voter, asked at %s: %v", passive, at, err)
		}
	}
	must(t, lab.Start(t.Context(), b.Name, "w"))
	eventually(t, reachLimit, "w votes again", func() bool {
		v, err := b.api(active).Voters(within(t, reachLimit))
		return err == nil && v.Spare == 1
	})

	must(t, b.api("w").Forget(within(t, reachLimit), "w"))
	if got := b.votes(t, active); slices.Contains(got, "w") {
		t.Errorf("voters without w: %v", got)
	}
	_, err := b.api(active).Maintain(within(t, reachLimit), active, web.MaintenanceRequest{On: true, By: "test"})
	must(t, err)
	eventually(t, reachLimit, passive+" has the segment", func() bool { return b.active(t, passive) == passive })
	must(t, b.api(active).Forget(within(t, reachLimit), active))
	if got := b.votes(t, passive); !slices.Equal(got, []string{passive}) {
		t.Errorf("voters in the end: %v", got)
	}
	eventually(t, reachLimit, "the last voter has the segment", func() bool { return b.active(t, passive) == passive })
	if err := b.api(passive).Forget(within(t, reachLimit), "z"); err != nil {
		t.Errorf("the last voter removes another: %v", err)
	}
}
