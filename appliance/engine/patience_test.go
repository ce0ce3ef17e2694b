package engine

import (
	"testing"
	"time"
)

// TestPatience: a way that is out for a moment is no reason to leave the kernel, and one that is out is one not to enter it.
func TestPatience(t *testing.T) {
	var p Patience
	at := func(s float64, why string, carried bool, want string) {
		t.Helper()
		var blocked []Blocked
		if why != "" {
			blocked = []Blocked{{1, why}}
		}
		if got := (Standing{Blocked: p.Lasting(blocked, carried, time.Unix(1000, int64(s*1e9)))}).blocks(1); got != want {
			t.Errorf("after %.1f s: %q, want %q", s, got, want)
		}
	}
	at(0, "blocked", false, "blocked")
	at(10, "", true, "")
	at(20, "blocked", true, "")
	at(22.9, "translated", true, "")
	at(22.95, "", true, "")
	at(23, "blocked", true, "")
	at(25.9, "blocked", true, "")
	at(26, "blocked", true, "blocked")
	at(26.1, "", true, "")
	at(26.2, "blocked", true, "")
}
