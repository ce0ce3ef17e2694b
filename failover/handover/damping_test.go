package handover

import (
	"testing"
	"time"
)

func TestDampingBeginsAndEnds(t *testing.T) {
	var d Damping
	now := time.Duration(0)
	for i := range 3 {
		if damped, _ := d.Damped(now); damped {
			t.Fatalf("damped after %d losses", i)
		}
		d.Lost(now)
		now += 5 * time.Second
	}
	damped, left := d.Damped(now)
	if !damped || left <= 0 {
		t.Fatalf("not damped after three losses in ten seconds: penalty %v", d.Penalty(now))
	}
	if damped, _ := d.Damped(now + left - time.Millisecond); !damped {
		t.Error("ended early")
	}
	if damped, _ := d.Damped(now + left + time.Millisecond); damped {
		t.Error("did not end when it said")
	}
}

func TestRareLossesDoNotDamp(t *testing.T) {
	var d Damping
	for i := range 1000 {
		now := time.Duration(i) * 90 * time.Second
		d.Lost(now)
		if damped, _ := d.Damped(now); damped {
			t.Fatalf("damped by loss %d, one in 90 s: penalty %v", i, d.Penalty(now))
		}
	}
}

func TestDampingIsBounded(t *testing.T) {
	var d Damping
	for range 1000 {
		d.Lost(0)
	}
	if _, left := d.Damped(0); left > 4*time.Minute {
		t.Errorf("damped for %v", left)
	}
}
