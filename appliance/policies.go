package appliance

import (
	"context"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/warden"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// timersWatch remembers since when all voters go by the present timers. Only the steward's goroutine uses it.
type timersWatch struct {
	decided    uint64 // Timers.Since that it is about
	generation uint32 // one in which they are in force
	since      failover.Boottime
	all        bool
}

// timersHeld is for how long every voter of the lease's sets is known to go by the present timers; negative: not all of
// them are. A voter says its generation in every datagram, and no later run of it takes an older one.
func (n *Node) timersHeld(state *raftgroup.State) time.Duration {
	w := &n.timersWatch
	if state.Timers.Longest <= state.Timers.Length {
		return -1
	}
	if w.decided != state.Timers.Since || w.generation == 0 {
		*w = timersWatch{decided: state.Timers.Since, generation: state.Generation}
	}
	voters := n.voter.agent.Status().Voters
	all := len(voters) > 0
	for _, v := range voters {
		all = all && v.Generation >= w.generation
	}
	if all && !w.all {
		w.since = gate.Now()
	}
	if w.all = all; !all {
		return -1
	}
	return gate.Now().Sub(w.since)
}

// quorumPolicies are the words of the network configuration.
var quorumPolicies = map[string]alone.Policy{netconfig.QuorumHold: alone.HoldGates, netconfig.QuorumSegment: alone.BySegment}

// followPolicies tells ALONE what becomes of each segment without a majority, whether there is one, and how long leases last. Nobody else
// does: who read an older configuration would have the last word.
func (n *Node) followPolicies(ctx context.Context) error {
	tick := time.NewTicker(lookAtWires)
	defer tick.Stop()
	for {
		n.steerRegents()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case told := <-n.steer:
			n.steerRegents()
			close(told)
		}
	}
}

// awaitSteering returns when the regents have been told what they go by since the call, or when the node ends.
func (n *Node) awaitSteering() {
	told := make(chan struct{})
	select {
	case n.steer <- told:
		<-told
	case <-n.life.Done():
	}
}

func (n *Node) steerRegents() {
	state, _ := n.voter.group.State()
	n.alone.SetTerm(state.Timers.Length)
	asked, answers := false, false
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		policy := quorumPolicies[n.network.inForce().Segment(p.segment.Name).QuorumLoss]
		if policy == alone.CloseGates && p.policy.Swap(uint32(policy)) == uint32(policy) {
			continue
		}
		p.policy.Store(uint32(policy))
		if !asked {
			asked, answers = true, n.voter.agent.Status().Quorum
		}
		n.alone.SetRule(p.aloneID(), n.rule(p, policy, &state))
		n.alone.Majority(p.aloneID(), answers)
	}
}

// rule is what a regent of a port's segment goes by.
func (n *Node) rule(p *port, policy alone.Policy, state *raftgroup.State) alone.Rule {
	r := alone.Rule{
		Policy: policy, Others: n.others(p.segment.Name, state), Generation: state.Generation,
		May: p.mode() == modeAuto && len(n.whyNot(p, state)) == 0,
	}
	r.Pair = n.isPair(r.Others, state)
	return r
}

// isPair reports whether this gateway and the one other are all the voters there are.
func (n *Node) isPair(others []drawbridge.PeerID, state *raftgroup.State) bool {
	voters := state.Sets.Present
	return len(others) == 1 && len(voters) == 2 && len(state.Sets.Former) == 0 &&
		slices.Contains(voters, n.creds.ID()) && slices.Contains(voters, others[0])
}

