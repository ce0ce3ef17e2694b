package handover

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drawbridge-net/drawbridge"
)

// TestPreemptionIsRareAndPatient lets the preferred gateway flap, the active one change, drills come and go and moves be
// refused, and checks each move against what happened before it: five minutes without one, the whole hold-down well and
// under one tenure, nothing under way.
func TestPreemptionIsRareAndPatient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const step = 250 * time.Millisecond
		v := Preferred{Asked: true, Tenure: 1, HoldDown: time.Duration(rapid.IntRange(0, 60).Draw(t, "hold-down")) * time.Second}
		var p Preemption
		calm, last, moving, happened := 0, time.Duration(-1), false, 0
		for i := range rapid.IntRange(1, 6000).Draw(t, "steps") {
			now := time.Duration(i) * step
			before := v
			switch rapid.IntRange(0, 400).Draw(t, "event") {
			case 0:
				v.Well = !v.Well
			case 1:
				v.Tenure++
			case 2:
				v.Busy = map[string]string{"": "a drill", "a drill": ""}[v.Busy]
			case 3:
				v.Asked = !v.Asked
			case 4:
				v.Well = true
			}
			if calm++; !v.Well || v.Tenure != before.Tenure || !before.Well {
				calm = 0
			}
			if moving && rapid.IntRange(0, 20).Draw(t, "ends") == 0 {
				refused := rapid.Bool().Draw(t, "refused")
				moving = false
				p.Ended(now, refused)
				if refused {
					last = -1
				}
			}
			move, _ := p.Step(now, &v)
			if !move {
				continue
			}
			happened++
			switch {
			case moving:
				t.Fatalf("%v: a second move at once", now)
			case !v.Asked || !v.Well || v.Busy != "":
				t.Fatalf("%v: moved although %+v", now, v)
			case time.Duration(calm)*step < v.HoldDown:
				t.Fatalf("%v: well and undisturbed for %v of %v", now, time.Duration(calm)*step, v.HoldDown)
			case last >= 0 && now-last < PreemptEvery:
				t.Fatalf("%v: the last move was %v ago", now, now-last)
			}
			moving = true
			last = now
		}
	})
}

// askedAt steps until the gateway asks, and answers when.
func askedAt(t *testing.T, p *Preemption, from time.Duration, v *Preferred) time.Duration {
	t.Helper()
	for now := from; now < from+time.Hour; now += time.Second {
		if move, _ := p.Step(now, v); move {
			return now
		}
	}
	t.Fatal("never asks")
	return 0
}

func TestAFlapBeginsTheHoldDownAnew(t *testing.T) {
	v := Preferred{Asked: true, Well: true, Tenure: 7, HoldDown: 30 * time.Second}
	var p Preemption
	for now := time.Duration(0); now < 29*time.Second; now += time.Second {
		if move, _ := p.Step(now, &v); move {
			t.Fatalf("asked after %v", now)
		}
	}
	v.Well = false
	p.Step(29*time.Second, &v)
	v.Well = true
	if at := askedAt(t, &p, 30*time.Second, &v); at != 60*time.Second {
		t.Errorf("asked at %v, want 60s: 30 s after the flap", at)
	}
	if w := p.WellFor(60 * time.Second); w != 30*time.Second {
		t.Errorf("well for %v", w)
	}
}

func TestARefusedMoveIsAskedForAgain(t *testing.T) {
	v := Preferred{Asked: true, Well: true, Tenure: 7, HoldDown: 30 * time.Second}
	var p Preemption
	p.Ended(askedAt(t, &p, 0, &v), true)
	if at := askedAt(t, &p, 31*time.Second, &v); at != 40*time.Second {
		t.Errorf("asked again at %v, want 40s", at)
	}
	p.Ended(40*time.Second, false) // it failed on the way: that counts
	if at := askedAt(t, &p, 41*time.Second, &v); at != 40*time.Second+PreemptEvery {
		t.Errorf("asked again at %v, want five minutes after the move", at)
	}
}

// TestWhatOthersTellCounts: a preferred gateway that was restarted has forgotten when it was last given the segment.
func TestWhatOthersTellCounts(t *testing.T) {
	v := Preferred{Asked: true, Well: true, Tenure: drawbridge.MakeEpoch(2, 1)}
	var p Preemption
	p.Moved(-time.Minute)
	p.Moved(-2 * time.Minute) // older news changes nothing
	if at := askedAt(t, &p, 0, &v); at != 4*time.Minute {
		t.Errorf("asked at %v, want 4m: five minutes after what others tell", at)
	}
}
