// Package slot is the appliance's pair of system slots: which one boots, when a new one counts as good, and how a signed
// bundle gets into the idle one. A slot is a read-only system with its kernel; the other one is always whole, so that no
// update and no loss of power at any moment leaves a machine that does not start.
package slot

import (
	"errors"
	"fmt"
)

// Name is a slot: "a" or "b".
type Name string

// The two slots.
const (
	A Name = "a"
	B Name = "b"
)

// Other is the slot that n is not.
func (n Name) Other() Name {
	if n == A {
		return B
	}
	return A
}

const (
	// TrialBoots is how often a new slot may try. Two, because one loss of power during the first start is bad luck.
	TrialBoots = 2
	// GoodBoots is how often in a row a slot that was good may fail to become healthy before the other one is tried: more
	// than an impatient hand at the switch, fewer than a night on the watchdog.
	GoodBoots = 5
)

// Record is what is known of a slot.
type Record struct {
	Good    bool   // it has been healthy once
	Tries   int    // boots that are left before the loader passes over it
	Version uint64 // number of the release in it; 0: empty
}

// State is both slots, and which of them the loader tries first. The loader itself changes nothing but Tries.
type State struct {
	First Name
	Slots map[Name]Record
	Reset bool // the state partition is made anew at the next boot
}

// ErrTrial says that an update waits for its trial to end.
var ErrTrial = errors.New("an update is on trial")

// New is the state of a fresh image: one good slot, and an empty one.
func New(version uint64) State {
	return State{First: A, Slots: map[Name]Record{A: {Good: true, Tries: GoodBoots, Version: version}, B: {}}}
}

// with is s with one slot's record replaced; s itself stays as it is.
func (s State) with(n Name, r Record) State {
	s.Slots = map[Name]Record{n: r, n.Other(): s.Slots[n.Other()]}
	return s
}

// Boot is what the loader does (images/grub.cfg is the same in GRUB's words): the first slot that has tries left, or
// else the first that was good once.
func (s State) Boot() (Name, State) {
	for _, n := range []Name{s.First, s.First.Other()} {
		if r := s.Slots[n]; r.Tries > 0 {
			r.Tries--
			return n, s.with(n, r)
		}
	}
	for _, n := range []Name{s.First, s.First.Other()} {
		if s.Slots[n].Good {
			return n, s
		}
	}
	return s.First, s
}

// Clear takes the idle slot out of service, before anything in it is overwritten: what runs becomes the first.
func (s State) Clear(running Name) State {
	r := s.Slots[running]
	r.Good = true
	s.First = running
	return s.with(running, r).with(running.Other(), Record{})
}

// Try puts the idle slot on trial: everything is in it.
func (s State) Try(running Name, version uint64) State {
	s.First = running.Other()
	return s.with(running.Other(), Record{Tries: TrialBoots, Version: version})
}

// Healthy says that the running slot works: it stays, unless the other one is to be started next, by an update or a
// rollback that was quicker than this.
func (s State) Healthy(running Name) State {
	r := s.Slots[running]
	r.Good, r.Tries = true, GoodBoots
	if s.Slots[s.First].Tries == 0 {
		s.First = running
	}
	return s.with(running, r)
}

// Rollback boots the other slot from now on, if it was good once.
func (s State) Rollback(running Name) (State, error) {
	other := s.Slots[running.Other()]
	if !other.Good {
		return s, fmt.Errorf("slot %s holds no system that was ever healthy: install an update first", running.Other())
	}
	other.Tries = GoodBoots
	s.First = running.Other()
	return s.with(running.Other(), other), nil
}

// Trial reports whether the running slot still has to show that it is healthy.
func (s State) Trial(running Name) bool { return !s.Slots[running].Good }

// FellBack reports that the idle slot holds a release whose trials are used up: it was given up, and what ran before runs.
func (s State) FellBack(running Name) bool {
	other := s.Slots[running.Other()]
	return !other.Good && other.Tries == 0 && other.Version != 0
}

// Standings of a slot, as they are shown.
const (
	Empty  = "empty"
	Good   = "good"
	Trial  = "trial"
	Failed = "failed" // it never became healthy
)

// Standing is how a slot stands while another, or itself, runs.
func (s State) Standing(n, running Name) string {
	switch r := s.Slots[n]; {
	case r.Version == 0:
		return Empty
	case r.Good:
		return Good
	case r.Tries > 0 || n == running:
		return Trial
	default:
		return Failed
	}
}
