// Package alone is ALONE, Avoid Loops On Networked Ethernet: which ports share a wire, and which of them must
// therefore stay shut. The Machine is pure: it is told what was heard and what time it is, and answers what to send
// and which ports are clear. It can only shut, never open. The protocol is docs/protocol/alone.md.
package alone

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// EtherType is the default protocol number of ALONE frames: local experimental 2 of IEEE 802.
const EtherType = 0x88b6

// Group is where hellos go. It is locally administered and outside the block that bridges keep to themselves.
var Group = drawbridge.MAC{0x03, 0x44, 0x42, 0x41, 0x4c, 0x4f}

// Kind says what a frame is for.
type Kind uint8

// Kinds are only ever appended.
const (
	Hello        Kind = 1
	Loop         Kind = 2
	Close        Kind = 3
	AnnounceDone Kind = 4
)

// State is what a port is in.
type State uint8

// States are only ever appended.
const (
	Init State = iota
	Listen
	Passive
	Active
	Drain
	Blocked
	Fenced
)

var stateNames = [...]string{"init", "listen", "passive", "active", "drain", "blocked", "fenced"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// PortID numbers a port within its peer. Segment ports are below FirstGuest, guest ports from it on.
type PortID uint32

// FirstGuest is the smallest id of a guest port.
const FirstGuest PortID = 1 << 31

// Guest reports whether p is a guest port.
func (p PortID) Guest() bool { return p >= FirstGuest }

// Place is one port in the network.
type Place struct {
	Peer drawbridge.PeerID
	Port PortID
}

// before orders places; of two that must not both be open, the first stays.
func (p Place) before(o Place) bool { return p.compare(o) < 0 }

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Peer, o.Peer), cmp.Compare(p.Port, o.Port))
}

// Key is the short name by which a hello lists a neighbour.
func (p Place) Key() uint32 {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], uint32(p.Peer))
	binary.BigEndian.PutUint32(b[4:], uint32(p.Port))
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(sum[:])
}

// Listed is a neighbour as a hello names it.
type Listed struct {
	Key  uint32 // of its Place
	Age  uint32 // ms since it was heard; not told in a hello that promises
	Echo uint32 // in a hello that promises: microseconds of its last hello, low 32 bits
}

// maxListed is how many neighbours fit into a hello.
const maxListed = 4

// Frame is one ALONE message.
type Frame struct {
	Kind     Kind
	State    State
	Score    uint8
	Flags    uint8
	Network  [8]byte
	From     Place
	Boot     uint32
	Segment  drawbridge.SegmentID
	Epoch    drawbridge.Epoch
	Sequence uint64
	Nonce    uint64 // of a LOOP; CLOCK_BOOTTIME in microseconds of a HELLO
	Interval uint16 // ms between hellos
	Dead     uint16 // ms of silence after which the sender is gone
	Injected uint32
	Captured uint32
	Listed   []Listed
}

// Size is the payload of an ALONE frame in octets; signed is the part that the tag covers.
const (
	Size   = 128
	signed = 112
)

var (
	// ErrTruncated is a payload shorter than Size.
	ErrTruncated = errors.New("shorter than 128 octets")
	// ErrMagic is a frame of somebody else on our EtherType.
	ErrMagic = errors.New("not an ALONE frame")
	// ErrVersion is a version that we do not speak.
	ErrVersion = errors.New("unknown version of ALONE")
	// ErrNetwork is a hello of another Drawbridge network, whose tag we cannot check.
	ErrNetwork = errors.New("another network")
	// ErrTag is a frame that claims to be of our network and is not.
	ErrTag = errors.New("the tag does not fit")
	// ErrField is an authentic frame with a field out of its range.
	ErrField = errors.New("a field is out of range")
)

// Codec writes and reads the frames of one network.
type Codec struct {
	Network [8]byte
	Key     [32]byte
}

