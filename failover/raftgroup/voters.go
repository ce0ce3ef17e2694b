package raftgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/drawbridge-net/drawbridge"
)

// Voter is a member of the group. A witness is a voter that is no gateway: raft makes no difference.
type Voter struct {
	Name    drawbridge.PeerName
	Address string
}

// Voters lists the members that vote, as this voter knows them, in order of name.
func (g *Group) Voters() ([]Voter, error) {
	m, err := g.members()
	return m.voters, err
}

// Members lists those that vote and those that are being added, in order of name.
func (g *Group) Members() (voting, learning []Voter, err error) {
	m, err := g.members()
	return m.voters, m.learning, err
}

// members is the group as raft has it.
type members struct {
	voters   []Voter
	learning []Voter // being added: they follow, but do not vote yet
}

func (g *Group) members() (m members, err error) {
	future := g.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return members{}, fmt.Errorf("list the voters: %w", err)
	}
	for _, s := range future.Configuration().Servers {
		v := Voter{drawbridge.PeerName(s.ID), string(s.Address)}
		if s.Suffrage == raft.Voter {
			m.voters = append(m.voters, v)
		} else {
			m.learning = append(m.learning, v)
		}
	}
	slices.SortFunc(m.voters, func(a, b Voter) int { return cmp.Compare(a.Name, b.Name) })
	return m, nil
}

func (m members) has(name drawbridge.PeerName) bool {
	return slices.ContainsFunc(slices.Concat(m.voters, m.learning), func(v Voter) bool { return v.Name == name })
}

// without lists the voters other than name.
func (m members) without(name drawbridge.PeerName) []Voter {
	return slices.DeleteFunc(slices.Clone(m.voters), func(v Voter) bool { return v.Name == name })
}

// status is what this voter tells others of itself.
func (g *Group) status() status {
	m, err := g.members()
	voting := err == nil && slices.ContainsFunc(m.voters, func(v Voter) bool { return v.Name == g.cfg.Self })
	return status{Name: g.cfg.Self, Index: g.raft.AppliedIndex(), Member: voting, Mute: g.mute.on.Load()}
}

// AddVoter lets another peer vote, or gives a voter another address. Only the leader can. The newcomer first learns
// without a vote what was decided so far: had it a vote at once, the group could not decide until it had caught up,
// and never if it did not come. When it does not within ctx, everything is as before.
func (g *Group) AddVoter(ctx context.Context, v Voter) error {
	if err := checkPeer(v.Name); err != nil {
		return err
	}
	release, err := g.changeVoters(ctx)
	if err != nil {
		return err
	}
	defer release()
	m, err := g.members()
	if err != nil {
		return err
	}
	if slices.Contains(m.voters, v) {
		return nil
	}
	if err := g.fit(ctx, v, m); err != nil {
		return err
	}
	index, err := asLeader(g.raft.AddNonvoter(raft.ServerID(v.Name), raft.ServerAddress(v.Address), 0, exchangeTimeout))
	if err != nil {
		return err
	}
	if err := g.learned(ctx, v, index); err != nil {
		return errors.Join(err, g.unlearn(v, m))
	}
	_, err = asLeader(g.raft.AddVoter(raft.ServerID(v.Name), raft.ServerAddress(v.Address), 0, exchangeTimeout))
	return err
}

// fit refuses a newcomer that does not answer, is somebody else, or has decisions of its own.
func (g *Group) fit(ctx context.Context, v Voter, m members) error {
	s, err := g.transport.statusOf(ctx, v.Address)
	if err != nil {
		return fmt.Errorf("peer %s does not answer: start it as a voter first: %w: %w", v.Name, ErrLastVoters, err)
	}
	if s.Name != v.Name {
		return fmt.Errorf("at %s answers peer %s, not %s: %w", v.Address, s.Name, v.Name, ErrUnknown)
	}
	if s.Member && !m.has(v.Name) {
		return fmt.Errorf("peer %s votes in a group already, which is not this one: remove its raft directory: %w", v.Name, ErrFounded)
	}
	return g.survive(ctx, append(m.without(v.Name), v))
}

