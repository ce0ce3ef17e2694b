package runner

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// snapLen is how much of a frame is received: the header, an ALONE payload, and some padding that nobody reads.
const snapLen = 256

const (
	bridgeSAP = 0x4242 // destination and source service access point of bridge protocols (IEEE 802.1D §9.1)
	bridgeUI  = 0x03   // unnumbered information
)

// program lets through ALONE's EtherType on the port's VLAN, on every VLAN when it is 0, and the bridge protocol frames
// that switches send: untagged, also for VLANs. The kernel has stripped the tag before it asks, also where a card did
// not. It is run for every frame of the interface, and rejects an IP packet after three instructions.
func program(etherType, vlan uint16) []bpf.Instruction {
	is := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(etherType), SkipTrue: 10},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: 1500, SkipTrue: 8}, // a type, not a length
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0180c200, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 14, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: bridgeSAP, SkipTrue: 2},
		bpf.LoadAbsolute{Off: 16, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: bridgeUI, SkipTrue: 6},
		bpf.RetConstant{Val: 0},
		// our EtherType
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 4},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(vlan), SkipTrue: 1},
		bpf.RetConstant{Val: snapLen},
		bpf.RetConstant{Val: 0},
	}
	if vlan == 0 {
		is[12] = bpf.RetConstant{Val: snapLen}
	}
	return is
}

func attachFilter(fd int, filter []bpf.Instruction) error {
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	return nil
}
