package afpacket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

// Each receive buffer is [tagLen lead][maxFrame][room]: the lead takes a tag that has to be put back, the room is
// what readers may overwrite behind a frame. Its length is an odd number of cache lines, so that the first lines of
// a batch's buffers, the only ones that small frames touch, do not compete for the same cache sets.
const (
	tagLen   = 4
	macsLen  = 12
	maxFrame = 1<<16 + 64 // the kernel's legacy limit of a super-frame, and link headers
	room     = 256
	bufLen   = 1031 * 64
)

const _ = uint(bufLen - tagLen - maxFrame - room) // does not compile when a buffer is too small

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// auxdata is struct tpacket_auxdata of linux/if_packet.h.
type auxdata struct {
	status, length, snapped uint32
	mac, network, tci, tpid uint16
}

// control has room for the one control message that packet sockets send.
type control struct {
	header unix.Cmsghdr
	aux    auxdata
	_      [4]byte
}

// receiver is what one recvmmsg needs, made once.
type receiver struct {
	msgs     []mmsghdr
	iovs     []unix.Iovec
	headers  [][segment.VnetLen]byte
	controls []control
	bufs     []byte
	vnet     bool

	next, got int // messages that were received and not yet taken

	splitter segment.Splitter
	keepCut  func(drawbridge.Frame) // bound once: a closure per call would be allocated
	cut      []byte                 // frames cut from tunnels' super-frames, room behind each
	pending  []drawbridge.Frame     // of cut
	given    int                    // of pending
}

func (r *receiver) init(batch int, vnet bool) {
	r.msgs, r.iovs = make([]mmsghdr, batch), make([]unix.Iovec, 2*batch)
	r.headers, r.controls = make([][segment.VnetLen]byte, batch), make([]control, batch)
	r.keepCut = r.keep
	r.bufs, r.vnet = make([]byte, batch*bufLen), vnet
	for i := range r.msgs {
		iov := r.iovs[2*i : 2*i+2]
		iov[0].Base = &r.headers[i][0]
		iov[0].SetLen(segment.VnetLen)
		iov[1].Base = &r.buf(i)[tagLen]
		iov[1].SetLen(maxFrame)
		if !vnet {
			iov = iov[1:]
		}
		r.msgs[i].hdr.Iov = &iov[0]
		r.msgs[i].hdr.SetIovlen(len(iov))
		r.msgs[i].hdr.Control = (*byte)(unsafe.Pointer(&r.controls[i]))
	}
}

func (r *receiver) buf(i int) []byte { return r.bufs[i*bufLen : (i+1)*bufLen : (i+1)*bufLen] }

// receive takes what is there, up to so many messages.
func (r *receiver) receive(fd, want int) (got int, errno syscall.Errno) {
	for i := range want {
		r.msgs[i].hdr.SetControllen(int(unsafe.Sizeof(control{}))) // the kernel overwrote it
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msgs[0])), uintptr(want),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// ReadBatch waits for frames and puts up to len(ps) of them into ps. Their bytes stay until the next call, and each
// has 256 bytes of capacity behind it that the caller may overwrite. An error that wraps ENETDOWN passes: call again
// after a while. After ENODEV only another Open helps. Close makes it return os.ErrClosed.
func (p *Port) ReadBatch(ps []drawbridge.Packet) (int, error) {
	fd, ok := p.file.Enter()
	if !ok {
		return 0, os.ErrClosed
	}
	defer p.file.Leave()
	if p.rx.given == len(p.rx.pending) {
		p.rx.cut, p.rx.pending, p.rx.given = p.rx.cut[:0], p.rx.pending[:0], 0
	}
	for {
		if n := p.takeAll(ps); n > 0 {
			return n, nil
		}
		if err := p.receive(fd, min(len(ps), len(p.rx.msgs))); err != nil {
			return 0, err
		}
	}
}

// takeAll fills ps with what was received.
func (p *Port) takeAll(ps []drawbridge.Packet) (n int) {
	r := &p.rx
	for n < len(ps) {
		switch {
		case r.given < len(r.pending):
			ps[n] = drawbridge.Packet{Frame: r.pending[r.given]}
			r.given++
			n++
		case r.next < r.got:
			if p.take(r.next, &ps[n]) {
				n++
			}
			r.next++
		default:
			return n
		}
	}
	return n
}

// receive fills the receiver with at least one message.
func (p *Port) receive(fd, want int) error {
	for {
		if p.down.Load() {
			if err := p.revive(fd); err != nil {
				return err
			}
		}
		got, errno := p.rx.receive(fd, want)
		switch errno {
		case 0:
			p.rx.next, p.rx.got = 0, got
			return nil
		case unix.EAGAIN:
			if !p.file.Wait() {
				return os.ErrClosed
			}
		case unix.EINVAL: // its segmentation has no virtio-net header; the kernel has dropped it
			p.drop(malformed, 1)
		case unix.ENETDOWN:
			p.down.Store(true)
		default:
			return fmt.Errorf("port %s: receive frames: %w", p.name, errno)
		}
	}
}

