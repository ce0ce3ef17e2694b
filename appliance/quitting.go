package appliance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// orderQuit asks another peer to remove from the network the one who asks: nobody can revoke itself.
const orderQuit = "quit"

// unseatFor is how long the voters may take to decide a removal and to part with a voter, which on an idle machine are 0.2 s.
const unseatFor = 20 * time.Second

// reachFor is how long who asks to leave waits for a voter.
const reachFor = 10 * time.Second

// Forget implements web.Node. The vote goes before the certificate: a voter that is revoked helps no more to decide that it is
// not to be counted on, and of two voters the other could then decide nothing for ever.
func (n *Node) Forget(ctx context.Context, peer string) error {
	if peer == string(n.creds.Name) {
		return n.quit(ctx)
	}
	if err := n.unseat(ctx, drawbridge.PeerName(peer)); err != nil {
		return err
	}
	err := n.router.Forget(ctx, drawbridge.PeerName(peer))
	switch {
	case errors.Is(err, mesh.ErrUnknownPeer):
		return web.Missing(web.KindPeer, peer)
	case errors.Is(err, secure.ErrNoAuthority):
		return fmt.Errorf("%w: %w", web.ErrConflict, err)
	}
	return err
}

// quit has another voter remove this peer from the network.
func (n *Node) quit(ctx context.Context) error {
	voter, err := n.anotherVoter(ctx)
	if err != nil {
		return err
	}
	var last web.Operation
	err = n.ask(ctx, voter.ID, &order{ID: newID(), Kind: orderQuit}, func(v web.Operation) { last = v })
	if err != nil {
		return fmt.Errorf("peer %s did not answer: %w", voter.Name, err)
	}
	if last.State != web.OperationDone {
		return fmt.Errorf("%w: peer %s: %s", web.ErrConflict, voter.Name, last.Outcome)
	}
	return nil
}

// anotherVoter is one that is reached, or will be soon.
func (n *Node) anotherVoter(ctx context.Context) (mesh.PeerStatus, error) {
	if _, others := n.peers(); len(others) == 0 {
		return mesh.PeerStatus{}, fmt.Errorf("%w: this peer is the only one of its network", web.ErrConflict)
	}
	voters := n.votersWithin(ctx, reachFor)
	if len(voters) == 0 {
		return mesh.PeerStatus{}, fmt.Errorf("%w: no other voter is reached, and only they can remove a peer: start one, or mend the line to it", web.ErrUnavailable)
	}
	return voters[0], nil
}

func reached(p mesh.PeerStatus) bool {
	return p.State != mesh.StateUnreachable && p.State != mesh.StateLeft
}

// serveQuit removes the peer at the other end, which is told before nobody talks to it any more.
func (n *Node) serveQuit(from drawbridge.PeerID, conn net.Conn, in *bufio.Reader, o *order) {
	name := n.nameOfPeer(from)
	v := web.Operation{ID: o.ID, Kind: o.Kind, State: web.OperationDone, Outcome: string(name) + " is no voter any more"}
	err := n.unseat(n.life, name)
	if n.creds.CA == nil {
		err = errors.Join(err, secure.ErrNoAuthority)
	}
	if err != nil {
		v.State, v.Outcome = web.OperationRefused, strings.TrimPrefix(err.Error(), web.ErrConflict.Error()+": ")
	}
	if !n.answerOrder(conn, v) || err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(orderPatience))
	_, _ = io.Copy(io.Discard, in) // it hangs up when it has heard, or is gone
	if err := n.router.Forget(n.life, name); err != nil {
		n.log.Warn("a peer that leaves the network was not removed", "peer", name, "err", err)
	}
}

// unseat takes a peer's vote, if it has one, and returns when the lease does not count on it either. Of a peer that is reached the
// rest must be able to decide without it. One that is not is no help: what cannot be decided now is no reason to
// trust its certificate any longer, and the steward goes on.
func (n *Node) unseat(ctx context.Context, name drawbridge.PeerName) error {
	if n.voter == nil {
		return nil // it has no authority's key either
	}
	voting, learning, err := n.voter.group.Members()
	if err != nil {
		return err
	}
	is := func(v raftgroup.Voter) bool { return v.Name == name }
	_, others := n.peers()
	i := slices.IndexFunc(others, func(p mesh.PeerStatus) bool { return p.Name == name })
	if i < 0 || !slices.ContainsFunc(voting, is) && !slices.ContainsFunc(learning, is) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, unseatFor)
	defer cancel()
	err = n.voter.group.Survives(ctx, name)
	if err == nil {
		err = n.takeVote(ctx, name, others[i].ID)
	}
	switch {
	case err == nil:
		return nil
	case !reached(others[i]):
		n.log.Warn("the vote of a peer that is removed was not taken yet", "peer", name, "err", err)
		return nil
	case errors.Is(err, raftgroup.ErrLastVoters):
		return fmt.Errorf("%w: without %s nothing could be decided: %w; start the others, or make another peer a voter, first", web.ErrConflict, name, err)
	}
	return fmt.Errorf("%w: the vote of %s was not taken: %w", web.ErrUnavailable, name, err)
}

// takeVote has the voters decide that a peer is none of them, and waits until the steward beside the leader has acted on it.
func (n *Node) takeVote(ctx context.Context, name drawbridge.PeerName, id drawbridge.PeerID) error {
	c := raftgroup.Command{By: string(n.creds.Name), Time: time.Now(), Remove: &raftgroup.Remove{Peer: name, ID: id}}
	index, err := n.voter.group.Propose(ctx, c)
	if err != nil {
		return err
	}
	n.caughtUp(ctx, index)
	gone := soon(ctx, unseatFor, func() bool { // Raft's own members are not part of the state that tells of its changes
		var counted bool
		counted, err = n.countedOn(name, id)
		return !counted || err != nil
	})
	if !gone {
		return fmt.Errorf("the voters have decided it, but still count on it: ask again: %w", ctx.Err())
	}
	return err
}

// countedOn reports whether a peer is among the voters, or the lease counts on it.
func (n *Node) countedOn(name drawbridge.PeerName, id drawbridge.PeerID) (bool, error) {
	voting, learning, err := n.voter.group.Members()
	if err != nil {
		return false, err
	}
	state, _ := n.voter.group.State()
	votes := slices.ContainsFunc(slices.Concat(voting, learning), func(v raftgroup.Voter) bool { return v.Name == name })
	return votes || len(state.Sets.Former) > 0 || slices.Contains(state.Sets.Present, id), nil
}
