package steward

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
)

// Group is the Raft group, as the steward needs it; *raftgroup.Group is one.
type Group interface {
	State() (raftgroup.State, <-chan struct{})
	Current() <-chan struct{}
	Leader() (name drawbridge.PeerName, here bool)
	Voters() ([]raftgroup.Voter, error)
	AddVoter(context.Context, raftgroup.Voter) error
	RemoveVoter(context.Context, drawbridge.PeerName) error
	Propose(context.Context, raftgroup.Command) (uint64, error)
}

var _ Group = (*raftgroup.Group)(nil)

// Times: how often the steward looks when nothing changed, how long it leaves a step that failed, and how
// long one step may take.
const (
	lookEvery = 500 * time.Millisecond
	failedFor = 2 * time.Second
	stepTime  = 10 * time.Second
)

// Config is what a steward needs.
type Config struct {
	Self  drawbridge.PeerName
	Group Group
	// View fills in what the mesh and the lease know; State and Voters are the steward's to add.
	View func(raftgroup.State) View
	Log  *slog.Logger
}

// Steward acts for the network while the Raft leader is here.
type Steward struct {
	cfg Config

	mu  sync.Mutex // guards what follows
	why string
	err error
}

// New prepares a steward; Run starts it.
func New(cfg Config) *Steward {
	return &Steward{cfg: cfg, why: "no majority has told this voter yet what was decided before it started"}
}

// Status is what the steward does or waits for, and why its last step failed.
func (s *Steward) Status() (why string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why, s.err
}

// Run takes step after step until ctx ends. Before this voter knows all that was decided earlier it takes none: a voter that leads
// as soon as it has started would enter segments anew that are there, without what was decided about them.
func (s *Steward) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.cfg.Group.Current():
	}
	for ctx.Err() == nil {
		state, changed := s.cfg.Group.State()
		wait := s.once(ctx, state)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(wait):
		}
	}
	return nil
}

// once takes one step and answers how long to wait for another when nothing changes.
func (s *Steward) once(ctx context.Context, state raftgroup.State) time.Duration {
	if _, here := s.cfg.Group.Leader(); !here {
		s.note("another voter leads", nil)
		return lookEvery
	}
	voters, err := s.cfg.Group.Voters()
	if err != nil {
		s.note("the voters are not known", err)
		return failedFor
	}
	v := s.cfg.View(state)
	v.State, v.Voters = state, voters
	step := Next(v)
	if step.Idle() {
		s.note(step.Why, nil)
		return lookEvery
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	err = s.take(ctx, step)
	s.note(step.Why, err)
	if err != nil && !errors.Is(err, raftgroup.ErrConflict) {
		s.cfg.Log.Warn("voters were not brought into step", "reason", step.Why, "err", err)
		return failedFor
	}
	return 0
}

func (s *Steward) take(ctx context.Context, step Step) error {
	s.cfg.Log.Info("bringing the voters into step", "reason", step.Why)
	switch {
	case step.Add != nil:
		return s.cfg.Group.AddVoter(ctx, *step.Add)
	case step.Remove != "":
		return s.cfg.Group.RemoveVoter(ctx, step.Remove)
	}
	c := *step.Propose
	c.By, c.Time = string(s.cfg.Self), time.Now()
	_, err := s.cfg.Group.Propose(ctx, c)
	return err
}

func (s *Steward) note(why string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why, s.err = why, err
}
