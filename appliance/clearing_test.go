package appliance

import (
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// Whoever finds a port blocked is told what to take away, and the command that ends it.
func TestABlockedPortSaysWhatToDo(t *testing.T) {
	p := &port{guest: &config.Guest{TAP: "tap0"}}
	reasons := []alone.Reason{
		alone.ForeignNetwork, alone.Reflection, alone.SameWire, alone.GuestOnSegment, alone.GuestOnGuest, alone.TwoSegments, alone.BridgedElsewhere,
	}
	for _, r := range append(reasons, "a_reason_to_come") {
		w := p.blockedProblem(r)
		if !strings.Contains(w.Summary, string(r)) || !strings.HasSuffix(w.Remedy, ", then: drawbridge ports clear tap0") {
			t.Errorf("%s: %+v", r, w)
		}
	}
	if len(verdictWords) != len(reasons) {
		t.Errorf("%d reasons have words, want %d", len(verdictWords), len(reasons))
	}
}
