package engine

import (
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// TestClaims: a new gateway's own frame counts before its record, and never against a record that knows as much.
func TestClaims(t *testing.T) {
	var c Claims
	newest := func(active drawbridge.PeerID, epoch drawbridge.Epoch, want Gateway) {
		t.Helper()
		if got := c.Newest(1, lan, Gateway{active, epoch}); got != want {
			t.Errorf("records tell of %d since %d: %+v, want %+v", active, epoch, got, want)
		}
	}
	newest(0, 0, Gateway{})
	newest(2, 5, Gateway{2, 5})
	c.Heard(1, lan, Gateway{3, 5}) // a conflict: the record was first
	c.Heard(9, lan, Gateway{3, 8})
	c.Heard(1, lan+1, Gateway{3, 8})
	newest(2, 5, Gateway{2, 5})
	c.Heard(1, lan, Gateway{3, 7})
	c.Heard(1, lan, Gateway{2, 6})
	newest(2, 5, Gateway{3, 7})
	newest(0, 0, Gateway{3, 7}) // the one before has gone, and the new one's record is on its way
	newest(3, 7, Gateway{3, 7})
	newest(0, 0, Gateway{}) // it has shut its gate
	newest(2, 5, Gateway{2, 5})
	c.Heard(1, lan, Gateway{3, 7}) // late
	newest(0, 0, Gateway{})
	newest(2, 8, Gateway{2, 8})
}