// others are all peers that may take a segment beside this one: who has a port on it, and every voter of whom it is not
// known that it has none.
func (n *Node) others(segment string, state *raftgroup.State) (ids []drawbridge.PeerID) {
	elsewhere := map[drawbridge.PeerID]bool{n.creds.ID(): true}
	for _, peer := range n.router.Peers() {
		on := slices.ContainsFunc(peer.Ports, func(w wire.Port) bool { return w.Kind == wire.PortSegment && w.SegmentName == segment })
		switch {
		case peer.ID == n.creds.ID():
		case on && peer.Roles.Has(secure.Gateway):
			ids = append(ids, peer.ID)
		case len(peer.Ports) > 0 || !peer.Roles.Has(secure.Gateway):
			elsewhere[peer.ID] = true
		}
	}
	for _, set := range [][]drawbridge.PeerID{state.Sets.Present, state.Sets.Former} {
		for _, id := range set {
			if _, gone := state.Revoked[id]; !gone && !elsewhere[id] {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lapsed hears, in the warden's goroutine, that a tenure of ours ended for want of a majority: a regent may go on.
func (n *Node) lapsed(c warden.Change) {
	if c.Held || c.Unused || c.Cause != lease.Lapsed.String() {
		return
	}
	for _, p := range n.ports {
		if p.segment != nil && drawbridge.SegmentIDOf(p.segment.Name) == c.Segment {
			n.alone.Lapsed(p.aloneID(), c.Epoch)
		}
	}
}

// stands hears, in ALONE's goroutine, that the gate of a port may be open without a lease until then, and answers whether
// it is.
func (n *Node) stands(id alone.PortID, epoch drawbridge.Epoch, until time.Duration) bool {
	p := n.portOf(id)
	if p == nil || p.gate == nil || !p.usable.Load() || p.unplugged.Load() || !n.alive() || p.ending() {
		return false
	}
	if !p.gate.Open(epoch, failover.Boottime(until)) {
		return false
	}
	if p.regent.Swap(uint64(epoch)) != uint64(epoch) {
		go n.regency(p, epoch, time.Now()) // it takes locks of the mesh, and ALONE must not wait
	}
	return true
}

// stood hears that this is over. Whoever has opened the gate meanwhile did so under another tenure.
func (n *Node) stood(id alone.PortID, epoch drawbridge.Epoch) {
	p := n.portOf(id)
	if p == nil || p.gate == nil || !p.regent.CompareAndSwap(uint64(epoch), 0) {
		return
	}
	ended := p.gate.Ended()
	if under, open := p.gate.Permit(); open && under == epoch {
		p.gate.Shut()
	}
	at := wallClock(ended)
	go func() {
		p.mu.Lock()
		was := p.epoch
		p.mu.Unlock()
		if was == epoch {
			p.over(epoch, at, chain("shut "+at.Format(instant), "without a majority nothing speaks for it any more"))
			n.publish()
		}
	}()
}

// regency tells of a gate that is open without a majority.
func (n *Node) regency(p *port, epoch drawbridge.Epoch, at time.Time) {
	why := chain(regencyCause(alone.Policy(p.policy.Load())), "no majority", n.whyNoMajority())
	p.mu.Lock()
	p.epoch, p.cause, p.since = epoch, why, at
	p.mu.Unlock()
	segment := drawbridge.SegmentIDOf(p.segment.Name)
	n.voter.agent.Heard(segment, epoch) // what the voters give next is later
	n.sw.SetSegment(segment, p.vni(), n.creds.ID(), epoch)
	n.log.Warn("the gate is open without a majority", "port", p.name(), "epoch", epoch, "reason", why)
	n.event(web.Event{
		Time: at.UTC(), Level: web.LevelWarn, Kind: "regent", Port: p.name(), Segment: p.segment.Name, Epoch: epoch.String(), Reason: why,
		Text: fmt.Sprintf("gate of segment %s is open without a majority of the voters", p.segment.Name),
	})
	p.announce()
	n.publish()
}

func regencyCause(policy alone.Policy) string {
	if policy == alone.BySegment {
		return "UNSAFE: open on what the wire says alone (quorum_loss = segment)"
	}
	return "held: every other gateway promises not to open (quorum_loss = hold)"
}

// policyProblems says what a network has let itself in for.
func (n *Node) policyProblems() (all []web.Problem) {
	for _, p := range n.ports {
		if p.segment == nil || n.voter == nil {
			continue
		}
		policy := quorumPolicies[n.network.inForce().Segment(p.segment.Name).QuorumLoss]
		state, _ := n.voter.group.State()
		switch {
		case p.regent.Load() != 0:
			all = append(all, web.Problem{
				Summary: fmt.Sprintf("segment %s is open without a majority of the voters; %s", p.segment.Name, regencyCause(policy)),
				Remedy:  "see why the other voters do not answer: drawbridge peers",
			})
		case policy == alone.BySegment && n.isPair(n.others(p.segment.Name, &state), &state):
			all = append(all, web.Problem{
				Summary: fmt.Sprintf("UNSAFE: segment %s has quorum_loss = \"segment\": two gateways are active when the wire between them is cut", p.segment.Name),
				Remedy:  "add a witness (a third voter), and set quorum_loss = \"close\" in the network configuration",
			})
		case policy == alone.BySegment && n.voter.isCurrent():
			all = append(all, web.Problem{
				Summary: fmt.Sprintf("quorum_loss = \"segment\" of segment %s is not acted on: it is for two gateways that are the only voters; without a majority the gate shuts", p.segment.Name),
				Remedy:  "set quorum_loss = \"close\" in the network configuration",
			})
		}
	}
	return all
}

// unsafeText warns, on every peer, of a segment whose policy lets two gateways be active.
func (n *Node) unsafeText(segment string) string {
	if n.network.inForce().Segment(segment).QuorumLoss != netconfig.QuorumSegment {
		return ""
	}
	return "UNSAFE: quorum_loss = segment"
}
