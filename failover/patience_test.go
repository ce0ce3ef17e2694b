package failover_test

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover"
)

// TestPatienceGrowsWithTheTerm: with timers up to the default every time is what its constant says; above them each is
// longer by as much as the term is.
func TestPatienceGrowsWithTheTerm(t *testing.T) {
	const usual = 600 * time.Millisecond
	for _, c := range []struct{ term, want time.Duration }{
		{0, usual}, // not known yet
		{20 * time.Millisecond, usual},
		{40 * time.Millisecond, usual},
		{250 * time.Millisecond, usual + 210*time.Millisecond},
		{3 * time.Second, usual + 2960*time.Millisecond},
	} {
		if got := failover.Patience(usual, c.term); got != c.want {
			t.Errorf("term %v: %v, want %v", c.term, got, c.want)
		}
	}
}
