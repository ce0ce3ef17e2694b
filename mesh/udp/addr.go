package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Addr is a destination in the form that the kernel wants, for one socket. It never changes.
type Addr struct {
	raw  [nameLen]byte
	len  uint32
	port netip.AddrPort
}

// Dest prepares to as a destination for c; ok is false when the socket's family cannot reach it.
func (c *Conn) Dest(to netip.AddrPort) (a *Addr, ok bool) {
	a = &Addr{port: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())}
	ip := to.Addr().Unmap()
	switch {
	case c.domain == unix.AF_INET && ip.Is4():
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		sa.Family, sa.Addr = unix.AF_INET, ip.As4()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
		a.len = unix.SizeofSockaddrInet4
	case c.domain == unix.AF_INET6 && ip.IsValid():
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
		sa.Family, sa.Addr = unix.AF_INET6, ip.As16()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
		a.len = unix.SizeofSockaddrInet6
	default:
		return nil, false
	}
	return a, true
}

// AddrPort is the destination as written; IPv4 is never mapped.
func (a *Addr) AddrPort() netip.AddrPort { return a.port }

func fromRaw(raw *[nameLen]byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(raw[2:4])
	switch *(*uint16)(unsafe.Pointer(raw)) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), port)
	}
	return netip.AddrPort{}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
