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

// Packets of this size get through in any case, as the mesh fragments them: IPv6 senders make none smaller
// (RFC 8200 §5), and every IPv4 host reassembles that much (RFC 791 §3.1), so nothing less is asked of them.
const (
	minIPv4 = 576
	minIPv6 = 1280
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
	answer := answerTo(p.Frame, largest(p), mtu)
	if answer == nil {
		return false
	}
	u.from.drops.add(dropTooBig, 1)
	if u.from.answers.take(u.now, answerRate, answerBurst) {
		u.from.write(queueOf([]drawbridge.Packet{{Frame: answer}}))
	}
	return true
}

// answerTo is what the sender of a frame of size octets is told, of which f is the beginning; nil: nothing.
func answerTo(f drawbridge.Frame, size, mtu int) drawbridge.Frame {
	at, etherType := network(f)
	switch ip, size := f[at:], size-at; {
	case etherType == 0x0800 && size > minIPv4 && answerable4(ip):
		return fragmentationNeeded(f, at, max(mtu-at, minIPv4))
	case etherType == 0x86dd && size > minIPv6 && answerable6(ip):
		return packetTooBig(f, at, max(mtu-at, minIPv6))
	}
	return nil
}

// TooBig is the answer to a frame of which another engine has read the beginning at this port, and that is longer than mtu;
// nil: none, or no more this second.
func (a *Attached) TooBig(f drawbridge.Frame, mtu int) drawbridge.Frame {
	answer := answerTo(f, max(mtu+1, len(f)), mtu)
	if answer == nil {
		return nil
	}
	a.drops.add(dropTooBig, 1)
	if !a.answers.take(a.sw.now(), answerRate, answerBurst) {
		return nil
	}
	return answer
}

// answerable4 reports whether RFC 1122 §3.2.2 allows an ICMP error about an IPv4 packet, and it needs one: not
// about a fragment, an error, TCP, or to or from an address that is not one host's.
func answerable4(ip []byte) bool {
	if len(ip) < 20 || ip[0]>>4 != 4 {
		return false
	}
	header := int(ip[0]&0xf) * 4
	fragment := binary.BigEndian.Uint16(ip[6:])
	switch {
	case header < 20 || len(ip) < header+8:
	case fragment&0x4000 == 0 || fragment&0x3fff != 0: // may be fragmented, or is
	case ip[9] == protoTCP:
	case ip[9] == protoICMP && ip[header] != 8 && ip[header] != 0: // only echo and its reply are surely no error
	case ip[12] == 0 || ip[12] == 127 || ip[12] >= 224 || ip[16] >= 224:
	default:
		return true
	}
	return false
}

// answerable6 is the same of RFC 4443 §2.4 (e).
func answerable6(ip []byte) bool {
	if len(ip) < 48 || ip[0]>>4 != 6 {
		return false
	}
	proto, at := upper(ip)
	switch {
	case proto == protoTCP || proto == protoFragment:
	case proto == protoICMPv6 && (at >= len(ip) || ip[at] < 128 || ip[at] == 137): // an error or a redirect
	case ip[8] == 0xff || ip[24] == 0xff || [16]byte(ip[8:24]) == [16]byte{}:
	default:
		return true
	}
	return false
}

// Extension headers of IPv6 (RFC 8200 §4, RFC 4302 §2).
const (
	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	protoAuth        = 51
	protoDestination = 60
)

// upper is the protocol behind the extension headers, and where it begins. A chain that is longer than any that is
// used, or that the packet does not hold, ends as a fragment: nobody can tell what it is.
func upper(ip []byte) (proto byte, at int) {
	proto, at = ip[6], 40
	for range 8 {
		unit, extra := 8, 1
		switch proto {
		case protoHopByHop, protoRouting, protoDestination:
		case protoAuth:
			unit, extra = 4, 2
		default:
			return proto, at
		}
		if at+2 > len(ip) {
			break
		}
		proto, at = ip[at], at+(int(ip[at+1])+extra)*unit
	}
	return protoFragment, at
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
	quoted := ip[:int(ip[0]&0xf)*4+8]
	r := back(f, at, 28+len(quoted))
	r = append(r, 0x45, 0xc0, 0, 0, 0, 0, 0, 0, 64, protoICMP, 0, 0)
	r = append(r, ip[16:20]...)
	r = append(r, ip[12:16]...)
	binary.BigEndian.PutUint16(r[at+2:], uint16(28+len(quoted)))
	binary.BigEndian.PutUint16(r[at+10:], ^sum(0, r[at:at+20]))
	r = append(r, 3, 4, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(r[at+26:], uint16(mtu))
	r = append(r, quoted...)
	binary.BigEndian.PutUint16(r[at+22:], ^sum(0, r[at+20:]))
	return r
}

// maxQuoted keeps an answer within the minimum MTU of IPv6 (RFC 4443 §3.2).
const maxQuoted = minIPv6 - 40 - 8

func packetTooBig(f drawbridge.Frame, at, mtu int) drawbridge.Frame {
	ip := f[at:]
	quoted := ip[:min(len(ip), maxQuoted)]
	r := back(f, at, 48+len(quoted))
	r = append(r, 0x60, 0, 0, 0, 0, 0, protoICMPv6, 64)
	binary.BigEndian.PutUint16(r[at+4:], uint16(8+len(quoted)))
	r = append(r, ip[24:40]...)
	r = append(r, ip[8:24]...)
	r = append(r, 2, 0, 0, 0)
	r = binary.BigEndian.AppendUint32(r, uint32(mtu))
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
