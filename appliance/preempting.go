package appliance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/web"
)

// lookAtHealth is how often the preferred gateway looks whether it is well, beside every time that something is told.
const lookAtHealth = 500 * time.Millisecond

// preempting is a port's part in preemption.
type preempting struct {
	mu      sync.Mutex // guards what follows
	machine handover.Preemption
	waits   string
	reason  string // of the move that is under way
}

// why is the link of the cause chain for a move that this gateway asked for by itself.
func (p *preempting) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// tell is what others are told: what is waited for, and how many seconds ago a move was.
func (p *preempting) tell(now time.Duration) (waits string, ago float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, known := p.machine.Last(); known && now-last < handover.PreemptEvery {
		ago = (now - last).Seconds()
	}
	return p.waits, ago
}

// moved notes when the segment was preempted.
func (p *preempting) moved(at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.machine.Moved(at)
}

// doneElsewhere keeps what another gateway remembers: this one may have been restarted since, or had no part in it.
func (n *Node) doneElsewhere(t *web.Takeover) {
	for _, p := range n.ports {
		if p.segment == nil || p.segment.Name != t.Segment {
			continue
		}
		if t.Preempted > 0 {
			p.preempt.moved(n.elapsed() - secondsOf(t.Preempted))
		}
		if t.Drilled > 0 {
			p.drilled.note(n.elapsed() - secondsOf(t.Drilled))
		}
	}
}

func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// followPreemptions takes segments over whose preferred gateway this is, where the network wants that.
func (n *Node) followPreemptions(ctx context.Context) error {
	tick := time.NewTicker(lookAtHealth)
	defer tick.Stop()
	for {
		watch := n.changed.watch()
		for _, p := range n.ports {
			if p.segment != nil {
				n.lookToPreempt(p)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch:
		case <-tick.C:
		}
	}
}

// lookToPreempt takes one look, and asks the active gateway for the segment when it is time.
func (n *Node) lookToPreempt(p *port) {
	s := n.network.inForce().Segment(p.segment.Name)
	active, ill, view := drawbridge.PeerID(0), "", handover.Preferred{HoldDown: time.Duration(s.HoldDown)}
	if s.Preempt && s.Preferred == n.creds.Name {
		active, view.Tenure = n.tenureOf(s.Name)
		view.Asked = active != 0 && active != n.creds.ID()
		ill = n.ill(p)
		view.Well, view.Busy = ill == "", n.busy(p, nil)
	}
	now := n.elapsed()
	p.preempt.mu.Lock()
	var move bool
	if move, p.preempt.waits = p.preempt.machine.Step(now, &view); move {
		well := p.preempt.machine.WellFor(now).Round(time.Second)
		p.preempt.reason = fmt.Sprintf("preferred gateway %s has been well for %s", n.creds.Name, netconfig.Duration(well))
	}
	if view.Asked && ill != "" {
		p.preempt.waits += ": " + ill
	}
	p.preempt.mu.Unlock()
	if move {
		go n.preempt(p, active)
	}
}

// tenureOf is who is active on a segment, and under which epoch.
func (n *Node) tenureOf(segment string) (drawbridge.PeerID, drawbridge.Epoch) {
	for _, v := range n.segmentViews() {
		if v.name == segment {
			return v.activeID, v.epoch
		}
	}
	return 0, 0
}

// ill says what speaks against this gateway: a check that fails, a reason not to take the lease, or to ask last. Empty: it
// is well.
func (n *Node) ill(p *port) string {
	p.mu.Lock()
	reasons := strings.Join(p.reasons, "; ")
	p.mu.Unlock()
	why, _ := n.asksLast(p)
	return cmp.Or(reasons, why, firstBad(n.checks(p, 0)))
}

// preempt has the active gateway hand a segment over to this one.
func (n *Node) preempt(p *port, active drawbridge.PeerID) {
	o := &order{ID: newID(), Kind: orderSwitchover, Segment: p.segment.Name, To: string(n.creds.Name), By: "preempt", Why: p.preempt.why()}
	op := n.begin(o.operation())
	n.entrust(op, active, o)
	v := op.read()
	if v.State != web.OperationDone {
		n.log.Warn("the preferred gateway was not given the segment", "port", p.name(), "reason", v.Outcome)
	}
	p.preempt.mu.Lock()
	p.preempt.reason = ""
	p.preempt.machine.Ended(n.elapsed(), v.State == web.OperationRefused)
	p.preempt.mu.Unlock()
	n.changed.tell()
}

// mayBePreempted looks, at the active gateway, whether the network wants a segment of ours moved to its preferred gateway
// just now; it answers why not.
func (n *Node) mayBePreempted(p *port, op *operation, to string) (refusal string) {
	s := n.network.inForce().Segment(p.segment.Name)
	if !s.Preempt || string(s.Preferred) != to {
		return fmt.Sprintf("by the network configuration that %s goes by, %s does not preempt", n.creds.Name, to)
	}
	if refusal = n.busy(p, op); refusal != "" {
		return refusal
	}
	now := n.elapsed()
	if _, ago := p.preempt.tell(now); ago > 0 {
		return fmt.Sprintf("the segment was preempted %.0f s ago", ago)
	}
	p.preempt.moved(now)
	return ""
}

// busy says what is under way here, beside an operation itself, that moving a segment would disturb.
func (n *Node) busy(p *port, but *operation) string {
	n.operations.mu.Lock()
	all := slices.Clone(n.operations.all)
	n.operations.mu.Unlock()
	for _, op := range all {
		v := op.read()
		about := v.Kind == orderUpdate || v.Segment == p.segment.Name && (v.Kind == orderDrill || v.Kind == orderSwitchover)
		if op != but && about && v.State == web.OperationRunning && !v.DryRun {
			return "a " + v.Kind + " is under way"
		}
	}
	state, _ := n.voter.group.State()
	switch {
	case n.moves.under(drawbridge.SegmentIDOf(p.segment.Name)):
		return "a move is under way"
	case p.rehearsed.Load() > 0:
		return "a drill is under way"
	case n.departure.begun.Load():
		return departingReason
	case state.Gateways[n.creds.Name].Maintenance:
		return string(n.creds.Name) + " is in maintenance"
	}
	return ""
}

// whyMoved is the link of the cause chain for a move.
func whyMoved(to string, v web.Operation) string {
	if v.Why != "" {
		return chain("switchover to "+to, v.Why)
	}
	return fmt.Sprintf("switchover to %s asked for by %s", to, v.By)
}
