package forwarder

import (
	"encoding/binary"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Turn says that a source of frames has turned from one gateway of a segment to another: behind the copy that goes the
// old way nothing of that source follows there, and the copy that goes the new way comes before anything else of it.
// Who gets both knows when what is on the new way may pass what was on the old (docs/protocol/handover.md, "Turning").
type Turn struct {
	Segment drawbridge.SegmentID
	Origin  drawbridge.PeerID
	Source  uint32 // a queue of the origin; its frames stay in order
	Number  uint32 // of the turn
}

// A turn crosses the mesh as a frame from nobody, which every version drops that does not know it: the source is
// zero. After the Ethernet header: "TURN", u32 segment, u32 source, u32 number.
const (
	turnMagic = 0x5455524e
	turnSize  = drawbridge.MinFrame + 16
	turnFrame = 60
)

func (t *Turn) frame() drawbridge.Frame {
	const room = 256
	f := make(drawbridge.Frame, turnFrame, turnFrame+room)
	binary.BigEndian.PutUint32(f[drawbridge.MinFrame:], turnMagic)
	binary.BigEndian.PutUint32(f[drawbridge.MinFrame+4:], uint32(t.Segment))
	binary.BigEndian.PutUint32(f[drawbridge.MinFrame+8:], t.Source)
	binary.BigEndian.PutUint32(f[drawbridge.MinFrame+12:], t.Number)
	return f
}

func parseTurn(origin drawbridge.PeerID, f drawbridge.Frame) (t Turn, ok bool) {
	if len(f) < turnSize || f.Src() != (drawbridge.MAC{}) || binary.BigEndian.Uint32(f[drawbridge.MinFrame:]) != turnMagic {
		return t, false
	}
	return Turn{
		Segment: drawbridge.SegmentID(binary.BigEndian.Uint32(f[drawbridge.MinFrame+4:])), Origin: origin,
		Source: binary.BigEndian.Uint32(f[drawbridge.MinFrame+8:]), Number: binary.BigEndian.Uint32(f[drawbridge.MinFrame+12:]),
	}, true
}

// turned hears a frame that is none of a station, and answers whether it was a turn.
func (r *Receiver) turned(h *drawbridge.Header, f drawbridge.Frame) bool {
	t, ok := parseTurn(h.Origin, f)
	if !ok || h.Dest == 0 {
		return false
	}
	if g := (*r.sw.segments.Load())[segmentKey{t.Segment, h.VNI}]; g != nil {
		r.local.flush() // what came before it comes before it
		g.turn(&t)
	}
	return true
}

// turn tells the holder of our own port on the segment.
func (s *segment) turn(t *Turn) {
	if a := s.port.Load(); a != nil {
		if h := a.holder.Load(); h != nil {
			h.Turned(*t)
		}
	}
}

// towards is the last gateway that a pump sent frames for a segment to.
type towards struct {
	segment *segment
	gateway drawbridge.PeerID
	number  uint32
}

// turn notices that the gateway of a segment is another one than for the last frame of this pump, and tells both. The
// frames before it are with the old one by then, those after it are not with the new one yet.
func (u *pump) turn(s *segment, gateway drawbridge.PeerID) {
	i := 0
	for ; i < len(u.towards) && u.towards[i].segment != s; i++ {
	}
	if i == len(u.towards) {
		u.towards = append(u.towards, towards{segment: s, gateway: gateway})
		u.last = u.towards[i]
		return
	}
	to := &u.towards[i]
	if old := to.gateway; old != gateway {
		to.gateway, to.number = gateway, to.number+1
		t := Turn{Segment: s.id, Origin: u.sw.cfg.Self, Source: u.number, Number: to.number}
		u.tellTurn(s, old, &t)
		u.tellTurn(s, gateway, &t)
	}
	u.last = *to
}

func (u *pump) tellTurn(s *segment, gateway drawbridge.PeerID, t *Turn) {
	if gateway == u.sw.cfg.Self {
		u.local.flush()
		s.turn(t)
		return
	}
	h := drawbridge.Header{Origin: u.sw.cfg.Self, Dest: gateway, VNI: s.vni}
	u.out.Send(&h, &drawbridge.Packet{Frame: t.frame()})
}
