package sim

import (
	"github.com/drawbridge-net/drawbridge"
)

// The switch of a peer, in the order of docs/protocol/forwarding.md.

const (
	settle    = 300 * ms // as in forwarder
	echoesFor = second
	lateFor   = 20 * ms
)

// place is where an address is: at a port here, at a peer, or behind a segment.
type place struct {
	port    *port
	peer    drawbridge.PeerID
	segment drawbridge.SegmentID
}

type address struct {
	at    place
	seen  int64 // clock
	known bool
}

// tenure is who bridges a segment, by what this peer has heard.
type tenure struct {
	active drawbridge.PeerID
	epoch  drawbridge.Epoch
	before drawbridge.PeerID // who had the one before
	past   drawbridge.Epoch  // and under which number
	until  int64             // clock; frames of that one may be late
}

type echo struct {
	f  *frame
	at int64
}

type forwarder struct {
	n       *node
	table   [maxStations]address
	tenures [maxSegments + 1]tenure
	pasts   [maxSegments + 1][]past
}

func (s *forwarder) reset(n *node) { *s = forwarder{n: n} }

// byHand is the tenure of a gate that an operator opened: older than any lease.
var byHand = drawbridge.MakeEpoch(0, 1e9)

// header is what the mesh carries beside a frame.
type header struct {
	origin, dest drawbridge.PeerID
	vni          drawbridge.VNI
	segment      drawbridge.SegmentID
	epoch        drawbridge.Epoch
	sequence     uint32
	mark         bool
	waited       bool  // on the way: for a busy peer, or in one that stood still
	arrived      int64 // clock of the peer that it came to last; 0: from a port of its own
	hops         int
}

// permit asks the gate; a port of a guest has none.
func (p *port) permit() (drawbridge.Epoch, bool) {
	if p.gate == nil {
		return 0, p.n.w.plan.Without.Veto || p.n.alone.IsClear(p.n.since(), p.id, 0)
	}
	if p.forced {
		under := max(p.held, byHand)
		p.segment.opened = max(p.segment.opened, under)
		return under, true
	}
	return p.gate.Permit()
}

// hears takes a frame off the wire: a hello is ALONE's, anything else the switch's. The kernel asks the gate before the
// frame is queued.
func (p *port) hears(f *frame) {
	n := p.n
	p.sight(f)
	if f.kind == hello {
		n.enter(watching, func() { p.hearALONE(f.alone) })
		return
	}
	if _, open := p.permit(); !open && !p.keeper.hears() || p.stuck {
		return
	}
	n.enter(capture, func() { n.sw.captured(p, f) })
}

func (s *forwarder) captured(p *port, f *frame) {
	if k := p.keeper; k != nil && p.usable && !p.stuck {
		if _, open := p.permit(); (open || k.holds()) && !k.captured(f) {
			return
		}
	}
	if f.kind != marker {
		s.capture(p, f)
	}
}

// capture takes a frame of a port into the switch.
func (s *forwarder) capture(p *port, f *frame) {
	n := s.n
	epoch, open := p.permit()
	if !open || p.stuck || !p.usable {
		return
	}
	h := header{origin: n.id, vni: p.vni}
	here := place{port: p}
	if p.segment != nil {
		if !s.follows(p.segment.id, n.id, epoch) {
			return
		}
		h.segment, h.epoch = p.segment.id, epoch
		here = place{segment: p.segment.id}
		n.w.checkPassage(p, f, epoch, "captures")
	}
	if f.kind == probe {
		n.w.checkCapture(f.record)
	}
	if !s.learn(f.src, here) {
		p.echoes[p.nextEcho%len(p.echoes)] = echo{f, n.read()}
		p.nextEcho++
		return
	}
	if f.dst != everybody {
		if to := s.table[f.dst]; to.known {
			s.unicast(&h, here, to.at, f)
			return
		}
	}
	for _, to := range n.ports {
		if to != p && to.vni == p.vni && !s.horizon(to, h.segment) {
			to.write(&h, f)
		}
	}
	n.flood(&h, f)
}

func (s *forwarder) unicast(h *header, from, to place, f *frame) {
	n := s.n
	switch {
	case to == from && (from.segment == 0 || !n.w.plan.Without.SplitHorizon):
	case to.port != nil:
		to.port.write(h, f)
	case to.peer != 0:
		h.dest = to.peer
		n.forward(h, f)
	case to.segment != 0:
		own, other := s.gateway(to.segment)
		if own != nil {
			own.write(h, f)
		} else if other != 0 {
			h.dest = other
			n.forward(h, f)
		}
	}
}

// gateway is where frames for a segment go: to our own port or to another peer.
func (s *forwarder) gateway(id drawbridge.SegmentID) (own *port, other drawbridge.PeerID) {
	t := s.tenures[id]
	own = s.n.gateOf(id)
	switch {
	case own == nil && t.active == s.n.id:
		return nil, 0
	case own == nil:
		return nil, t.active
	case t.active == s.n.id || t.active == 0:
		return own, 0
	}
	if epoch, open := own.permit(); open && epoch > t.epoch {
		return own, 0
	}
	return nil, t.active
}

// delivered takes a frame that the mesh brought.
func (s *forwarder) delivered(h *header, f *frame) {
	n := s.n
	if h.origin == n.id {
		return
	}
	here := place{peer: h.origin}
	if h.segment != 0 {
		if f.kind == hail && n.w.plan.Without.HailOrder {
			s.turn(h.segment, h.origin, h.epoch)
		}
		if !s.follows(h.segment, h.origin, h.epoch) && !s.late(h, f) {
			return
		}
		s.checkLate(h)
		here = place{segment: h.segment}
	}
	if !s.learn(f.src, here) {
		return
	}
	if f.dst != everybody {
		if to := s.table[f.dst]; to.known {
			port := to.at.port
			if to.at.segment != 0 {
				if to.at.segment == h.segment && !n.w.plan.Without.SplitHorizon {
					return
				}
				port = n.gateOf(to.at.segment)
			}
			if port != nil {
				port.write(h, f)
				return
			}
			if h.dest != 0 {
				return // misdirected
			}
		}
	}
	for _, to := range n.ports {
		if to.vni == h.vni && !s.horizon(to, h.segment) {
			to.write(h, f)
		}
	}
}

