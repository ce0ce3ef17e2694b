package handover

import (
	"slices"
	"testing"
	"time"
)

// TestTheMarkerIsEnough: only the taker knows its number, and it sends it when its gate is open. The word of that may be on its way.
func TestTheMarkerIsEnough(t *testing.T) {
	for name, yielded := range map[string]bool{"the lease is given": true, "the answer of the agent is on its way": false} {
		g := Giver{Term: 40 * time.Millisecond}
		g.Begin(0)
		g.Tick(Watch)
		g.Ready(Watch)
		g.Held(Watch)
		if yielded {
			g.Yielded(Watch, true)
		}
		if do := g.Marked(Watch + 1); !slices.Equal(do, []Do{DoNarrow}) || g.State != GiverTrailing || g.Result != Moved {
			t.Errorf("%s: the marker: %v, %v, %v", name, do, g.State, g.Result)
		}
		if do := g.Opened(Watch + 2); len(do) > 0 || g.State != GiverTrailing {
			t.Errorf("%s: the word after it: %v, %v", name, do, g.State)
		}
	}
}

// TestAMarkerOutOfTurn: before the lease is given nobody can have opened, whatever comes from the segment.
func TestAMarkerOutOfTurn(t *testing.T) {
	g := Giver{Term: 40 * time.Millisecond}
	g.Begin(0)
	g.Tick(Watch)
	g.Ready(Watch)
	if do := g.Marked(Watch + 1); len(do) > 0 || g.State != GiverHolding {
		t.Errorf("a marker while frames are held and the gate is open: %v, %v", do, g.State)
	}
}
