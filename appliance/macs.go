package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// flushChannel is the name under which peers ask each other to forget addresses.
const flushChannel = "flush"

// MACs implements web.Node.
func (n *Node) MACs(f web.MACFilter) []web.MAC {
	names, segments := n.names(), n.segmentNames()
	now := time.Now().UTC()
	all := []web.MAC{}
	for _, m := range n.sw.MACs() {
		w := web.MAC{MAC: m.MAC.String(), VNI: uint32(m.VNI), Learned: now.Add(-m.Learned), Seen: now.Add(-m.Seen)}
		w.At, w.Port, w.Peer, w.Segment = n.macPlace(m.Where, names, segments)
		if selected(f, &w) {
			all = append(all, w)
		}
	}
	return all
}

func selected(f web.MACFilter, m *web.MAC) bool {
	return (f.MAC == "" || f.MAC == m.MAC) && (f.VNI == 0 || f.VNI == m.VNI) && (f.Port == "" || f.Port == m.Port) &&
		(f.Peer == "" || f.Peer == m.Peer) && (f.Segment == "" || f.Segment == m.Segment)
}

func (n *Node) segmentNames() map[drawbridge.SegmentID]string {
	names := map[drawbridge.SegmentID]string{}
	for _, v := range n.segmentViews() {
		names[v.id] = v.name
	}
	return names
}

// FlushMACs implements web.Node.
func (n *Node) FlushMACs(_ context.Context, f web.MACFilter, everywhere bool) (flushed int, err error) {
	if f.MAC != "" {
		m, err := drawbridge.ParseMAC(f.MAC)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", web.ErrInvalid, err)
		}
		f.MAC = m.String()
	}
	flushed = n.flush(f)
	if everywhere {
		msg, err := json.Marshal(f)
		if err != nil {
			return flushed, err
		}
		if err := n.router.Broadcast(flushChannel, msg); err != nil {
			return flushed, fmt.Errorf("forgotten here, but the other peers were not told: %w", err)
		}
	}
	return flushed, nil
}

func (n *Node) flush(f web.MACFilter) int {
	names, segments := n.names(), n.segmentNames()
	match := func(m forwarder.MAC) bool {
		w := web.MAC{MAC: m.MAC.String(), VNI: uint32(m.VNI), Port: m.Port, Peer: names[m.Peer], Segment: segments[m.Segment]}
		return selected(f, &w)
	}
	n.engines.forget(match)
	return n.sw.Flush(match)
}

// flushes is the channel on which others ask us to forget. It has no state: who was away has nothing old to
// forget that ageing would not.
type flushes struct{ node *Node }

var _ mesh.Channel = flushes{}

// Receive forgets what another peer's operator asked for.
func (c flushes) Receive(from drawbridge.PeerID, msg []byte) {
	var f flushRequest
	if err := json.Unmarshal(msg, &f); err != nil {
		c.node.log.Warn("request to forget addresses not understood", "peer", from, "err", err)
		return
	}
	n := c.node.flush(f.MACFilter)
	if f.ID != "" {
		go c.node.acknowledge(from, f.ID, n) // sending may wait, and this must not
	}
	c.node.log.Info("addresses forgotten", "peer", from, "count", n)
}

// State is empty.
func (flushes) State() []byte { return nil }

// Merge has nothing to do.
func (flushes) Merge(drawbridge.PeerID, []byte) {}
