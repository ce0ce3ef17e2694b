package appliance

import (
	"context"
	"fmt"

	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/web"
)

// verdictWords say for an operator what ALONE found on a wire, and what must go before the port is cleared.
var verdictWords = map[alone.Reason]struct{ found, remedy string }{
	alone.ForeignNetwork:   {"a gateway of another Drawbridge network is on this wire", "separate the two networks' wires"},
	alone.Reflection:       {"the port hears its own frames: its wire is a loop", "open the loop at the switch or bridge behind the port"},
	alone.SameWire:         {"it is on the same wire as another port of this peer", "leave one of the two on this wire"},
	alone.GuestOnSegment:   {"the guests' network is cabled to a segment", "take away the cable or bridge that joins the two"},
	alone.GuestOnGuest:     {"another peer's guest port is on this wire", "leave one guest port on this wire"},
	alone.TwoSegments:      {"a gateway of another segment is on this wire", "correct the switch, or the segment's name in the node file"},
	alone.BridgedElsewhere: {"somebody else joins this wire to the overlay", "take away that cable or bridge"},
}

// blockedProblem says why ALONE blocks the port, and how an operator takes that back.
func (p *port) blockedProblem(reason alone.Reason) web.Problem {
	words, known := verdictWords[reason]
	if !known {
		words.found, words.remedy = string(reason), "end the reason"
	}
	return web.Problem{
		Summary: fmt.Sprintf("ALONE blocks the port (%s): %s", reason, words.found),
		Remedy:  fmt.Sprintf("%s, then: drawbridge ports clear %s", words.remedy, p.name()),
	}
}

// verdict is what ALONE holds against the port until somebody takes it back.
func (p *port) verdict() (alone.Reason, bool) {
	s, ok := p.node.wire(p)
	return s.Reason, ok && s.State == alone.Blocked
}

// ClearPort implements web.Node. Nothing becomes unsafe by it: the port listens again as if its carrier had just come,
// and what is still on the wire blocks it again.
func (n *Node) ClearPort(_ context.Context, name, by string) error {
	p, err := n.portNamed(name)
	if err != nil {
		return err
	}
	reason, blocked := p.verdict()
	if !blocked {
		return fmt.Errorf("%w: ALONE does not block port %s; drawbridge ports says what it waits for", web.ErrConflict, name)
	}
	n.alone.Clear(p.aloneID())
	signed := n.signed(by)
	n.log.Info("an operator cleared a port that ALONE blocked", "port", name, "reason", reason, "by", signed)
	e := web.Event{
		Level: web.LevelInfo, Kind: "port_cleared", Port: name, Text: fmt.Sprintf("port %s listens again: %s took back the verdict %s", name, signed, reason),
		Reason: fmt.Sprintf("cleared by %s <- %s", signed, reason),
	}
	if p.segment != nil {
		e.Segment = p.segment.Name
	}
	n.event(e)
	n.publish()
	return nil
}
