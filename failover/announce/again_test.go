package announce

import (
	"math/rand/v2"
	"testing"
	"time"
)

// lists counts how many lists begin while the wire says every so often, for a time, that it has changed, and when the last does.
func lists(a *Again, from, length, every time.Duration) (n int, last time.Duration) {
	for now := from; now < from+length+AgainMax; now += 100 * time.Millisecond {
		if now < from+length && (now-from)%every == 0 {
			a.Ask()
		}
		if a.Due(now) {
			n, last = n+1, now
		}
	}
	return n, last
}

func TestOneChangeIsAnsweredAtOnceAndOnceMore(t *testing.T) {
	var a Again
	a.Ask()
	if !a.Due(time.Hour) || a.Due(time.Hour) {
		t.Fatal("a change is answered at once, and once")
	}
	a.Ask() // the tree goes on saying so
	if at, ok := a.Wake(); !ok || at != time.Hour+AgainMin || a.Due(at-1) || !a.Due(at) {
		t.Errorf("asks again at %v, %v", at, ok)
	}
	if _, ok := a.Wake(); ok {
		t.Error("wakes for nothing")
	}
}

// TestFlappingTreeMakesNoStorm: whatever is said how often, lists are at least AgainMin apart and soon AgainMax.
func TestFlappingTreeMakesNoStorm(t *testing.T) {
	var a Again
	if n, _ := lists(&a, time.Hour, time.Hour, 100*time.Millisecond); n > 66 {
		t.Errorf("%d lists in an hour", n)
	}
	a = Again{}
	if n, last := lists(&a, time.Hour, 36*time.Second, 2*time.Second); n > 5 || last < time.Hour+34*time.Second {
		t.Errorf("%d lists for a tree that changed once, the last after %v", n, last-time.Hour)
	}
}

// TestEveryChangeIsAnswered: after the last change there is a list, soon.
func TestEveryChangeIsAnswered(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var a Again
		now, began, asked := time.Hour, time.Duration(-1), time.Duration(0)
		for range 100 {
			now += time.Duration(random.Int64N(int64(20 * time.Second)))
			if at, ok := a.Wake(); ok && at <= now && a.Due(max(at, asked)) {
				began = max(at, asked)
			}
			a.Ask()
			asked = now
		}
		at, ok := a.Wake()
		if !ok || at > asked+AgainMax {
			t.Fatalf("asked at %v, answered at %v (%v), list before it at %v", asked, at, ok, began)
		}
	}
}

// TestNewTenureAnswersWhatWasAsked: and its own list counts.
func TestNewTenureAnswersWhatWasAsked(t *testing.T) {
	var a Again
	a.Ask()
	a.Began(time.Hour)
	if a.Due(time.Hour + AgainMax) {
		t.Error("announced twice for one change")
	}
	a.Ask()
	if !a.Due(time.Hour + 2*AgainMax) {
		t.Error("a later change is not answered")
	}
}

// TestQuietTimeIsForgiven: what follows a long time without a change is answered as the first one was.
func TestQuietTimeIsForgiven(t *testing.T) {
	var a Again
	lists(&a, time.Hour, time.Hour, 100*time.Millisecond) // until they are AgainMax apart
	later := 10 * time.Hour
	a.Ask()
	if !a.Due(later) {
		t.Fatal("not answered at once")
	}
	a.Ask()
	if at, _ := a.Wake(); at != later+AgainMin {
		t.Errorf("the next list is %v later, want %v", at-later, AgainMin)
	}
}
