package raftgroup

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Version is one version of the network configuration. Its number is given once and its document never changes; what
// is added later is only whether it was confirmed.
type Version struct {
	Number   uint64          `json:"number"`
	Author   string          `json:"author"`
	Comment  string          `json:"comment,omitempty"`
	Time     time.Time       `json:"time"`
	Document json.RawMessage `json:"document"`
	Parent   uint64          `json:"parent,omitempty"`   // the version that it followed; 0: none
	Request  string          `json:"request,omitempty"`  // id of the command that made it
	Index    uint64          `json:"index,omitempty"`    // of the entry that made it
	Of       uint64          `json:"of,omitempty"`       // the version whose document it has again; 0: its own
	Follows  *Follows        `json:"follows,omitempty"`  // nil: nothing
	Within   time.Duration   `json:"within,omitempty"`   // reverted unless confirmed in this time; 0: in force for good
	Settled  *Settled        `json:"settled,omitempty"`  // how the waiting ended; nil: it has not, or there was none
	Reverted bool            `json:"reverted,omitempty"` // it ended without a confirmation
}

// Settled says who ended the waiting for a confirmation.
type Settled struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Follows is what a document means for the other decisions. The proposer, who can read documents, works it out; it
// comes into force in the same entry as the document, so that no voter ever sees one without the other.
type Follows struct {
	Renew    time.Duration      `json:"renew"`
	Length   time.Duration      `json:"length"`
	Segments map[string]Segment `json:"segments,omitempty"`
}

// The decisions about versions.
type (
	// PutConfig adds a version on top of Base; another base is a conflict. With Within it is reverted unless it is
	// confirmed in time.
	PutConfig struct {
		Base     uint64          `json:"base"`
		Comment  string          `json:"comment"`
		Document json.RawMessage `json:"document"`
		Within   time.Duration   `json:"within,omitempty"`
		Follows  *Follows        `json:"follows,omitempty"`
	}
	// ConfirmConfig keeps a version that waits for it.
	ConfirmConfig struct {
		Version uint64 `json:"version"`
	}
	// RevertConfig undoes a version that was not confirmed: a new version gets the document of its parent. Length is
	// that of the parent's leases: a voter that restarts must find it in the log.
	RevertConfig struct {
		Version uint64        `json:"version"`
		Length  time.Duration `json:"length,omitempty"`
	}
	// RollbackConfig adds a version with the document of version To. It ends the waiting for a confirmation of Base.
	RollbackConfig struct {
		Base    uint64        `json:"base"`
		To      uint64        `json:"to"`
		Comment string        `json:"comment"`
		Length  time.Duration `json:"length,omitempty"` // as above
	}
)

// skipVersions is how many numbers are left out after a backup was restored to a new group.
const skipVersions = 1000

// maxWithin bounds how long a version may wait for its confirmation.
const maxWithin = 24 * time.Hour

// Newest is the version in force; false: none yet.
func (s State) Newest() (Version, bool) {
	if len(s.Versions) == 0 {
		return Version{}, false
	}
	return s.Versions[len(s.Versions)-1], true
}

// newest is the number of the configuration in force; 0: none yet.
func (s State) newest() uint64 {
	v, _ := s.Newest()
	return v.Number
}

// Version finds one that is kept.
func (s State) Version(number uint64) (Version, error) {
	i, ok := slices.BinarySearchFunc(s.Versions, number, func(v Version, n uint64) int {
		switch {
		case v.Number < n:
			return -1
		case v.Number > n:
			return 1
		}
		return 0
	})
	switch {
	case ok:
		return s.Versions[i], nil
	case number == 0 || number > s.newest() || len(s.Versions) == 0:
		return Version{}, fmt.Errorf("version %d of the configuration %w: the newest is %d", number, ErrUnknown, s.newest())
	}
	return Version{}, fmt.Errorf("version %d of the configuration %w any more: the oldest that is kept is %d", number, ErrUnknown, s.Versions[0].Number)
}

// Waiting reports whether the version may still be reverted for want of a confirmation.
func (v Version) Waiting() bool { return v.Within > 0 && v.Settled == nil }

