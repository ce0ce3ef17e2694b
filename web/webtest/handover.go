package webtest

import (
	"context"

	"github.com/drawbridge-net/drawbridge/web"
)

// Moves are what a Node answers about switchovers.
type Moves struct {
	Operations []web.Operation
	Drills     []web.DrillReport
	Takeovers  []web.Takeover
}

// begin answers with the first operation of the sample, as if it had just begun.
func (n *Node) begin(err error) (web.Operation, error) {
	return n.read().Moves.Operations[0], err
}

// Switchover implements web.Node.
func (n *Node) Switchover(_ context.Context, segment string, r web.SwitchoverRequest) (web.Operation, error) {
	return n.begin(n.note("switchover %s to %q dry=%v by %s", segment, r.To, r.DryRun, r.By))
}

// Maintain implements web.Node.
func (n *Node) Maintain(_ context.Context, peer string, r web.MaintenanceRequest) (web.Operation, error) {
	return n.begin(n.note("maintenance of %s %v by %s", peer, r.On, r.By))
}

// Drill implements web.Node.
func (n *Node) Drill(_ context.Context, segment string, r web.DrillRequest) (web.Operation, error) {
	return n.begin(n.note("drill %s to %q by %s", segment, r.To, r.By))
}

// FlushEverywhere implements web.Node.
func (n *Node) FlushEverywhere(_ context.Context, f web.MACFilter, by string) (web.Operation, error) {
	return n.begin(n.note("flush everywhere %+v by %s", f, by))
}

// Operations implements web.Node.
func (n *Node) Operations() []web.Operation { return n.read().Moves.Operations }

// Drills implements web.Node.
func (n *Node) Drills() []web.DrillReport { return n.read().Moves.Drills }

// Takeovers implements web.Node.
func (n *Node) Takeovers() []web.Takeover { return n.read().Moves.Takeovers }

func sampleMoves() Moves {
	ended := Now
	check := web.Check{Name: "lease-round-trip", Peer: "b", OK: true, Value: "0.3 ms to a majority"}
	result := &web.HandoverResult{Epoch: "3.8", Pause: 2.5, Handed: 12, Kept: 3, Twice: 2, Buffered: true}
	report := web.DrillReport{
		ID: "00000000000000d1", Segment: "office", Time: Now, By: "alice", OK: true, Outcome: "nothing lost; longest silence 3.1 ms",
		Legs: []web.DrillLeg{{From: "a", To: "b", Handover: result, Probes: []web.DrillProbe{{Direction: "to-segment", Sent: 600, Silence: 3.1}}}},
	}
	return Moves{
		Operations: []web.Operation{{
			ID: "00000000000000a1", Kind: "switchover", Segment: "office", From: "a", To: "b", By: "alice", State: web.OperationDone,
			Outcome: "office moved from a to b; frames were held for 2.5 ms", Started: Now, Ended: &ended, Checks: []web.Check{check},
			Steps: []web.Step{{Name: "opened", Time: Now, At: 24.5, Peer: "b", Text: "the gate of b is open"}}, Handover: result,
		}},
		Drills: []web.DrillReport{report},
		Takeovers: []web.Takeover{{
			Segment: "office", Peer: "b", Ready: true, Checks: []web.Check{check}, Predicted: 38, Planned: 2.5, Told: Now,
		}},
	}
}
