package appliance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// decideFor is how long the voters may take to decide on a maintenance.
const decideFor = 10 * time.Second

// leftFor is how long leaving is waited for: a few planned moves that fail, and then the lease's own end.
const leftFor = 30 * time.Second

// leaving is a port's part in a maintenance.
type leaving struct {
	mu      sync.Mutex // guards what follows
	machine handover.Leaving
}

// Maintain implements web.Node.
func (n *Node) Maintain(ctx context.Context, peer string, r web.MaintenanceRequest) (web.Operation, error) {
	self, others := n.peers()
	at := drawbridge.PeerID(0)
	known := false
	for _, p := range append([]mesh.PeerStatus{self}, others...) {
		reached := p.State != mesh.StateUnreachable && p.State != mesh.StateLeft
		switch {
		case string(p.Name) == peer:
			if !p.Roles.Has(secure.Gateway) {
				return web.Operation{}, fmt.Errorf("%w: %s is no gateway, so it has no segment to give up", web.ErrConflict, peer)
			}
			known = true
			if reached && p.Roles.Has(secure.Voter) {
				at = p.ID // it decides and leaves in one place
			}
		case at == 0 && reached && p.Roles.Has(secure.Voter):
			at = p.ID
		}
	}
	switch {
	case !known:
		return web.Operation{}, web.Missing(web.KindPeer, peer)
	case at == 0:
		return web.Operation{}, fmt.Errorf("%w: no voter is reached, and maintenance is theirs to decide", web.ErrUnavailable)
	}
	if n.voter != nil {
		at = n.creds.ID()
	}
	return n.delegate(ctx, at, &order{Kind: orderMaintain, To: peer, On: r.On, By: r.By})
}

// maintain has the voters decide, and waits until the gateway has acted on it. It acts by itself, whoever asked and
// whatever becomes of this operation: see stays.
func (n *Node) maintain(ctx context.Context, op *operation, o *order) error {
	if n.voter == nil {
		return errors.New("this peer is no voter")
	}
	op.change(func(v *web.Operation) { v.Peer, v.To = o.To, "" })
	decide, cancel := context.WithTimeout(ctx, decideFor)
	defer cancel()
	index, err := n.voter.group.Propose(decide, raftgroup.Command{
		By: o.By, Maintenance: &raftgroup.Maintenance{Peer: drawbridge.PeerName(o.To), On: o.On},
	})
	if err != nil {
		return fmt.Errorf("the voters did not decide; nothing has changed: %w", err)
	}
	n.caughtUp(decide, index)
	word := map[bool]string{true: "in", false: "out of"}[o.On]
	op.step("decided", "", fmt.Sprintf("the voters have decided: %s is %s maintenance", o.To, word))
	if !o.On {
		op.end(web.OperationDone, o.To+" takes part again; it takes a segment over when it is needed, or by a switchover")
		return nil
	}
	return n.awaitLeft(ctx, op, o.To)
}

// awaitLeft waits until a gateway has no open gate.
func (n *Node) awaitLeft(ctx context.Context, op *operation, peer string) error {
	ctx, cancel := context.WithTimeout(ctx, leftFor)
	defer cancel()
	for {
		watch := n.changed.watch()
		held, dark := n.heldBy(peer)
		if len(held) == 0 {
			text := peer + " has no segment: it is safe to stop it"
			if len(dark) > 0 {
				text += fmt.Sprintf("; nobody is active in %v", dark)
			}
			op.step("left", peer, text)
			op.end(web.OperationDone, text)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is in maintenance, but still has %v", peer, held)
		case <-watch:
		}
	}
}

// heldBy lists the segments that a gateway has, and those that nobody has.
func (n *Node) heldBy(peer string) (held, dark []string) {
	for _, v := range n.segmentViews() {
		switch string(v.active) {
		case peer:
			held = append(held, v.name)
		case "":
			dark = append(dark, v.name)
		}
	}
	return held, dark
}

// takes answers whether this gateway takes or keeps the lease of a port's segment.
func (n *Node) takes(p *port, state *raftgroup.State, reasons []string) bool {
	stays := n.departure.keepsForNow(p)
	if !n.departure.begun.Load() {
		stays = n.stays(p, state.Gateways[n.creds.Name].Maintenance)
	}
	return len(reasons) == 0 || stays && len(reasons) == 1 // maintenance itself, or stopping
}

// stays answers whether this gateway keeps a lease for the moment although it is in maintenance: until a planned move
// has taken the segment away. It is asked whenever anything changes.
func (n *Node) stays(p *port, maintenance bool) bool {
	_, holding := p.gate.Permit()
	p.leaving.mu.Lock()
	candidate, move := p.leaving.machine.Step(maintenance, holding)
	p.leaving.mu.Unlock()
	if move {
		go n.moveAway(p)
	}
	return maintenance && candidate
}

// moveAway moves a segment to whoever is ready.
func (n *Node) moveAway(p *port) {
	op := n.begin(web.Operation{Kind: orderSwitchover, Segment: p.segment.Name, By: "maintenance"})
	err := n.switchover(n.life, op, &order{Kind: orderSwitchover, Segment: p.segment.Name})
	op.finish(err)
	ok := op.read().State == web.OperationDone
	if !ok {
		n.log.Warn("the segment could not be moved for maintenance", "port", p.name(), "reason", op.read().Outcome)
		pause(n.life, leaveAgain)
	}
	p.leaving.mu.Lock()
	p.leaving.machine.Moved(ok)
	p.leaving.mu.Unlock()
	n.changed.tell()
}

// leaveAgain is how long after a move that failed the next is tried.
const leaveAgain = time.Second
