package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// link is the agent's socket and what wakes its thread. Waiting is one ppoll with a timeout in nanoseconds:
// no runtime timer, whose goroutine would have to find a processor first.
type link struct {
	fd, event int
	family    int
	addr      netip.AddrPort
	buf       [lease.MaxDatagram + 1]byte

	mu     sync.Mutex // guards what follows
	closed bool       // the descriptors may belong to somebody else by now
}

func openLink(at netip.AddrPort) (*link, error) {
	l := &link{family: unix.AF_INET6, event: -1}
	if at.Addr().Is4() {
		l.family = unix.AF_INET
	}
	fd, err := unix.Socket(l.family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l.fd = fd
	if err := l.setUp(at); err != nil {
		l.close()
		return nil, fmt.Errorf("listen on UDP %s: %w", at, err)
	}
	return l, nil
}

// setUp binds, and marks datagrams as network control (DSCP CS6, RFC 4594 §3.1), which switches put before
// the bulk of what a gateway sends.
func (l *link) setUp(at netip.AddrPort) (err error) {
	if l.event, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return err
	}
	const controlTraffic = 48 << 2
	if l.family == unix.AF_INET {
		err = unix.SetsockoptInt(l.fd, unix.IPPROTO_IP, unix.IP_TOS, controlTraffic)
	} else {
		err = unix.SetsockoptInt(l.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, controlTraffic)
	}
	if err != nil {
		return err
	}
	if err := unix.Bind(l.fd, l.sockaddr(at)); err != nil {
		return err
	}
	bound, err := unix.Getsockname(l.fd)
	if err != nil {
		return err
	}
	switch sa := bound.(type) {
	case *unix.SockaddrInet4:
		l.addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		l.addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return nil
}

func (l *link) sockaddr(a netip.AddrPort) unix.Sockaddr {
	if l.family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// receive takes one datagram; nil when there is none.
func (l *link) receive() ([]byte, error) {
	for {
		n, _, err := unix.Recvfrom(l.fd, l.buf[:], 0)
		switch {
		case err == nil && n < len(l.buf):
			return l.buf[:n], nil
		case err == nil, errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNREFUSED): // too long to be one of ours, or of the past
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		default:
			return nil, err
		}
	}
}

func (l *link) send(to netip.AddrPort, b []byte) error {
	if l.family == unix.AF_INET && !to.Addr().Unmap().Is4() {
		return unix.EAFNOSUPPORT
	}
	return unix.Sendto(l.fd, b, unix.MSG_DONTWAIT, l.sockaddr(to))
}

// longestWait bounds a wait, so that a clock that jumps over a deadline in suspend is noticed.
const longestWait = 250 * time.Millisecond

// wait returns when something arrives, somebody wakes the thread, or after d.
func (l *link) wait(d time.Duration) error {
	d = min(max(d, 0), longestWait)
	ts := unix.NsecToTimespec(d.Nanoseconds())
	fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.event), Events: unix.POLLIN}}
	if _, err := unix.Ppoll(fds, &ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	if fds[1].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(l.event, b[:]) // nothing to read is as good
	}
	return nil
}

// wake makes the thread look at its orders. Any goroutine may call it.
func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	_, _ = unix.Write(l.event, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full means: awake already
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	_ = unix.Close(l.fd)
	if l.event >= 0 {
		_ = unix.Close(l.event)
	}
}
