// Package udp is a UDP socket for bulk: batches of datagrams for one system call, the kernel's
// segmentation (UDP_SEGMENT) and coalescing (UDP_GRO) where it has them, path MTU left to the caller
// (don't-fragment is set and nothing is remembered), and no allocation on the way. It knows nothing of
// what it carries.
package udp

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxDatagram is the largest UDP payload over IPv4, and so the largest message that the kernel cuts or
// joins.
const MaxDatagram = 65507

// MaxSegments is how many datagrams one message may be cut into: UDP_MAX_SEGMENTS of Linux before 6.9.
const MaxSegments = 64

// bufferSize is what we ask the kernel for in each direction: some 2,500 full messages' worth of bursts at
// 1,500 octets, 3 ms at 10 Gbit/s.
const bufferSize = 4 << 20

// readTimeout is how often a quiet reader looks whether it should end; sendTimeout is how long a batch may
// wait for room in the socket before the rest of it is dropped.
const (
	readTimeout = 250 * time.Millisecond
	sendTimeout = 10 * time.Millisecond
)

// Options say what to use of what the kernel offers. The zero value uses everything.
type Options struct {
	NoOffload bool // neither UDP_SEGMENT nor UDP_GRO
	Batch     int  // messages for one system call; 0: 32
}

// Conn is one UDP socket. Readers and Writers of it may run at the same time, each in its own goroutine.
type Conn struct {
	// Set at construction, then constant.
	fd     int
	addr   netip.AddrPort
	domain int
	batch  int
	gro    bool

	// Any goroutine; atomic.
	gso    atomic.Bool
	closed atomic.Bool
	once   sync.Once
}

// Listen binds addr. Port 0 draws a port.
func Listen(addr netip.AddrPort, o Options) (*Conn, error) {
	c := &Conn{domain: unix.AF_INET6, batch: o.Batch}
	if addr.Addr().Is4() {
		c.domain = unix.AF_INET
	}
	if c.batch <= 0 {
		c.batch = 32
	}
	fd, err := unix.Socket(c.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("open UDP socket: %w", err)
	}
	c.fd = fd
	if err := c.setUp(addr, o); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen on UDP %s: %w", addr, err)
	}
	return c, nil
}

func (c *Conn) setUp(addr netip.AddrPort, o Options) error {
	c.setBuffers()
	if err := c.neverFragment(); err != nil {
		return err
	}
	if err := c.setTimeouts(); err != nil {
		return err
	}
	if err := unix.Bind(c.fd, sockaddr(addr)); err != nil {
		return err
	}
	bound, err := unix.Getsockname(c.fd)
	if err != nil {
		return err
	}
	c.addr = addrPort(bound)
	// Without it, which Linux before 5.1 does not know, nobody is told when datagrams arrived.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	if !o.NoOffload {
		c.gro = unix.SetsockoptInt(c.fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
		_, err := unix.GetsockoptInt(c.fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		c.gso.Store(err == nil)
	}
	return nil
}

// setBuffers asks for more than the administrator's limit first, which only root is granted.
func (c *Conn) setBuffers() {
	for force, plain := range map[int]int{unix.SO_RCVBUFFORCE: unix.SO_RCVBUF, unix.SO_SNDBUFFORCE: unix.SO_SNDBUF} {
		if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, force, bufferSize) != nil {
			_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, plain, bufferSize)
		}
	}
}

// neverFragment sets don't-fragment and has the kernel ignore what it believes of the path's MTU: the
// caller probes it end to end (RFC 8899), which no forged ICMP message can disturb.
func (c *Conn) neverFragment() error {
	if c.domain == unix.AF_INET {
		return unix.SetsockoptInt(c.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	}
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); err != nil {
		return err
	}
	return unix.SetsockoptInt(c.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
}

func (c *Conn) setTimeouts() error {
	for option, d := range map[int]time.Duration{unix.SO_RCVTIMEO: readTimeout, unix.SO_SNDTIMEO: sendTimeout} {
		tv := unix.NsecToTimeval(d.Nanoseconds())
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, option, &tv); err != nil {
			return err
		}
	}
	return nil
}

// Addr is where the socket is bound.
func (c *Conn) Addr() netip.AddrPort { return c.addr }

// Offload tells which of the kernel's helps is in use: whether it cuts what we send, whether it joins what
// we receive.
func (c *Conn) Offload() (gso, gro bool) { return c.gso.Load(), c.gro }

// Shut makes readers end within readTimeout. Close once they have.
func (c *Conn) Shut() { c.closed.Store(true) }

// Close gives the socket back. No Reader may be in use any more. A Writer may: the number of the descriptor
// stays taken for as long as somebody has c, or the next socket of the process would get it and send what
// was meant for this one.
func (c *Conn) Close() (err error) {
	c.closed.Store(true)
	c.once.Do(func() {
		var nothing int
		if nothing, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
			return
		}
		err = unix.Dup3(nothing, c.fd, unix.O_CLOEXEC)
		_ = unix.Close(nothing)
		runtime.AddCleanup(c, func(fd int) { _ = unix.Close(fd) }, c.fd)
	})
	return err
}

// ErrClosed is what a Reader answers after Shut.
var ErrClosed = net.ErrClosed

func retryable(e syscall.Errno) bool {
	return e == unix.EAGAIN || e == unix.EINTR || e == unix.ECONNREFUSED
}

// mmsghdr is struct mmsghdr of recvmmsg(2); the compiler pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// nameLen holds a sockaddr_in6, the larger of the two.
const nameLen = unix.SizeofSockaddrInet6

// control holds the control messages of one message, aligned: the time of arrival and the length of segments.
type control [64]byte

// Pending reports whether something has arrived that no Reader has taken yet.
func (c *Conn) Pending() bool {
	n, err := unix.IoctlGetInt(c.fd, unix.SIOCINQ)
	return err == nil && n > 0
}