// take turns message i into a packet; false when it is none for this port.
func (p *Port) take(i int, pk *drawbridge.Packet) bool {
	r := &p.rx
	m, length := &r.msgs[i], int(r.msgs[i].len)
	pk.Offload = drawbridge.Offload{}
	if r.vnet {
		length -= segment.VnetLen
		pk.Offload = segment.Vnet(r.headers[i][:])
	}
	if m.hdr.Flags&unix.MSG_TRUNC != 0 {
		p.drop(truncated, 1)
		return false
	}
	if length < drawbridge.MinFrame {
		p.drop(malformed, 1)
		return false
	}
	aux := r.aux(i)
	var taken bool
	if pk.Frame, taken = p.untangle(r.buf(i), length, aux, &pk.Offload); !taken {
		return false
	}
	if !r.vnet {
		p.infer(pk, aux.status)
	}
	switch err := segment.Settle(pk); {
	case err == nil:
		return true
	case errors.Is(err, segment.ErrTunnel):
		p.cutTunnel(pk)
	default:
		p.drop(malformed, 1)
	}
	return false
}

// cutTunnel puts the finished frames of a tunnel's super-frame into pending. A guest's VXLAN device sends such ones,
// and neither the mesh nor another interface could say how to cut them.
func (p *Port) cutTunnel(pk *drawbridge.Packet) {
	if p.rx.splitter.Split(pk, int(p.mtu.Load()), p.rx.keepCut) != nil {
		p.drop(malformed, 1)
	}
}

// keep copies a finished frame into cut.
func (r *receiver) keep(f drawbridge.Frame) {
	start := len(r.cut)
	r.cut = slices.Grow(append(r.cut, f...), room)
	end := len(r.cut)
	r.cut = r.cut[:end+room]
	r.pending = append(r.pending, r.cut[start:end:end+room])
}

// aux is what the kernel said beside message i.
func (r *receiver) aux(i int) (a auxdata) {
	c := &r.controls[i]
	if r.msgs[i].hdr.Controllen < unix.SizeofCmsghdr || c.header.Level != unix.SOL_PACKET || c.header.Type != unix.PACKET_AUXDATA {
		return a
	}
	return c.aux
}

// untangle handles the VLAN tag that the kernel keeps apart from the frame: every outermost tag, because the kernel
// strips it on reception even if the card did not. Missing it would join VLANs without an error. The tag goes back
// into its place, or is checked and left away when the port is confined to its VLAN.
func (p *Port) untangle(buf []byte, length int, aux auxdata, o *drawbridge.Offload) (drawbridge.Frame, bool) {
	start, end := tagLen, tagLen+length
	tagged := aux.status&unix.TP_STATUS_VLAN_VALID != 0
	switch {
	case p.vlan != 0:
		if !tagged || aux.tpid != unix.ETH_P_8021Q || aux.tci&maxVLANBits != p.vlan {
			return nil, false
		}
	case tagged:
		start -= tagLen
		copy(buf[start:], buf[tagLen:tagLen+macsLen])
		tag := buf[start+macsLen:]
		binary.BigEndian.PutUint16(tag, tpid(aux))
		binary.BigEndian.PutUint16(tag[2:], aux.tci)
		shift(o, tagLen)
	}
	return buf[start : end : end+room], true
}

// maxVLANBits selects the VLAN among the bits of a tag; the others are priority.
const maxVLANBits = 0x0fff

// tpid is the tag's protocol; kernels before 3.14 knew only one.
func tpid(aux auxdata) uint16 {
	if aux.status&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
		return unix.ETH_P_8021Q
	}
	return aux.tpid
}

// shift moves the places that o names by the length of a tag.
func shift(o *drawbridge.Offload, by uint16) {
	if o.Flags&drawbridge.NeedsChecksum != 0 {
		o.ChecksumStart += by
	}
	if o.GSO != drawbridge.GSONone {
		o.HeaderLen += by
	}
}

// infer does what the virtio-net header would have done: the kernel says at least whether the checksum is partial,
// and what is longer than the MTU is a super-frame, to be cut at the MTU.
func (p *Port) infer(pk *drawbridge.Packet, status uint32) {
	if status&unix.TP_STATUS_CSUMNOTREADY == 0 {
		return
	}
	pk.Offload = segment.Owed(pk.Frame, int(p.mtu.Load()))
}
