package runner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// packetWire is a wire on an interface of the kernel.
type packetWire struct {
	name string
	vlan uint16
	file *os.File
	raw  syscall.RawConn
	in   struct {
		buf   [snapLen]byte
		aux   [128]byte // the control messages have 36 and 32 octets, and are aligned
		n, na int
		err   error
		call  func(uintptr) bool
	}
	out struct {
		frame drawbridge.Frame
		err   error
		call  func(uintptr) bool
	}
}

// priority puts hellos before bulk traffic in queueing disciplines with bands (TC_PRIO_INTERACTIVE, the highest that
// needs no capability).
const priority = 6

// openPacket opens the packet socket of a port. It needs CAP_NET_RAW. An interface that is down is an error.
func openPacket(c PortConfig, etherType uint16) (Wire, error) {
	w, err := openFiltered(c, program(etherType, c.VLAN))
	if err != nil {
		return nil, err // and no Wire that is not nil
	}
	return w, nil
}

// openFiltered opens a packet socket that receives what a filter lets through.
func openFiltered(c PortConfig, filter []bpf.Instruction) (*packetWire, error) {
	w := &packetWire{name: c.Interface, vlan: c.VLAN}
	// Protocol 0: nothing is received before bind, when the filter is in place.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: open a packet socket (needs CAP_NET_RAW): %w", w.name, err)
	}
	if err := w.prepare(fd, filter); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", w.name, err), unix.Close(fd))
	}
	w.file = os.NewFile(uintptr(fd), w.name)
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", w.name, err), w.file.Close())
	}
	w.in.call, w.out.call = w.receive, w.send
	return w, nil
}

// prepare binds to every protocol, with a filter, and not to our EtherType: a socket of one protocol is served behind
// VLAN devices and bridges, which take frames away, and after the kernel has forgotten the tag of an unknown VLAN.
func (w *packetWire) prepare(fd int, filter []bpf.Instruction) error {
	index, err := upIndex(fd, w.name)
	if err != nil {
		return err
	}
	for _, o := range []struct {
		what              string
		level, opt, value int
	}{
		{"learn stripped VLAN tags (PACKET_AUXDATA)", unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{"ignore frames that leave (PACKET_IGNORE_OUTGOING, Linux 4.20)", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{"set the priority", unix.SOL_SOCKET, unix.SO_PRIORITY, priority},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("%s: %w", o.what, err)
		}
	}
	if err := attachFilter(fd, filter); err != nil {
		return err
	}
	if err := w.join(fd, index); err != nil {
		return err
	}
	every := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: index}); err != nil {
		return fmt.Errorf("bind the packet socket: %w", err)
	}
	_, err = macOf(fd)
	return err
}

// join makes the interface receive what is for us. On a VLAN that the kernel does not know of, a card with a VLAN
// filter takes promiscuity.
func (w *packetWire) join(fd, index int) error {
	wants := []unix.PacketMreq{multicast(index, alone.Group), multicast(index, alone.BridgeGroup)}
	if w.vlan != 0 {
		wants = append(wants, unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
	}
	for _, m := range wants {
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("receive the group's frames: %w", err)
		}
	}
	return nil
}

func multicast(index int, group drawbridge.MAC) unix.PacketMreq {
	m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(group))}
	copy(m.Address[:], group[:])
	return m
}

// upIndex finds an interface that is up.
func upIndex(fd int, name string) (int, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, errors.New("an interface's name has 1 to 15 bytes")
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
		return 0, fmt.Errorf("there is no such interface: %w", err)
	}
	if r.Uint16()&unix.IFF_UP == 0 {
		return 0, fmt.Errorf("the interface is down; set it up: %w", unix.ENETDOWN)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
		return 0, fmt.Errorf("there is no such interface: %w", err)
	}
	return int(r.Uint32()), nil
}

// macOf is the address of the interface that a socket is bound to.
func macOf(fd int) (mac drawbridge.MAC, err error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return mac, fmt.Errorf("read the address: %w", err)
	}
	l, ok := sa.(*unix.SockaddrLinklayer)
	if !ok || l.Hatype != unix.ARPHRD_ETHER || int(l.Halen) != len(mac) {
		return mac, errors.New("its frames are not Ethernet's; name another interface")
	}
	return drawbridge.MAC(l.Addr[:len(mac)]), nil
}

