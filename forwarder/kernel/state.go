package kernel

import (
	"net/netip"

	"github.com/drawbridge-net/drawbridge"
)

// The maps' layouts, as bpf/maps.h has them: host byte order, but for addresses.

// Mark is on every frame that the engine injects. "DBGK" in ASCII.
const Mark = 0x4442474b

// Flags of a peer.
const (
	flagPresent = 1 << iota
	flagLocal
	flagMaySend
	flagWhole
)

const (
	maxPorts    = 32
	maxChildren = 31
	puntedBytes = 1280
)

type address [16]byte

func addressOf(a netip.Addr) address { return a.As16() }

type mac struct {
	MAC  drawbridge.MAC
	Zero uint16
}

type place struct {
	Origin, Port, Segment, Moves uint32
	Seen                         uint64
}

type peer struct {
	Remote      address
	Flags       uint32
	Segment     uint32
	Via, Parent uint32
	MTU, Zero   uint32
	Epoch       uint64
}

type segment struct {
	Gateway, Port uint32
}

type children struct {
	N     uint16
	Child [maxChildren]uint16
}

type port struct {
	Ifindex, Segment uint32
}

type ports struct {
	N    uint32
	Port [maxPorts]port
}

type traffic struct {
	RxFrames, RxBytes, TxFrames, TxBytes uint64
}

type storm struct {
	Each, Burst, Full uint64
}

type constants struct {
	Ifindex, Self, Segment, Tunnel, Gated, Zero uint32
	Settle                                      uint64
	MAC                                         mac
	Inner                                       address
}

// Kinds of events.
const (
	kindLearned = 1
	kindPunted  = 2
)

// Sizes of events in octets, without what the ring pads.
const (
	learnedBytes = 32
	puntedHeader = 20 // what stands before the frame
)
