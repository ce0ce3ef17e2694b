package agent

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// TestAnswersWaitOnlyWhileAllIsWell goes through what a holder sees, at the default timers.
func TestAnswersWaitOnlyWhileAllIsWell(t *testing.T) {
	r := lease.Default.Renew
	well := lease.Default.Term - lease.Default.Term/200 - lease.Default.Grace - r // left one renewal after the last one that a majority granted
	for _, c := range []struct {
		name            string
		late            time.Duration
		renewals        bool
		left            time.Duration
		prompt, reading time.Duration
	}{
		{"all is well", 0, true, well, 0, 0},
		{"a little late", r / 10, true, well, 0, 0},
		{"the host is busy", r, true, well, 0, r / 10},
		{"a round was lost", 0, true, well - r, r, 0},
		{"a round was lost on a busy host", r, true, well - r, r, 0},
		{"a lease is to be won", 0, false, well, 2 * r, 0},
	} {
		now := lease.Instant(time.Hour)
		p := pace{timing: lease.Default}
		p.woke(now, c.late)
		p.asked(now, c.renewals, c.left)
		if got := max(0, p.prompt.Sub(now)); got != c.prompt {
			t.Errorf("%s: answers are read at once for %v, want %v", c.name, got, c.prompt)
		}
		if reading := p.due(lease.Never); (reading == lease.Never) != (c.reading == 0) || c.reading != 0 && reading.Sub(now) != c.reading {
			t.Errorf("%s: answers are read at %v, want after %v", c.name, reading, c.reading)
		}
	}
}

// TestSomeRoundsAreReadAtOnce, or nobody would know how long voters take to answer.
func TestSomeRoundsAreReadAtOnce(t *testing.T) {
	p := pace{timing: lease.Default}
	prompt := 0
	for i := range 10 * promptRounds {
		now := lease.Instant(i+1) * lease.Instant(time.Second)
		if p.asked(now, true, lease.Default.Term); p.prompt > now {
			prompt++
		}
	}
	if prompt != 10 {
		t.Errorf("%d of %d rounds", prompt, 10*promptRounds)
	}
}
