package netconfig

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func table(t interface{ Fatal(...any) }, text string) Timetable {
	tt, err := ParseTimetable(text)
	if err != nil {
		t.Fatal(err)
	}
	return tt
}

func TestTimetableSaysWhen(t *testing.T) {
	now := time.Date(2026, 11, 18, 12, 0, 0, 0, time.FixedZone("CET", 3600)) // a Wednesday
	for text, want := range map[string]string{
		"03:00": "2026-11-19T03:00:00Z", "11:30": "2026-11-18T11:30:00Z", "11:00": "2026-11-19T11:00:00Z",
		"Sun 03:00": "2026-11-22T03:00:00Z", "wed 03:00 UTC": "2026-11-25T03:00:00Z", "Mon,Thu 23:59": "2026-11-19T23:59:00Z",
	} {
		if got := table(t, text).Next(now).Format(time.RFC3339); got != want {
			t.Errorf("%s: next is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "Sun", "Sun 25:00", "3", "Sun,Sun 03:00", "Sun Mon 03:00", "Sun 03:00 CET", "every 7d", ", 03:00"} {
		if _, err := ParseTimetable(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestStepsOfTheClockMakeNoSecondDrill lets hours pass while the wall clock is stepped to and fro at random, and peers
// come and go: two are never nearer to each other than half a day of true time, and while the clock goes right there is
// one for each time of the table.
func TestStepsOfTheClockMakeNoSecondDrill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tt := table(t, rapid.SampledFrom([]string{"03:00", "Sun 03:00", "Mon,Tue 00:00"}).Draw(t, "table"))
		wall := time.Date(2026, 11, 18, rapid.IntRange(0, 23).Draw(t, "hour"), 0, 0, 0, time.UTC)
		var now, began time.Duration
		last, done, missed := time.Duration(-1), 0, 0
		next := tt.Next(wall)
		calm := true
		for range rapid.IntRange(1, 3000).Draw(t, "steps") {
			const look = 5 * time.Minute
			now, wall = now+look, wall.Add(look)
			switch rapid.IntRange(0, 200).Draw(t, "event") {
			case 0:
				wall = wall.Add(time.Duration(rapid.IntRange(-200, 200).Draw(t, "step")) * time.Hour)
				calm = false
			case 1:
				wall = wall.Add(time.Duration(rapid.IntRange(-900, 900).Draw(t, "small step")) * time.Second)
				calm = false
			case 2:
				began, calm = now, false
			}
			since := time.Duration(-1)
			if last >= 0 {
				since = now - last
			}
			if tt.Due(wall, now-began, since) {
				if last >= 0 && now-last < apartFor {
					t.Fatalf("two within %v", now-last)
				}
				last = now
				done++
			}
			if calm && !wall.Before(next) {
				missed++
				next = tt.Next(wall)
			}
			if calm && done != missed {
				t.Fatalf("%d done, %d times have come", done, missed)
			}
		}
	})
}

func TestNothingIsCaughtUp(t *testing.T) {
	tt := table(t, "Sun 03:00")
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	if !tt.Due(at, time.Hour, -1) || !tt.Due(at.Add(LateFor-time.Second), time.Hour, -1) {
		t.Error("not due at its time")
	}
	if tt.Due(at.Add(LateFor), time.Hour, -1) {
		t.Error("due ten minutes late")
	}
	if tt.Due(at.Add(time.Minute), 30*time.Second, -1) {
		t.Error("due although its time was before the start: whoever was there then has done it")
	}
	if tt.Due(at.Add(time.Minute), time.Hour, time.Minute) {
		t.Error("due although another gateway has done it")
	}
}

func FuzzParseTimetable(f *testing.F) {
	for _, s := range []string{"03:00", "Sun 03:00", "Mon,Thu 23:59 UTC", "Sun"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		tt, err := ParseTimetable(s)
		if err != nil {
			return
		}
		if next := tt.Next(now); !next.After(now) || next.Sub(now) > 7*24*time.Hour {
			t.Errorf("%q: next is %v", s, next)
		}
	})
}
