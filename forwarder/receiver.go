package forwarder

import (
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
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
	d := &r.sw.drops
	if why, ok := admit(p.Frame); !ok {
		d.add(why, 1)
		return
	}
	at, why, ok := r.source(h)
	if !ok {
		d.add(why, 1)
		return
	}
	pass, learned := r.macs.learn(keyOf(h.VNI, p.Frame, 6), at, r.now)
	if !pass {
		d.add(dropEcho, 1)
		return
	}
	if !learned {
		d.add(dropMACLimit, 1)
	}
	if h.Dest != 0 && p.Frame[0]&1 == 0 {
		r.unicast(h, p)
		return
	}
	r.flood(h, p)
}

// source is where the frame's sender is: at the peer that took it in, or behind the segment that it was
// captured on, if that was done under the newest tenure that is known.
func (r *Receiver) source(h *drawbridge.Header) (*place, reason, bool) {
	if h.Segment != 0 {
		g := r.sw.segment(h.Segment, h.VNI)
		why, ok := g.heard(h.Origin, h.Epoch)
		return &g.at, why, ok
	}
	at := r.peers[h.Origin]
	if at == nil {
		at = &place{peer: h.Origin}
		r.peers[h.Origin] = at
	}
	return at, 0, true
}

// unicast hands a frame to the port where its destination is. One that the sender believed here, and that
// is not, goes to all our ports: it may be a guest that has not spoken yet.
func (r *Receiver) unicast(h *drawbridge.Header, p *drawbridge.Packet) {
	e := r.macs.find(keyOf(h.VNI, p.Frame, 0))
	if e == nil {
		r.flood(h, p)
		return
	}
	to := e.at.Load()
	port := to.port
	if to.segment != nil {
		if to.segment.id == h.Segment {
			r.sw.drops.add(dropSplitHorizon, 1)
			return
		}
		port = to.segment.port.Load()
	}
	if port == nil || port.cfg.VNI != h.VNI {
		r.sw.drops.add(dropMisdirected, 1)
		return
	}
	r.local.add(port, p)
}

// flood hands a frame to every port of its overlay, but never to one on the segment that it came from.
func (r *Receiver) flood(h *drawbridge.Header, p *drawbridge.Packet) {
	for _, to := range (*r.sw.ports.Load())[h.VNI] {
		if to.segment != nil && to.segment.id == h.Segment {
			to.drops.add(dropSplitHorizon, 1)
			continue
		}
		r.local.add(to, p)
	}
}

// Flush hands the batch to the ports.
func (r *Receiver) Flush() {
	r.local.flush()
	r.now = 0
}
