package forwarder

import (
	"encoding/binary"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Answers to frames that are too big: as many a second as a router gives by default, and a few at once.
const (
	answerRate  = 100
	answerBurst = 20
)

const (
	protoTCP    = 6
	protoICMP   = 1
	protoICMPv6 = 58
)

// largest is the longest frame that p stands for once it is cut into segments.
func largest(p *drawbridge.Packet) int {
	if p.Offload.GSO == drawbridge.GSONone {
		return len(p.Frame)
	}
	return min(len(p.Frame), int(p.Offload.HeaderLen)+int(p.Offload.SegmentSize))
}

// tooBig answers the sender of a frame that must not be fragmented and does not fit: ICMP "fragmentation
// needed" (RFC 1191) or ICMPv6 "packet too big" (RFC 8201). TCP is never answered, as the mesh cuts it
// without anybody noticing, nor is IPv4 that may be fragmented, which the mesh does itself. The answer
// bears the destination's addresses, because a layer-2 device has none of its own. It reports whether the
// frame is done with.
func (u *pump) tooBig(p *drawbridge.Packet, mtu int) bool {
	at, etherType := network(p.Frame)
	var answer drawbridge.Frame
	switch {
	case etherType == 0x0800 && len(p.Frame) >= at+28:
		ip := p.Frame[at:]
		mayFragment := ip[6]&0x40 == 0
		if mayFragment || ip[9] == protoTCP || ip[9] == protoICMP && ip[20] != 8 && ip[20] != 0 {
			return false
		}
		answer = fragmentationNeeded(p.Frame, at, mtu)
	case etherType == 0x86dd && len(p.Frame) >= at+48:
		ip := p.Frame[at:]
		if ip[6] == protoTCP || ip[6] == protoICMPv6 && ip[40] < 128 || ip[24] == 0xff {
			return false
		}
		answer = packetTooBig(p.Frame, at, mtu)
	default:
		return false
	}
	u.from.drops.add(dropTooBig, 1)
	if u.from.answers.take(u.now, answerRate, answerBurst) {
		u.from.write([]drawbridge.Packet{{Frame: answer}})
	}
	return true
}

// network is where the network header begins, behind up to two VLAN tags.
func network(f drawbridge.Frame) (at int, etherType uint16) {
	at, etherType = drawbridge.MinFrame, f.EtherType()
	for range 2 {
		if etherType != 0x8100 && etherType != 0x88a8 || len(f) < at+4 {
			break
		}
		at, etherType = at+4, binary.BigEndian.Uint16(f[at+2:])
	}
	return at, etherType
}

// back begins an answer: the link header with the addresses exchanged and its tags kept.
func back(f drawbridge.Frame, at, payload int) drawbridge.Frame {
	r := make(drawbridge.Frame, at, at+payload)
	copy(r, f[6:12])
	copy(r[6:], f[:6])
	copy(r[12:], f[12:at])
	return r
}

func fragmentationNeeded(f drawbridge.Frame, at, mtu int) drawbridge.Frame {
	ip := f[at:]
	header := int(ip[0]&0xf) * 4
	quoted := ip[:min(len(ip), max(header, 20)+8)]
	r := back(f, at, 28+len(quoted))
	r = append(r, 0x45, 0xc0, 0, 0, 0, 0, 0, 0, 64, protoICMP, 0, 0)
	r = append(r, ip[16:20]...)
	r = append(r, ip[12:16]...)
	binary.BigEndian.PutUint16(r[at+2:], uint16(28+len(quoted)))
	binary.BigEndian.PutUint16(r[at+10:], ^sum(0, r[at:at+20]))
	r = append(r, 3, 4, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(r[at+26:], uint16(mtu-at))
	r = append(r, quoted...)
	binary.BigEndian.PutUint16(r[at+22:], ^sum(0, r[at+20:]))
	return r
}

// maxQuoted keeps an answer within the minimum MTU of IPv6 (RFC 4443 §3.2).
const maxQuoted = 1280 - 40 - 8

func packetTooBig(f drawbridge.Frame, at, mtu int) drawbridge.Frame {
	ip := f[at:]
	quoted := ip[:min(len(ip), maxQuoted)]
	r := back(f, at, 48+len(quoted))
	r = append(r, 0x60, 0, 0, 0, 0, 0, protoICMPv6, 64)
	binary.BigEndian.PutUint16(r[at+4:], uint16(8+len(quoted)))
	r = append(r, ip[24:40]...)
	r = append(r, ip[8:24]...)
	r = append(r, 2, 0, 0, 0)
	r = binary.BigEndian.AppendUint32(r, uint32(max(mtu-at, 1280)))
	r = append(r, quoted...)
	pseudo := sum(0, r[at+8:at+40])
	pseudo = sum(uint32(pseudo)+protoICMPv6+uint32(8+len(quoted)), r[at+40:])
	binary.BigEndian.PutUint16(r[at+42:], ^pseudo)
	return r
}

// sum is the one's complement sum of b on top of start (RFC 1071).
func sum(start uint32, b []byte) uint16 {
	total := start
	for ; len(b) >= 2; b = b[2:] {
		total += uint32(b[0])<<8 | uint32(b[1])
		total = total&0xffff + total>>16
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	for total > 0xffff {
		total = total&0xffff + total>>16
	}
	return uint16(total)
}
