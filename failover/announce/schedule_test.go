package announce

import (
	"testing"
	"time"
)

// TestEveryStationIsAnnouncedInEachRound runs schedules of several lengths and looks at order, pace and end.
func TestEveryStationIsAnnouncedInEachRound(t *testing.T) {
	for _, n := range []int{1, Burst, Burst + 1, 1000, 9000} {
		var s Schedule
		start := 7 * time.Second
		s.Begin(start, n)
		now, sent, expect := start, 0, 0
		for steps := 0; ; steps++ {
			first, last := s.Due(now)
			if last > first && first != expect {
				t.Fatalf("%d stations: %d to %d after %d", n, first, last, expect)
			}
			sent += last - first
			if last > first {
				if expect = last; expect == n {
					expect = 0
				}
			}
			if allowed := Burst + float64(now-start)/float64(time.Second)*Pace + 1; float64(sent) > allowed {
				t.Fatalf("%d stations: %d sent after %v", n, sent, now-start)
			}
			at, ok := s.Wake(now)
			if !ok {
				break
			}
			if at < now || steps > 100000 {
				t.Fatalf("%d stations: wake at %v, now %v", n, at, now)
			}
			now = max(at, now+time.Microsecond)
		}
		if sent != Rounds*n || now-start < rounds[Rounds-1] {
			t.Errorf("%d stations: %d announcements in %v", n, sent, now-start)
		}
	}
}

func TestNothingIsAnnouncedOfNothing(t *testing.T) {
	var s Schedule
	s.Begin(0, 0)
	if _, ok := s.Wake(0); ok {
		t.Error("wakes for no stations")
	}
	if a, b := s.Due(time.Hour); a != b {
		t.Error("announces nobody")
	}
}

// TestLateCallerMakesNoStorm: a host that stood still catches up with a burst, whatever time has gone by, and no list is
// longer than Most.
func TestLateCallerMakesNoStorm(t *testing.T) {
	var s Schedule
	s.Begin(time.Hour, 2*Most)
	all := 0
	for now := time.Hour; ; now += time.Minute {
		from, to := s.Due(now)
		if to-from > Burst {
			t.Fatalf("%d at once", to-from)
		}
		if all += to - from; all > Rounds*Most {
			t.Fatalf("%d stations were announced", all)
		}
		if _, ok := s.Wake(now); !ok {
			break
		}
	}
	if all != Rounds*Most {
		t.Errorf("%d stations were announced, want %d", all, Rounds*Most)
	}
}