// NewCodec derives the network hash; key is HKDF of the network's secret (docs/protocol/alone.md).
func NewCodec(network drawbridge.NetworkID, key [32]byte) Codec {
	sum := sha256.Sum256(append([]byte("drawbridge alone network"), network[:]...))
	return Codec{Network: [8]byte(sum[:8]), Key: key}
}

// Append writes f behind b, signed.
func (c Codec) Append(b []byte, f Frame) []byte {
	start := len(b)
	b = append(b, "ALNE"...)
	b = append(b, 1, byte(f.Kind), byte(f.State), f.Score)
	b = append(b, c.Network[:]...)
	be := binary.BigEndian
	b = be.AppendUint64(b, uint64(f.From.Peer)<<32)
	b = be.AppendUint32(b, f.Boot)
	b = be.AppendUint32(b, uint32(f.From.Port))
	b = be.AppendUint64(b, uint64(f.Segment)<<32)
	b = be.AppendUint64(b, uint64(f.Epoch))
	b = be.AppendUint64(b, f.Sequence)
	b = be.AppendUint64(b, f.Nonce)
	b = be.AppendUint16(b, f.Interval)
	b = be.AppendUint16(b, f.Dead)
	b = be.AppendUint32(b, f.Injected)
	b = be.AppendUint32(b, f.Captured)
	n := min(len(f.Listed), maxListed)
	b = append(b, byte(n), f.Flags, 0, 0)
	for _, l := range f.Listed[:n] {
		b = be.AppendUint32(b, l.Key)
		if f.Flags&Promises != 0 {
			b = be.AppendUint32(b, l.Echo)
		} else {
			b = be.AppendUint32(b, l.Age)
		}
	}
	for len(b) < start+signed {
		b = append(b, 0)
	}
	tag := c.tag(b[start:])
	return append(b, tag[:]...)
}

func (c Codec) tag(b []byte) (tag [Size - signed]byte) {
	mac := hmac.New(sha256.New, c.Key[:])
	mac.Write(b[:signed])
	copy(tag[:], mac.Sum(nil))
	return tag
}

// Parse reads a payload. On ErrNetwork the frame's Network and From are set, unauthenticated, for the alarm.
func (c Codec) Parse(b []byte) (f Frame, err error) {
	switch {
	case len(b) < Size:
		return f, ErrTruncated
	case string(b[:4]) != "ALNE":
		return f, ErrMagic
	case b[4] != 1:
		return f, ErrVersion
	}
	be := binary.BigEndian
	f = Frame{
		Kind: Kind(b[5]), State: State(b[6]), Score: b[7], Network: [8]byte(b[8:16]),
		From: Place{drawbridge.PeerID(be.Uint32(b[16:])), PortID(be.Uint32(b[28:]))}, Boot: be.Uint32(b[24:]),
		Segment: drawbridge.SegmentID(be.Uint32(b[32:])), Epoch: drawbridge.Epoch(be.Uint64(b[40:])),
		Sequence: be.Uint64(b[48:]), Nonce: be.Uint64(b[56:]), Interval: be.Uint16(b[64:]), Dead: be.Uint16(b[66:]),
		Injected: be.Uint32(b[68:]), Captured: be.Uint32(b[72:]), Flags: b[77],
	}
	if f.Network != c.Network {
		return f, ErrNetwork
	}
	if tag := c.tag(b); !hmac.Equal(tag[:], b[signed:Size]) {
		return Frame{}, ErrTag
	}
	n := int(b[76])
	if n > maxListed || f.Kind < Hello || f.State > Fenced || f.Interval == 0 {
		return Frame{}, ErrField
	}
	for i := range n {
		l := Listed{Key: be.Uint32(b[80+8*i:]), Age: be.Uint32(b[84+8*i:])}
		if f.Flags&Promises != 0 {
			l.Age, l.Echo = 0, l.Age
		}
		f.Listed = append(f.Listed, l)
	}
	return f, nil
}
