package handover

import (
	"encoding/binary"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Crossing is a probe frame that went through a gate.
type Crossing struct {
	Number uint32        `json:"n"`
	At     time.Duration `json:"t"` // by the clock of the place
}

// A probe frame of a drill has an EtherType for local experiments (IEEE 802 §9.2.4) and goes to a group that nobody
// listens to. After the Ethernet header: "DRIL", u64 drill, u32 number.
const (
	probeEtherType = 0x88b5
	probeMagic     = 0x4452494c
	probeSize      = drawbridge.MinFrame + 16
	probeFrame     = 60
)

// probeGroup is local and multicast: "SDRIL" after its two bits.
var probeGroup = drawbridge.MAC{0x03, 0x44, 0x52, 0x49, 0x4c, 0x4c}

// ProbeFrame is number n of a drill, from a station that does not exist.
func ProbeFrame(source drawbridge.MAC, drill uint64, n uint32) drawbridge.Frame {
	const room = 256
	f := make(drawbridge.Frame, probeFrame, probeFrame+room)
	copy(f, probeGroup[:])
	copy(f[6:], source[:])
	binary.BigEndian.PutUint16(f[12:], probeEtherType)
	binary.BigEndian.PutUint32(f[drawbridge.MinFrame:], probeMagic)
	binary.BigEndian.PutUint64(f[drawbridge.MinFrame+4:], drill)
	binary.BigEndian.PutUint32(f[drawbridge.MinFrame+12:], n)
	return f
}

// ParseProbe reads a probe frame.
func ParseProbe(f drawbridge.Frame) (drill uint64, n uint32, ok bool) {
	if len(f) < probeSize || f.EtherType() != probeEtherType || binary.BigEndian.Uint32(f[drawbridge.MinFrame:]) != probeMagic {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(f[drawbridge.MinFrame+4:]), binary.BigEndian.Uint32(f[drawbridge.MinFrame+12:]), true
}
