package warden

import (
	"testing"
	"time"
)

// TestAnAgentIsSilentWhileItsSignStandsStill, and is given more time where leases last for longer than by default.
func TestAnAgentIsSilentWhileItsSignStandsStill(t *testing.T) {
	began := time.Now()
	v := vigil{moved: began}
	for _, c := range []struct {
		after, want time.Duration
		sign        uint64
	}{{1, 1, 0}, {2, 0, 1}, {5, 3, 1}, {6, 0, 2}} {
		if got := v.silent(began.Add(c.after), c.sign); got != c.want {
			t.Errorf("after %d: silent for %d, want %d", c.after, got, c.want)
		}
	}
	var l life
	for term, longer := range map[time.Duration]time.Duration{0: 0, 40 * time.Millisecond: 0, 3 * time.Second: 2960 * time.Millisecond} {
		l.term.Store(int64(term))
		if got := l.patience(hungFor); got != hungFor+longer {
			t.Errorf("term %v: killed after %v, want %v", term, got, hungFor+longer)
		}
	}
}
