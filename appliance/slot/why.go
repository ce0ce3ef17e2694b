package slot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Failure is why a release did not become healthy.
type Failure struct {
	Slot    Name      `json:"slot"`
	Release uint64    `json:"release"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
}

// ReasonFile is where a trial that fails says why, for the system that runs after it. It is on the state partition,
// which both slots see.
const ReasonFile = "/var/lib/drawbridge-slot/failure.json"

// FailedFile is where the confirmation of a start says, for all who may not read the boot state, that an update was given
// up, and why. It is in memory, and missing when none was.
const FailedFile = "/run/drawbridge-slot/failed"

// silent is what is known of a release that said nothing.
const silent = "it did not come as far as to say why: it does not start, is damaged, or was switched off twice before it was healthy"

// Blame notes why the running slot is not healthy.
func (m Machine) Blame(reason string, now time.Time) error {
	s, err := m.Store.Load()
	if err != nil {
		return err
	}
	text, err := json.Marshal(Failure{m.Running, s.Slots[m.Running].Version, now.UTC().Truncate(time.Second), reason})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.Reasons), 0o755); err != nil {
		return fmt.Errorf("note why the update failed: %w", err)
	}
	return replace(m.Reasons, append(text, '\n'))
}

// replace puts text into a file so that a loss of power leaves the old text or the new one.
func replace(path string, text []byte) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return fmt.Errorf("note why the update failed: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("note why the update failed: %w", err)
	}
	return os.Rename(path+".new", path)
}

// Failed is why the release in the idle slot was given up, or nil: none was. What another release said before is not
// taken for its reason.
func (m Machine) Failed(s State) *Failure {
	if !s.FellBack(m.Running) {
		return nil
	}
	idle := m.Running.Other()
	f := Failure{Slot: idle, Release: s.Slots[idle].Version, Reason: silent}
	var noted Failure
	if text, err := os.ReadFile(m.Reasons); err == nil && json.Unmarshal(text, &noted) == nil && noted.Slot == idle && noted.Release == f.Release {
		return &noted
	}
	return &f
}

func (f Failure) String() string {
	when := ""
	if !f.At.IsZero() {
		when = " at " + f.At.Format(time.RFC3339)
	}
	return fmt.Sprintf("the update in slot %s never became healthy and was given up%s: %s", f.Slot, when, f.Reason)
}
