package appliance

import (
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
)

// TestLossOfCarrierBetweenTwoWords: the kernel said both times that there is one.
func TestLossOfCarrierBetweenTwoWords(t *testing.T) {
	var p port
	for n, c := range []struct {
		now        hostnet.Interface
		gone, lost bool
	}{
		{now: hostnet.Interface{Index: 7, Carrier: true, Losses: 3}}, // nothing is known of before
		{now: hostnet.Interface{Index: 7, Carrier: true, Losses: 3, Promiscuous: true}},
		{now: hostnet.Interface{Index: 7, Carrier: true, Losses: 4}, lost: true},
		{now: hostnet.Interface{Index: 7, Carrier: true, Losses: 4, MTU: 1400}},
		{now: hostnet.Interface{Index: 7, Carrier: true, Losses: 4}, gone: true, lost: true},
		{now: hostnet.Interface{Index: 9, Carrier: true, Losses: 4}, lost: true}, // another interface of the name
	} {
		if lost := p.stands(c.now, c.gone); lost != c.lost {
			t.Errorf("word %d: lost is %v", n, lost)
		}
	}
}
