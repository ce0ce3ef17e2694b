package sim

import (
	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/topology"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

const (
	heartbeat = 100 * ms // of a link; as in mesh/transit
	linkDead  = 350 * ms
	fluxFor   = 300 * ms // as in mesh
	maxHops   = 8
	digests   = 10 // one digest to a random neighbour in so many heartbeats
)

// mesh is what a peer knows of its links.
type mesh struct {
	heard    [maxPeers]int64 // true time: only differences count
	up       [maxPeers]bool
	beats    int
	routes   topology.Routes
	changes  uint64
	flux     int64 // until then
	sequence uint32
	windows  [maxPeers]window
}

// window remembers which floods of an origin were seen, as mesh/transit does: the highest number and those below it.
type window struct {
	any  bool
	top  uint32
	last int64 // clock
	seen [windowSize / 64]uint64
}

const (
	windowSize  = 512 // of 8,192: in this simulation no more can be under way
	forgetAfter = 2 * second
)

// first reports whether a flood is new, and remembers it.
func (v *window) first(sequence uint32, now int64) bool {
	ahead := int32(sequence - v.top)
	switch {
	case ahead > 0 && v.any:
		for v.top != sequence && ahead < windowSize {
			v.top++
			v.seen[v.top/64%(windowSize/64)] &^= 1 << (v.top % 64)
		}
		if ahead >= windowSize {
			v.top, v.seen = sequence, [windowSize / 64]uint64{}
		}
	case ahead > -windowSize && v.any:
	case now-v.last <= forgetAfter && v.any:
		return false
	default:
		*v = window{any: true, top: sequence}
	}
	word, bit := &v.seen[sequence/64%(windowSize/64)], uint64(1)<<(sequence%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	v.last = now
	return true
}

func (m *mesh) reset(n *node) {
	*m = mesh{sequence: uint32((1e12 + n.wall*1000 + n.w.now/ms) * 64)}
	n.checkLinks()
}

// checkLinks stands for heartbeats: a link is up while they pass both ways, and down 3.5 after the last.
func (n *node) checkLinks() {
	w, m := n.w, &n.mesh
	changed := false
	n.others(func(o *node) {
		if w.reach(n, o) && !w.links[n.index][o.index].dark {
			m.heard[o.index] = w.now
			if !m.up[o.index] {
				m.up[o.index], changed = true, true
				n.gossip(o, message{digest: n.topo.Digest()})
			}
		} else if m.up[o.index] && w.now-m.heard[o.index] > linkDead {
			m.up[o.index], changed = false, true
		}
	})
	if changed {
		n.tellLinks()
	}
	if m.beats++; m.beats%digests == 0 {
		if o := w.nodes[w.rnd.IntN(len(w.nodes))]; o != n && m.up[o.index] {
			n.gossip(o, message{digest: n.topo.Digest()})
		}
	}
	n.later(w.now+heartbeat, control, n.checkLinks)
}

func (n *node) tellLinks() {
	var links []wire.Link
	for i, up := range n.mesh.up {
		if up {
			links = append(links, wire.Link{Peer: drawbridge.PeerID(i + 1), Metric: uint32(n.w.links[n.index][i].delay / 500), MTU: 1400})
		}
	}
	if n.topo.SetLinks(links) {
		n.spread(0, []wire.Record{n.topo.Self()})
	}
	n.reroute()
}

// publish tells the mesh how the ports stand.
func (n *node) publish() {
	var ports []wire.Port
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		w := wire.Port{Kind: wire.PortSegment, Name: "p", VNI: p.vni, Segment: p.segment.id, SegmentName: string(rune('a' + p.segment.id)), Ready: p.usable}
		w.Name = w.SegmentName
		if epoch, open := p.gate.Permit(); open {
			w.Open, w.Epoch = true, epoch
		} else if k := p.keeper; k != nil && k.giving && k.m.epoch != 0 {
			w.Open, w.Epoch = true, k.m.epoch
		}
		ports = append(ports, w)
	}
	if ports != nil && n.topo.SetPorts(ports) {
		n.spread(0, []wire.Record{n.topo.Self()})
	}
	n.followSegments()
}

// message is what gossip says: records, a digest, or a wish for records.
type message struct {
	records []wire.Record
	digest  []wire.DigestEntry
	want    []drawbridge.PeerID
}

func (n *node) gossip(to *node, m message) {
	run := to.run
	n.w.transmit(n, to, control, func() {
		if to.run == run {
			to.hearGossip(n, m)
		}
	})
}

func (n *node) spread(except drawbridge.PeerID, records []wire.Record) {
	if len(records) == 0 {
		return
	}
	n.others(func(o *node) {
		if n.mesh.up[o.index] && o.id != except {
			n.gossip(o, message{records: records})
		}
	})
}

func (n *node) hearGossip(from *node, m message) {
	merged := n.topo.Merge(m.records)
	n.spread(from.id, merged.News)
	if merged.SelfBumped {
		n.spread(0, []wire.Record{n.topo.Self()})
	}
	if m.digest != nil {
		if records, want := n.topo.Compare(m.digest); records != nil || want != nil {
			n.gossip(from, message{records: records, want: want})
		}
	}
	var asked []wire.Record
	for _, id := range m.want {
		if r, ok := n.topo.Get(id); ok {
			asked = append(asked, r)
		}
	}
	if asked != nil {
		n.gossip(from, message{records: asked})
	}
	if len(merged.News) > 0 {
		n.reroute()
		n.followSegments()
	}
}

func (n *node) reroute() {
	n.mesh.routes = n.topo.Routes()
	if c := n.topo.Changes(); c != n.mesh.changes {
		n.mesh.changes, n.mesh.flux = c, n.w.now+fluxFor
		n.followSegments()
	}
}

// followSegments keeps the switch in step with what the gateways say, as appliance does.
func (n *node) followSegments() {
	for _, s := range n.w.segments {
		var active drawbridge.PeerID
		var epoch drawbridge.Epoch
		for _, r := range n.topo.Records() {
			for _, p := range r.Ports {
				if p.Segment == s.id && p.Open && p.Epoch > epoch && n.topo.Reachable(r.ID) {
					active, epoch = r.ID, p.Epoch
				}
			}
		}
		if active == 0 {
			epoch = n.sw.tenures[s.id].epoch
		}
		n.sw.tell(s.id, active, epoch)
		if active != 0 && active != n.id && n.lease != nil {
			n.heardTenure(s.id, epoch)
		}
	}
}

// forward sends a frame for one peer on its way.
func (n *node) forward(h *header, f *frame) {
	next, ok := n.mesh.routes.Next[h.dest]
	if h.hops++; !ok || h.hops > maxHops {
		return
	}
	n.carry(n.w.nodes[next-1], *h, f)
}

// flood sends a frame to all peers.
func (n *node) flood(h *header, f *frame) {
	n.mesh.sequence++
	h.sequence = n.mesh.sequence
	n.relay(*h, f, 0)
}

// relay passes a flood on: by the tree of its origin, or to all neighbours while trees may disagree.
func (n *node) relay(h header, f *frame, from drawbridge.PeerID) {
	h.hops++
	if h.mark = h.mark || n.w.now < n.mesh.flux; h.mark {
		n.others(func(o *node) {
			if n.mesh.up[o.index] && o.id != from {
				n.carry(o, h, f)
			}
		})
		return
	}
	for _, id := range n.mesh.routes.Children[h.origin] {
		n.carry(n.w.nodes[id-1], h, f)
	}
}

func (n *node) carry(to *node, h header, f *frame) {
	origin := h.origin
	h.waited = h.waited || n.w.links[n.index][to.index].busy > 0
	n.w.send(n, to, overlay, func() {
		at := n.w.now
		h.arrived = to.read()
		to.enter(overlay, func() {
			onwards := h
			onwards.waited = h.waited || n.w.now > at // in the socket of a peer that stands still
			switch {
			case origin == to.id:
			case h.dest == to.id:
				to.sw.delivered(&h, f)
			case h.dest != 0:
				to.forward(&onwards, f)
			case to.mesh.windows[origin-1].first(h.sequence, to.read()):
				to.sw.delivered(&h, f)
				to.relay(onwards, f, n.id)
			}
		})
	})
}
