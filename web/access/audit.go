package access

import (
	"encoding/json"
	"strings"
	"time"
)

// Record is one change that somebody made or tried to make.
type Record struct {
	ID      uint64          `json:"id"` // grows from record to record
	Time    time.Time       `json:"time"`
	Who     string          `json:"who"` // empty: nobody who is known
	By      string          `json:"by,omitempty"`
	Token   string          `json:"token,omitempty"`
	From    string          `json:"from"`
	Method  string          `json:"method"`
	Path    string          `json:"path"`
	Request string          `json:"request"`
	Status  int             `json:"status"`
	Reason  string          `json:"reason,omitempty"`
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
}

// Below reports whether the record is about a path that begins with prefix.
func (r Record) Below(prefix string) bool { return strings.HasPrefix(r.Path, prefix) }

// Audit keeps records of changes.
type Audit interface {
	// Add keeps a record; it chooses the ID.
	Add(Record) error
	// List is at most limit records with an ID below before (0: the newest), the newest first, that match keeps.
	List(before uint64, limit int, match func(Record) bool) ([]Record, error)
}
