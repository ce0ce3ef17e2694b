package sim

import (
	"flag"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// calm is a network with a host, two guests' peers and all gateways up, long after it was switched on.
func calm(t *testing.T, seed uint64, p Plan) *world {
	t.Helper()
	p.Gateways, p.Guests, p.Segments = max(p.Gateways, 2), max(p.Guests, 2), max(p.Segments, 1)
	p.Drift, p.Pace = usualDrift, max(p.Pace, ms)
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

func TestSimCrashOfTheActive(t *testing.T) {
	for seed := range uint64(10) {
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

// TestSimExcuseOfAPause: a machine that was paused with its clock is excused for the gate that it went on with, and not for one
// that was renewed after that.
func TestSimExcuseOfAPause(t *testing.T) {
	for _, regent := range []bool{false, true} {
		w := calm(t, 1, Plan{Policy: alone.HoldGates})
		p := w.segments[0].open()[0]
		if regent {
			noVoterHears(w, p.n, w.nodes[2-p.n.id])
			w.run(60 * ms)
		}
		p.n.freeze(true)
		w.run(5 * ms)
		p.n.thaw()
		w.run(ms)
		if !p.emits() || p.asRegent != regent || !p.shaky() {
			t.Errorf("regent %v: the gate that the machine goes on with is not excused", regent)
		}
		w.run(30 * ms)
		w.mustHold(t)
		if !p.emits() || p.asRegent != regent || p.shaky() {
			t.Errorf("regent %v: a gate is excused that was renewed after the pause", regent)
		}
	}
}

// TestSimSlowMachines: where the term says that machines stand still, that they do is borne by everybody: no segment moves, and no frame
// comes twice.
func TestSimSlowMachines(t *testing.T) {
	for seed := *first; seed < *first+uint64(max(*seeds, 10)); seed++ {
		w := newWorld(seed, Plan{Gateways: 2 + int(seed%2), Guests: 2, Segments: 1, Drift: usualDrift, Pace: 2 * ms, Timing: slow})
		w.verbose = *journal
		w.run(15 * second)
		if err := w.settled(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		standStill(w)
		if len(w.violations) > 0 {
			t.Errorf("seed %d: %s\n%s", seed, w.violations[0], strings.Join(w.journal, "\n"))
		}
	}
}

var (
	seeds   = flag.Int("seeds", 0, "how many random schedules; 0: 120, or 10,000 with DRAWBRIDGE_LONG=1")
	first   = flag.Uint64("first", 0, "the first of them")
	journal = flag.Bool("journal", false, "print the journal of the schedule that fails")
)

// TestSimFailover runs random schedules of faults.
func TestSimFailover(t *testing.T) {
	n := *seeds
	switch {
	case n > 0:
	case os.Getenv("DRAWBRIDGE_LONG") == "1":
		n = 10000
	default:
		n = 120
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // little is alive: half of the time would go into collecting
	began := time.Now()
	sum := &Outcome{Silence: map[string]int64{}}
	for seed := *first; seed < *first+uint64(n); seed++ {
		o := simulate(seed, Rules{}, 12, *journal)
		sum.Steps, sum.Tenures, sum.Faults = sum.Steps+o.Steps, sum.Tenures+o.Tenures, sum.Faults+o.Faults
		sum.Duplicates, sum.Loops, sum.End = sum.Duplicates+o.Duplicates, sum.Loops+o.Loops, sum.End+o.End
		for name, silence := range o.Silence {
			sum.Silence[name] = max(sum.Silence[name], silence)
		}
		if o.Violation != "" {
			t.Errorf("%s\n%s", o.Violation, strings.Join(o.Trace, "\n"))
		}
	}
	t.Logf("%d schedules, %d faults, %d tenures, %d events, %d s of simulated time in %v; excused: %d copies, %d frames heard by their sender",
		n, sum.Faults, sum.Tenures, sum.Steps, sum.End/second, time.Since(began).Round(time.Millisecond), sum.Duplicates, sum.Loops)
	for _, k := range troubles {
		t.Logf("%6.1f ms at most of silence after %s", float64(sum.Silence[k.name])/1e6, k.name)
	}
}
