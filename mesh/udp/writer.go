package udp

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Message is bytes for one destination: a single datagram, or several of Segment bytes each, the last of
// which may be shorter.
type Message struct {
	To      *Addr
	Data    []byte
	Segment int
	Err     error // set by Send when not all of it left: a syscall.Errno
}

// Writer sends batches. It belongs to one goroutine.
type Writer struct {
	conn *Conn
	hdrs []mmsghdr
	iovs []unix.Iovec
	ctl  []control
	from []int // the message that a header stands for
}

// Writer makes a writer.
func (c *Conn) Writer() *Writer {
	w := &Writer{
		conn: c, hdrs: make([]mmsghdr, c.batch), iovs: make([]unix.Iovec, c.batch),
		ctl: make([]control, c.batch), from: make([]int, c.batch),
	}
	for i := range w.hdrs {
		w.hdrs[i].hdr.Iov, w.hdrs[i].hdr.Iovlen = &w.iovs[i], 1
		h := (*unix.Cmsghdr)(unsafe.Pointer(&w.ctl[i]))
		h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
	}
	return w
}

// Send hands all messages to the kernel and answers how many it did not take whole; those have Err set.
// It waits up to sendTimeout for room in the socket.
func (w *Writer) Send(ms []Message) (failed int) {
	n := 0
	for i := range ms {
		m := &ms[i]
		m.Err = nil
		if len(m.Data) <= m.Segment || m.Segment == 0 {
			n = w.add(n, ms, i, m.Data, 0)
			continue
		}
		if w.conn.gso.Load() {
			n = w.add(n, ms, i, m.Data, m.Segment)
			continue
		}
		for rest := m.Data; len(rest) > 0; {
			one := rest[:min(m.Segment, len(rest))]
			rest = rest[len(one):]
			n = w.add(n, ms, i, one, 0)
		}
	}
	w.flush(ms, n)
	for i := range ms {
		if ms[i].Err != nil {
			failed++
		}
	}
	return failed
}

// add puts data in the n-th header, and sends the batch when it is full.
func (w *Writer) add(n int, ms []Message, from int, data []byte, segment int) int {
	w.iovs[n].Base = &data[0]
	w.iovs[n].SetLen(len(data))
	h := &w.hdrs[n].hdr
	to := ms[from].To
	h.Name, h.Namelen = &to.raw[0], to.len
	h.Control = nil
	h.SetControllen(0)
	if segment > 0 {
		binary.NativeEndian.PutUint16(w.ctl[n][unix.CmsgLen(0):], uint16(segment))
		h.Control = &w.ctl[n][0]
		h.SetControllen(unix.CmsgSpace(2))
	}
	w.from[n] = from
	if n++; n == len(w.hdrs) {
		w.flush(ms, n)
		return 0
	}
	return n
}

// flush sends the first n headers. The kernel stops at the first that fails; we note it and go on behind
// it.
func (w *Writer) flush(ms []Message, n int) {
	for at := 0; at < n; {
		sent, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(w.conn.fd), uintptr(unsafe.Pointer(&w.hdrs[at])), uintptr(n-at), 0, 0, 0)
		switch {
		case e == 0:
			at += int(sent)
		case e == unix.EINTR || e == unix.ECONNREFUSED: // the latter reports on a datagram of the past
		default:
			w.failed(&ms[w.from[at]], e)
			at++
		}
	}
}

// failed notes that m did not leave. A device without checksum offload answers EIO to every cut message
// (quic-go issue 3911), some kernels EINVAL: from then on we cut ourselves, beginning with m. But if that
// fails too, it was not the cutting: udp_send_skb of older kernels also answers EINVAL to segments that
// are wider than the interface.
func (w *Writer) failed(m *Message, e syscall.Errno) {
	m.Err = e
	if (e == unix.EIO || e == unix.EINVAL) && m.Segment > 0 && len(m.Data) > m.Segment && w.conn.gso.Swap(false) {
		if m.Err = w.one(m); m.Err != nil {
			w.conn.gso.Store(true)
		}
	}
}

// one sends the datagrams of m one by one.
func (w *Writer) one(m *Message) error {
	for rest := m.Data; len(rest) > 0; {
		data := rest[:min(m.Segment, len(rest))]
		rest = rest[len(data):]
		_, _, e := unix.Syscall6(unix.SYS_SENDTO, uintptr(w.conn.fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), 0,
			uintptr(unsafe.Pointer(&m.To.raw[0])), uintptr(m.To.len))
		if e != 0 {
			return e
		}
	}
	return nil
}
