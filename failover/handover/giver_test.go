package handover

import (
	"slices"
	"testing"
	"time"
)

// TestAMarkerMayComeBeforeTheWord that the taker's gate is open: it is told once, and must not be lost.
func TestAMarkerMayComeBeforeTheWord(t *testing.T) {
	g := Giver{Term: 40 * time.Millisecond}
	g.Begin(0)
	g.Tick(Watch)
	g.Ready(Watch)
	g.Held(Watch)
	g.Yielded(Watch, true)
	if do := g.Marked(Watch + 1); len(do) > 0 || g.State != GiverShut {
		t.Fatalf("a marker before the gate is open: %v, %v", do, g.State)
	}
	if do := g.Opened(Watch + 2); !slices.Equal(do, []Do{DoNarrow}) || g.State != GiverTrailing {
		t.Errorf("open after the marker: %v, %v", do, g.State)
	}
}
