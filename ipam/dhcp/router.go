package dhcp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/rfc1035label"

	"github.com/drawbridge-net/drawbridge"
)

var allNodes = netip.IPv6LinkLocalAllNodes()

// groupMAC is the Ethernet group of an IPv6 group (RFC 2464 §7).
func groupMAC(a netip.Addr) drawbridge.MAC {
	b := a.As16()
	return drawbridge.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// Options and flags of RFC 4861 §4.6 and RFC 8106.
const (
	optSourceMAC = 1
	optPrefix    = 3
	optMTU       = 5
	optRDNSS     = 25
	optDNSSL     = 31

	flagManaged    = 0x80
	flagOther      = 0x40
	flagOnLink     = 0x80
	flagAutonomous = 0x40
)

// solicited answers a router solicitation (RFC 4861 §6.2.6): to the host if it has an address, else to all.
func (a asking) solicited(p drawbridge.Packet) (drawbridge.Frame, Outcome) {
	in, o := parse6(p)
	switch {
	case o != Ignored:
		return nil, o
	case in.hops != 255 || in.payload[1] != 0 || !in.from.IsUnspecified() && !in.from.IsLinkLocalUnicast():
		return nil, Malformed
	case !a.clients.allow("rs:"+string(in.src[:]), a.now):
		return nil, Limited
	}
	to, mac := allNodes, groupMAC(allNodes)
	if !in.from.IsUnspecified() {
		to, mac = in.from, in.src
	}
	return a.link.advertisement(to, mac, 3*a.config.Advertise), Router
}

// advertisement tells hosts to ask for addresses by DHCPv6, which prefix is on the link, and the default route. In the
// name of the real router it goes without a hardware address, so that hosts ask for that themselves.
func (l *Link) advertisement(to netip.Addr, mac drawbridge.MAC, lifetime time.Duration) drawbridge.Frame {
	s := l.Six
	seconds := uint16(min(lifetime/time.Second, 9000)) // RFC 4861 §6.2.1
	m := []byte{typeRA, 0, 0, 0, 64, flagManaged | flagOther, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	from := linkLocal(l.MAC)
	if s.Router.IsValid() {
		from = s.Router
		binary.BigEndian.PutUint16(m[6:], seconds)
	} else {
		m = append(append(m, optSourceMAC, 1), l.MAC[:]...)
	}
	if s.MTU != 0 {
		m = binary.BigEndian.AppendUint32(append(m, optMTU, 1, 0, 0), uint32(s.MTU))
	}
	m = s.prefixOption(m)
	m = s.resolverOptions(m, uint32(seconds))
	return datagram{src: l.MAC, dst: mac, from: from, to: to, payload: m}.frame6(protoICMPv6, 2)
}

func (s *Subnet6) prefixOption(m []byte) []byte {
	flags := byte(flagOnLink)
	if s.Autonomous && s.Prefix.Bits() == 64 {
		flags |= flagAutonomous
	}
	m = append(m, optPrefix, 4, byte(s.Prefix.Bits()), flags)
	m = binary.BigEndian.AppendUint32(m, uint32(s.Lease/time.Second))
	m = binary.BigEndian.AppendUint32(m, uint32(s.preferred()/time.Second))
	return append(append(m, 0, 0, 0, 0), s.Prefix.Addr().AsSlice()...)
}

func (s *Subnet6) preferred() time.Duration { return s.Lease * 5 / 8 }

func (s *Subnet6) resolverOptions(m []byte, seconds uint32) []byte {
	if len(s.DNS) > 0 {
		m = binary.BigEndian.AppendUint32(append(m, optRDNSS, byte(1+2*len(s.DNS)), 0, 0), seconds)
		for _, a := range s.DNS {
			m = append(m, a.AsSlice()...)
		}
	}
	if names := (&rfc1035label.Labels{Labels: s.Search}).ToBytes(); len(s.Search) > 0 && len(names) < 1000 {
		units := (8 + len(names) + 7) / 8
		m = binary.BigEndian.AppendUint32(append(m, optDNSSL, byte(units), 0, 0), seconds)
		m = append(append(m, names...), make([]byte, units*8-8-len(names))...)
	}
	return m
}
