package webtest

import (
	"context"

	"github.com/drawbridge-net/drawbridge/web"
)

// SegmentMode implements web.Node.
func (n *Node) SegmentMode(segment string) (web.SegmentMode, error) {
	return web.SegmentMode{Segment: segment, Peer: "a", Mode: "auto", Configured: "auto", Network: "auto", Since: Now}, nil
}

// SetSegmentMode implements web.Node.
func (n *Node) SetSegmentMode(_ context.Context, segment string, r web.ModeRequest) (web.SegmentMode, error) {
	m, _ := n.SegmentMode(segment)
	m.Mode, m.By = r.Mode, r.By
	return m, n.note("mode of %s %s by %s", segment, r.Mode, r.By)
}

// SegmentGate implements web.Node.
func (n *Node) SegmentGate(segment string) (web.SegmentGate, error) {
	return web.SegmentGate{
		Segment: segment, Peer: "a", Mode: "auto", Open: true, Epoch: "3.7", Since: Now, Cause: "lease 3.7 taken", Left: 31, Kind: "kernel", Reasons: []string{},
	}, nil
}

// SetSegmentGate implements web.Node.
func (n *Node) SetSegmentGate(_ context.Context, segment string, r web.GateRequest) (web.SegmentGate, error) {
	g, _ := n.SegmentGate(segment)
	g.Open = r.Open
	return g, n.note("gate of %s open=%v by %s", segment, r.Open, r.By)
}
