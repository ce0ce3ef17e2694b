package raftgroup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// IPAM is what was decided about address space: members, heirs, seedings (docs/protocol/ipam.md). The group keeps it and
// does not read it.
type IPAM struct {
	Number  uint32          `json:"number"` // of the change; 0: nothing was decided yet
	Decided json.RawMessage `json:"decided,omitempty"`
}

// SetIPAM replaces the decisions numbered From by the next ones. Without Decided it changes nothing: once it is applied,
// the state is at least as new as the moment at which it was asked for (see Confirmed).
type SetIPAM struct {
	From    uint32          `json:"from"`
	Decided json.RawMessage `json:"decided,omitempty"`
}

// maxDecided bounds the decisions about address space: some 5,000 members, also those that were removed.
const maxDecided = 512 << 10

func (s *State) setIPAM(c SetIPAM) error {
	switch {
	case len(c.Decided) == 0:
		return nil
	case len(c.Decided) > maxDecided || !json.Valid(c.Decided):
		return fmt.Errorf("decisions about address space of %d bytes: want JSON of at most %d: %w", len(c.Decided), maxDecided, ErrCommand)
	case c.From != s.IPAM.Number:
		return fmt.Errorf("decisions about address space are at number %d, not %d: %w", s.IPAM.Number, c.From, ErrConflict)
	}
	s.IPAM = IPAM{c.From + 1, bytes.Clone(c.Decided)}
	return nil
}

// keepIPAM is the rule of a restore: decisions of a group about address space never go back, as blocks were given by
// them. Only a group that has none takes those of the backup.
func (s *State) keepIPAM(now IPAM) {
	if now.Number != 0 {
		s.IPAM = now
	}
}

// Confirmed is a linearizable read: the state it returns has everything that was decided before it was called. It costs
// an entry of the log, which is right whatever clocks do.
func (g *Group) Confirmed(ctx context.Context, by string) (State, error) {
	index, err := g.Propose(ctx, Command{By: by, SetIPAM: &SetIPAM{}})
	if err != nil {
		return State{}, err
	}
	for {
		s, changed := g.State()
		if s.Index >= index {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return State{}, fmt.Errorf("entry %d has not come here yet: %w: %w", index, ErrNoLeader, ctx.Err())
		case <-changed:
		}
	}
}
