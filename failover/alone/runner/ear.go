package runner

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// earBatch is how many words are taken at once, which bounds what a storm costs: 64,000 a second are more than most segments carry.
const earBatch = 64

// Ear hears the stations of a segment. It belongs to one goroutine.
type Ear struct {
	wire  *packetWire
	spoke []alone.Sighting
}

// OpenEar opens an ear, which hears what stations of a segment say to everybody: broadcasts, and the groups that no switch keeps
// from anybody (224.0.0.0/24, RFC 4541 §2.1.2, and ff02::/120), without hellos and bridge protocols. It shows a port that hears somebody
// to be not deaf. It hears also while the gate is shut, and nothing that this host sends.
func OpenEar(c PortConfig) (*Ear, error) {
	w, err := openFiltered(c, earProgram(alone.EtherType, c.VLAN))
	if err != nil {
		return nil, err
	}
	// Without it, which Linux before 5.1 does not know, a station is taken to have spoken when it is read.
	err = w.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) })
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &Ear{wire: w}, nil
}

// Hear waits until somebody speaks, and answers whoever has spoken since the last call, latest first, and how long ago the latest word of each
// reached this host. Of a storm it takes so much at a time as is heard in a millisecond. The answer stays until the next call.
func (e *Ear) Hear() ([]alone.Sighting, error) {
	e.spoke = e.spoke[:0]
	n := 0
	f, err := e.wire.Receive()
	for there := true; err == nil && there; f, there, err = e.wire.next() {
		if f != nil {
			e.note(f.Src(), e.wire.age())
		}
		if n++; n == earBatch {
			break
		}
	}
	slices.Reverse(e.spoke)
	return e.spoke, err
}

// note puts a station at the end of those that have spoken.
func (e *Ear) note(station drawbridge.MAC, ago time.Duration) {
	e.spoke = slices.DeleteFunc(e.spoke, func(s alone.Sighting) bool { return s.MAC == station })
	e.spoke = append(e.spoke, alone.Sighting{MAC: station, Ago: ago})
}

// Interrupt makes Hear fail from now on.
func (e *Ear) Interrupt() { e.wire.Interrupt() }

// Close is the last call.
func (e *Ear) Close() error { return e.wire.Close() }

// earProgram is the filter of an ear.
func earProgram(etherType, vlan uint16) []bpf.Instruction {
	is := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0xffffffff, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x01005e00, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x33330000, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(etherType), SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: 1500, SkipTrue: 5}, // a length, not a type
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(vlan), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: snapLen},
	}
	if vlan == 0 { // every VLAN
		is[8] = bpf.RetConstant{Val: snapLen}
	}
	return is
}
