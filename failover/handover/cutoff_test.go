package handover

import (
	"testing"
	"time"
)

func TestGatewayThatReachesNobodyLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		peers, reached int
		answers, want  bool
	}{
		"nobody is reached":                     {4, 0, true, true},
		"one is reached":                        {4, 1, true, false},
		"nobody else could take it":             {4, 0, false, false},
		"there is nobody else":                  {0, 0, false, false},
		"a voter answers of whom nothing known": {0, 0, true, false},
	} {
		var w CutOff
		w.Look(time.Hour, 1, 1, true)
		left := false
		for now := time.Hour; now < time.Hour+2*CutOffAfter; now += 50 * time.Millisecond {
			leave := w.Look(now, c.peers, c.reached, c.answers)
			if leave && now < time.Hour+CutOffAfter {
				t.Errorf("%s: after %v", name, now-time.Hour)
			}
			left = left || leave
		}
		if left != c.want {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestNetworkThatStartsIsNotCutOff(t *testing.T) {
	var w CutOff
	for now := time.Hour; now < time.Hour+time.Minute; now += 50 * time.Millisecond {
		if w.Look(now, 4, 0, true) {
			t.Fatal("left before anybody was ever reached")
		}
	}
}

// TestSlowNetworkIsGivenMoreTime: a gateway that stands still for less than a term finds its peers unreachable, and is reached again.
func TestSlowNetworkIsGivenMoreTime(t *testing.T) {
	for term, want := range map[time.Duration]time.Duration{
		20 * time.Millisecond: CutOffAfter, 40 * time.Millisecond: CutOffAfter, 3 * time.Second: CutOffAfter + 2960*time.Millisecond,
	} {
		w := CutOff{Term: term}
		w.Look(time.Hour, 1, 1, true)
		now := time.Hour + time.Millisecond
		for began := now; !w.Look(now, 4, 0, true) && now < began+time.Minute; {
			now += 10 * time.Millisecond
		}
		if took := now - time.Hour - time.Millisecond; took != want {
			t.Errorf("term %v: left after %v, want %v", term, took, want)
		}
	}
}

// TestShortCutsAreBorne: what ends before CutOffAfter begins anew.
func TestShortCutsAreBorne(t *testing.T) {
	var w CutOff
	for now := time.Hour; now < 2*time.Hour; now += 50 * time.Millisecond {
		reached := 0
		if now%(500*time.Millisecond) == 0 {
			reached = 1
		}
		if w.Look(now, 4, reached, true) {
			t.Fatalf("left after %v", now-time.Hour)
		}
	}
}
