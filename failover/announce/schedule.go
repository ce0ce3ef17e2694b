package announce

import "time"

// Pace is how many announcements a second may follow the first burst: half of what the slowest switches learn.
const Pace = 5000

// rounds are when the list is announced again: a lost frame, and a switch that forgot while its topology changed.
var rounds = [Rounds]time.Duration{0, 100 * time.Millisecond, time.Second}

// Schedule says when which stations of a list are due. The zero value has nothing to announce. It is pure: every call
// takes the time.
type Schedule struct {
	stations int
	round    int // being announced; Rounds: none
	next     int // station of it
	began    time.Duration
	credit   float64
	at       time.Duration // of credit
	running  bool
}

// Begin starts over with a list of so many stations, the most important first.
func (s *Schedule) Begin(now time.Duration, stations int) {
	*s = Schedule{stations: min(stations, Most), began: now, credit: Burst, at: now, running: stations > 0}
}

// Due answers which stations are to be announced now, from first up to but not including last.
func (s *Schedule) Due(now time.Duration) (first, last int) {
	if !s.running || now < s.began+rounds[s.round] {
		return 0, 0
	}
	s.credit = min(s.credit+float64(now-s.at)/float64(time.Second)*Pace, Burst)
	s.at = now
	n := min(int(s.credit), s.stations-s.next)
	first, last = s.next, s.next+n
	s.credit -= float64(n)
	if s.next = last; s.next == s.stations {
		s.next = 0
		if s.round++; s.round == Rounds {
			s.running = false
		}
	}
	return first, last
}

// Wake is when Due has something next; false: never.
func (s *Schedule) Wake(now time.Duration) (at time.Duration, ok bool) {
	if !s.running {
		return 0, false
	}
	soon := now
	if s.credit < 1 {
		soon = s.at + time.Second*Burst/4/Pace
	}
	return max(soon, s.began+rounds[s.round]), true
}
