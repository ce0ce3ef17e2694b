package transit

import (
	"encoding/binary"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// version is the high half of a datagram's first byte. A datagram of another version is dropped and counted.
const version = 1

// Kinds of datagrams, the low half of the first byte.
const (
	kindFrame     = 1
	kindHeartbeat = 2
	kindBundle    = 3
)

// clearLen is the clear header: version and kind, receiver's key index, sending thread, 40-bit counter. All
// of it is authenticated.
const clearLen = 1 + 4 + 1 + 5

func putClear(b []byte, kind byte, index uint32, thread uint8, counter uint64) {
	_ = b[clearLen-1]
	b[0] = version<<4 | kind
	binary.BigEndian.PutUint32(b[1:], index)
	b[5] = thread
	b[6] = byte(counter >> 32)
	binary.BigEndian.PutUint32(b[7:], uint32(counter))
}

func clearIndex(b []byte) uint32 { return binary.BigEndian.Uint32(b[1:]) }

func clearCounter(b []byte) (thread uint8, counter uint64) {
	return b[5], uint64(b[6])<<32 | uint64(binary.BigEndian.Uint32(b[7:]))
}

// Flags of the meta part: which optional parts stand before the fixed one, and what kind of frame it is.
// The eighth bit is not assigned; a datagram that has it is dropped and counted.
const (
	flagPiece   = 1 << iota // one of several pieces of a frame
	flagDest                // goes to a peer beyond the receiver
	flagSegment             // was captured on a segment
	flagOffload             // checksum or segmentation is still owed
	flagMSS                 // the segment size differs from the length of the pieces
	flagFlood               // goes to every peer
	flagMark                // flooded while the topology moved: pass it to every neighbour
)

// Lengths of the meta's parts, in the order in which they stand before the end of the plain text.
const (
	fixedLen   = 4 + 4 + 3 + 1 + 1 // sequence, origin, VNI, hops, flags
	destLen    = 4
	segmentLen = 4 + 8
	offloadLen = 2
	mssLen     = 2
	pieceLen   = 3
	maxMetaLen = fixedLen + destLen + segmentLen + offloadLen + mssLen + pieceLen
)

// maxHops is how many links a frame may cross: the diameter of any network that a person would build, and
// few enough that a frame caught in a transient loop is gone within milliseconds.
const maxHops = 16

// meta is what travels sealed behind a frame or a piece of one. It is read from the end, so that payload
// comes first and can be opened in place (docs/protocol/data.md, "Meta").
type meta struct {
	flags   uint8
	hops    uint8
	vni     drawbridge.VNI
	origin  drawbridge.PeerID
	seq     uint32
	dest    drawbridge.PeerID
	segment drawbridge.SegmentID
	epoch   drawbridge.Epoch

	offload   uint8 // owed* bits
	csumStart uint8
	mss       uint16

	index, total uint8
	headerLen    uint8 // of the headers that stand between payload and meta; 0: a plain fragment
}

// Bits of meta.offload: a virtio-net header in one byte. The place of the sum follows from the transport.
const (
	owedTypeMask = 0x07 // drawbridge.GSO…, without GSOECN
	owedECN      = 0x08
	owedUDP      = 0x10 // the sum stands 6 bytes behind its start, as in UDP; else 16, as in TCP
	owedChecksum = 0x80
)

func (m *meta) len() int {
	n := fixedLen
	if m.flags&flagDest != 0 {
		n += destLen
	}
	if m.flags&flagSegment != 0 {
		n += segmentLen
	}
	if m.flags&flagOffload != 0 {
		n += offloadLen
	}
	if m.flags&flagMSS != 0 {
		n += mssLen
	}
	if m.flags&flagPiece != 0 {
		n += pieceLen
	}
	return n
}

// append writes m behind b.
func (m *meta) append(b []byte) []byte {
	if m.flags&flagPiece != 0 {
		b = append(b, m.index, m.total, m.headerLen)
	}
	if m.flags&flagMSS != 0 {
		b = binary.BigEndian.AppendUint16(b, m.mss)
	}
	if m.flags&flagOffload != 0 {
		b = append(b, m.offload, m.csumStart)
	}
	if m.flags&flagSegment != 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(m.segment))
		b = binary.BigEndian.AppendUint64(b, uint64(m.epoch))
	}
	if m.flags&flagDest != 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(m.dest))
	}
	b = binary.BigEndian.AppendUint32(b, m.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(m.origin))
	return append(b, byte(m.vni>>16), byte(m.vni>>8), byte(m.vni), m.hops, m.flags)
}

