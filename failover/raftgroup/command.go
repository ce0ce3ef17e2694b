package raftgroup

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Command is one decision to be made. Exactly one of the pointers is set. Time and By say when and by whom it was
// asked for; they are part of the command, as replicas must not read their own clocks.
type Command struct {
	ID   string    `json:"id"` // random; a command that is sent twice is carried out once
	Time time.Time `json:"time"`
	By   string    `json:"by"`

	SetSegment     *SetSegment     `json:"set_segment,omitempty"`
	RemoveSegment  *RemoveSegment  `json:"remove_segment,omitempty"`
	Maintenance    *Maintenance    `json:"maintenance,omitempty"`
	Priority       *Priority       `json:"priority,omitempty"`
	Generation     *Generation     `json:"generation,omitempty"`
	SetTimers      *SetTimers      `json:"set_timers,omitempty"`
	RetireTimers   *RetireTimers   `json:"retire_timers,omitempty"`
	SetPolicy      *SetPolicy      `json:"set_policy,omitempty"`
	PutConfig      *PutConfig      `json:"put_config,omitempty"`
	ConfirmConfig  *ConfirmConfig  `json:"confirm_config,omitempty"`
	RevertConfig   *RevertConfig   `json:"revert_config,omitempty"`
	RollbackConfig *RollbackConfig `json:"rollback_config,omitempty"`
	PutFact        *PutFact        `json:"put_fact,omitempty"`
	Remove         *Remove         `json:"remove,omitempty"`
	Restore        *Restore        `json:"restore,omitempty"`
	ChangeSet      *ChangeSet      `json:"change_set,omitempty"`
	RaiseFloor     *RaiseFloor     `json:"raise_floor,omitempty"`
	RetireSet      *RetireSet      `json:"retire_set,omitempty"`
	SetIPAM        *SetIPAM        `json:"set_ipam,omitempty"`
	SetEngines     *SetEngines     `json:"set_engines,omitempty"`
}

// The decisions.
type (
	// SetSegment adds a segment or replaces what was decided about it.
	SetSegment struct {
		Name    string  `json:"name"`
		Segment Segment `json:"segment"`
	}
	// RemoveSegment forgets a segment.
	RemoveSegment struct {
		Name string `json:"name"`
	}
	// Maintenance keeps a gateway from taking leases, or lets it again.
	Maintenance struct {
		Peer drawbridge.PeerName `json:"peer"`
		On   bool                `json:"on"`
	}
	// Priority ranks a gateway: the higher is asked first.
	Priority struct {
		Peer     drawbridge.PeerName `json:"peer"`
		Priority int                 `json:"priority"`
	}
	// Generation moves the generation above From; asked for twice with the same From it moves once.
	Generation struct {
		From uint32 `json:"from"`
	}
	// SetTimers chooses the lease timers.
	SetTimers struct {
		Renew  time.Duration `json:"renew"`
		Length time.Duration `json:"length"`
	}
	// RetireTimers says that every voter has outlived all promises longer than the length that Timers.Since
	// decided. When the timers were changed again since, it is a conflict: the change made new promises possible.
	RetireTimers struct {
		Since uint64 `json:"since"`
	}
	// SetPolicy chooses what a holder does without a majority.
	SetPolicy struct {
		Policy QuorumPolicy `json:"policy"`
	}
	// PutFact records a fact under a key; an empty kind removes it.
	PutFact struct {
		Key  string `json:"key"`
		Fact Fact   `json:"fact"`
	}
	// Remove records that a peer was removed from the network, and forgets it as a gateway.
	Remove struct {
		Peer drawbridge.PeerName `json:"peer"`
		ID   drawbridge.PeerID   `json:"id"`
	}
	// Restore replaces the decisions by those of a backup, except for what must never go back.
	Restore struct {
		State State `json:"state"`
	}
)

var (
	// ErrConflict is a change made on top of something that is no longer the newest.
	ErrConflict = errors.New("changed meanwhile by somebody else")
	// ErrCommand is a command that says nothing or something impossible.
	ErrCommand = errors.New("not a valid decision")
	// ErrUnknown names something that does not exist.
	ErrUnknown = errors.New("does not exist")
)

// keepSeen is how many command ids are remembered: more than can be on their way at once.
const keepSeen = 1024

