package raftgroup

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func enginesCommand(from uint32, decided string) Command {
	return Command{ID: "e" + decided, SetEngines: &SetEngines{From: from, Decided: json.RawMessage(decided)}}
}

// TestEnginesAreDecidedOnceForEachNumber: a leader that was replaced must not undo what its successor decided.
func TestEnginesAreDecidedOnceForEachNumber(t *testing.T) {
	s, err := newState().Apply(1, enginesCommand(0, `{"a":1}`))
	if err != nil || s.Engines.Number != 1 {
		t.Fatalf("first: %v, %v", s.Engines, err)
	}
	again, err := s.Apply(2, enginesCommand(0, `{"a":2}`))
	if !errors.Is(err, ErrConflict) || string(again.Engines.Decided) != `{"a":1}` {
		t.Errorf("second of the same number: %v, %s", err, again.Engines.Decided)
	}
	for _, bad := range []string{"", "{", `"` + strings.Repeat("x", maxEngines) + `"`} {
		if _, err := s.Apply(4, enginesCommand(1, bad)); !errors.Is(err, ErrCommand) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	fresh, err := newState().Apply(5, Command{ID: "r", Restore: &Restore{s}})
	if err != nil || fresh.Engines.Number != 0 {
		t.Errorf("a restore brought engines back: %+v, %v", fresh.Engines, err)
	}
}
