package lease

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// Port is the UDP port of the lease protocol.
const Port = 6631

// Sizes of docs/protocol/lease.md. MaxDatagram leaves room for IPv6 and UDP in IPv6's least MTU (RFC 8200 §5).
const (
	version     = 1
	headerLen   = 72
	entryLen    = 32
	shortLen    = 12 // of an entry in a list, but for the first
	tagLen      = 16
	maxEntries  = 35
	MaxDatagram = headerLen + maxEntries*entryLen + tagLen
)

// ErrDatagram is the condition behind every datagram that is not one of ours.
var ErrDatagram = errors.New("no lease datagram")

// header is what precedes the entries.
type header struct {
	class                           Class
	count                           int // of entryLen octets each, lists as well
	sender, receiver                drawbridge.PeerID
	generation, floor               uint32
	session, token, offer, sequence uint64
	stamp, clock                    Instant
}

func (h *header) append(b []byte) []byte {
	b = append(b, version, byte(h.class))
	b = binary.BigEndian.AppendUint16(b, uint16(h.count))
	for _, v := range [...]uint32{uint32(h.sender), uint32(h.receiver), h.generation, h.floor, 0} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	for _, v := range [...]uint64{h.session, h.token, h.offer, h.sequence, uint64(h.stamp), uint64(h.clock)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// setCount says how many times entryLen octets follow a header that was written before them.
func setCount(datagram []byte, n int) { binary.BigEndian.PutUint16(datagram[2:], uint16(n)) }

// parseHeader checks the shape of a whole datagram and reads its header.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerLen+tagLen || len(b) > MaxDatagram {
		return h, fmt.Errorf("%d octets: %w", len(b), ErrDatagram)
	}
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	h = header{
		class: Class(b[1]), count: int(binary.BigEndian.Uint16(b[2:])),
		sender: drawbridge.PeerID(u32(4)), receiver: drawbridge.PeerID(u32(8)), generation: u32(12), floor: u32(16),
		session: u64(24), token: u64(32), offer: u64(40), sequence: u64(48), stamp: Instant(u64(56)), clock: Instant(u64(64)),
	}
	switch {
	case b[0] != version:
		return h, fmt.Errorf("version %d, want %d: %w", b[0], version, ErrDatagram)
	case h.class < Request || h.class > Challenge || u32(20) != 0 || h.session == 0:
		return h, fmt.Errorf("class %d, reserved %d, session %d: %w", h.class, u32(20), h.session, ErrDatagram)
	case len(b) != headerLen+h.count*entryLen+tagLen || h.class == Challenge && h.count != 0:
		return h, fmt.Errorf("%d entries in %d octets: %w", h.count, len(b), ErrDatagram)
	}
	return h, nil
}

// Sender reads who claims to have sent a datagram, to find the key that proves it.
func Sender(b []byte) (drawbridge.PeerID, error) {
	h, err := parseHeader(b)
	return h.sender, err
}

// IsChallenge reports whether a well-formed datagram is a challenge. A challenge is never answered with another.
func IsChallenge(b []byte) bool { return len(b) > 1 && Class(b[1]) == Challenge }

// readsLists is the flag of every entry of a sender that reads lists. Only on the wire.
const readsLists uint16 = 2

func (e *Entry) append(b []byte) []byte {
	b = append(b, byte(e.Kind), byte(e.Reason))
	b = binary.BigEndian.AppendUint16(b, e.Flags|readsLists)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Segment))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Epoch))
	b = binary.BigEndian.AppendUint32(b, e.Micros)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Peer))
	return binary.BigEndian.AppendUint64(b, uint64(e.Seen))
}

// parseEntry reads entryLen octets.
func parseEntry(b []byte) Entry {
	return Entry{
		Kind: Kind(b[0]), Reason: Reason(b[1]), Flags: binary.BigEndian.Uint16(b[2:]) &^ readsLists,
		Segment: drawbridge.SegmentID(binary.BigEndian.Uint32(b[4:])), Epoch: drawbridge.Epoch(binary.BigEndian.Uint64(b[8:])),
		Micros: binary.BigEndian.Uint32(b[16:]), Peer: drawbridge.PeerID(binary.BigEndian.Uint32(b[20:])),
		Seen: drawbridge.Epoch(binary.BigEndian.Uint64(b[24:])),
	}
}
