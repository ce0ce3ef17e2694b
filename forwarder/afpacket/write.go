package afpacket

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

// outgoing is what goes before the part of a frame that is sent from where it lies: the virtio-net header, and the
// addresses with the port's tag behind them.
type outgoing struct {
	vnet [segment.VnetLen]byte
	link [macsLen + tagLen]byte
}

// sender is what one sendmmsg needs, made once. The last slot is apart: it sends segments while the others wait.
type sender struct {
	msgs         []mmsghdr
	iovs         []unix.Iovec // three a message: virtio-net header, link, rest
	heads        []outgoing
	packets      []*drawbridge.Packet // of each message
	vnet         bool
	splitter     segment.Splitter
	sendFinished func(drawbridge.Frame)
	lost         bool // a segment of the packet being cut was not sent
	fd           int  // during WriteBatch
}

func (s *sender) init(batch int, vnet bool) {
	slots := batch + 1
	s.msgs, s.iovs = make([]mmsghdr, slots), make([]unix.Iovec, 3*slots)
	s.heads, s.packets = make([]outgoing, slots), make([]*drawbridge.Packet, batch)
	s.vnet = vnet
	for i := range s.msgs {
		iov := s.iovs[3*i : 3*i+3]
		iov[0].Base = &s.heads[i].vnet[0]
		iov[0].SetLen(segment.VnetLen)
	}
}

// load puts a frame into slot i. vlan 0 sends it as it is.
func (s *sender) load(i int, f drawbridge.Frame, o drawbridge.Offload, vlan uint16) {
	iov, head := s.iovs[3*i:3*i+3], &s.heads[i]
	rest := 0
	if vlan != 0 {
		copy(head.link[:], f[:macsLen])
		binary.BigEndian.PutUint16(head.link[macsLen:], unix.ETH_P_8021Q)
		binary.BigEndian.PutUint16(head.link[macsLen+2:], vlan)
		rest = macsLen
		shift(&o, tagLen)
	}
	segment.PutVnet(head.vnet[:], o)
	iov[1].Base = &head.link[0]
	iov[1].SetLen(len(head.link) * min(rest, 1))
	iov[2].Base = &f[rest]
	iov[2].SetLen(len(f) - rest)
	if !s.vnet {
		iov = iov[1:]
	}
	s.msgs[i].hdr.Iov = &iov[0]
	s.msgs[i].hdr.SetIovlen(len(iov))
}

// send sends messages from to to; it never waits.
func (s *sender) send(from, to int) (sent int, errno syscall.Errno) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[from])),
			uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// WriteBatch sends ps in order and returns how many the interface took. It never waits: a frame that is not taken is
// counted (see Drops) and skipped. An error means that no frame can be sent at present: it wraps ENETDOWN, or ENODEV
// when only another Open helps.
func (p *Port) WriteBatch(ps []drawbridge.Packet) (taken int, err error) {
	s, slots, ok := &p.tx, 0, false
	if s.fd, ok = p.file.Enter(); !ok {
		return 0, os.ErrClosed
	}
	defer p.file.Leave()
	flush := func(done int) bool { // false when the rest of ps, from done on, is lost
		n, failed := p.flush(slots)
		taken, slots = taken+n, 0
		if failed != nil {
			p.drop(down, len(ps)-done)
			err = failed
		}
		return failed == nil
	}
	for i := range ps {
		pk := &ps[i]
		o, ok := p.admit(pk)
		if !ok {
			continue
		}
		if (o.Flags|o.GSO) != 0 && !s.vnet {
			if !flush(i) {
				return taken, err
			}
			taken += p.giveCut(pk)
			continue
		}
		s.load(slots, pk.Frame, o, p.vlan)
		s.packets[slots] = pk
		if slots++; slots == len(s.packets) && !flush(i+1) {
			return taken, err
		}
	}
	flush(len(ps))
	return taken, err
}

// admit checks what the kernel does not, and fits super-frames to the interface.
func (p *Port) admit(pk *drawbridge.Packet) (o drawbridge.Offload, ok bool) {
	if len(pk.Frame) < drawbridge.MinFrame {
		p.drop(malformed, 1)
		return o, false
	}
	if o, ok = segment.Fit(pk, int(p.mtu.Load())); !ok {
		p.drop(tooBig, 1)
	}
	return o, ok
}

// flush sends the first slots messages.
func (p *Port) flush(slots int) (taken int, err error) {
	s := &p.tx
	for at := 0; at < slots; {
		sent, errno := s.send(at, slots)
		taken, at = taken+sent, at+sent
		if errno == 0 {
			continue
		}
		if gone := p.unusable(errno); gone != nil {
			p.drop(down, slots-at)
			return taken, gone
		}
		taken += p.giveRefused(s.packets[at], errno)
		at++
	}
	return taken, nil
}

// unusable tells the errors that concern the interface from those that concern one frame.
func (p *Port) unusable(errno syscall.Errno) error {
	switch errno {
	case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		p.fallen()
		if errno == unix.ENETDOWN {
			return fmt.Errorf("port %s: the interface is down; set it up: %w", p.name, unix.ENETDOWN)
		}
		return p.goneError()
	}
	return nil
}

// giveRefused counts a frame that the kernel did not take, unless what it disliked was the segmentation: some kernels
// refuse UDP segmentation (before 6.2) or some of its shapes (6.6.44), and devices without checksums refuse it with
// EIO. Cut in software such a frame passes.
func (p *Port) giveRefused(pk *drawbridge.Packet, errno syscall.Errno) int {
	if pk.Offload.GSO != drawbridge.GSONone && (errno == unix.EINVAL || errno == unix.EIO) {
		return p.giveCut(pk)
	}
	p.drop(lossOf(errno), 1)
	return 0
}

func lossOf(errno syscall.Errno) reason {
	switch errno {
	case unix.ENOBUFS, unix.EAGAIN:
		return busy
	case unix.EMSGSIZE:
		return tooBig
	}
	return refused
}

// giveCut sends pk as the finished frames that it stands for; 1 when all of them were taken.
func (p *Port) giveCut(pk *drawbridge.Packet) int {
	p.tx.lost = false
	if p.tx.splitter.Split(pk, p.finishedMTU(pk.Frame), p.tx.sendFinished) != nil {
		p.drop(malformed, 1)
		return 0
	}
	if p.tx.lost {
		return 0
	}
	return 1
}

// finishedMTU is what may follow the tags of a finished frame: packet sockets grant a frame one 802.1Q tag beyond the
// MTU (net/packet/af_packet.c, packet_extra_vlan_len_allowed), but no second one and no 802.1ad tag.
func (p *Port) finishedMTU(f drawbridge.Frame) int {
	mtu, tags := int(p.mtu.Load()), segment.Parse(f).Network-drawbridge.MinFrame
	if p.vlan == 0 && f.EtherType() == unix.ETH_P_8021Q {
		tags -= tagLen
	}
	return mtu - max(0, tags)
}

// giveFinished sends one finished frame by the slot that is kept for it.
func (p *Port) giveFinished(f drawbridge.Frame) {
	s := &p.tx
	slot := len(s.packets)
	s.load(slot, f, drawbridge.Offload{}, p.vlan)
	if _, errno := s.send(slot, slot+1); errno != 0 {
		s.lost = true
		p.drop(lossOf(errno), 1)
	}
}
