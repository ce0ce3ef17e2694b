package raftgroup

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

func names(t *testing.T, n *node) string {
	t.Helper()
	voters, err := n.Voters()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, v := range voters {
		list = append(list, string(v.Name))
	}
	return strings.Join(list, " ")
}

func TestVotersComeAndGo(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	index := all[2].decide(t, segment("lan", 7))
	all.agree(t, index)
	for _, n := range all {
		within(t, "all know three voters", func() bool { return names(t, n) == "a b c" })
	}
	leader := all.leader(t)
	leaving := all.without(leader)[0]
	all.change(t, func(ctx context.Context, n *node) error { return n.RemoveVoter(ctx, leaving.cfg.Self) })
	rest := all.without(leaving)
	if strings.Contains(names(t, rest.leader(t)), string(leaving.cfg.Self)) {
		t.Errorf("voters are %s", names(t, rest.leader(t)))
	}
	rest.agree(t, rest[0].decide(t, segment("more", 8)))

	again := rest.leader(t) // it comes back with what it remembers of this group: that is a matter of its directory
	if err := again.AddVoter(t.Context(), leaving.voter()); err != nil && !errors.Is(err, ErrFounded) {
		t.Errorf("coming back: %v", err)
	}
	leaving.stop(t)
	fresh := newNode(t, newCA(t), leaving.cfg.Self)
	fresh.tls = leaving.tls
	fresh.start(t)
	rest.change(t, func(ctx context.Context, n *node) error { return n.AddVoter(ctx, fresh.voter()) })
	whole := append(rest, fresh)
	if s := whole.agree(t, fresh.decide(t, segment("third", 9))); len(s.Segments) != 3 {
		t.Errorf("state is %s", encoded(t, s))
	}
}

// TestTheLeaderMayGoItself, and another takes over.
func TestTheLeaderMayGoItself(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	leader := all.leader(t)
	if err := leader.RemoveVoter(t.Context(), leader.cfg.Self); err != nil {
		t.Fatal(err)
	}
	rest := all.without(leader)
	rest.agree(t, rest[0].decide(t, segment("lan", 7)))
	if s, _ := leader.State(); s.Generation != 1 {
		t.Errorf("who left cannot read any more: %s", encoded(t, s))
	}
}

// TestNeverBelowWhatSurvives: a change that would leave the voters that answer without a majority is refused.
func TestNeverBelowWhatSurvives(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	leader := all.leader(t)
	down, up := all.without(leader)[0], all.without(leader)[1]
	down.stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := leader.RemoveVoter(ctx, up.cfg.Self) // would leave one that answers and one that does not
	if !errors.Is(err, ErrLastVoters) || !strings.Contains(err.Error(), "1 of 2 voters answer") {
		t.Errorf("removed: %v", err)
	}
	if err := leader.RemoveVoter(ctx, "nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed nobody: %v", err)
	}
	if err := leader.RemoveVoter(ctx, down.cfg.Self); err != nil {
		t.Errorf("who is down cannot be removed: %v", err)
	}
	if err := leader.RemoveVoter(ctx, up.cfg.Self); err != nil {
		t.Errorf("one of two that answer cannot be removed: %v", err)
	}
	if err := leader.RemoveVoter(ctx, leader.cfg.Self); !errors.Is(err, ErrLastVoters) {
		t.Errorf("the last voter was removed: %v", err)
	}
	leader.reaches(t, leader.decide(t, segment("lan", 7)))
}

