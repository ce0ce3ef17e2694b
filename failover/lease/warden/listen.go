package warden

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Somebody else's agent may have the port for the few milliseconds in which it still releases its leases, after its
// daemon was killed.
const (
	bindFor   = time.Second
	bindEvery = 10 * time.Millisecond
)

// listen opens the socket of the lease protocol. It is ours, so that a wrong address is told at the start and what comes
// between two agents is answered by the next.
func listen(at netip.AddrPort) (fd int, addr netip.AddrPort, err error) {
	for end := time.Now().Add(bindFor); ; <-time.After(bindEvery) {
		fd, addr, err = open(at)
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		return -1, addr, fmt.Errorf("leases: listen on UDP %s: %w", at, err)
	}
	return fd, addr, nil
}

func open(at netip.AddrPort) (fd int, addr netip.AddrPort, err error) {
	family := unix.AF_INET6
	if at.Addr().Is4() {
		family = unix.AF_INET
	}
	if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, addr, os.NewSyscallError("socket", err)
	}
	if addr, err = bind(fd, at); err != nil {
		_ = unix.Close(fd)
		return -1, addr, err
	}
	return fd, addr, nil
}

// bind also marks datagrams as network control (DSCP CS6, RFC 4594 §3.1), which switches put before the bulk of what
// a gateway sends.
func bind(fd int, at netip.AddrPort) (addr netip.AddrPort, err error) {
	const controlTraffic = 48 << 2
	var sa unix.Sockaddr
	if at.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, controlTraffic)
	} else {
		sa = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, controlTraffic)
	}
	if err != nil {
		return addr, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return addr, os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return addr, os.NewSyscallError("getsockname", err)
	}
	switch sa := bound.(type) {
	case *unix.SockaddrInet4:
		addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return addr, nil
}
