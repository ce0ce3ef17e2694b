package appliance

import (
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

const (
	// lookAtOverlay is how often an active gateway looks whether it still reaches anybody.
	lookAtOverlay = 200 * time.Millisecond
	// answersNow is how young the last answer of a voter is that could take a lease over: three renewals of a wide network.
	answersNow = 150 * time.Millisecond
)

// cutOff answers to whom an active gateway is to leave the segment since it reaches nobody over the overlay any more; 0: it goes on.
func (p *port) cutOff(now time.Duration) (to drawbridge.PeerID) {
	if _, open := p.gate.Permit(); !open || p.node.voter == nil {
		return 0
	}
	p.comparing.lookAt = min(p.comparing.lookAt, now+lookAtOverlay)
	_, others := p.node.peers()
	peers, reached := 0, 0
	for _, o := range others {
		switch o.State {
		case mesh.StateLeft:
		case mesh.StateUnreachable:
			peers++
		default:
			peers, reached = peers+1, reached+1
		}
	}
	heir := drawbridge.PeerID(0)
	if reached == 0 {
		heir = p.answering(others)
	}
	p.comparing.cut.Term = p.node.term()
	if !p.comparing.cut.Look(now, peers, reached, heir != 0) || p.comparing.Recused(now) {
		return 0
	}
	return heir
}

// answering is another gateway of the segment that answers as a voter, whether or not the mesh leads there; 0: none.
func (p *port) answering(others []mesh.PeerStatus) drawbridge.PeerID {
	state, _ := p.node.voter.group.State()
	young := youngAnswer(state.Timers.Renew)
	for _, v := range p.node.voter.agent.Status().Voters {
		for _, o := range others {
			on := slices.ContainsFunc(o.Ports, func(w wire.Port) bool { return w.Kind == wire.PortSegment && w.SegmentName == p.segment.Name })
			if o.ID == v.Peer && on && v.Age >= 0 && v.Age < young {
				return o.ID
			}
		}
	}
	return 0
}

// youngAnswer is how long ago a voter may have answered who could take a lease over, where leases are renewed that often.
func youngAnswer(renew time.Duration) time.Duration { return max(answersNow, 3*renew) }

// leaveCutOff leaves the segment to a gateway that may be better connected: it cannot be worse.
func (p *port) leaveCutOff(now time.Duration) {
	if to := p.cutOff(now); to != 0 {
		p.leave(now, &alone.Advice{Yield: to, Finding: alone.Unreached})
	}
}
