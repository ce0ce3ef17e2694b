package appliance

import (
	"testing"
	"time"
)

// TestAnswersAreYoungForThreeRenewals: where leases are renewed less often, voters answer less often, and could take a lease all the same.
func TestAnswersAreYoungForThreeRenewals(t *testing.T) {
	for renew, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond: answersNow, 50 * time.Millisecond: answersNow, 500 * time.Millisecond: 1500 * time.Millisecond,
	} {
		if got := youngAnswer(renew); got != want {
			t.Errorf("renewed every %v: %v, want %v", renew, got, want)
		}
	}
}