// TestWhoDoesNotAnswerIsNotAdded: one voter that waits for a second that never comes could decide nothing any more.
func TestWhoDoesNotAnswerIsNotAdded(t *testing.T) {
	t.Parallel()
	c := newCA(t)
	a, b := newNode(t, c, "a").start(t), newNode(t, c, "b").start(t)
	if err := a.Found(); err != nil {
		t.Fatal(err)
	}
	cluster{a}.leader(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, tt := range map[string]struct {
		voter Voter
		want  error
	}{
		"nobody there":  {Voter{"c", "127.0.0.1:1"}, ErrLastVoters},
		"somebody else": {Voter{"c", b.cfg.Address}, ErrUnknown},
		"no name":       {Voter{"", b.cfg.Address}, ErrCommand},
	} {
		if err := a.AddVoter(ctx, tt.voter); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Found(); err != nil { // a network of its own
		t.Fatal(err)
	}
	cluster{b}.leader(t)
	if err := a.AddVoter(ctx, b.voter()); !errors.Is(err, ErrFounded) || !strings.Contains(err.Error(), "remove its raft directory") {
		t.Errorf("two groups became one: %v", err)
	}
	if names(t, a) != "a" {
		t.Errorf("voters are %s", names(t, a))
	}
	a.reaches(t, a.decide(t, segment("lan", 7)))
}

// TestNewcomerThatFallsSilentIsTakenBack: it answers when it is asked, then never learns.
func TestNewcomerThatFallsSilentIsTakenBack(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b")
	leader := all.leader(t)
	c := newNode(t, newCA(t), "c")
	c.tls = leader.tls
	c.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	c.transport.status = sync.OnceValue(func() status { return status{Name: "c"} }) // says so for ever
	go func() { result <- leader.AddVoter(ctx, c.voter()) }()
	within(t, "it is learning", func() bool { m, err := leader.members(); return err == nil && len(m.learning) == 1 })
	if names(t, leader) != "a b" {
		t.Errorf("who learns votes: %s", names(t, leader))
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("added: %v", err)
	}
	if m, err := leader.members(); err != nil || m.has("c") {
		t.Errorf("members are %+v, %v", m, err)
	}
	all.agree(t, leader.decide(t, segment("lan", 7)))
}

// TestOnlyTheLeaderChangesVoters and says who that is.
func TestOnlyTheLeaderChangesVoters(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	leader := all.leader(t)
	follower := all.without(leader)[0]
	for _, err := range []error{follower.AddVoter(t.Context(), Voter{"d", "127.0.0.1:1"}), follower.RemoveVoter(t.Context(), "a")} {
		if !errors.Is(err, ErrNoLeader) || !strings.Contains(err.Error(), string(leader.cfg.Self)) {
			t.Errorf("error is %v, the leader is %s", err, leader.cfg.Self)
		}
	}
}

// TestOneChangeAtATime: of four voters one is down. Any one of the others may go, but not two: so of two removals at
// once the second must be judged by what the first left.
func TestOneChangeAtATime(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c", "d")
	leader := all.leader(t)
	rest := all.without(leader)
	rest[0].stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	release, err := leader.changeVoters(ctx)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	for _, n := range rest[1:] {
		go func() { results <- leader.RemoveVoter(ctx, n.cfg.Self) }()
	}
	release()
	one, other := <-results, <-results
	if one != nil {
		one, other = other, one
	}
	if one != nil || !errors.Is(other, ErrLastVoters) {
		t.Errorf("the first removal: %v; the second: %v", one, other)
	}
	leader.reaches(t, leader.decide(t, segment("lan", 7)))
}

// TestAChangeWaitsForTheOneBefore, as long as its caller does.
func TestAChangeWaitsForTheOneBefore(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b")
	leader := all.leader(t)
	release, err := leader.changeVoters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := leader.RemoveVoter(ctx, all.without(leader)[0].cfg.Self); !errors.Is(err, context.Canceled) {
		t.Errorf("changed during another change: %v", err)
	}
	release()
	if names(t, leader) != "a b" {
		t.Errorf("voters are %s", names(t, leader))
	}
}

// TestVoterMoves to another address, and keeps its vote.
func TestVoterMoves(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "a", "b", "c")
	leader := all.leader(t)
	moving := all.without(leader)[0]
	moving.stop(t)
	moving.cfg.Address = "127.0.0.1:0"
	moving.start(t)
	all.without(moving).change(t, func(ctx context.Context, n *node) error { return n.AddVoter(ctx, moving.voter()) })
	all.agree(t, leader.decide(t, segment("lan", 7)))
	if m, err := leader.members(); err != nil || len(m.voters) != 3 || len(m.learning) != 0 {
		t.Errorf("members are %+v, %v", m, err)
	}
}

// TestWitnessKeepsOneGatewayDeciding: two gateways and a witness, which is no gateway. With either gateway down the
// other and the witness decide; with the witness down as well nobody does.
func TestWitnessKeepsOneGatewayDeciding(t *testing.T) {
	t.Parallel()
	all := newCluster(t, "gw1", "gw2", "witness")
	gw1, gw2, witness := all[0], all[1], all[2]
	for _, gw := range []*node{gw1, gw2} {
		all.agree(t, all[2].decide(t, Command{Priority: &Priority{gw.cfg.Self, 1}}))
	}
	if s, _ := witness.State(); len(s.Gateways) != 2 {
		t.Errorf("gateways are %v", s.Gateways)
	}
	gw1.stop(t)
	cluster{gw2, witness}.agree(t, gw2.decide(t, maintenance("gw1", true)))
	gw1.start(t)
	all.agree(t, gw1.decide(t, maintenance("gw1", false)))
	gw2.stop(t)
	cluster{gw1, witness}.agree(t, gw1.decide(t, maintenance("gw2", true)))
	witness.stop(t)
	within(t, "nobody leads", func() bool { name, _ := gw1.Leader(); return name == "" })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gw1.Propose(ctx, maintenance("gw2", false)); !errors.Is(err, ErrNoLeader) {
		t.Errorf("one of three decided: %v", err)
	}
	if s, _ := gw1.State(); !s.Gateways["gw2"].Maintenance {
		t.Error("what was decided cannot be read")
	}
}

// TestLostElectionsAreNoErrorOfTheCommand: raft's errors become ErrNoLeader, which callers may try again.
func TestLostElectionsAreNoErrorOfTheCommand(t *testing.T) {
	t.Parallel()
	for _, lost := range []error{raft.ErrNotLeader, raft.ErrLeadershipLost, raft.ErrEnqueueTimeout, raft.ErrRaftShutdown} {
		if _, err := asLeader(failed{lost}); !errors.Is(err, ErrNoLeader) {
			t.Errorf("%v is %v", lost, err)
		}
	}
	if _, err := asLeader(failed{errors.New("duplicate address")}); !errors.Is(err, ErrCommand) {
		t.Errorf("anything else is %v", err)
	}
}

type failed struct{ err error }

func (f failed) Error() error  { return f.err }
func (f failed) Index() uint64 { return 0 }
