// Package drawbridge is the vocabulary that every other package speaks: peers, networks, overlays,
// segments, epochs and Ethernet frames. It holds plain values and their text forms, nothing that runs.
package drawbridge

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
)

// PeerName is the name of a peer as an operator wrote it, unique within one network.
type PeerName string

// maxNameLen bounds the names that people give: one DNS label (RFC 1035 §2.3.4).
const maxNameLen = 63

// ErrName is the condition behind every refused name.
var ErrName = errors.New("a name has 1 to 63 letters a-z, digits, '-' or '_', and starts with a letter or digit")

// CheckName reports why s cannot name a peer, a network or a segment; nil when it can.
func CheckName(s string) error {
	if s == "" || len(s) > maxNameLen {
		return fmt.Errorf("name %q has %d characters: %w", s, len(s), ErrName)
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_') {
			return fmt.Errorf("name %q: character %d is %q: %w", s, i+1, c, ErrName)
		}
	}
	return nil
}

// PeerID says which identity key a peer holds: the first four bytes, big endian, of the SHA-256 of its
// Ed25519 public key. It travels in every datagram, so it is short; 0 is no peer, and the network
// authority refuses a joining peer whose id is already taken. Data frames use it, people never do.
type PeerID uint32

func (p PeerID) String() string { return fmt.Sprintf("%08x", uint32(p)) }

// PeerUID says which run of a peer: drawn at random at every start, so that gossip about an earlier run loses.
type PeerUID uint64

func (u PeerUID) String() string { return fmt.Sprintf("%016x", uint64(u)) }

// NetworkID is the random identity of one network, drawn when it is founded.
type NetworkID [16]byte

func (n NetworkID) String() string { return hex.EncodeToString(n[:]) }

// ParseNetworkID reads the 32 hexadecimal digits that String writes.
func ParseNetworkID(s string) (n NetworkID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(n) {
		return n, fmt.Errorf("network id %q: want 32 hexadecimal digits", s)
	}
	return NetworkID(b), nil
}

// VNI is the 24-bit number of an overlay.
type VNI uint32

// MaxVNI is the largest number that 24 bits hold.
const MaxVNI VNI = 1<<24 - 1

// SegmentID says on which real layer-2 domain a frame was captured; 0 means on none.
type SegmentID uint32

// SegmentIDOf derives the id of a named segment: FNV-1a of its name, with 0 moved to 1.
func SegmentIDOf(name string) SegmentID {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails, by the contract of hash.Hash
	return SegmentID(max(h.Sum32(), 1))
}

// Epoch numbers one tenure of a segment; a larger one is newer. The upper half is the generation, which
// only Raft moves; the lower half is the ballot, which the lease layer moves. 0 means no tenure.
type Epoch uint64

// MakeEpoch joins a generation and a ballot.
func MakeEpoch(generation, ballot uint32) Epoch { return Epoch(generation)<<32 | Epoch(ballot) }

// Generation is the part that Raft committed.
func (e Epoch) Generation() uint32 { return uint32(e >> 32) }

// Ballot is the part that the lease layer counted within the generation.
func (e Epoch) Ballot() uint32 { return uint32(e) }

// Elections is the bit of a ballot that is set when gateways of the segment have numbered a tenure among themselves, for
// want of voters (docs/protocol/alone.md). The voters count on from there, so it stays set until their generation changes.
const Elections = 1 << 31

// Elected reports whether the number goes back to such an election: the lease alone does not keep it from overlapping
// with the one before.
func (e Epoch) Elected() bool { return e.Ballot()&Elections != 0 }

func (e Epoch) String() string { return fmt.Sprintf("%d.%d", e.Generation(), e.Ballot()) }

// MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is the address of every station.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Group reports whether m addresses many stations (the I/G bit of IEEE 802).
func (m MAC) Group() bool { return m[0]&1 != 0 }

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText writes the colon form.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the colon form.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMAC(string(b))
	return err
}

// ParseMAC reads six hexadecimal octets separated by colons or dashes.
func ParseMAC(s string) (m MAC, err error) {
	b, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(s))
	if err != nil || len(b) != len(m) || len(s) != 17 {
		return m, fmt.Errorf("MAC address %q: want six octets such as 02:00:5e:10:00:01", s)
	}
	return MAC(b), nil
}

// Frame is one Ethernet frame from the destination address on, without frame check sequence; VLAN tags
// stand in line. It may be a super-frame of up to 64 KiB (see Offload).
type Frame []byte

// MinFrame is the length of an Ethernet header; nothing shorter is a Frame.
const MinFrame = 14

// Dst is the destination address. The caller has checked that len(f) >= MinFrame.
func (f Frame) Dst() MAC { return MAC(f[0:6]) }

// Src is the source address. The caller has checked that len(f) >= MinFrame.
func (f Frame) Src() MAC { return MAC(f[6:12]) }

// EtherType is the type or tag protocol that follows the addresses.
func (f Frame) EtherType() uint16 { return binary.BigEndian.Uint16(f[12:14]) }

// Offload carries what a virtio-net header (OASIS virtio 1.2 §5.1.6) says of a frame whose checksum or
// segmentation is still owed. All zero: the frame is complete as it stands. Offsets count from the first
// byte of the frame, in-line VLAN tags included.
type Offload struct {
	Flags          uint8  // NeedsChecksum
	GSO            uint8  // one of the GSO values, GSOECN may be added
	HeaderLen      uint16 // bytes of link, network and transport header before the payload
	SegmentSize    uint16 // payload bytes of each segment that the super-frame stands for
	ChecksumStart  uint16 // where the sum begins
	ChecksumOffset uint16 // where the sum goes, counted from ChecksumStart
}

// Flags and GSO values, as in linux/virtio_net.h.
const (
	NeedsChecksum uint8 = 1 // the transport checksum holds only the pseudo-header sum

	GSONone  uint8 = 0
	GSOTCPv4 uint8 = 1
	GSOTCPv6 uint8 = 4
	GSOUDP   uint8 = 5    // UDP segmentation offload (VIRTIO_NET_HDR_GSO_UDP_L4)
	GSOECN   uint8 = 0x80 // added to a TCP type: the congestion-window-reduced flag is set
)

// Packet is a frame and what is still owed to it.
type Packet struct {
	Frame   Frame
	Offload Offload
}

// Header is what the mesh carries beside a frame.
type Header struct {
	Origin  PeerID    // the peer that took the frame in
	Dest    PeerID    // the peer it goes to; 0: every peer, along the origin's broadcast tree
	VNI     VNI       // the overlay it belongs to
	Segment SegmentID // the segment it was captured on; 0 when it came from a guest port
	Epoch   Epoch     // the tenure under which it was captured; 0 when Segment is
	Arrived int64     // of one for every peer that the mesh delivers: CLOCK_BOOTTIME in ns when it reached this host; 0: unknown
}
