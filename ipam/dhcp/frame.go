package dhcp

import (
	"encoding/binary"
	"net/netip"

	"github.com/drawbridge-net/drawbridge"
)

// Numbers of Ethernet, IP, UDP and ICMPv6.
const (
	etherTypeIPv4 = 0x0800
	etherTypeARP  = 0x0806
	etherTypeVLAN = 0x8100
	etherTypeIPv6 = 0x86dd

	protoUDP    = 17
	protoICMPv6 = 58

	headerIPv4 = 20
	headerIPv6 = 40
	headerUDP  = 8

	server4, client4 = 67, 68
	server6, client6 = 547, 546

	typeRS = 133
	typeRA = 134
	typeNS = 135

	minFrame = 60
)

// subject is what a frame is about, as far as a server cares.
type subject uint8

const (
	nothing subject = iota
	four
	six
	solicitation
	resolution4
	resolution6
)

// network takes the Ethernet header off. A priority tag (VLAN 0) goes too; a frame of another VLAN is nobody's here.
func network(frame []byte) (etherType uint16, body []byte) {
	if len(frame) < drawbridge.MinFrame {
		return 0, nil
	}
	etherType, body = drawbridge.Frame(frame).EtherType(), frame[drawbridge.MinFrame:]
	if etherType == etherTypeVLAN && len(body) >= 4 && binary.BigEndian.Uint16(body)&0xfff == 0 {
		return binary.BigEndian.Uint16(body[2:]), body[4:]
	}
	return etherType, body
}

// about tells what a frame is about from its first octets; it runs for every frame of a guest port.
func about(frame []byte) subject {
	switch etherType, b := network(frame); etherType {
	case etherTypeIPv4:
		if len(b) < headerIPv4+headerUDP || b[9] != protoUDP || b[6]&0x1f != 0 || b[7] != 0 {
			return nothing
		}
		if head := int(b[0]&0xf) * 4; len(b) >= head+headerUDP && binary.BigEndian.Uint16(b[head+2:]) == server4 {
			return four
		}
	case etherTypeIPv6:
		return about6(b)
	case etherTypeARP:
		return resolution4
	}
	return nothing
}

func about6(b []byte) subject {
	if len(b) < headerIPv6+headerUDP {
		return nothing
	}
	switch next, kind := b[6], b[headerIPv6]; {
	case next == protoUDP && binary.BigEndian.Uint16(b[headerIPv6+2:]) == server6:
		return six
	case next == protoICMPv6 && kind == typeRS:
		return solicitation
	case next == protoICMPv6 && kind == typeNS:
		return resolution6
	}
	return nothing
}

// datagram is a UDP or ICMPv6 message with what was around it.
type datagram struct {
	src, dst drawbridge.MAC
	from, to netip.Addr
	hops     uint8
	ports    [2]uint16
	payload  []byte
}

// parse4 reads a UDP datagram over IPv4. A checksum that the packet still owes is not looked at.
func parse4(p drawbridge.Packet) (d datagram, o Outcome) {
	_, b := network(p.Frame)
	if len(b) < headerIPv4+headerUDP || b[0]>>4 != 4 {
		return d, Malformed
	}
	head, size := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < headerIPv4 || size < head+headerUDP || size > len(b) {
		return d, Malformed
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return d, Fragmented
	}
	if drawbridge.InternetChecksum(drawbridge.InternetSum(0, b[:head])) != 0 {
		return d, BadChecksum
	}
	d.src, d.dst, d.hops = p.Frame.Src(), p.Frame.Dst(), b[8]
	d.from, d.to = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	return d, d.udp(b[12:20], b[head:size], owed(p))
}

func owed(p drawbridge.Packet) bool { return p.Offload.Flags&drawbridge.NeedsChecksum != 0 }

func (d *datagram) udp(addresses, b []byte, owed bool) Outcome {
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < headerUDP || size > len(b) {
		return Malformed
	}
	b = b[:size]
	none := len(addresses) == 8 && b[6] == 0 && b[7] == 0 // only IPv4 may go without
	if !owed && !none && drawbridge.InternetChecksum(sum(size, protoUDP, addresses, b)) != 0 {
		return BadChecksum
	}
	d.ports = [2]uint16{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}
	d.payload = b[headerUDP:]
	return Ignored
}

