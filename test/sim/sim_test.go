package sim

import (
	"strings"
	"testing"
)

// calm is a network with a host, two guests' peers and all gateways up, long after it was switched on.
func calm(t *testing.T, seed uint64, p Plan) *world {
	t.Helper()
	p.Gateways, p.Guests, p.Segments = max(p.Gateways, 2), max(p.Guests, 2), max(p.Segments, 1)
	p.Drift, p.Pace = 4990, ms
	w := newWorld(seed, p)
	w.verbose = true
	w.run(3 * second)
	if err := w.healed(); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.journal, "\n"))
	}
	w.quickUntil = w.now + 60*second
	w.run(20 * ms)
	w.mark()
	return w
}

func (w *world) mustHold(t *testing.T) {
	t.Helper()
	if len(w.violations) > 0 {
		t.Fatalf("%s\n%s", w.violations[0], strings.Join(w.journal, "\n"))
	}
}

func (w *world) mustHeal(t *testing.T) {
	t.Helper()
	w.run(4 * second)
	w.mustHold(t)
	if err := w.healed(); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.journal, "\n"))
	}
}

func TestCrashOfTheActive(t *testing.T) {
	for seed := range uint64(30) {
		w := calm(t, seed, Plan{})
		active := w.segments[0].open()[0].n
		active.crash(true)
		w.run(300 * ms)
		w.mustHold(t)
		if silence, of := w.silence(w.segments[0]); silence > 50*ms {
			t.Errorf("seed %d: %v was silent for %d ms, want at most T and 10 ms", seed, of, silence/ms)
		}
		active.start()
		w.mustHeal(t)
	}
}
