package transit

import (
	"encoding/binary"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

func isTCP(o *drawbridge.Offload) bool {
	t := o.GSO &^ drawbridge.GSOECN
	return t == drawbridge.GSOTCPv4 || t == drawbridge.GSOTCPv6
}

// headerLen is how long the headers of a super-frame are. What the virtio-net header says is only a hint
// (virtio 1.2 §5.1.6.2), so the transport header is read.
func headerLen(p *drawbridge.Packet) (n int, ok bool) {
	start := int(p.Offload.ChecksumStart)
	switch {
	case !isTCP(&p.Offload):
		n = start + 8
	case start+13 > len(p.Frame):
		return 0, false
	default:
		n = start + int(p.Frame[start+12]>>4)*4
		if n < start+20 {
			return 0, false
		}
	}
	return n, start >= drawbridge.MinFrame && n < len(p.Frame)
}

// networkStart is where the network header begins, behind up to two VLAN tags, and its EtherType.
func networkStart(f []byte) (at int, etherType uint16, ok bool) {
	at = drawbridge.MinFrame
	for range 3 {
		if len(f) < at {
			return 0, 0, false
		}
		etherType = binary.BigEndian.Uint16(f[at-2:])
		if etherType != 0x8100 && etherType != 0x88a8 {
			return at, etherType, true
		}
		at += 4
	}
	return 0, 0, false
}

// TCP flags that belong to the last segment of a super-frame only, and to the first only (Linux
// tcp_gso_segment does the same).
const (
	tcpFIN, tcpPSH, tcpCWR = 0x01, 0x08, 0x80
)

// shorten makes the headers at the front of f, which were written for a whole super-frame, true for what
// of it is here: the payload behind them began offset bytes into the whole one, and segments of them
// were before it. It answers false when the headers are not what they were said to be.
func shorten(f []byte, o *drawbridge.Offload, offset, segments int, hasFirst, hasLast bool) bool {
	start := int(o.ChecksumStart)
	at, etherType, ok := networkStart(f)
	if !ok || start < at+20 || len(f) < start+8 {
		return false
	}
	tcp := isTCP(o)
	if tcp && len(f) < start+20 {
		return false
	}
	transport := len(f) - start
	var sum uint64
	switch etherType {
	case 0x0800:
		ip := f[at:start]
		binary.BigEndian.PutUint16(ip[2:], uint16(len(f)-at))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(segments))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], drawbridge.InternetChecksum(drawbridge.InternetSum(0, ip)))
		sum = drawbridge.InternetSum(0, ip[12:20])
	case 0x86dd:
		if start < at+40 {
			return false
		}
		binary.BigEndian.PutUint16(f[at+4:], uint16(len(f)-at-40))
		sum = drawbridge.InternetSum(0, f[at+8:at+40])
	default:
		return false
	}
	t := f[start:]
	if tcp {
		binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(offset))
		if !hasLast {
			t[13] &^= tcpFIN | tcpPSH
		}
		if !hasFirst {
			t[13] &^= tcpCWR
		}
		binary.BigEndian.PutUint16(t[16:], drawbridge.FoldSum(sum+6+uint64(transport)))
		return true
	}
	binary.BigEndian.PutUint16(t[4:], uint16(transport))
	binary.BigEndian.PutUint16(t[6:], drawbridge.FoldSum(sum+17+uint64(transport)))
	return true
}

// completeChecksum writes the transport checksum that is owed; false when its place is outside the frame.
func completeChecksum(p *drawbridge.Packet) bool {
	start, at := int(p.Offload.ChecksumStart), int(p.Offload.ChecksumStart)+int(p.Offload.ChecksumOffset)
	if p.Offload.Flags&drawbridge.NeedsChecksum == 0 {
		return true
	}
	if at+2 > len(p.Frame) {
		return false
	}
	binary.BigEndian.PutUint16(p.Frame[at:], drawbridge.TransportChecksum(drawbridge.InternetSum(0, p.Frame[start:])))
	p.Offload = drawbridge.Offload{}
	return true
}
