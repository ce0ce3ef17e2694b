package raftgroup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// askAgain is how soon a voter looks again whether it leads, or whether a revert that was refused is still due.
const askAgain = 500 * time.Millisecond

// RevertUnconfirmed undoes versions of the configuration that nobody confirms in time, until ctx ends. It runs beside
// every voter, and the one that leads at that moment acts: so it needs no clock that all agree on, and a leader that
// dies takes nothing along.
func (g *Group) RevertUnconfirmed(ctx context.Context) error {
	log := g.cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return reverter{
		state: g.State, log: log, old: g.replayed, by: string(g.cfg.Self),
		leads:   func() bool { _, here := g.Leader(); return here },
		propose: func(ctx context.Context, c Command) error { _, err := g.Propose(ctx, c); return err },
	}.run(ctx)
}

// reverter is what RevertUnconfirmed needs of a group.
type reverter struct {
	state   func() (State, <-chan struct{})
	leads   func() bool
	propose func(context.Context, Command) error
	old     uint64 // index of the newest entry that was on this voter's disk when it started
	by      string
	log     *slog.Logger
}

func (r reverter) run(ctx context.Context) error {
	var waiting uint64
	var due time.Time
	for {
		state, changed := r.state()
		v, _ := state.Newest()
		if !v.Waiting() {
			waiting = 0
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			continue
		}
		if v.Number != waiting {
			waiting, due = v.Number, time.Now().Add(r.left(v, time.Now()))
		}
		pause := time.Until(due)
		if pause <= 0 {
			r.revert(ctx, state, v)
			pause = askAgain
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// left is how long a version that this voter has just come to know may still wait. One that was made while the voter
// ran counts from now, by a clock that never jumps, whatever clock its author has. One that the voter found on its disk
// goes by the time of day: a configuration that makes the daemon end again and again must not begin anew each time.
func (r reverter) left(v Version, now time.Time) time.Duration {
	if v.Index > r.old {
		return v.Within
	}
	return min(max(v.Time.Add(v.Within).Sub(now), 0), v.Within)
}

func (r reverter) revert(ctx context.Context, state State, v Version) {
	if !r.leads() {
		return
	}
	parent, err := state.Version(v.Parent)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
		defer cancel()
		// The id makes it once, however many leaders propose it.
		err = r.propose(ctx, Command{
			ID: fmt.Sprintf("revert %d", v.Number), By: r.by, Time: time.Now(), RevertConfig: &RevertConfig{v.Number, parent.Length()},
		})
	}
	if err != nil && !errors.Is(err, ErrConflict) { // a conflict: it was confirmed or reverted meanwhile
		r.log.Warn("a configuration that nobody confirmed is not reverted yet", "version", v.Number, "err", err)
	}
}
