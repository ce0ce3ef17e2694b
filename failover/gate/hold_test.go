package gate

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover"
)

// TestAHoldLetsFramesBeReadAndNothingElse: what a handover keeps in memory has passed neither the gate in user space nor
// that of the egress.
func TestAHoldLetsFramesBeReadAndNothingElse(t *testing.T) {
	k := load(t)
	k.Hold(Now().Add(time.Hour))
	if capturedBytes(t, k) == captureDrop {
		t.Error("nothing is read during a hold")
	}
	if _, open := k.Permit(); open || verdict(t, k, Mark) == pass {
		t.Error("a hold opens the gate")
	}
	before := k.State().Refused
	capturedBytes(t, k)
	if k.State().Refused != before {
		t.Error("what is read is counted as refused")
	}
	until := Now().Add(20 * time.Millisecond)
	k.Hold(until)
	for Now() < until { // nobody ends it: only the clock moves
	}
	check(t, k, "past the hold", false)
	k.Hold(0)
	k.Open(1, failover.Forever)
	check(t, k, "opened after a hold", true)
}