// parse reads the meta at the end of plain and returns what stands before it. It answers false when the
// parts do not fit or contradict each other.
func (m *meta) parse(plain []byte) (rest []byte, ok bool) {
	n := len(plain)
	if n < fixedLen {
		return nil, false
	}
	m.flags, m.hops = plain[n-1], plain[n-2]
	m.vni = drawbridge.VNI(plain[n-5])<<16 | drawbridge.VNI(plain[n-4])<<8 | drawbridge.VNI(plain[n-3])
	m.origin = drawbridge.PeerID(binary.BigEndian.Uint32(plain[n-9:]))
	m.seq = binary.BigEndian.Uint32(plain[n-13:])
	if m.flags&^0x7f != 0 || m.len() > n {
		return nil, false
	}
	n -= fixedLen
	m.dest, m.segment, m.epoch, m.offload, m.csumStart, m.mss, m.index, m.total, m.headerLen = 0, 0, 0, 0, 0, 0, 0, 1, 0
	if m.flags&flagDest != 0 {
		n -= destLen
		m.dest = drawbridge.PeerID(binary.BigEndian.Uint32(plain[n:]))
	}
	if m.flags&flagSegment != 0 {
		n -= segmentLen
		m.segment = drawbridge.SegmentID(binary.BigEndian.Uint32(plain[n:]))
		m.epoch = drawbridge.Epoch(binary.BigEndian.Uint64(plain[n+4:]))
	}
	if m.flags&flagOffload != 0 {
		n -= offloadLen
		m.offload, m.csumStart = plain[n], plain[n+1]
	}
	if m.flags&flagMSS != 0 {
		n -= mssLen
		m.mss = binary.BigEndian.Uint16(plain[n:])
	}
	if m.flags&flagPiece != 0 {
		n -= pieceLen
		m.index, m.total, m.headerLen = plain[n], plain[n+1], plain[n+2]
	}
	return plain[:n], m.consistent(n)
}

func (m *meta) consistent(rest int) bool {
	switch {
	case m.index >= m.total, int(m.headerLen) > rest, m.origin == 0:
		return false
	case m.flags&flagFlood != 0 && m.flags&flagDest != 0, m.flags&flagMark != 0 && m.flags&flagFlood == 0:
		return false
	case m.flags&flagMSS != 0 && m.mss == 0:
		return false
	}
	return true
}

// header is what the receiver of the frame is told.
func (m *meta) header(self drawbridge.PeerID, h *drawbridge.Header) {
	*h = drawbridge.Header{Origin: m.origin, Dest: self, VNI: m.vni, Segment: m.segment, Epoch: m.epoch}
	if m.flags&flagFlood != 0 {
		h.Dest = 0
	}
}

// setOffload puts o into m; false when it has a form that the byte cannot say, and the sum must be
// completed first.
func (m *meta) setOffload(o *drawbridge.Offload) bool {
	if o.Flags&drawbridge.NeedsChecksum == 0 {
		return o.GSO == drawbridge.GSONone
	}
	if o.ChecksumStart > 255 {
		return false
	}
	switch o.ChecksumOffset {
	case 16:
		m.offload = owedChecksum
	case 6:
		m.offload = owedChecksum | owedUDP
	default:
		return false
	}
	m.offload |= o.GSO & owedTypeMask
	if o.GSO&drawbridge.GSOECN != 0 {
		m.offload |= owedECN
	}
	m.csumStart = uint8(o.ChecksumStart)
	m.flags |= flagOffload
	return true
}

// getOffload is the reverse; segment size and header length are the caller's.
func (m *meta) getOffload(o *drawbridge.Offload) {
	*o = drawbridge.Offload{}
	if m.flags&flagOffload == 0 || m.offload&owedChecksum == 0 {
		return
	}
	o.Flags = drawbridge.NeedsChecksum
	o.ChecksumStart, o.ChecksumOffset = uint16(m.csumStart), 16
	if m.offload&owedUDP != 0 {
		o.ChecksumOffset = 6
	}
	o.GSO = m.offload & owedTypeMask
	if m.offload&owedECN != 0 {
		o.GSO |= drawbridge.GSOECN
	}
}
