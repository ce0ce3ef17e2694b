package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
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

	clock clock // as it stood when somebody asked after the last Read
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
	r.n, r.clock = 0, clock{}
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

// segment is what the control message UDP_GRO says; 0: there is none.
func (r *Reader) segment(i int) int {
	if v := r.control(i, unix.IPPROTO_UDP, unix.UDP_GRO, 4); v != nil {
		return int(binary.NativeEndian.Uint32(v))
	}
	return 0
}

// control finds a control message of the i-th message, and answers the n bytes of its value; nil: there is none.
func (r *Reader) control(i int, level, kind int32, n int) []byte {
	for rest := r.ctl[i][:min(int(r.hdrs[i].hdr.Controllen), len(control{}))]; len(rest) >= unix.CmsgLen(n); {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		if h.Level == level && h.Type == kind {
			return rest[unix.CmsgLen(0):unix.CmsgLen(n)]
		}
		rest = rest[min(unix.CmsgSpace(int(h.Len)-unix.CmsgLen(0)), len(rest)):]
	}
	return nil
}

// clock is one moment by two clocks.
type clock struct{ boot, wall int64 }

// Arrived is when the i-th message reached this host, however long it then waited in the socket: CLOCK_BOOTTIME in nanoseconds; 0: the
// kernel does not say. The kernel notes it by the wall clock, so a message that waits while that is set has a wrong one.
func (r *Reader) Arrived(i int) int64 {
	at := r.control(i, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 16)
	if at == nil {
		return 0
	}
	if r.clock.boot == 0 {
		r.clock = readClocks()
	}
	wall := int64(binary.NativeEndian.Uint64(at))*1e9 + int64(binary.NativeEndian.Uint64(at[8:]))
	return r.clock.boot - max(r.clock.wall-wall, 0)
}

// readClocks reads the wall clock last: a thread that is held up in between takes messages for older than they are, not for newer.
func readClocks() (c clock) {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // every kernel has it
	c.boot = ts.Nano()
	c.wall = time.Now().UnixNano()
	return c
}

// From is where the i-th message came from.
func (r *Reader) From(i int) netip.AddrPort { return fromRaw(&r.raw[i]) }
