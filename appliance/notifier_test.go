package appliance

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestNoChangeIsMissed that comes while the one before it is told: whoever watches has looked by then, perhaps.
func TestNoChangeIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var source notifier
		ctx, stop := context.WithCancel(t.Context())
		told := 0
		go passOn(ctx, source.watch, func() {
			if told++; told == 1 {
				source.tell()
			}
		})
		synctest.Wait()
		source.tell()
		synctest.Wait()
		if told != 2 {
			t.Errorf("told %d times of 2 changes", told)
		}
		stop()
	})
}
