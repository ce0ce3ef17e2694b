package netconfig

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Timetable is when something is done by itself: each day, or on one day of the week, at a time of UTC. UTC, because the
// peers of a network are in several zones and none of its days is an hour shorter.
type Timetable struct {
	days []time.Weekday
	at   time.Duration // since midnight
}

// LateFor is how much later than its time something may still begin: nobody was active then. After that the next one counts.
const LateFor = 10 * time.Minute

// apartFor is less than the shortest time between two, and longer than a clock is wrong that is set right: the second of
// two that a step of the wall clock makes of one is not due.
const apartFor = 12 * time.Hour

var weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// ParseTimetable reads "03:00" (each day), "Sun 03:00" or "Mon,Thu 03:00"; " UTC" may follow.
func ParseTimetable(text string) (t Timetable, err error) {
	refused := fmt.Errorf("%q: want a time of UTC, for each day (\"03:00\") or some (\"Sun 03:00\", \"Mon,Thu 03:00\")", text)
	words := strings.Fields(strings.TrimSuffix(text, " UTC"))
	if len(words) == 2 {
		for _, name := range strings.Split(words[0], ",") {
			day := slices.IndexFunc(weekdays, func(w string) bool { return strings.EqualFold(w, name) })
			if day < 0 || slices.Contains(t.days, time.Weekday(day)) {
				return Timetable{}, refused
			}
			t.days = append(t.days, time.Weekday(day))
		}
		words = words[1:]
	}
	if len(words) != 1 {
		return Timetable{}, refused
	}
	clock, err := time.Parse("15:04", words[0])
	if err != nil {
		return Timetable{}, refused
	}
	t.at = clock.Sub(clock.Truncate(24 * time.Hour))
	return t, nil
}

// Next is the first time after now.
func (t Timetable) Next(now time.Time) time.Time {
	for day := 0; ; day++ {
		if at := t.on(now, day); at.After(now) && t.counts(at) {
			return at
		}
	}
}

// last is the newest time that is not after now.
func (t Timetable) last(now time.Time) time.Time {
	for day := 0; ; day-- {
		if at := t.on(now, day); !at.After(now) && t.counts(at) {
			return at
		}
	}
}

func (t Timetable) on(now time.Time, day int) time.Time {
	now = now.UTC()
	return time.Date(now.Year(), now.Month(), now.Day()+day, 0, 0, 0, 0, time.UTC).Add(t.at)
}

func (t Timetable) counts(at time.Time) bool {
	return len(t.days) == 0 || slices.Contains(t.days, at.Weekday())
}

// Due answers whether it is to be done now. Of the wall clock only the present moment counts, and steps of it change
// nothing else: up, for how long this has been looked after, and since, how long ago it was last done by anybody
// (negative: never), are of a clock that does not step.
func (t Timetable) Due(now time.Time, up, since time.Duration) bool {
	late := now.Sub(t.last(now))
	return late < LateFor && late < up && (since < 0 || since >= apartFor)
}
