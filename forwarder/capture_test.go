package forwarder

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// film is a tap that notes what it is shown. It cannot be compared, as taps may not.
type film struct {
	shown *[]string
	_     []int
}

func (f film) Offer(d Direction, p *drawbridge.Packet) {
	*f.shown = append(*f.shown, fmt.Sprintf("%s %d", [...]string{"in", "out"}[d], binary.BigEndian.Uint32(p.Frame[14:])))
}

func TestTapsSeeBothSidesOfTheGate(t *testing.T) {
	o := newOffice(t)
	var before, after []string
	defer o.a.Capture(film{shown: &before}, true)()
	defer o.a.Capture(film{shown: &after}, false)()
	o.host.say(drawbridge.Broadcast, 1)
	o.guest.say(drawbridge.Broadcast, 2)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 3)
	o.guest.say(drawbridge.Broadcast, 4)
	o.a.gate.Shut()
	o.host.say(drawbridge.Broadcast, 5)
	if want := []string{"in 1", "out 2", "in 3", "out 4", "in 5"}; !slices.Equal(before, want) {
		t.Errorf("before the gate %v, want %v", before, want)
	}
	if want := []string{"in 3", "out 4"}; !slices.Equal(after, want) {
		t.Errorf("after the gate %v, want %v", after, want)
	}
}

func TestATapEndsAlone(t *testing.T) {
	f, g := hosts(t, 2)
	at := f.wires[0].ports[0]
	var shown []string
	same := film{shown: &shown}
	first, second := at.Capture(same, false), at.Capture(same, false)
	g[0].say(drawbridge.Broadcast, 1)
	held := *at.after.Load() // by a pump that is showing a batch
	first()
	if len(held) != 2 || held[0] == nil || held[1] == nil || held[0] == held[1] {
		t.Errorf("the list changed under who was using it: %v", held)
	}
	g[0].say(drawbridge.Broadcast, 2)
	first() // does no harm
	g[1].say(drawbridge.Broadcast, 3)
	second()
	g[0].say(drawbridge.Broadcast, 4)
	if want := []string{"in 1", "in 1", "in 2", "out 3"}; !slices.Equal(shown, want) {
		t.Errorf("shown %v, want %v", shown, want)
	}
	if at.after.Load() != nil {
		t.Error("taps are left")
	}
}

// TestTapsSeeFramesAsTheyCame: Send may overwrite a frame, and does so after the tap was shown it.
func TestTapsSeeFramesAsTheyCame(t *testing.T) {
	f, g := pair(t)
	var in, out []string
	defer f.wires[0].ports[0].Capture(film{shown: &in}, false)()
	defer f.wires[1].ports[0].Capture(film{shown: &out}, false)()
	g[0].say(g[1].mac, 7)
	if !slices.Equal(in, []string{"in 7"}) || !slices.Equal(out, []string{"out 7"}) {
		t.Errorf("%v, %v", in, out)
	}
}