// Apply carries out a command on a copy. It is pure: the same state and command give the same result everywhere.
// On an error only the index moves.
func (s State) Apply(index uint64, c Command) (State, error) {
	next := s.clone()
	next.Index, s.Index = index, index
	if c.ID != "" && slices.Contains(s.Seen, c.ID) {
		return s, nil
	}
	if err := c.valid(); err != nil {
		return s, err
	}
	if err := next.carryOut(c); err != nil {
		return s, err
	}
	if c.ID != "" {
		next.Seen = append(next.Seen, c.ID)
		next.Seen = next.Seen[max(0, len(next.Seen)-keepSeen):]
	}
	return next, nil
}

// valid checks the form that all commands share.
func (c Command) valid() error {
	set := 0
	for _, is := range []bool{
		c.SetSegment != nil, c.RemoveSegment != nil, c.Maintenance != nil, c.Priority != nil, c.Generation != nil,
		c.SetTimers != nil, c.RetireTimers != nil, c.SetPolicy != nil, c.PutConfig != nil, c.PutFact != nil,
		c.ConfirmConfig != nil, c.RevertConfig != nil, c.RollbackConfig != nil,
		c.Remove != nil, c.Restore != nil, c.ChangeSet != nil, c.RaiseFloor != nil, c.RetireSet != nil, c.SetIPAM != nil,
		c.SetEngines != nil,
	} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("the command holds %d decisions that this software knows, want 1: %w", set, ErrCommand)
	}
	if len(c.ID) > MaxText || len(c.By) > MaxText {
		return fmt.Errorf("id of %d bytes, author of %d: want at most %d: %w", len(c.ID), len(c.By), MaxText, ErrCommand)
	}
	return nil
}

func (s *State) carryOut(c Command) error {
	switch {
	case c.SetSegment != nil:
		return s.setSegment(*c.SetSegment)
	case c.RemoveSegment != nil:
		return s.removeSegment(*c.RemoveSegment)
	case c.Maintenance != nil:
		return s.maintain(*c.Maintenance, c)
	case c.Priority != nil:
		return s.prioritise(*c.Priority)
	case c.Generation != nil:
		return s.advance(*c.Generation)
	case c.SetTimers != nil:
		if err := s.undecided("the timers", "timers.profile"); err != nil {
			return err
		}
		return s.setTimers(*c.SetTimers)
	case c.RetireTimers != nil:
		return s.retireTimers(*c.RetireTimers)
	case c.SetPolicy != nil:
		s.Policy = c.SetPolicy.Policy
		return s.Policy.valid()
	case c.PutConfig != nil:
		return s.putConfig(*c.PutConfig, c)
	case c.ConfirmConfig != nil:
		return s.confirmConfig(*c.ConfirmConfig, c)
	case c.RevertConfig != nil:
		return s.revertConfig(*c.RevertConfig, c)
	case c.RollbackConfig != nil:
		return s.rollbackConfig(*c.RollbackConfig, c)
	case c.PutFact != nil:
		return s.putFact(*c.PutFact)
	case c.Remove != nil:
		return s.remove(*c.Remove, c)
	case c.ChangeSet != nil:
		return s.changeSet(*c.ChangeSet)
	case c.RaiseFloor != nil:
		return s.raiseFloor(*c.RaiseFloor)
	case c.RetireSet != nil:
		return s.retireSet(*c.RetireSet)
	case c.SetIPAM != nil:
		return s.setIPAM(*c.SetIPAM)
	case c.SetEngines != nil:
		return s.setEngines(*c.SetEngines)
	}
	return s.restore(*c.Restore, c)
}

func (s *State) setSegment(c SetSegment) error {
	c.Segment.Eligible = slices.Compact(slices.Sorted(slices.Values(c.Segment.Eligible)))
	if err := c.Segment.valid(c.Name); err != nil {
		return err
	}
	for other := range s.Segments {
		if other != c.Name && drawbridge.SegmentIDOf(other) == drawbridge.SegmentIDOf(c.Name) {
			return sameID(c.Name, other)
		}
	}
	s.Segments[c.Name] = c.Segment
	if len(s.Segments) > maxSegments {
		return fmt.Errorf("segment %s: %d are the most that fit: %w", c.Name, maxSegments, ErrCommand)
	}
	return nil
}

func (s *State) removeSegment(c RemoveSegment) error {
	if _, ok := s.Segments[c.Name]; !ok {
		return fmt.Errorf("segment %q: %w", c.Name, ErrUnknown)
	}
	delete(s.Segments, c.Name)
	return nil
}