// Length is that of the leases under a version; 0: it does not say.
func (v Version) Length() time.Duration {
	if v.Follows == nil {
		return 0
	}
	return v.Follows.Length
}

// conflict is what somebody is told whose change is based on another version than the newest.
func (s State) conflict(base uint64) error {
	v, ok := s.Newest()
	if !ok {
		return fmt.Errorf("the change is based on version %d, and there is none yet: %w", base, ErrConflict)
	}
	return fmt.Errorf("the change is based on version %d, the newest is %d by %s at %s: look at it, and change that: %w",
		base, v.Number, named(v.Author), v.Time.UTC().Format(time.RFC3339), ErrConflict)
}

func named(author string) string {
	if author == "" {
		return "somebody"
	}
	return author
}

// settled reports whether the newest version waits for nobody.
func (s State) settled() error {
	if v, _ := s.Newest(); v.Waiting() {
		return fmt.Errorf("version %d by %s waits to be confirmed since %s, for %v: confirm it, or roll back to version %d, first: %w",
			v.Number, named(v.Author), v.Time.UTC().Format(time.RFC3339), v.Within, v.Parent, ErrConflict)
	}
	return nil
}

func (p PutConfig) valid() error {
	if !json.Valid(p.Document) || len(p.Document) > maxDocument || len(p.Comment) > MaxText {
		return fmt.Errorf("a configuration of %d bytes with a comment of %d: want JSON of at most %d and a comment of at most %d: %w",
			len(p.Document), len(p.Comment), maxDocument, MaxText, ErrCommand)
	}
	if p.Within < 0 || p.Within > maxWithin {
		return fmt.Errorf("confirm within %v: want at most %v: %w", p.Within, maxWithin, ErrCommand)
	}
	if p.Within > 0 && p.Base == 0 {
		return fmt.Errorf("the first version cannot wait to be confirmed: there is nothing to go back to: %w", ErrCommand)
	}
	return p.Follows.valid()
}