// horizon reports whether a frame that was captured on a segment must not be written to a port.
func (s *forwarder) horizon(to *port, captured drawbridge.SegmentID) bool {
	return captured != 0 && to.segment != nil && to.segment.id == captured && !s.n.w.plan.Without.SplitHorizon
}

// learn notes where an address speaks. False: it has just spoken elsewhere, so this is an echo.
func (s *forwarder) learn(m mac, at place) bool {
	a, now := &s.table[m], s.n.read()
	if !a.known || a.at == at {
		*a = address{at, now, true}
		return true
	}
	if now-a.seen < settle && !s.n.w.plan.Without.Echo {
		return false
	}
	*a = address{at, now, true}
	return true
}

// follows compares a tenure with the newest that is known, and follows it if it is newer.
func (s *forwarder) follows(id drawbridge.SegmentID, active drawbridge.PeerID, e drawbridge.Epoch) bool {
	t := &s.tenures[id]
	switch {
	case s.n.w.plan.Without.Fence:
		*t = tenure{active: active, epoch: e}
		return true
	case e == 0 || e < t.epoch || e == t.epoch && t.active != active && t.active != 0:
		return false
	case e > t.epoch || t.active == 0:
		s.turn(id, active, e)
	}
	return true
}

// turn notes another tenure of a segment, or that the gateway of the known one has come or gone.
func (s *forwarder) turn(id drawbridge.SegmentID, active drawbridge.PeerID, e drawbridge.Epoch) {
	t := s.tenures[id]
	s.checkTurn(id, t.epoch, e)
	next := tenure{active: active, epoch: e}
	switch {
	case e == t.epoch:
		next.before, next.past, next.until = t.before, t.past, t.until
	case t.epoch != 0 && t.active != 0 && !t.epoch.Elected() && !e.Elected():
		next.before, next.past, next.until = t.active, t.epoch, s.n.read()+lateFor
	}
	s.tenures[id] = next
	s.remember(id)
}

// late reports whether a frame of the tenure before was only overtaken.
func (s *forwarder) late(h *header, f *frame) bool {
	t, without := s.tenures[h.segment], &s.n.w.plan.Without
	return (h.epoch == t.past && h.origin == t.before || without.LateOrder) && (s.n.read() < t.until || without.LateBound) &&
		(h.dest != 0 && f.dst != everybody || without.LateAlone)
}

// tell says who is the gateway of a segment; 0: nobody.
func (s *forwarder) tell(id drawbridge.SegmentID, active drawbridge.PeerID, e drawbridge.Epoch) {
	t := &s.tenures[id]
	if e < t.epoch || e == t.epoch && (t.active == active || t.active != 0 && active != 0) {
		return
	}
	s.turn(id, active, e)
}

// write puts a frame out by a port: the gate is asked again, and what the port heard as an echo is not written.
func (p *port) write(h *header, f *frame) {
	if p.missed(h) {
		return
	}
	if p.keeper == nil || f.kind == announce || p.keeper.injected(h, f) {
		p.inject(h, f)
	}
}

// missed reports whether a flood came before the gate was opened or held, and has waited here since.
func (p *port) missed(h *header) bool {
	if p.segment == nil || p.forced || h.dest != 0 || h.arrived == 0 || p.n.w.plan.Without.Arrival {
		return false
	}
	since := int64(p.gate.Since())
	if k := p.keeper; k != nil && (k.tenure == 0 || k.tenure == since) {
		since = k.since
	}
	return h.arrived < since
}

func (p *port) inject(h *header, f *frame) {
	n := p.n
	epoch, open := p.permit()
	if !open || p.stuck || !p.usable {
		return
	}
	for _, e := range p.echoes {
		if e.f != nil && e.f.same(f) && n.read()-e.at <= echoesFor && !n.w.plan.Without.Echo {
			return
		}
	}
	if p.segment != nil {
		if !n.sw.follows(p.segment.id, n.id, epoch) {
			return
		}
		n.w.checkPassage(p, f, epoch, "injects")
		if f.kind == probe {
			n.w.checkWriting(p, h, f.record, epoch)
		}
	}
	p.put(f)
}

// put gives a frame to the interface, which sends it a moment later.
func (p *port) put(f *frame) {
	p.n.w.after(2e3, func() { p.jack.send(f) })
}

// ownFrame is one of the port itself, to everybody.
func (p *port) ownFrame(k kind) *frame { return &frame{src: p.mac, dst: everybody, kind: k} }

// hail has every peer turn to this gateway, whose gate has opened, by a first frame. A planned move does so itself.
func (p *port) hail() {
	if p.keeper == nil {
		p.n.sw.capture(p, p.ownFrame(hail))
	}
}

// hailEarly is the same without asking the gate.
func (p *port) hailEarly() {
	h := header{origin: p.n.id, vni: p.vni, segment: p.segment.id, epoch: p.held}
	p.n.flood(&h, p.ownFrame(hail))
}

// announceStations tells the switches of the segment where the stations of the overlay are now.
func (p *port) announceStations() {
	s := &p.n.sw
	for m, a := range s.table {
		if a.known && a.at.segment != p.segment.id {
			p.write(&header{}, &frame{src: mac(m), dst: everybody, kind: announce})
		}
	}
}
