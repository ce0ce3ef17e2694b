package raftgroup

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Engines is what was decided about who carries each overlay's frames (docs/protocol/kernel.md, "Which engine"). The group
// keeps it and does not read it.
type Engines struct {
	Number  uint32          `json:"number"` // of the change; 0: nothing was decided yet
	Decided json.RawMessage `json:"decided,omitempty"`
}

// SetEngines replaces the decisions numbered From by the next ones.
type SetEngines struct {
	From    uint32          `json:"from"`
	Decided json.RawMessage `json:"decided"`
}

// maxEngines bounds them: 4,095 short ids of some 50 bytes, and the overlays.
const maxEngines = 512 << 10

func (s *State) setEngines(c SetEngines) error {
	switch {
	case len(c.Decided) == 0 || len(c.Decided) > maxEngines || !json.Valid(c.Decided):
		return fmt.Errorf("decisions about engines of %d bytes: want JSON of 1 to %d: %w", len(c.Decided), maxEngines, ErrCommand)
	case c.From != s.Engines.Number:
		return fmt.Errorf("decisions about engines are at number %d, not %d: %w", s.Engines.Number, c.From, ErrConflict)
	}
	s.Engines = Engines{c.From + 1, bytes.Clone(c.Decided)}
	return nil
}
