package appliance

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBootsAreNumberedUpwards also when the clock is set back, and starts from the clock when nothing is known.
func TestBootsAreNumberedUpwards(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1_000_000, 0)
	var last uint32
	for i, at := range []time.Time{now, now, now.Add(-time.Hour), now.Add(time.Hour), now} {
		boot, err := nextBoot(dir, at)
		if err != nil || boot <= last {
			t.Errorf("run %d: number %d after %d, %v", i, boot, last, err)
		}
		last = boot
	}
	if err := os.WriteFile(filepath.Join(dir, bootFile), []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if boot, err := nextBoot(dir, now); err == nil || boot != uint32(now.Unix()) {
		t.Errorf("damaged: %d, %v", boot, err)
	}
}
