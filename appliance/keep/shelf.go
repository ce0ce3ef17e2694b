package keep

import drawbridge "github.com/drawbridge-net/drawbridge"

// maxBytes and maxFrames bound what one gateway keeps in one direction (docs/protocol/handover.md, "Timers").
const (
	maxBytes  = 4 << 20
	maxFrames = 8192
)

// shelf holds copies of frames in order.
type shelf struct {
	frames []held
	bytes  int
}

type held struct {
	p     drawbridge.Packet
	flood bool // both gateways may have it
}

// put copies a frame; false: there is no room.
func (s *shelf) put(p *drawbridge.Packet, flood bool) bool {
	if len(s.frames) >= maxFrames || s.bytes+len(p.Frame) > maxBytes {
		return false
	}
	s.frames = append(s.frames, held{drawbridge.Packet{Frame: copyFrame(p.Frame), Offload: p.Offload}, flood})
	s.bytes += len(p.Frame)
	return true
}

// copyFrame leaves the room behind the frame that sealing wants.
func copyFrame(f drawbridge.Frame) drawbridge.Frame {
	const room = 256
	return append(make(drawbridge.Frame, 0, len(f)+room), f...)
}

// take empties the shelf.
func (s *shelf) take() []held {
	all := s.frames
	s.frames, s.bytes = nil, 0
	return all
}

func packets(all []held) []drawbridge.Packet {
	ps := make([]drawbridge.Packet, len(all))
	for i := range all {
		ps[i] = all[i].p
	}
	return ps
}
