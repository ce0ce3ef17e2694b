package raftgroup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLostLogGivesNoVote is the history that a vote without a log would make: x was decided by a and c, while b was away. Then a is
// away too, and c comes back without its log. With b it would be a majority to which x never happened.
func TestLostLogGivesNoVote(t *testing.T) {
	all := newCluster(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	for leader := all.leader(t); leader == b; leader = all.leader(t) {
		if err := b.raft.LeadershipTransfer().Error(); err != nil {
			t.Log(err) // an election was on: look again
		}
	}
	b.stop(t)
	x := a.decide(t, Command{SetSegment: &SetSegment{Name: "x", Segment: Segment{VNI: 7}}})
	c.reaches(t, x)
	a.stop(t)
	c.stop(t)
	if err := os.RemoveAll(c.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	c.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*b.cfg.Heartbeat)
	defer cancel()
	if _, err := b.Propose(ctx, Command{SetSegment: &SetSegment{Name: "y", Segment: Segment{VNI: 8}}}); err == nil {
		t.Error("a voter that lags and one without a log decided something")
	}
	if !c.mute.on.Load() {
		t.Error("c has recalled something from nobody")
	}
	a.start(t) // the only one that knows
	within(t, "c has recalled", func() bool { return !c.mute.on.Load() })
	if s, _ := c.State(); s.Segments["x"].VNI != 7 {
		t.Errorf("c votes again, and knows %v", s.Segments)
	}
	if _, err := os.Stat(filepath.Join(c.cfg.Dir, forgotName)); !os.IsNotExist(err) {
		t.Errorf("the note is still there: %v", err)
	}
	a.stop(t) // b and c decide without it, and x has happened
	y := b.decide(t, Command{SetSegment: &SetSegment{Name: "z", Segment: Segment{VNI: 9}}})
	if s := c.reaches(t, y); s.Segments["x"].VNI != 7 {
		t.Errorf("c knows %v", s.Segments)
	}
}

// TestHalfALogIsNotEnough: what was learnt before a crash is a part, so the note outlives it.
func TestHalfALogIsNotEnough(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct{ empty, want bool }{{true, true}, {false, true}, {true, true}} {
		if got, err := forgetful(dir, c.empty); err != nil || got != c.want {
			t.Errorf("start %d: %v, %v", i, got, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, forgotName)); err != nil {
		t.Fatal(err)
	}
	if got, err := forgetful(dir, false); err != nil || got {
		t.Errorf("after it has recalled: %v, %v", got, err)
	}
	if _, err := forgetful(filepath.Join(dir, "none"), true); err == nil {
		t.Error("a note that cannot be kept")
	}
}

// TestCurrentIsWhoKnowsAllOfBefore: not a voter that has only started, nor one that hears of nobody.
func TestCurrentIsWhoKnowsAllOfBefore(t *testing.T) {
	all := newCluster(t, "a", "b", "c")
	for _, n := range all {
		select {
		case <-n.Current():
		case <-time.After(patience):
			t.Fatalf("%s is not current in a group that decides", n.cfg.Self)
		}
	}
	b := all[1]
	b.stop(t)
	x := all.without(b)[0].decide(t, Command{SetSegment: &SetSegment{Name: "x", Segment: Segment{VNI: 7}}})
	b.cut.Store(true)
	b.start(t)
	select {
	case <-b.Current():
		t.Error("b is current and has heard of nobody")
	case <-time.After(2 * b.cfg.Heartbeat):
	}
	b.heal()
	select {
	case <-b.Current():
	case <-time.After(patience):
		t.Fatal("b hears the others and is not current")
	}
	if s, _ := b.State(); s.Index < x || s.Segments["x"].VNI != 7 {
		t.Errorf("b is current and knows entry %d of %d, %v", s.Index, x, s.Segments)
	}
}

// TestNewVotersVoteSoon: newcomers recall as they are added, and the group survives its founder.
func TestNewVotersVoteSoon(t *testing.T) {
	all := newCluster(t, "a", "b", "c")
	for _, n := range all {
		within(t, fmt.Sprintf("%s votes", n.cfg.Self), func() bool { return !n.mute.on.Load() })
	}
	all[0].stop(t)
	began := time.Now()
	all[1].decide(t, Command{SetSegment: &SetSegment{Name: "x", Segment: Segment{VNI: 7}}})
	t.Logf("decided %s after the founder ended", time.Since(began).Round(time.Millisecond))
}
