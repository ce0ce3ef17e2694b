package arp

import (
	"encoding/binary"
	"net/netip"

	"github.com/drawbridge-net/drawbridge"
)

// Numbers of RFC 4861 and RFC 3971.
const (
	protoICMPv6 = 58
	typeNS      = 135
	typeNA      = 136

	flagSolicited = 0x40
	flagOverride  = 0x20

	optSourceMAC = 1
	optTargetMAC = 2
	optNonce     = 14

	headerIPv6 = 40
	headerND   = 24 // type, code, checksum, flags, target
	hopLimit   = 255
)

// parseND reads a solicitation or an advertisement with the checks of RFC 4861 §7.1. Extension headers make it none:
// RFC 6980 forbids fragments, and no station uses others here.
func (s *Sighting) parseND(b []byte) bool {
	if len(b) < headerIPv6+headerND || b[0]>>4 != 6 || b[6] != protoICMPv6 || b[7] != hopLimit {
		return false
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < headerND || len(b) < headerIPv6+size {
		return false
	}
	m := b[headerIPv6 : headerIPv6+size]
	src, dst := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	target := netip.AddrFrom16([16]byte(m[8:]))
	if m[1] != 0 || !usable(target) || checksumICMPv6(b[8:40], m) != 0 {
		return false
	}
	s.MAC = s.Via
	switch m[0] {
	case typeNS:
		return s.solicitation(src, dst, target, m[headerND:])
	case typeNA:
		if dst.IsMulticast() && m[4]&flagSolicited != 0 {
			return false
		}
		s.Kind, s.Addr = Claim, target
		return s.options(m[headerND:], optTargetMAC)
	}
	return false
}

func (s *Sighting) solicitation(src, dst, target netip.Addr, options []byte) bool {
	s.Asked = target
	if src.IsUnspecified() {
		s.Kind, s.Addr = Want, target
		return dst == SolicitedNode(target) && s.options(options, 0)
	}
	s.Kind, s.Addr = Claim, src
	return usable(src) && s.options(options, optSourceMAC)
}

// options takes the hardware address out of the option of that type, and the nonce; false when they are malformed.
func (s *Sighting) options(b []byte, hardware byte) bool {
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || len(b) < int(b[1])*8 {
			return false
		}
		switch kind, is8 := b[0], b[1] == 1; {
		case is8 && kind == hardware && hardware != 0:
			s.MAC = drawbridge.MAC(b[2:])
		case is8 && kind == optNonce:
			s.Nonce = [6]byte(b[2:])
		case kind == optSourceMAC && hardware == 0:
			return false // a probe has no address that the option could belong to (RFC 4861 §7.1.1)
		}
		b = b[int(b[1])*8:]
	}
	return true
}

// SolicitedNode is the group that the user of a must listen to (RFC 4291 §2.7.1).
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC is the Ethernet group of an IPv6 group (RFC 2464 §7).
func groupMAC(a netip.Addr) drawbridge.MAC {
	b := a.As16()
	return drawbridge.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

func linkLayer(kind byte, m drawbridge.MAC) []byte { return append([]byte{kind, 1}, m[:]...) }

func frameND(to, own drawbridge.MAC, src, dst netip.Addr, kind, flags byte, target netip.Addr, option []byte) drawbridge.Frame {
	size := headerND + len(option)
	f := make([]byte, 0, drawbridge.MinFrame+headerIPv6+size)
	f = append(append(append(f, to[:]...), own[:]...), etherTypeIPv6>>8, etherTypeIPv6&0xff)
	f = append(f, 0x60, 0, 0, 0, byte(size>>8), byte(size), protoICMPv6, hopLimit)
	f = append(append(f, src.AsSlice()...), dst.AsSlice()...)
	f = append(f, kind, 0, 0, 0, flags, 0, 0, 0)
	f = append(append(f, target.AsSlice()...), option...)
	ip := f[drawbridge.MinFrame:]
	binary.BigEndian.PutUint16(ip[headerIPv6+2:], checksumICMPv6(ip[8:40], ip[headerIPv6:]))
	return drawbridge.Frame(f)
}

// checksumICMPv6 sums a message behind the pseudo-header of RFC 8200 §8.1; 0 for one whose checksum is right.
func checksumICMPv6(addresses, message []byte) uint16 {
	sum := drawbridge.InternetSum(uint64(len(message))+protoICMPv6, addresses)
	return drawbridge.InternetChecksum(drawbridge.InternetSum(sum, message))
}
