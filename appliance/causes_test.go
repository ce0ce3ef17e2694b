package appliance

import (
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// TestWhoFellSilentTogether: what is said of all other voters at once is said of this host.
func TestWhoFellSilentTogether(t *testing.T) {
	const self = drawbridge.PeerID(1)
	for _, c := range []struct {
		name string
		ages []time.Duration // of the others; negative: never answered
		want bool
	}{
		{"this host stood still", []time.Duration{36 * time.Millisecond, 36 * time.Millisecond}, true},
		{"one was away before", []time.Duration{time.Second, 36 * time.Millisecond}, false},
		{"only one other is a voter", []time.Duration{36 * time.Millisecond}, false},
		{"nobody has ever answered", []time.Duration{-1, -1}, false},
		{"nobody else votes", nil, false},
	} {
		voters := []lease.VoterStatus{{Peer: self}}
		for i, age := range c.ages {
			voters = append(voters, lease.VoterStatus{Peer: drawbridge.PeerID(i + 2), Age: age})
		}
		if got := fellSilentTogether(voters, self); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
