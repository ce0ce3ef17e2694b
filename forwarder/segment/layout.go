package segment

import (
	"encoding/binary"

	"github.com/drawbridge-net/drawbridge"
)

// Numbers of IEEE 802 and of the IANA protocol registry.
const (
	typeIPv4  = 0x0800
	typeIPv6  = 0x86dd
	typeVLAN  = 0x8100 // 802.1Q
	typeSVLAN = 0x88a8 // 802.1ad

	protoTCP = 6
	protoUDP = 17

	tagLen        = 4
	minIPv4       = 20
	fixedIPv6     = 40
	minTCP        = 20
	udpLen        = 8
	tcpChecksumAt = 16
	udpChecksumAt = 6
)

// Layout says where the headers of a frame lie, counted from its first byte. An offset of 0 means: none.
type Layout struct {
	Network   int   // the IP header, behind every VLAN tag
	Transport int   // the TCP or UDP header; none in later fragments
	Payload   int   // what follows it
	Protocol  uint8 // of the transport, after IPv6 extension headers
	IPv6      bool
}

// Parse finds the headers of f, as far as f has them whole.
func Parse(f drawbridge.Frame) (l Layout) {
	at := drawbridge.MinFrame - 2
	for len(f) >= at+2+tagLen && isTag(binary.BigEndian.Uint16(f[at:])) {
		at += tagLen
	}
	if len(f) < at+2 {
		return l
	}
	switch binary.BigEndian.Uint16(f[at:]) {
	case typeIPv4:
		l.parseIPv4(f, at+2)
	case typeIPv6:
		l.parseIPv6(f, at+2)
	}
	l.parseTransport(f)
	return l
}

func isTag(etherType uint16) bool { return etherType == typeVLAN || etherType == typeSVLAN }

func (l *Layout) parseIPv4(f drawbridge.Frame, at int) {
	if len(f) < at+minIPv4 || f[at]>>4 != 4 {
		return
	}
	header := int(f[at]&0x0f) * 4
	if header < minIPv4 || len(f) < at+header {
		return
	}
	l.Network, l.Protocol = at, f[at+9]
	if fragment := binary.BigEndian.Uint16(f[at+6:]); fragment&0x1fff == 0 {
		l.Transport = at + header
	}
}

func (l *Layout) parseIPv6(f drawbridge.Frame, at int) {
	if len(f) < at+fixedIPv6 || f[at]>>4 != 6 {
		return
	}
	l.Network, l.IPv6, l.Protocol = at, true, f[at+6]
	for at += fixedIPv6; ; {
		size, ok := extension(f, at, l.Protocol)
		if !ok {
			return
		}
		if size == 0 {
			l.Transport = at
			return
		}
		l.Protocol, at = f[at], at+size
	}
}

// extension is the length of the IPv6 extension header (RFC 8200 §4) at f[at:]; 0 when proto is none. Not ok: what
// follows cannot be read, as in a later fragment, or does not sum over the addresses that the header shows, as on a
// way through a routing header's list (§8.1).
func extension(f drawbridge.Frame, at int, proto uint8) (size int, ok bool) {
	const hopByHop, routing, fragment, destination = 0, 43, 44, 60
	switch proto {
	case hopByHop, routing, destination:
		if len(f) < at+8 || proto == routing && f[at+3] != 0 {
			return 0, false
		}
		size = 8 + int(f[at+1])*8
	case fragment:
		if len(f) < at+8 || binary.BigEndian.Uint16(f[at+2:])&0xfff8 != 0 {
			return 0, false
		}
		size = 8
	}
	return size, len(f) >= at+size
}

func (l *Layout) parseTransport(f drawbridge.Frame) {
	at := l.Transport
	switch {
	case at == 0:
	case l.Protocol == protoUDP && len(f) >= at+udpLen:
		l.Payload = at + udpLen
	case l.Protocol == protoTCP && len(f) >= at+minTCP:
		if header := int(f[at+12]>>4) * 4; header >= minTCP && len(f) >= at+header {
			l.Payload = at + header
		}
	}
}

// checksumOffset is where the transport keeps its checksum, counted from its header.
func (l Layout) checksumOffset() uint16 {
	if l.Protocol == protoUDP {
		return udpChecksumAt
	}
	return tcpChecksumAt
}

// pseudo is the sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1) for a transport of that many bytes.
func (l Layout) pseudo(f drawbridge.Frame, length int) uint64 {
	addresses := f[l.Network+12 : l.Network+20]
	if l.IPv6 {
		addresses = f[l.Network+8 : l.Network+40]
	}
	return drawbridge.InternetSum(uint64(length)+uint64(l.Protocol), addresses)
}

func (l Layout) putChecksum(f drawbridge.Frame, value uint16) {
	binary.BigEndian.PutUint16(f[l.Transport+int(l.checksumOffset()):], value)
}
