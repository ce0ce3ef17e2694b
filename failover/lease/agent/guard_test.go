package agent

import (
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

func TestTheStateOfAProcessIsRead(t *testing.T) {
	for line, want := range map[string]string{
		"7 (drawbridge) S 1 7 7 0 -1 4194560 1 2":               "",
		"7 (drawbridge) T 1 7 7 0 -1 4194560 1 2":               "the daemon is stopped",
		"7 (drawbridge) t 1 7 7 0 -1 4194560 1 2":               "", // a debugger looks at it
		"7 (drawbridge) Z 1 7 7 0 -1 4194564 1 2":               "the daemon has ended",
		"7 (drawbridge) R 1 7 7 0 -1 4194564 1 2":               "the daemon is ending",
		"7 (a name) T (with brackets) S 1 7 7 0 -1 4194560 1 2": "",
		"7 (a name) S (with brackets) T 1 7 7 0 -1 4194560 1 2": "the daemon is stopped",
		"": "", "7 (": "", "7 (x)": "", "7 (x) ": "", "7 (x) S": "", "7 (x) S 1 7 7 0 -1": "", "7 (x) S 1 7 7 0 -1 x": "",
	} {
		if got := stateOf([]byte(line)); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func FuzzStateOf(f *testing.F) {
	f.Add([]byte("7 (drawbridge) S 1 7 7 0 -1 4194560 1 2"))
	f.Add([]byte("7 (a) b) R 1 7 7 0 -1 4"))
	f.Fuzz(func(_ *testing.T, line []byte) { stateOf(line) })
}

// TestADaemonThatStandsStillIsSeen, but not before its time, which a longer term adds to.
func TestADaemonThatStandsStillIsSeen(t *testing.T) {
	standStill(t, lease.Default.Term, Stuck)
	standStill(t, 3*time.Second, Stuck+2960*time.Millisecond)
}

func standStill(t *testing.T, term, stuck time.Duration) {
	var alive atomic.Uint64
	g := watch(os.Getpid(), &alive)
	g.term = term
	now := lease.Instant(time.Hour)
	for i, c := range []struct {
		later time.Duration
		moves bool
		well  bool
	}{{0, false, true}, {stuck, false, true}, {1, false, false}, {0, true, true}, {stuck, false, true}, {stuck, true, true}} {
		now = now.Add(c.later)
		if c.moves {
			alive.Add(1)
		}
		if why := g.look(now, true); (why == "") != c.well {
			t.Errorf("step %d: %q", i, why)
		}
	}
	if g.still != 2*stuck {
		t.Errorf("stood still for %v at most, want %v", g.still, 2*stuck)
	}
}

// TestATenureBehindAShutGateIsGivenUp, later where the daemon may take longer to answer.
func TestATenureBehindAShutGateIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		term, shut time.Duration
		useful     bool
	}{
		{lease.Default.Term, vetoFor / 2, true},
		{lease.Default.Term, vetoFor, false},
		{3 * time.Second, 3 * time.Second, true},
		{3 * time.Second, vetoFor + 2960*time.Millisecond, false},
	} {
		var a Agent
		a.guard.term = c.term
		if useful := a.keepShut(&door{since: a.now().Add(-c.shut)}); useful != c.useful {
			t.Errorf("term %v, shut for %v: useful is %v", c.term, c.shut, useful)
		}
	}
}

// TestAProcessThatIsGoneIsSeen, whose number belongs to nobody any more.
func TestAProcessThatIsGoneIsSeen(t *testing.T) {
	c := exec.Command("/proc/self/exe", "-test.run", "^$")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	g := watch(c.Process.Pid, new(atomic.Uint64))
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := g.state(); got != "the daemon has ended" {
		t.Errorf("%q", got)
	}
}

// TestALookIsDueWithTheRenewals while something is held, and seldom otherwise.
func TestALookIsDueWithTheRenewals(t *testing.T) {
	g := watch(os.Getpid(), new(atomic.Uint64))
	now := lease.Instant(time.Hour)
	g.look(now, true)
	if g.next.Sub(now) > g.every || g.due.Sub(now) < g.every || g.due.Sub(now) > 2*g.every {
		t.Errorf("next after %v, due after %v, at renewals every %v", g.next.Sub(now), g.due.Sub(now), g.every)
	}
	if g.look(now, false); g.next.Sub(now) <= g.every {
		t.Errorf("next after %v although nothing is held", g.next.Sub(now))
	}
}
