package doctor

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
)

// wires listens on every segment port at once.
func (g *gatherer) wires(ports []Port) []Wire {
	names := g.segmentInterfaces()
	all := make([]Wire, len(names))
	var ears sync.WaitGroup
	for i, name := range names {
		all[i].Interface = name
		if g.o.Listen > 0 {
			ears.Go(func() { g.hear(&all[i]) })
		}
	}
	ears.Wait()
	return all
}

// hear listens on one wire for as long as it is told to.
func (g *gatherer) hear(w *Wire) {
	at, err := hostnet.Find(w.Interface)
	if err != nil {
		w.Error = err.Error()
		return
	}
	fd, err := openEar(at)
	if err != nil {
		w.Error = plain(err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	begun := time.Now()
	buffer := make([]byte, 2048)
	for g.ctx.Err() == nil && time.Since(begun) < g.o.Listen {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			w.Error = plain(err)
			return
		default:
			w.heard(buffer[:n], at)
		}
	}
	w.Listened = time.Since(begun)
}

// heard counts a frame.
func (w *Wire) heard(f []byte, at hostnet.Interface) {
	if b, err := ParseBPDU(f); err == nil {
		w.BPDUs++
		w.Last = &b
	}
	if len(f) >= 12 && [6]byte(f[6:12]) == [6]byte(at.MAC) {
		w.Twins++
	}
}

// openEar is a packet socket that hears BPDUs, and whatever comes in under the interface's own address. The kernel
// filters, so that a busy segment costs nothing.
func openEar(at hostnet.Interface) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	ok := false
	defer func() {
		if !ok {
			_ = unix.Close(fd)
		}
	}()
	filter, err := earFilter(at.MAC)
	if err != nil {
		return -1, err
	}
	tenth := unix.NsecToTimeval((100 * time.Millisecond).Nanoseconds())
	err = errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tenth),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: at.Index}),
		join(fd, at.Index, toBridges), join(fd, at.Index, toPVST),
	)
	ok = err == nil
	return fd, err
}

// everything is ETH_P_ALL in network order.
const everything = unix.ETH_P_ALL << 8

func join(fd, index int, group [6]byte) error {
	m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6}
	copy(m.Address[:], group[:])
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m)
}

// earFilter passes what goes to one of the two groups of bridges, or comes from own.
func earFilter(own [6]byte) (*unix.SockFprog, error) {
	high := func(m [6]byte) uint32 { return binary.BigEndian.Uint32(m[:]) }
	low := func(m [6]byte) uint32 { return uint32(binary.BigEndian.Uint16(m[4:])) }
	var code []bpf.Instruction
	for _, want := range []struct {
		at  uint32
		mac [6]byte
	}{{0, toBridges}, {0, toPVST}, {6, own}} {
		code = append(code,
			bpf.LoadAbsolute{Off: want.at, Size: 4}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: high(want.mac), SkipFalse: 3},
			bpf.LoadAbsolute{Off: want.at + 4, Size: 2}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: low(want.mac), SkipFalse: 1},
			bpf.RetConstant{Val: 2048},
		)
	}
	raw, err := bpf.Assemble(append(code, bpf.RetConstant{Val: 0}))
	if err != nil {
		return nil, err
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}, nil
}
