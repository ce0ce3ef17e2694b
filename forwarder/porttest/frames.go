package porttest

import (
	"encoding/binary"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// Addresses of the frames that this package builds.
var (
	Dst = drawbridge.MAC{2, 0, 0, 0, 0, 1}
	Src = drawbridge.MAC{2, 0, 0, 0, 0, 2}
)

// experimental is an EtherType that no stack answers (IEEE 802 local experimental 1).
const experimental = 0x88b5

// Numbered is a small finished frame that carries a number, so that tests can tell frames apart.
func Numbered(number int) drawbridge.Packet {
	f := binary.BigEndian.AppendUint16(append(Dst[:], Src[:]...), experimental)
	f = binary.BigEndian.AppendUint32(f, uint32(number))
	return drawbridge.Packet{Frame: append(f, make([]byte, 60-len(f))...)}
}

// Number is what Numbered was given; -1 for another frame.
func Number(f drawbridge.Frame) int {
	if len(f) < 18 || f.EtherType() != experimental {
		return -1
	}
	return int(binary.BigEndian.Uint32(f[14:]))
}

// Super is a super-frame as a kernel that leaves segmentation and checksum to the card would send it, with so many
// bytes of payload in segments of that size. gso is one of drawbridge's values; UDP is over IPv4.
func Super(gso uint8, payload, size int) drawbridge.Packet {
	transport := transportOf(gso, payload)
	var ip []byte
	kind := uint16(0x0800)
	if gso&^drawbridge.GSOECN == drawbridge.GSOTCPv6 {
		ip, kind = ipv6(len(transport)), 0x86dd
	} else {
		ip = ipv4(gso, len(transport))
	}
	f := binary.BigEndian.AppendUint16(append(Dst[:], Src[:]...), kind)
	p := drawbridge.Packet{Frame: append(append(f, ip...), transport...)}
	p.Offload = drawbridge.Offload{
		Flags: drawbridge.NeedsChecksum, GSO: gso, SegmentSize: uint16(size),
		HeaderLen:     uint16(len(p.Frame) - payload),
		ChecksumStart: uint16(14 + len(ip)), ChecksumOffset: 16,
	}
	if gso == drawbridge.GSOUDP {
		p.Offload.ChecksumOffset = 6
	}
	addresses := ip[12:20]
	if kind == 0x86dd {
		addresses = ip[8:40]
	}
	pseudo := binary.BigEndian.AppendUint32(append([]byte{}, addresses...), uint32(len(transport)))
	pseudo = append(pseudo, 0, protocol(gso))
	binary.BigEndian.PutUint16(p.Frame[p.Offload.ChecksumStart+p.Offload.ChecksumOffset:], sum(pseudo))
	return p
}

func protocol(gso uint8) byte {
	if gso == drawbridge.GSOUDP {
		return 17
	}
	return 6
}

func transportOf(gso uint8, payload int) []byte {
	header := make([]byte, 20)
	if gso == drawbridge.GSOUDP {
		header = header[:8]
		binary.BigEndian.PutUint16(header[4:], uint16(8+payload))
	} else {
		header[12], header[13] = 5<<4, 0x18 // ACK, PSH
		if gso&drawbridge.GSOECN != 0 {
			header[13] |= 0x80
		}
	}
	binary.BigEndian.PutUint16(header, 4000)
	binary.BigEndian.PutUint16(header[2:], 5000)
	for i := range payload {
		header = append(header, byte(i*7+i>>8))
	}
	return header
}

func ipv4(gso uint8, transport int) []byte {
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, protocol(gso)
	binary.BigEndian.PutUint16(ip[2:], uint16(20+transport))
	copy(ip[12:], []byte{198, 18, 0, 1, 198, 18, 0, 2}) // RFC 2544: nobody answers
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
	return ip
}

func ipv6(transport int) []byte {
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, 6, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(transport))
	ip[8], ip[23], ip[24], ip[39] = 0xfd, 1, 0xfd, 2
	return ip
}

// sum is that of RFC 1071, not inverted.
func sum(b []byte) uint16 {
	var acc uint32
	for i, c := range b {
		acc += uint32(c) << (8 * (1 - i%2))
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// Tagged is a copy of p with a VLAN tag put in line.
func Tagged(p drawbridge.Packet, tpid, tci uint16) drawbridge.Packet {
	f := append(drawbridge.Frame{}, p.Frame[:12]...)
	f = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(f, tpid), tci)
	p.Frame = append(f, p.Frame[12:]...)
	if p.Offload.Flags != 0 {
		p.Offload.ChecksumStart += 4
	}
	if p.Offload.GSO != drawbridge.GSONone {
		p.Offload.HeaderLen += 4
	}
	return p
}

// Correct checks the lengths and checksums of a finished frame as its receiver would. Frames without IP are correct.
func Correct(f drawbridge.Frame) error {
	at := 12
	for f[at] == 0x81 || f[at] == 0x88 && f[at+1] == 0xa8 {
		at += 4
	}
	ip := f[at+2:]
	var pseudo, transport []byte
	var proto byte
	switch kind := binary.BigEndian.Uint16(f[at:]); kind {
	case 0x0800:
		total := int(binary.BigEndian.Uint16(ip[2:]))
		if total > len(ip) || sum(ip[:20]) != 0xffff {
			return fmt.Errorf("IPv4 header of %d bytes with sum %#x, total length %d", len(ip), sum(ip[:20]), total)
		}
		pseudo, transport, proto = ip[12:20], ip[20:total], ip[9]
	case 0x86dd:
		total := 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if total > len(ip) {
			return fmt.Errorf("IPv6 packet of %d bytes in %d", total, len(ip))
		}
		pseudo, transport, proto = ip[8:40], ip[40:total], ip[6]
	default:
		return nil
	}
	pseudo = binary.BigEndian.AppendUint32(append([]byte{}, pseudo...), uint32(len(transport)))
	if got := sum(append(append(pseudo, 0, proto), transport...)); (proto == 6 || proto == 17) && got != 0xffff {
		return fmt.Errorf("protocol %d: sum %#x, want 0xffff", proto, got)
	}
	return nil
}