// maintain keeps the first author and time of a maintenance that is asked for again.
func (s *State) maintain(m Maintenance, c Command) error {
	g := s.Gateways[m.Peer]
	if g.Maintenance != m.On {
		g.Maintenance, g.Since, g.By = m.On, c.Time, c.By
	}
	return s.setGateway(m.Peer, g)
}

func (s *State) prioritise(p Priority) error {
	g := s.Gateways[p.Peer]
	g.Priority = p.Priority
	return s.setGateway(p.Peer, g)
}

func (s *State) setGateway(name drawbridge.PeerName, g Gateway) error {
	if err := checkPeer(name); err != nil {
		return err
	}
	s.Gateways[name] = g
	if len(s.Gateways) > maxGateways {
		return fmt.Errorf("gateway %s: %d are the most that fit: %w", name, maxGateways, ErrCommand)
	}
	return nil
}

// advance may leave numbers out: a gateway that remembers epochs from before a restore asks for one above them.
func (s *State) advance(c Generation) error {
	if c.From == math.MaxUint32 {
		return fmt.Errorf("there is no generation above %d: %w", c.From, ErrCommand)
	}
	s.Generation = max(s.Generation, c.From+1)
	return nil
}

// setTimers makes a generation as well: a lease agent takes a configuration only when its number is newer.
func (s *State) setTimers(c SetTimers) error {
	if err := s.advance(Generation{s.Generation}); err != nil {
		return err
	}
	s.Timers = Timers{Renew: c.Renew, Length: c.Length, Longest: max(s.Timers.Longest, c.Length), Since: s.Index}
	return s.Timers.valid()
}

func (s *State) retireTimers(c RetireTimers) error {
	if c.Since != s.Timers.Since {
		return fmt.Errorf("the timers were decided at %d, not at %d: %w", s.Timers.Since, c.Since, ErrConflict)
	}
	s.Timers.Longest = s.Timers.Length
	return nil
}

func (s *State) putFact(c PutFact) error {
	if err := c.Fact.valid(c.Key); err != nil {
		return err
	}
	if c.Fact.Kind == "" {
		delete(s.Facts, c.Key)
		return nil
	}
	s.Facts[c.Key] = c.Fact
	if len(s.Facts) > maxFacts {
		return fmt.Errorf("fact %q: %d are the most that fit: %w", c.Key, maxFacts, ErrCommand)
	}
	return nil
}

func (r Remove) valid() error {
	if r.ID == 0 {
		return fmt.Errorf("peer %q with id 0: %w", r.Peer, ErrCommand)
	}
	return checkPeer(r.Peer)
}

func (s *State) remove(r Remove, c Command) error {
	if err := r.valid(); err != nil {
		return err
	}
	if _, again := s.Revoked[r.ID]; again {
		return nil // another peer may be a gateway under this name by now
	}
	delete(s.Gateways, r.Peer)
	s.Revoked[r.ID] = RevokedEntry{r.Peer, c.Time, c.By}
	if len(s.Revoked) > maxRevoked {
		return fmt.Errorf("remove peer %s: %d are the most that fit: %w", r.Peer, maxRevoked, ErrCommand)
	}
	return nil
}

// restore takes a backup and keeps what must never go back: the generation goes above both, so that no epoch of the
// time in between is used again; the longest lease that may be promised; numbers of versions; who was removed; and
// what ports are known to share a wire.
func (s *State) restore(r Restore, c Command) error {
	b := r.State.clone()
	if err := b.valid(); err != nil {
		return fmt.Errorf("restore a backup: %w", err)
	}
	b.Index, b.Seen = s.Index, s.Seen
	if err := b.advance(Generation{max(b.Generation, s.Generation)}); err != nil {
		return err
	}
	b.Timers.Longest, b.Timers.Since = max(b.Timers.Longest, s.Timers.Longest), s.Index
	if err := s.restoreVersions(&b, c); err != nil {
		return err
	}
	maps.Copy(b.Revoked, s.Revoked)
	maps.Copy(b.Facts, s.Facts)
	b.keepIPAM(s.IPAM)
	b.Engines = s.Engines // what engines carry now is not what they carried then
	b.Sets = s.Sets       // the voters are those of this group, whoever they were in the backup's
	*s = b
	return s.valid() // both together may be too many
}
