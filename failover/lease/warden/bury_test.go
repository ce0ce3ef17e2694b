package warden

import (
	"net/netip"
	"os"
	"testing"

	"github.com/drawbridge-net/drawbridge/failover/gate"
)

// TestADeadAgentsGateIsDatedByItsClock: the gate had run out when something else shut it, and only then the agent's end was noticed.
func TestADeadAgentsGateIsDatedByItsClock(t *testing.T) {
	var told []Change
	w, err := New(Config{Self: 1, Listen: netip.MustParseAddrPort("127.0.0.1:0"), Tell: func(c Change) { told = append(told, c) }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	g, err := gate.NewSoft()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	hung, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	w.doors[7] = &door{segment: 7, gate: g, memory: -1, held: 5, open: 5}
	deadline := gate.Now() + 1e6
	g.Open(5, deadline)
	for gate.Now() < deadline { // only the clock moves
	}
	w.Veto(7)
	w.bury(&life{pipe: hung})
	if len(told) != 1 || told[0].Epoch != 5 || told[0].At != deadline {
		t.Errorf("told %+v, want the end at %d", told, deadline)
	}
}
