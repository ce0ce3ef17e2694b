package appliance

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/web"
)

const (
	// departFor is how long a stop waits for planned moves: a gateway that has just started listens for a while before it
	// is ready, and a move leaves a trail of handover.TrailFor. systemd waits longer (TimeoutStopSec).
	departFor = 8 * time.Second
	// departAgain is how soon a move that was refused is tried again.
	departAgain = 500 * time.Millisecond
)

// departure is a daemon's ordered end. While it lasts this gateway takes no segment, and keeps those that it has until a
// planned move has taken them away.
type departure struct {
	begun  atomic.Bool
	moving sync.Map // *port: one that is given up by a planned move
}

// reason that speaks against taking leases.
const departingReason = "this peer is stopping"

// depart gives every segment to whoever is ready, so that stopping the daemon is a planned switchover and no failover. It
// returns when nothing is here any more, when nobody else is there, or after departFor.
func (n *Node) depart() {
	if n.voter == nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.life, departFor)
	defer cancel()
	var moves sync.WaitGroup
	for _, p := range n.ports {
		if p.segment != nil && p.segment.Mode != config.ModeActiveManual {
			n.departure.moving.Store(p, true)
			moves.Go(func() {
				defer n.departure.moving.Delete(p)
				n.departFrom(ctx, p)
			})
		}
	}
	n.departure.begun.Store(true)
	n.changed.tell() // before the first move is over, nobody gives us anything any more
	moves.Wait()
	n.moves.await(ctx)
}

// departFrom tries until the gate of a port is shut, or there is nobody to give its segment to.
func (n *Node) departFrom(ctx context.Context, p *port) {
	for ctx.Err() == nil {
		if _, open := p.gate.Permit(); !open && !n.moves.takes(drawbridge.SegmentIDOf(p.segment.Name)) {
			return
		}
		if len(n.gatewaysOf(p.segment.Name)) == 0 {
			n.log.Warn("no other gateway of the segment is reached: nobody bridges it until this one is back", "port", p.name())
			return
		}
		op := n.begin(web.Operation{Kind: orderSwitchover, Segment: p.segment.Name, By: "stop of " + string(n.creds.Name)})
		op.finish(n.switchover(ctx, op, &order{Kind: orderSwitchover, Segment: p.segment.Name, Anyway: true}))
		if v := op.read(); v.State != web.OperationDone {
			n.log.Warn("the segment could not be handed over before the stop", "port", p.name(), "reason", v.Outcome)
			pause(ctx, departAgain)
		}
	}
}

// keepsForNow answers whether a port keeps its lease although this peer is stopping.
func (d *departure) keepsForNow(p *port) bool {
	_, moving := d.moving.Load(p)
	return moving
}

// takes reports whether a segment is on its way to this gateway.
func (m *moves) takes(id drawbridge.SegmentID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taking[id] != nil
}

// await waits until no move is under way: its trail of frames is part of it.
func (m *moves) await(ctx context.Context) {
	again := time.NewTicker(departAgain / 25)
	defer again.Stop()
	for {
		m.mu.Lock()
		none := len(m.giving) == 0 && len(m.taking) == 0
		m.mu.Unlock()
		if none {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}
