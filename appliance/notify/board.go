package notify

import (
	"cmp"
	"slices"
	"time"
)

// Condition is something that is wrong just now. It is read from the state of the peer again and again, so that nobody
// depends on having heard how it began.
type Condition struct {
	ID       string // what is wrong, and where: stable while it lasts
	Severity string
	Text     string
	Remedy   string
	Peer     string
	Port     string
	Segment  string
}

// Standing is a condition that lasts.
type Standing struct {
	Condition
	Since        time.Time
	Acknowledged *Acknowledgement // nil: nobody has
}

// Acknowledgement says that somebody knows of a condition.
type Acknowledgement struct {
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Comment string    `json:"comment,omitempty"`
}

// Board keeps what is wrong just now: since when, and who knows. It is not safe for concurrent use.
type Board struct {
	settle  time.Duration
	pending map[string]time.Time // conditions that are too young to be told
	all     map[string]*Standing
}

// NewBoard returns an empty board. A condition is put on it when it has lasted for settle: what ends sooner was a moment
// of a change, such as a switchover, and the journal has it anyway.
func NewBoard(settle time.Duration) *Board {
	return &Board{settle: settle, pending: map[string]time.Time{}, all: map[string]*Standing{}}
}

// Update compares what is wrong with what was, and reports what began and what ended.
func (b *Board) Update(now time.Time, conditions []Condition) (raised, cleared []Standing) {
	present := map[string]bool{}
	for _, c := range conditions {
		if present[c.ID] {
			continue
		}
		present[c.ID] = true
		if s, ok := b.all[c.ID]; ok {
			s.Condition = c
			continue
		}
		since, waits := b.pending[c.ID]
		if !waits {
			since = now
			b.pending[c.ID] = now
		}
		if now.Sub(since) >= b.settle {
			delete(b.pending, c.ID)
			b.all[c.ID] = &Standing{Condition: c, Since: since}
			raised = append(raised, *b.all[c.ID])
		}
	}
	for id := range b.pending {
		if !present[id] {
			delete(b.pending, id)
		}
	}
	for id, s := range b.all {
		if !present[id] {
			delete(b.all, id)
			cleared = append(cleared, *s)
		}
	}
	sortStandings(cleared)
	return raised, cleared
}

// Due is when Update must be called again although nothing changed; zero: not before something does.
func (b *Board) Due() (due time.Time) {
	for _, since := range b.pending {
		if at := since.Add(b.settle); due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due
}

// Stands reports whether a condition is on the board.
func (b *Board) Stands(id string) bool { return b.all[id] != nil }

// Acknowledge notes that somebody knows of a condition, or with nil that nobody does. It reports whether it lasts.
func (b *Board) Acknowledge(id string, a *Acknowledgement) bool {
	s, ok := b.all[id]
	if ok {
		s.Acknowledged = a
	}
	return ok
}

// Standings lists what is wrong, the worst first, then the oldest.
func (b *Board) Standings() []Standing {
	all := make([]Standing, 0, len(b.all))
	for _, s := range b.all {
		all = append(all, *s)
	}
	sortStandings(all)
	return all
}

func sortStandings(all []Standing) {
	slices.SortFunc(all, func(x, y Standing) int {
		return cmp.Or(cmp.Compare(rank(y.Severity), rank(x.Severity)), x.Since.Compare(y.Since), cmp.Compare(x.ID, y.ID))
	})
}

// Kept is what of a board survives a restart, by condition: since when it lasts, and who knows of it.
type Kept map[string]Memory

// Memory is one of them.
type Memory struct {
	Since        time.Time        `json:"since"`
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
}

// Keep is what Recall puts back.
func (b *Board) Keep() Kept {
	k := Kept{}
	for id, s := range b.all {
		k[id] = Memory{s.Since, s.Acknowledged}
	}
	return k
}

// Recall puts back what was kept, before the first Update. What is wrong no longer is told as ended then.
func (b *Board) Recall(k Kept) {
	for id, m := range k {
		b.all[id] = &Standing{Condition: Condition{ID: id, Severity: Warn, Text: id}, Since: m.Since, Acknowledged: m.Acknowledged}
	}
}
