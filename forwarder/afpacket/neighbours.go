package afpacket

import (
	"fmt"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Hush leaves all frames to the kernel, on, but those that neighbours on the wire exchange, which no engine carries on; or
// takes what the port was opened for again. Each frame meets the one filter or the other: none is lost by the change, and
// what waits to be read stays. Copying every frame to a process that drops it costs more than forwarding it in the kernel does.
func (p *Port) Hush(on bool) error {
	switch {
	case on:
		return p.sift(func(fd int) error { return attach(fd, neighbours()) })
	case p.filter != nil:
		return p.sift(p.filter)
	}
	return p.sift(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
}

// Share takes what a filter lets through, which attach attaches to the socket in place of the port's, until Hush is called.
func (p *Port) Share(attach func(fd int) error) error { return p.sift(attach) }

func (p *Port) sift(attach func(fd int) error) error {
	fd, ok := p.file.Enter()
	if !ok {
		return os.ErrClosed
	}
	defer p.file.Leave()
	if err := attach(fd); err != nil {
		return fmt.Errorf("port %s: change the socket's filter: %w", p.name, err)
	}
	return nil
}

func attach(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

// neighbours lets through what forwarder.linkLocal names, and nothing else; a test compares the two. The kernel has taken the
// outermost tag out of a frame before it asks, so two that are looked behind here are three on the wire.
func neighbours() []bpf.Instruction {
	const keep, byAddress, addressAt = 30, 21, 27
	var is []bpf.Instruction
	to := func(target int) uint8 { return uint8(target - len(is) - 1) }
	equal := func(value uint32, target int) {
		is = append(is, bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: to(target)})
	}
	for tags := range 3 {
		next := 8 * (tags + 1)
		is = append(is, bpf.LoadAbsolute{Off: uint32(macsLen + tagLen*tags), Size: 2})
		for _, etherType := range []uint32{0x88b6, 0x88cc, 0x8809, 0x8808} { // ALONE, LLDP, LACP and OAM, pause
			equal(etherType, keep)
		}
		if tags < 2 {
			equal(unix.ETH_P_8021Q, next)
			equal(unix.ETH_P_8021AD, next)
			is = append(is, bpf.Jump{Skip: uint32(to(byAddress))})
		}
	}
	is = append(is, bpf.LoadAbsolute{Off: 0, Size: 4})
	equal(0x0180c200, addressAt) // bridges
	is = append(is,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x01000ccc, SkipTrue: to(keep - 1)}, // Cisco
		bpf.LoadAbsolute{Off: 4, Size: 2})
	equal(0xcccc, keep)
	is = append(is, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0xcccd, SkipTrue: to(keep), SkipFalse: to(keep - 1)},
		bpf.LoadAbsolute{Off: 4, Size: 2})
	return append(is, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 0x10, SkipTrue: to(keep)},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1<<32 - 1})
}

// leaving lets through what leaves the interface with a mark.
func leaving(mark uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtMark},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: mark, SkipTrue: 1},
		bpf.RetConstant{Val: 1<<32 - 1},
		bpf.RetConstant{Val: 0},
	}
}
