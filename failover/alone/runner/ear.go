package runner

import (
	"golang.org/x/net/bpf"

	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// OpenEar opens a wire on which is heard what stations of a segment say to everybody: broadcasts, and the groups that no switch keeps
// from anybody (224.0.0.0/24, RFC 4541 §2.1.2, and ff02::/120), without hellos and bridge protocols. It shows a port that hears somebody
// to be not deaf. It hears also while the gate is shut, and nothing that this host sends.
func OpenEar(c PortConfig) (Wire, error) { return openFiltered(c, earProgram(alone.EtherType, c.VLAN)) }

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