// parse6 reads a UDP datagram or an ICMPv6 message that follows the IPv6 header directly.
func parse6(p drawbridge.Packet) (d datagram, o Outcome) {
	_, b := network(p.Frame)
	if len(b) < headerIPv6+headerUDP || b[0]>>4 != 6 {
		return d, Malformed
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < headerUDP || headerIPv6+size > len(b) {
		return d, Malformed
	}
	d.src, d.dst, d.hops = p.Frame.Src(), p.Frame.Dst(), b[7]
	d.from, d.to = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	m := b[headerIPv6 : headerIPv6+size]
	if b[6] == protoUDP {
		return d, d.udp(b[8:40], m, owed(p))
	}
	if !owed(p) && drawbridge.InternetChecksum(sum(size, b[6], b[8:40], m)) != 0 {
		return d, BadChecksum
	}
	d.payload = m
	return d, Ignored
}

// frame writes a UDP datagram; the version follows from the addresses.
func (d datagram) frame() drawbridge.Frame {
	if d.from.Is6() {
		u := append(make([]byte, headerUDP, headerUDP+len(d.payload)), d.payload...)
		d.header(u)
		d.payload = u
		return d.frame6(protoUDP, 6)
	}
	size := headerIPv4 + headerUDP + len(d.payload)
	f := make([]byte, drawbridge.MinFrame+headerIPv4+headerUDP, max(minFrame, drawbridge.MinFrame+size))
	d.ethernet(f, etherTypeIPv4)
	ip := f[drawbridge.MinFrame:]
	ip[0], ip[1], ip[8], ip[9] = 0x45, 0x10, 64, protoUDP // low delay, as other servers mark it
	binary.BigEndian.PutUint16(ip[2:], uint16(size))
	copy(ip[12:], d.from.AsSlice())
	copy(ip[16:], d.to.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], drawbridge.InternetChecksum(drawbridge.InternetSum(0, ip[:headerIPv4])))
	f = append(f, d.payload...)
	u := f[drawbridge.MinFrame+headerIPv4:]
	d.header(u)
	binary.BigEndian.PutUint16(u[6:], drawbridge.TransportChecksum(sum(len(u), protoUDP, ip[12:20], u)))
	return f[:max(minFrame, len(f))]
}

func (d datagram) ethernet(f []byte, etherType uint16) {
	copy(f, d.dst[:])
	copy(f[6:], d.src[:])
	binary.BigEndian.PutUint16(f[12:], etherType)
}

func (d datagram) header(u []byte) {
	binary.BigEndian.PutUint16(u, d.ports[0])
	binary.BigEndian.PutUint16(u[2:], d.ports[1])
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
}

// frame6 writes the payload, a whole message of protocol next, whose checksum goes to offset at.
func (d datagram) frame6(next byte, at int) drawbridge.Frame {
	f := make([]byte, drawbridge.MinFrame+headerIPv6, drawbridge.MinFrame+headerIPv6+len(d.payload))
	d.ethernet(f, etherTypeIPv6)
	ip := f[drawbridge.MinFrame:]
	ip[0], ip[6], ip[7] = 0x60, next, 255
	binary.BigEndian.PutUint16(ip[4:], uint16(len(d.payload)))
	copy(ip[8:], d.from.AsSlice())
	copy(ip[24:], d.to.AsSlice())
	f = append(f, d.payload...)
	m := f[drawbridge.MinFrame+headerIPv6:]
	binary.BigEndian.PutUint16(m[at:], drawbridge.TransportChecksum(sum(len(m), next, ip[8:40], m)))
	return f
}

// sum adds up the parts behind a pseudo-header's length and protocol (RFC 8200 §8.1); all but the last have an even length.
func sum(size int, protocol byte, parts ...[]byte) uint64 {
	acc := uint64(size) + uint64(protocol)
	for _, b := range parts {
		acc = drawbridge.InternetSum(acc, b)
	}
	return acc
}