func (w *packetWire) MAC() (mac drawbridge.MAC, err error) {
	e := w.raw.Control(func(fd uintptr) { mac, err = macOf(int(fd)) })
	return mac, errors.Join(e, err)
}

func (w *packetWire) Receive() (drawbridge.Frame, error) {
	for {
		if err := w.raw.Read(w.in.call); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		if w.in.err != nil {
			return nil, fmt.Errorf("%s: receive: %w", w.name, w.in.err)
		}
		if f := drawbridge.Frame(w.in.buf[:w.in.n]); len(f) >= drawbridge.MinFrame && w.mine(f) {
			return f, nil
		}
	}
}

// next takes a frame if one lies in the queue; nil if that is not for this port.
func (w *packetWire) next() (f drawbridge.Frame, there bool, err error) {
	if err := w.raw.Control(func(fd uintptr) { there = w.receive(fd) }); err != nil {
		return nil, false, fmt.Errorf("%s: %w", w.name, err)
	}
	switch {
	case !there:
		return nil, false, nil
	case w.in.err != nil:
		return nil, false, fmt.Errorf("%s: receive: %w", w.name, w.in.err)
	}
	if f = w.in.buf[:w.in.n]; len(f) < drawbridge.MinFrame || !w.mine(f) {
		f = nil
	}
	return f, true, nil
}

// age is for how long the frame that was read last had waited here (SO_TIMESTAMPNS); 0 if nobody knows. The kernel notes when it came by
// the wall clock: if that is set in between, the frame passes for older or younger.
func (w *packetWire) age() time.Duration {
	messages, err := unix.ParseSocketControlMessage(w.in.aux[:w.in.na])
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS_NEW && len(m.Data) >= 16 {
			ne := binary.NativeEndian
			return max(time.Since(time.Unix(int64(ne.Uint64(m.Data)), int64(ne.Uint64(m.Data[8:])))), 0)
		}
	}
	return 0
}

// receive is one recvmsg; false when there was nothing yet.
func (w *packetWire) receive(fd uintptr) bool {
	for {
		w.in.n, w.in.na, _, _, w.in.err = unix.Recvmsg(int(fd), w.in.buf[:], w.in.aux[:], unix.MSG_DONTWAIT)
		if w.in.err != unix.EINTR {
			return w.in.err != unix.EAGAIN
		}
	}
}

// mine checks what the filter cannot see, the protocol of the tag that the kernel stripped: 802.1ad's numbers are not
// those of 802.1Q.
func (w *packetWire) mine(f drawbridge.Frame) bool {
	if w.vlan == 0 || f.Dst() == alone.BridgeGroup {
		return true
	}
	tag, ok := strippedTag(w.in.aux[:w.in.na])
	return ok && tag.protocol == unix.ETH_P_8021Q && tag.vlan == w.vlan
}

type strippedVLAN struct{ protocol, vlan uint16 }

// strippedTag reads struct tpacket_auxdata of linux/if_packet.h.
func strippedTag(control []byte) (tag strippedVLAN, ok bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return tag, false
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 20 {
			continue
		}
		ne := binary.NativeEndian
		status := ne.Uint32(m.Data)
		tag.vlan, tag.protocol = ne.Uint16(m.Data[16:])&0xfff, unix.ETH_P_8021Q
		if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			tag.protocol = ne.Uint16(m.Data[18:])
		}
		return tag, status&unix.TP_STATUS_VLAN_VALID != 0
	}
	return tag, false
}

func (w *packetWire) Send(f drawbridge.Frame) error {
	w.out.frame = f
	if err := w.raw.Write(w.out.call); err != nil {
		return err
	}
	return w.out.err
}

// send is one write, which says EAGAIN rather than wait for room in the send queue.
func (w *packetWire) send(fd uintptr) bool {
	for {
		_, w.out.err = unix.Write(int(fd), w.out.frame)
		if w.out.err != unix.EINTR {
			return true
		}
	}
}

func (w *packetWire) Interrupt() {
	_ = w.file.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed file, whose Receive fails already
}

func (w *packetWire) Close() error { return w.file.Close() }
