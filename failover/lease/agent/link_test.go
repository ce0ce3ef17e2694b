package agent

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// socket is bound to a port of its own on the loopback address of a family.
func socket(t testing.TB, at string) (fd int, addr netip.AddrPort) {
	t.Helper()
	addr = netip.MustParseAddrPort(at)
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if addr.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch sa := bound.(type) {
	case *unix.SockaddrInet4:
		return fd, netip.AddrPortFrom(addr.Addr(), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return fd, netip.AddrPortFrom(addr.Addr(), uint16(sa.Port))
	}
	return fd, addr
}

// TestDatagramsCrossTheLink, more than fit one call, over both families; what is too long or has no way is left out.
func TestDatagramsCrossTheLink(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		here, _ := socket(t, at)
		there, addr := socket(t, at)
		l, err := newLink(here)
		if err != nil {
			t.Fatal(err)
		}
		far, err := newLink(there)
		if err != nil {
			t.Fatal(err)
		}
		to := l.address(addr)
		const all = 2*atOnce + 3
		for i := range all {
			b := l.room()
			l.push(&to, append(b, bytes.Repeat([]byte{byte(i)}, i)...))
		}
		l.flush()
		next := 0
		for next < all {
			n, err := far.receive(func(b []byte) {
				if !bytes.Equal(b, bytes.Repeat([]byte{byte(next)}, next)) {
					t.Errorf("%s: datagram %d is %v", at, next, b)
				}
				next++
			})
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
		}
		if l.unsent != 0 {
			t.Errorf("%d not sent", l.unsent)
		}
		tooLong(t, far, addr)
	}
}

func tooLong(t *testing.T, far *link, addr netip.AddrPort) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(make([]byte, lease.MaxDatagram+100)); err != nil {
		t.Fatal(err)
	}
	if n, err := far.receive(func([]byte) { t.Error("a datagram that is too long was taken") }); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := far.receive(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// TestAPartyOfAnotherFamilyIsNotReached, and that is counted.
func TestAPartyOfAnotherFamilyIsNotReached(t *testing.T) {
	fd, _ := socket(t, "127.0.0.1:0")
	l, err := newLink(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := l.address(netip.MustParseAddrPort("[2001:db8::1]:6631"))
	l.push(&to, l.room())
	if l.flush(); l.unsent != 1 {
		t.Errorf("%d not sent, want 1", l.unsent)
	}
}

// TestASleepEnds when its time has come, or something else.
func TestASleepEnds(t *testing.T) {
	fd, addr := socket(t, "127.0.0.1:0")
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if wait(fds, time.Millisecond) {
		t.Error("something came, but nothing was sent")
	}
	l, err := newLink(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := l.address(addr)
	l.push(&to, append(l.room(), 1))
	l.flush()
	if !wait(fds, time.Hour) || fds[0].Revents == 0 {
		t.Error("what was sent did not end the sleep")
	}
}
