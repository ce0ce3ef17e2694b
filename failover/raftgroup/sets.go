package raftgroup

import (
	"fmt"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// maxSet bounds the voters of a lease: a majority of seven survives the loss of three, and every renewal goes to all
// of them.
const maxSet = 7

// Sets are the peers whose promises make a lease (docs/protocol/lease.md, "Configuration"). A change goes through
// three decisions, each of which is a generation: both sets count; requests of before get no promise any more; the
// former set is over.
type Sets struct {
	Present []drawbridge.PeerID `json:"present,omitempty"` // sorted; empty: no leases yet
	Former  []drawbridge.PeerID `json:"former,omitempty"`  // during a change
	Floor   uint32              `json:"floor"`             // oldest generation that is still served
	Changed uint32              `json:"changed"`           // generation that the first step made
}

type (
	// ChangeSet begins a change of the peers whose promises make a lease, if the generation is still From.
	ChangeSet struct {
		From uint32              `json:"from"`
		Set  []drawbridge.PeerID `json:"set"`
	}
	// RaiseFloor is the second step.
	RaiseFloor struct {
		From uint32 `json:"from"`
	}
	// RetireSet is the third. Whoever proposes it has seen a majority of the former set refuse the generations
	// below the floor for longer than any lease lasts.
	RetireSet struct {
		From uint32 `json:"from"`
	}
)

// step checks that a decision about sets was made on top of what is in force, and moves the generation.
func (s *State) step(from uint32) error {
	if from != s.Generation {
		return fmt.Errorf("the generation is %d, not %d: %w", s.Generation, from, ErrConflict)
	}
	return s.advance(Generation{from})
}

func (s *State) changeSet(c ChangeSet) error {
	set := slices.Compact(slices.Sorted(slices.Values(c.Set)))
	if err := validSet(set); err != nil {
		return err
	}
	switch {
	case len(s.Sets.Former) > 0:
		return fmt.Errorf("the last change of the lease's voters is not over: %w", ErrConflict)
	case slices.Equal(set, s.Sets.Present):
		return nil
	}
	if err := s.step(c.From); err != nil {
		return err
	}
	s.Sets.Former, s.Sets.Present, s.Sets.Changed = s.Sets.Present, set, s.Generation
	return nil
}

func validSet(set []drawbridge.PeerID) error {
	if len(set) == 0 || len(set) > maxSet || slices.Contains(set, 0) {
		return fmt.Errorf("%d voters of the lease: want 1 to %d, none with id 0: %w", len(set), maxSet, ErrCommand)
	}
	return nil
}

func (s *State) raiseFloor(c RaiseFloor) error {
	if len(s.Sets.Former) == 0 || s.Sets.Floor >= s.Sets.Changed {
		return fmt.Errorf("no change of the lease's voters waits for a floor: %w", ErrConflict)
	}
	if err := s.step(c.From); err != nil {
		return err
	}
	s.Sets.Floor = s.Sets.Changed
	return nil
}

func (s *State) retireSet(c RetireSet) error {
	if len(s.Sets.Former) == 0 || s.Sets.Floor < s.Sets.Changed {
		return fmt.Errorf("no former set of the lease's voters waits for its end: %w", ErrConflict)
	}
	if err := s.step(c.From); err != nil {
		return err
	}
	s.Sets.Former = nil
	return nil
}

func (s Sets) valid() error {
	for _, set := range [][]drawbridge.PeerID{s.Present, s.Former} {
		if len(set) > maxSet || slices.Contains(set, 0) || !slices.IsSorted(set) {
			return fmt.Errorf("%d voters of the lease: want at most %d in order, none with id 0: %w", len(set), maxSet, ErrCommand)
		}
	}
	if len(s.Present) == 0 && len(s.Former) > 0 {
		return fmt.Errorf("a former set of voters without a present one: %w", ErrCommand)
	}
	return nil
}

func (s Sets) clone() Sets {
	s.Present, s.Former = slices.Clone(s.Present), slices.Clone(s.Former)
	return s
}