// learned waits until v has applied the entry at index and would vote: a group of two that needs the vote of a newcomer which
// gives none before it has heard a leader would never have one again.
func (g *Group) learned(ctx context.Context, v Voter, index uint64) error {
	for {
		s, err := g.transport.statusOf(ctx, v.Address)
		if err == nil && s.Index >= index && !s.Mute {
			return nil
		}
		select {
		case <-g.transport.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("peer %s has applied entry %d of %d: %w", v.Name, s.Index, index, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// unlearn takes back AddNonvoter, which leaves a voter that got another address a voter.
func (g *Group) unlearn(v Voter, before members) error {
	if before.has(v.Name) {
		return nil
	}
	_, err := asLeader(g.raft.RemoveServer(raft.ServerID(v.Name), 0, exchangeTimeout))
	return err
}

// RemoveVoter takes a peer's vote. Only the leader can, also for itself. It refuses when the voters that answer would
// be no majority of the rest.
func (g *Group) RemoveVoter(ctx context.Context, name drawbridge.PeerName) error {
	release, err := g.changeVoters(ctx)
	if err != nil {
		return err
	}
	defer release()
	m, err := g.members()
	if err != nil {
		return err
	}
	if !m.has(name) {
		return fmt.Errorf("voter %s: %w", name, ErrUnknown)
	}
	if err := g.survive(ctx, m.without(name)); err != nil {
		return fmt.Errorf("without %s: %w", name, err)
	}
	_, err = asLeader(g.raft.RemoveServer(raft.ServerID(name), 0, exchangeTimeout))
	return err
}

// Survives refuses a group without a peer in which those that answer would be no majority. Any voter can tell.
func (g *Group) Survives(ctx context.Context, without drawbridge.PeerName) error {
	m, err := g.members()
	if err != nil {
		return err
	}
	return g.survive(ctx, m.without(without))
}

// survive refuses a set of voters of whom no majority answers.
func (g *Group) survive(ctx context.Context, voters []Voter) error {
	alive := make([]bool, len(voters))
	var wg sync.WaitGroup
	for i, v := range voters {
		wg.Go(func() { alive[i] = v.Name == g.cfg.Self || g.answers(ctx, v) })
	}
	wg.Wait()
	n := len(slices.DeleteFunc(alive, func(is bool) bool { return !is }))
	if n <= len(voters)/2 {
		return fmt.Errorf("%d of %d voters answer: %w", n, len(voters), ErrLastVoters)
	}
	return nil
}

func (g *Group) answers(ctx context.Context, v Voter) bool {
	s, err := g.transport.statusOf(ctx, v.Address)
	return err == nil && s.Name == v.Name
}

// changeVoters begins a change of voters at the leader and keeps others out until it is released. Raft takes one
// change after the other by itself, but each must also be judged by what the one before it left.
func (g *Group) changeVoters(ctx context.Context) (release func(), err error) {
	select {
	case g.changing <- struct{}{}:
		release = func() { <-g.changing }
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of voters: %w", ctx.Err())
	}
	if err := g.raft.VerifyLeader().Error(); err != nil { // asks a majority
		release()
		name, _ := g.Leader()
		return nil, fmt.Errorf("voters are changed at the leader, which is %q: %w: %w", name, ErrNoLeader, err)
	}
	return release, nil
}

// asLeader waits for a change of voters.
func asLeader(f raft.IndexFuture) (uint64, error) {
	err := f.Error()
	for _, lost := range []error{raft.ErrNotLeader, raft.ErrLeadershipLost, raft.ErrRaftShutdown, raft.ErrEnqueueTimeout} {
		if errors.Is(err, lost) {
			return 0, fmt.Errorf("change the voters: %w: %w", ErrNoLeader, err)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("change the voters: %w: %w", ErrCommand, err)
	}
	return f.Index(), nil
}
