package warden

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// Somebody else's agent may have the port for the few milliseconds in which it still releases its leases, after its
// daemon was killed.
const (
	bindFor   = time.Second
	bindEvery = 10 * time.Millisecond
)

// sockets are of the lease protocol, on one address: the kernel sorts answers from everything else, so that an agent can
// leave answers unread for a while without keeping a request waiting. They are ours, so that a wrong address is told at
// the start, and what comes between two agents is answered by the next.
type sockets struct {
	requests, answers int // answers is negative where the kernel cannot sort
	addr              netip.AddrPort
}

func (s *sockets) close() {
	_ = unix.Close(s.requests)
	if s.answers >= 0 {
		_ = unix.Close(s.answers)
	}
}

func listen(at netip.AddrPort) (s sockets, err error) {
	for end := time.Now().Add(bindFor); ; <-time.After(bindEvery) {
		s, err = open(at)
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		return s, fmt.Errorf("leases: listen on UDP %s: %w", at, err)
	}
	return s, nil
}

func open(at netip.AddrPort) (s sockets, err error) {
	// Sockets that share an address let any other of this user in, also a stranger. The first one does not share.
	s.requests, s.addr, err = bind(at, false)
	if err != nil {
		return s, err
	}
	s.answers = -1
	requests, _, err := rebind(s)
	if err != nil {
		return s, err
	}
	s.requests = requests
	if answers, _, err := bind(s.addr, true); err == nil {
		if s.answers = answers; sortOut(s.requests) != nil {
			_ = unix.Close(answers)
			s.answers = -1
		}
	}
	return s, nil
}

// rebind replaces a socket that has shown the address to be free by one that shares it.
func rebind(s sockets) (int, netip.AddrPort, error) {
	s.close()
	return bind(s.addr, true)
}

// sortOut attaches the classic filter that chooses the socket of a datagram: the second for answers, by the class in the
// second octet (docs/protocol/lease.md, "Datagram"), the first for everything else.
func sortOut(fd int) error {
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(lease.Answer), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

// bind also marks datagrams as network control (DSCP CS6, RFC 4594 §3.1), which switches put before the bulk of what
// a gateway sends.
func bind(at netip.AddrPort, share bool) (fd int, addr netip.AddrPort, err error) {
	family, level, option := unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if at.Addr().Is4() {
		family, level, option = unix.AF_INET, unix.IPPROTO_IP, unix.IP_TOS
		sa = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, addr, os.NewSyscallError("socket", err)
	}
	const controlTraffic = 48 << 2
	err = unix.SetsockoptInt(fd, level, option, controlTraffic)
	if err == nil && share {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sa))
	}
	if err == nil {
		addr, err = boundTo(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, addr, err
	}
	return fd, addr, nil
}

func boundTo(fd int) (netip.AddrPort, error) {
	bound, err := unix.Getsockname(fd)
	switch sa := bound.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
}
