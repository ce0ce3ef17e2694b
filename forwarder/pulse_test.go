package forwarder

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// jammed is a port in which frames wait as the test says.
type jammed struct {
	Port
	waits bool
}

func (j *jammed) Waiting() bool { return j.waits }

// TestAStalledReader is one that takes nothing although frames wait, for long. An idle one is well.
func TestAStalledReader(t *testing.T) {
	f, g := hosts(t, 2)
	a := g[0].wire.ports[0]
	j := &jammed{Port: a.cfg.Port}
	a.cfg.Port = j
	ask := func(what string, after time.Duration, want bool) {
		t.Helper()
		f.now += after
		if got := a.Stalled(); got != want {
			t.Errorf("%s: stalled is %v", what, got)
		}
	}
	ask("at first", 0, false)
	ask("idle for long", 10*stallLimit, false)
	j.waits = true
	ask("frames wait", stallLimit/2, false)
	ask("for long", stallLimit, true)
	a.batches.Add(1)
	ask("one was taken", 0, false)
	ask("and no more", stallLimit+1, true)
	j.waits = false
	ask("none waits", 0, false)
	a.cfg.Port = j.Port
	ask("a port that cannot tell", 10*stallLimit, false)
	g[0].say(drawbridge.Broadcast, 1)
}
