package forwarder

import (
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// Receiver takes frames from the mesh into the switch. It belongs to one goroutine of the mesh.
type Receiver struct {
	sw    *Switch
	local queues
	macs  cache
	now   time.Duration
	peers map[drawbridge.PeerID]*place
}

// Receiver makes a receiver for one goroutine.
func (s *Switch) Receiver() *Receiver {
	return &Receiver{sw: s, macs: cache{table: &s.table}, peers: map[drawbridge.PeerID]*place{}}
}

// Deliver decides about one frame. It is handed to ports at Flush, and must stay valid until then.
func (r *Receiver) Deliver(h *drawbridge.Header, p *drawbridge.Packet) {
	if r.now == 0 {
		r.now = r.sw.now()
	}
	if r.sw.table.companion(h.VNI) != nil {
		r.claim(h)
	}
	if len((*r.sw.ports.Load())[h.VNI]) == 0 {
		r.sw.drops.add(dropUnknownVNI, 1)
		return
	}
	if why, ok := r.accept(h, p.Frame); !ok {
		if why == dropBadSource && r.turned(h, p.Frame) {
			return
		}
		if why == dropLinkLocal {
			r.sw.strayed(p.Frame)
		}
		r.sw.drops.add(why, 1)
		return
	}
	if r.sw.foreign(h.VNI, p.Frame) {
		r.sw.drops.add(dropForeign, 1)
		return
	}
	if p.Frame[0]&1 == 0 {
		r.unicast(h, p)
		return
	}
	r.flood(h, p)
}

// accept decides whether the frame may be believed, and learns from it.
func (r *Receiver) accept(h *drawbridge.Header, f drawbridge.Frame) (reason, bool) {
	if why, ok := admit(f); !ok {
		return why, false
	}
	if h.Origin == r.sw.cfg.Self {
		return dropEcho, false
	}
	at, why, ok := r.source(h, f)
	if !ok {
		return why, false
	}
	pass, learned := r.macs.learn(keyOf(h.VNI, f, 6), at, r.now)
	if !learned {
		r.sw.drops.add(dropMACLimit, 1)
	}
	if !pass {
		r.sw.circled(h.VNI, f, at, r.now)
	}
	return dropEcho, pass
}

// claim tells the other engine of the tenure that a frame was captured under, if it is new: it is the first that is heard of a new
// gateway, also by a peer without a port.
func (r *Receiver) claim(h *drawbridge.Header) {
	if h.Segment == 0 || h.Origin == r.sw.cfg.Self {
		return
	}
	g, _ := r.sw.claimed(h)
	if g == nil {
		return
	}
	before := g.tenure.Load()
	_, ok := g.heard(h.Origin, h.Epoch, r.now)
	if ok && g.tenure.Load() != before && r.sw.cfg.Claimed != nil {
		r.sw.cfg.Claimed(g.id, g.vni, h.Origin, h.Epoch)
	}
}

// maxPlaces bounds what a receiver remembers of peers: an origin is only as true as the peers that passed the frame on.
const maxPlaces = 4096

// source is where the frame's sender is: at the peer that took it in, or behind the segment that it was
// captured on, if that was done under the newest tenure that is known, or just before.
func (r *Receiver) source(h *drawbridge.Header, f drawbridge.Frame) (*place, reason, bool) {
	if h.Segment != 0 {
		g, why := r.sw.claimed(h)
		if g == nil {
			return nil, why, false
		}
		why, ok := g.heard(h.Origin, h.Epoch, r.now)
		return &g.at, why, ok || why == dropStaleEpoch && g.late(h, f, r.now)
	}
	at := r.peers[h.Origin]
	if at == nil {
		if len(r.peers) >= maxPlaces {
			clear(r.peers)
		}
		at = &place{peer: h.Origin}
		r.peers[h.Origin] = at
	}
	return at, 0, true
}

// unicast hands a frame to the port where its destination is, also when its sender did not know and sent it to
// everybody. One for an address that nobody here knows goes to all our ports: it may be a guest that has not
// spoken yet. So does one that was sent to everybody and is for somebody elsewhere, whom we may be wrong about.
// One that was sent to us alone and is for somebody elsewhere is dropped: nothing that came from the mesh goes
// back into it.
func (r *Receiver) unicast(h *drawbridge.Header, p *drawbridge.Packet) {
	e := r.macs.find(keyOf(h.VNI, p.Frame, 0))
	if e == nil {
		r.flood(h, p)
		return
	}
	to := e.at.Load()
	port := to.port
	if to.segment != nil {
		if to.segment.refuses(h.Segment) {
			r.sw.drops.add(dropSplitHorizon, 1)
			return
		}
		port = to.segment.port.Load()
	}
	switch {
	case port != nil:
		r.local.add(port, p, h.Dest == 0, arrival(h))
	case h.Dest == 0:
		r.flood(h, p)
	default:
		r.sw.drops.add(dropMisdirected, 1)
	}
}

// flood hands a frame to every port of its overlay, but never to one on the segment that it came from.
func (r *Receiver) flood(h *drawbridge.Header, p *drawbridge.Packet) {
	for _, to := range (*r.sw.ports.Load())[h.VNI] {
		if to.segment.refuses(h.Segment) {
			to.drops.add(dropSplitHorizon, 1)
			continue
		}
		r.local.add(to, p, h.Dest == 0, arrival(h))
	}
}

// arrival is when a frame reached this host.
func arrival(h *drawbridge.Header) failover.Boottime {
	if h.Arrived == 0 {
		return always
	}
	return failover.Boottime(h.Arrived)
}

// Flush hands the batch to the ports.
func (r *Receiver) Flush() {
	r.local.flush()
	r.now = 0
}
