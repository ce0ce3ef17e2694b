package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reader receives batches. It belongs to one goroutine, which should keep its OS thread: waiting happens
// inside the system call, so that a datagram wakes the thread that handles it and nobody else.
type Reader struct {
	conn *Conn
	hdrs []mmsghdr
	iovs []unix.Iovec
	bufs [][]byte
	raw  [][nameLen]byte
	ctl  []control
	n    int
}

// Reader makes a reader with buffers of its own: 64 KiB for each message of a batch when the kernel joins
// datagrams, else just enough for a jumbo frame.
func (c *Conn) Reader() *Reader {
	size := 9216
	if c.gro {
		size = 1 << 16
	}
	r := &Reader{
		conn: c, hdrs: make([]mmsghdr, c.batch), iovs: make([]unix.Iovec, c.batch), bufs: make([][]byte, c.batch),
		raw: make([][nameLen]byte, c.batch), ctl: make([]control, c.batch),
	}
	for i := range r.hdrs {
		r.bufs[i] = make([]byte, size)
		r.iovs[i].Base = &r.bufs[i][0]
		r.iovs[i].SetLen(size)
		h := &r.hdrs[i].hdr
		h.Name, h.Iov, h.Iovlen, h.Control = &r.raw[i][0], &r.iovs[i], 1, &r.ctl[i][0]
	}
	return r
}

// Read waits for at least one message and takes as many as are there, up to a batch. The messages before
// are gone. It answers 0 and no error once in a while when nothing comes, and ErrClosed after Shut.
func (r *Reader) Read() (n int, err error) {
	for i := range r.n {
		r.reset(i)
	}
	if r.n == 0 {
		for i := range r.hdrs {
			r.reset(i)
		}
	}
	r.n = 0
	if r.conn.closed.Load() {
		return 0, ErrClosed
	}
	got, _, e := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.conn.fd), uintptr(unsafe.Pointer(&r.hdrs[0])),
		uintptr(len(r.hdrs)), unix.MSG_WAITFORONE, 0, 0)
	switch {
	case e == 0:
		r.n = int(got)
		return r.n, nil
	case retryable(e):
		return 0, nil
	}
	return 0, fmt.Errorf("receive on UDP %s: %w", r.conn.addr, e)
}

func (r *Reader) reset(i int) {
	h := &r.hdrs[i].hdr
	h.Namelen, h.Flags = nameLen, 0
	h.SetControllen(len(control{}))
}

// Message is the i-th of the batch: its bytes, and the length of each datagram but the last that the
// kernel joined in it; segment equals len(data) for a single datagram. data is nil when it was cut short.
func (r *Reader) Message(i int) (data []byte, segment int) {
	h := &r.hdrs[i]
	if h.hdr.Flags&unix.MSG_TRUNC != 0 {
		return nil, 0
	}
	data = r.bufs[i][:h.n]
	if segment = r.segment(i); segment <= 0 || segment > len(data) {
		segment = len(data)
	}
	return data, segment
}

// segment reads the control message UDP_GRO, the only one that this socket asks for.
func (r *Reader) segment(i int) int {
	if int(r.hdrs[i].hdr.Controllen) < unix.CmsgLen(4) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&r.ctl[i]))
	if h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	return int(binary.NativeEndian.Uint32(r.ctl[i][unix.CmsgLen(0):]))
}

// From is where the i-th message came from.
func (r *Reader) From(i int) netip.AddrPort { return fromRaw(&r.raw[i]) }
