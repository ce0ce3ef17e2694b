package raftgroup

import (
	"errors"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// decide applies commands in turn and demands that each is accepted.
func decide(t *testing.T, s State, commands ...Command) State {
	t.Helper()
	for _, c := range commands {
		next, err := s.Apply(s.Index+1, c)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}

// TestSetsChangeInThreeSteps goes through a change of the lease's voters, and tries to leave out each step.
func TestSetsChangeInThreeSteps(t *testing.T) {
	s := decide(t, newState(), Command{ChangeSet: &ChangeSet{1, []drawbridge.PeerID{3, 1, 2, 3}}})
	if !slices.Equal(s.Sets.Present, []drawbridge.PeerID{1, 2, 3}) || len(s.Sets.Former) != 0 || s.Generation != 2 {
		t.Fatalf("first set: %+v, generation %d", s.Sets, s.Generation)
	}
	s = decide(t, s, Command{ChangeSet: &ChangeSet{2, []drawbridge.PeerID{1, 2, 4}}})
	refused := func(c Command, why error) {
		t.Helper()
		if _, err := s.Apply(s.Index+1, c); !errors.Is(err, why) {
			t.Errorf("%+v: %v, want %v", c, err, why)
		}
	}
	refused(Command{ChangeSet: &ChangeSet{3, []drawbridge.PeerID{5}}}, ErrConflict)
	refused(Command{RetireSet: &RetireSet{3}}, ErrConflict)
	refused(Command{RaiseFloor: &RaiseFloor{2}}, ErrConflict)
	s = decide(t, s, Command{RaiseFloor: &RaiseFloor{3}})
	if s.Sets.Floor != 3 || s.Generation != 4 {
		t.Errorf("after the second step: %+v, generation %d", s.Sets, s.Generation)
	}
	refused(Command{RaiseFloor: &RaiseFloor{4}}, ErrConflict)
	refused(Command{RetireSet: &RetireSet{3}}, ErrConflict)
	s = decide(t, s, Command{RetireSet: &RetireSet{4}})
	if len(s.Sets.Former) != 0 || !slices.Equal(s.Sets.Present, []drawbridge.PeerID{1, 2, 4}) || s.Generation != 5 {
		t.Errorf("after the third step: %+v, generation %d", s.Sets, s.Generation)
	}
	refused(Command{ChangeSet: &ChangeSet{5, nil}}, ErrCommand)
	refused(Command{ChangeSet: &ChangeSet{5, []drawbridge.PeerID{0}}}, ErrCommand)
	refused(Command{ChangeSet: &ChangeSet{5, []drawbridge.PeerID{1, 2, 3, 4, 5, 6, 7, 8}}}, ErrCommand)
}

// TestARestoreKeepsTheSets: a backup of long ago must not bring back voters that may promise against the present ones.
func TestARestoreKeepsTheSets(t *testing.T) {
	s := decide(t, newState(), Command{ChangeSet: &ChangeSet{1, []drawbridge.PeerID{1, 2, 3}}})
	old := decide(t, newState(), Command{ChangeSet: &ChangeSet{1, []drawbridge.PeerID{7}}})
	s = decide(t, s, Command{Restore: &Restore{old}})
	if !slices.Equal(s.Sets.Present, []drawbridge.PeerID{1, 2, 3}) {
		t.Errorf("sets after a restore: %+v", s.Sets)
	}
}
