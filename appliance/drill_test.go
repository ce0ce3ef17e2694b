package appliance

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/web"
)

func TestADrillForgivesTheGapOfTheKernel(t *testing.T) {
	leg := func(buffered bool, lost ...uint32) []web.DrillLeg {
		missing := map[uint32]bool{}
		for _, i := range lost {
			missing[i] = true
		}
		var came []handover.Crossing
		for i := uint32(1); i <= 100; i++ {
			if !missing[i] {
				came = append(came, handover.Crossing{Number: i, At: time.Duration(i) * probeEvery})
			}
		}
		return []web.DrillLeg{{Handover: &web.HandoverResult{Buffered: buffered}, Probes: []web.DrillProbe{judge("to-segment", 100, false, came)}}}
	}
	doubled := leg(false)
	doubled[0].Probes[0].Duplicated = 1
	unmoved := leg(false, 50)
	unmoved[0].Handover = nil
	for _, c := range []struct {
		name string
		legs []web.DrillLeg
		ok   bool
	}{
		{"nothing is lost", leg(true), true},
		{"a frame is lost that should have been kept", leg(true, 50), false},
		{"a gap of the kernel", leg(false, 50, 51, 52), true},
		{"its longest gap", leg(false, 50, 51, 52, 53), true},
		{"a longer gap", leg(false, 50, 51, 52, 53, 54), false},
		{"a second gap", leg(false, 50, 51, 60), false},
		{"the last ones", leg(false, 99, 100), true},
		{"doubled by the kernel", doubled, false},
		{"lost, and nothing was moved", unmoved, false},
		{"one leg of two", append(leg(false, 50), leg(true, 50)...), false},
	} {
		if ok, outcome := judgeDrill(c.legs, 4); ok != c.ok {
			t.Errorf("%s: %v, want %v: %s", c.name, ok, c.ok, outcome)
		}
	}
}

// Two gateways begin to send at different moments, and each captures the frames of the other.
func TestNumbersOfTwoGatewaysAreTwoFrames(t *testing.T) {
	giver, taker := []handover.Crossing{}, []handover.Crossing{}
	for i := uint32(1); i <= 50; i++ {
		giver = append(giver, handover.Crossing{Number: i, At: time.Duration(i) * probeEvery})
		taker = append(taker, handover.Crossing{Number: i + 48, At: time.Duration(i+50) * probeEvery})
	}
	if v := judge("from-segment", 98, true, giver, taker); v.Duplicated+v.Reordered+v.Lost != 0 {
		t.Errorf("%+v, though each frame came once", v)
	}
	if v := judge("from-segment", 98, false, giver, taker); v.Duplicated != 2 {
		t.Errorf("%+v, want two frames doubled that one of two gateways should have kept back", v)
	}
	if v := judge("from-segment", 98, true, append(giver, giver[9]), taker); v.Duplicated != 1 {
		t.Errorf("%+v, want one frame doubled that one gateway captured twice", v)
	}
}