func (f *Follows) valid() error {
	if f == nil {
		return nil
	}
	if err := (Timers{Renew: f.Renew, Length: f.Length, Longest: f.Length}).valid(); err != nil {
		return err
	}
	for name, g := range f.Segments {
		if err := g.valid(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) putConfig(p PutConfig, c Command) error {
	if p.Base != s.newest() {
		return s.conflict(p.Base)
	}
	if err := s.settled(); err != nil {
		return err
	}
	if err := p.valid(); err != nil {
		return err
	}
	return s.addVersion(Version{Comment: p.Comment, Document: p.Document, Within: p.Within, Follows: p.Follows}, c)
}

func (s *State) confirmConfig(p ConfirmConfig, c Command) error {
	v, ok := s.Newest()
	switch {
	case !ok || v.Number != p.Version:
		return s.conflict(p.Version)
	case v.Within == 0:
		return fmt.Errorf("version %d does not wait to be confirmed: %w", v.Number, ErrConflict)
	case v.Settled == nil:
		s.settle(c, false)
	}
	return nil
}

// settle ends the waiting of the newest version, on a copy.
func (s *State) settle(c Command, reverted bool) {
	s.Versions = slices.Clone(s.Versions)
	v := &s.Versions[len(s.Versions)-1]
	v.Settled, v.Reverted = &Settled{c.By, c.Time}, reverted
}

func (s *State) revertConfig(p RevertConfig, c Command) error {
	v, ok := s.Newest()
	if !ok || v.Number != p.Version || !v.Waiting() {
		return fmt.Errorf("version %d does not wait to be confirmed any more: %w", p.Version, ErrConflict)
	}
	return s.again(v.Parent, p.Length, fmt.Sprintf("version %d was not confirmed within %v", v.Number, v.Within), c)
}

func (s *State) rollbackConfig(p RollbackConfig, c Command) error {
	if p.Base != s.newest() {
		return s.conflict(p.Base)
	}
	if len(p.Comment) > MaxText {
		return fmt.Errorf("a comment of %d bytes: want at most %d: %w", len(p.Comment), MaxText, ErrCommand)
	}
	return s.again(p.To, p.Length, p.Comment, c)
}

// again adds a version with the document of an earlier one.
func (s *State) again(number uint64, length time.Duration, comment string, c Command) error {
	old, err := s.Version(number)
	if err != nil {
		return err
	}
	if old.Length() != length {
		return fmt.Errorf("version %d has leases of %v, the command says %v: %w", number, old.Length(), length, ErrCommand)
	}
	if v, _ := s.Newest(); v.Waiting() {
		s.settle(c, true)
	}
	return s.addVersion(Version{Comment: comment, Document: old.Document, Follows: old.Follows, Of: number}, c)
}

// addVersion gives a version its number and brings it into force.
func (s *State) addVersion(v Version, c Command) error {
	before, _ := s.Newest()
	s.LastVersion++
	v.Number, v.Parent, v.Author, v.Time, v.Request, v.Index = s.LastVersion, before.Number, c.By, c.Time, c.ID, s.Index
	s.Versions = append(slices.Clip(s.Versions), v) // readers have what is there
	s.forgetVersions()
	return s.follow(before.Follows, v.Follows)
}

// follow carries out what a document says of timers and segments. Segments that only the document before named lose
// what it said of them; those that no document names are not touched.
func (s *State) follow(before, now *Follows) error {
	if now == nil {
		return nil
	}
	if now.Renew != s.Timers.Renew || now.Length != s.Timers.Length {
		if err := s.setTimers(SetTimers{now.Renew, now.Length}); err != nil {
			return err
		}
	}
	if before != nil {
		for name := range before.Segments {
			delete(s.Segments, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Segments)) {
		if err := s.setSegment(SetSegment{name, now.Segments[name]}); err != nil {
			return err
		}
	}
	return nil
}

// undecided refuses to decide something that the network configuration decides.
func (s *State) undecided(what, setting string) error {
	v, _ := s.Newest()
	if v.Follows == nil {
		return nil
	}
	return fmt.Errorf("version %d of the network configuration decides %s: change %s there: %w", v.Number, what, setting, ErrConflict)
}

// forgetVersions drops the oldest until the limits hold; the newest stays.
func (s *State) forgetVersions() {
	keep, bytes := 0, 0
	for _, v := range slices.Backward(s.Versions) {
		bytes += v.size()
		if keep > 0 && bytes > keepHistory || keep == keepVersions {
			break
		}
		keep++
	}
	s.Versions = s.Versions[len(s.Versions)-keep:]
}

// size is about what a version takes in bytes.
func (v Version) size() int {
	n := len(v.Document)
	if v.Follows != nil {
		for name, g := range v.Follows.Segments {
			n += len(name) + len(g.Preferred) + 64
			for _, e := range g.Eligible {
				n += len(e) + 3
			}
		}
	}
	return n
}

// restoreVersions makes the history after a restore. The numbers and documents of this network are never given again: a
// network that has any gets the backup's newest document as a new version; one that has none takes the history
// over, and leaves the numbers out that may have been given between the backup and the loss of the network: peers that do
// not vote still have those.
func (s *State) restoreVersions(b *State, c Command) error {
	newest, ok := b.Newest()
	if s.LastVersion == 0 && !ok {
		return nil
	}
	b.Index = s.Index
	again := Version{Comment: fmt.Sprintf("version %d of a backup", newest.Number), Document: newest.Document, Follows: newest.Follows}
	if s.LastVersion == 0 {
		b.LastVersion += skipVersions
		if newest.Waiting() {
			b.settle(c, true)
		}
		return b.addVersion(again, c)
	}
	b.Versions, b.LastVersion = s.Versions, s.LastVersion
	if !ok {
		ours, _ := s.Newest()
		return b.follow(nil, ours.Follows)
	}
	if v, _ := s.Newest(); v.Waiting() {
		b.settle(c, true)
	}
	return b.addVersion(again, c)
}

func (v Version) valid() error {
	if len(v.Document) > maxDocument || !json.Valid(v.Document) || len(v.Comment) > MaxText || len(v.Request) > MaxText || v.Within < 0 || v.Within > maxWithin {
		return fmt.Errorf("version %d of the configuration: %w", v.Number, ErrCommand)
	}
	if v.Waiting() && v.Parent == 0 {
		return fmt.Errorf("version %d of the configuration waits to be confirmed and follows none: %w", v.Number, ErrCommand)
	}
	return v.Follows.valid()
}
