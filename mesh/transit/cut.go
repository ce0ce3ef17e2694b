package transit

import (
	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/udp"
)

// maxHeaderLen is how long link, network and transport header of a super-frame may be to be repeated in
// every piece: Ethernet with two tags, IPv6 with some extension headers, TCP with all options.
const maxHeaderLen = 200

// maxPieces bounds the pieces of a plain fragment, so that the receiver knows what it may have to hold.
const maxPieces = 64

// maxSlices is what two messages hold; minSlice keeps a nonsensical segment size from making thousands.
const (
	maxSlices = 2 * udp.MaxSegments
	minSlice  = 64
)

// cut seals p for the lanes in s: whole when it fits a datagram of limit bytes; a TCP or UDP super-frame
// in stand-alone slices, each with its headers; anything else in fragments that only make sense together.
func (s *Sender) cut(p *drawbridge.Packet, limit int) {
	m := &s.meta
	if !m.setOffload(&p.Offload) {
		if p.Offload.GSO != drawbridge.GSONone || !completeChecksum(p) {
			s.plane.drops.add(dropOffload, 1)
			return
		}
	}
	room := limit - clearLen - secure.TagLen
	if p.Offload.GSO != drawbridge.GSONone {
		s.cutSuper(p, room)
		return
	}
	if len(p.Frame)+m.len() <= room {
		s.whole(p.Frame)
		return
	}
	s.fragment(p, room)
}

// whole seals a frame that fits.
func (s *Sender) whole(f drawbridge.Frame) {
	m := &s.meta
	m.seq = s.sequence(1)
	plain := s.withRoom(f, maxMetaLen)
	plain = m.append(plain)
	s.one(plain)
}

// withRoom is f if its buffer has room for more behind it, else a copy that has.
func (s *Sender) withRoom(f []byte, more int) []byte {
	if cap(f)-len(f) >= more {
		return f
	}
	return append(s.scratch[:0], f...)
}

// sequence takes n numbers for the pieces in hand and answers the first.
func (s *Sender) sequence(n int) uint32 {
	c := &s.plane.unicasts
	if s.meta.flags&flagFlood != 0 {
		c = &s.plane.flooded
	}
	return c.Add(uint32(n)) - uint32(n)
}

// cutSuper cuts a super-frame. A slice is as many whole segments as fit, so that each slice is good for
// itself; a TCP segment that does not fit is cut anyway, and the far end, which receives the slices in one
// piece, makes segments of the original size again. Slices are sealed from the last to the first, because
// headers and meta are laid behind each slice over the beginning of the next.
func (s *Sender) cutSuper(p *drawbridge.Packet, room int) {
	m := &s.meta
	header, ok := headerLen(p)
	mss := int(p.Offload.SegmentSize)
	if !ok || mss == 0 {
		s.plane.drops.add(dropOffload, 1)
		return
	}
	m.flags |= flagPiece
	slice := sliceLen(m, room-m.len()-header, mss, isTCP(&p.Offload))
	if slice < minSlice || header > maxHeaderLen || (len(p.Frame)-header+slice-1)/slice > maxSlices {
		m.flags &^= flagMSS
		s.fragment(p, room)
		return
	}
	m.mss, m.headerLen = uint16(mss), uint8(header)
	s.slices(p.Frame, header, slice)
}

// sliceLen is how much payload goes into one datagram that has room for room bytes, and sets flagMSS when
// the far end could not tell the segment size from it; 0 when segments do not fit and must not be cut.
func sliceLen(m *meta, room, mss int, tcp bool) int {
	several := (room - mssLen) / mss * mss
	switch {
	case several > mss:
		m.flags |= flagMSS
		return several
	case room >= mss:
		return mss
	case tcp:
		m.flags |= flagMSS
		return room - mssLen
	}
	return 0
}

// slices seals the frame piece by piece, each with the first header bytes of the frame behind it.
func (s *Sender) slices(f drawbridge.Frame, header, slice int) {
	m := &s.meta
	payload := len(f) - header
	count := max((payload+slice-1)/slice, 1)
	f = s.withRoom(f, header+maxMetaLen)
	m.total = uint8(count)
	first := s.sequence(count)
	trailer := header + m.len()
	size := clearLen + slice + trailer + secure.TagLen
	last := size - slice + payload - (count-1)*slice
	if count == 1 {
		size = last
	}
	if !s.reserve(count, size, last) {
		return
	}
	for i := count - 1; i >= 0; i-- {
		start := header + i*slice
		end := min(start+slice, header+payload)
		m.index, m.seq = uint8(i), first+uint32(i)
		plain := append(f[start:end], f[:header]...)
		plain = m.append(plain)
		s.sealAll(plain, i, size)
	}
	s.flushControl()
}

// fragment cuts a frame into pieces without headers of their own.
func (s *Sender) fragment(p *drawbridge.Packet, room int) {
	m := &s.meta
	m.flags |= flagPiece
	m.headerLen = 0
	if p.Offload.GSO != drawbridge.GSONone {
		m.flags |= flagMSS
		m.mss = p.Offload.SegmentSize
	}
	slice := room - m.len()
	if slice <= 0 || (len(p.Frame)+slice-1)/slice > maxPieces {
		s.plane.drops.add(dropTooBig, 1)
		return
	}
	s.slices(p.Frame, 0, slice)
}
