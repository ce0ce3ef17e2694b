package transit

import (
	"encoding/binary"
	"fmt"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// superFrame describes a super-frame as a port would give it. Everything here is written and checked
// without the package's own arithmetic.
type superFrame struct {
	v6, udp bool
	tags    int // 0, 1 (802.1Q) or 2 (802.1ad outside)
	payload int
	mss     int
	options int // octets of TCP options
	flags   byte
	ecn     bool
	seq     uint32
	id      uint16
	port    uint16
}

func (s superFrame) String() string {
	return fmt.Sprintf("v6 %v udp %v tags %d payload %d mss %d options %d flags %02x", s.v6, s.udp, s.tags, s.payload, s.mss, s.options, s.flags)
}

func (s superFrame) network() int { return 14 + 4*s.tags }

func (s superFrame) transport() int {
	if s.v6 {
		return s.network() + 40
	}
	return s.network() + 20
}

func (s superFrame) headers() int {
	if s.udp {
		return s.transport() + 8
	}
	return s.transport() + 20 + s.options
}

// content is the octet of the payload at a place: long without repeating.
func content(at int) byte { return byte(at ^ at>>8*31) }

// packet writes it, with room behind as ports leave it.
func (s superFrame) packet() drawbridge.Packet {
	f := make([]byte, s.headers()+s.payload, s.headers()+s.payload+256)
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2})
	types := [][]uint16{{}, {0x8100}, {0x88a8, 0x8100}}[s.tags]
	for i, tag := range types {
		binary.BigEndian.PutUint16(f[12+4*i:], tag)
		binary.BigEndian.PutUint16(f[14+4*i:], uint16(100+i))
	}
	n, t := s.network(), s.transport()
	protocol := byte(6)
	if s.udp {
		protocol = 17
	}
	if s.v6 {
		binary.BigEndian.PutUint16(f[n-2:], 0x86dd)
		f[n], f[n+6], f[n+7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(f[n+4:], uint16(len(f)-t))
		for i := range 32 {
			f[n+8+i] = byte(0x20 + 5*i)
		}
	} else {
		binary.BigEndian.PutUint16(f[n-2:], 0x0800)
		f[n], f[n+8], f[n+9] = 0x45, 64, protocol
		binary.BigEndian.PutUint16(f[n+2:], uint16(len(f)-n))
		binary.BigEndian.PutUint16(f[n+4:], s.id)
		copy(f[n+12:], []byte{10, 250, 7, 1, 172, 16, 0, 2})
		binary.BigEndian.PutUint16(f[n+10:], ^onesSum(f[n:n+20]))
	}
	binary.BigEndian.PutUint16(f[t:], s.port)
	binary.BigEndian.PutUint16(f[t+2:], 443)
	if s.udp {
		binary.BigEndian.PutUint16(f[t+4:], uint16(8+s.payload))
	} else {
		binary.BigEndian.PutUint32(f[t+4:], s.seq)
		f[t+12], f[t+13] = byte(20+s.options)/4<<4, s.flags
		for i := range s.options {
			f[t+20+i] = 1
		}
	}
	binary.BigEndian.PutUint16(f[t+s.sumAt():], s.pseudo(f))
	for i := range s.payload {
		f[s.headers()+i] = content(i)
	}
	return drawbridge.Packet{Frame: f, Offload: s.offload(s.payload)}
}

func (s superFrame) sumAt() int {
	if s.udp {
		return 6
	}
	return 16
}

func (s superFrame) offload(payload int) drawbridge.Offload {
	o := drawbridge.Offload{Flags: drawbridge.NeedsChecksum, ChecksumStart: uint16(s.transport()), ChecksumOffset: uint16(s.sumAt())}
	if payload <= s.mss {
		return o
	}
	o.SegmentSize, o.HeaderLen = uint16(s.mss), uint16(s.headers())
	switch {
	case s.udp:
		o.GSO = drawbridge.GSOUDP
	case s.v6:
		o.GSO = drawbridge.GSOTCPv6
	default:
		o.GSO = drawbridge.GSOTCPv4
	}
	if s.ecn {
		o.GSO |= drawbridge.GSOECN
	}
	return o
}

// pseudo is the sum of the pseudo-header (RFC 793 §3.1, RFC 8200 §8.1) for the whole of f.
func (s superFrame) pseudo(f []byte) uint16 {
	n, t := s.network(), s.transport()
	addresses, protocol := f[n+12:n+20], f[n+9]
	if s.v6 {
		addresses, protocol = f[n+8:n+40], f[n+6]
	}
	p := append([]byte{}, addresses...)
	p = binary.BigEndian.AppendUint32(p, uint32(len(f)-t))
	return onesSum(append(p, 0, 0, 0, protocol))
}

// onesSum is the one's complement sum of RFC 1071, the plain way.
func onesSum(b []byte) uint16 {
	sum := 0
	for i := 0; i < len(b); i += 2 {
		word := int(b[i]) << 8
		if i+1 < len(b) {
			word |= int(b[i+1])
		}
		if sum += word; sum > 0xffff {
			sum = sum&0xffff + 1
		}
	}
	return uint16(sum)
}

// check says what is wrong with a delivered run of s, and which part of the payload it is.
func (s superFrame) check(p *drawbridge.Packet) (from, to int, wrong error) {
	f, n, t, h := p.Frame, s.network(), s.transport(), s.headers()
	whole := s.packet()
	if len(f) <= h || len(f) > len(whole.Frame) {
		return 0, 0, fmt.Errorf("%d bytes with %d of headers", len(f), h)
	}
	from, wrong = s.place(f)
	if wrong != nil {
		return 0, 0, wrong
	}
	to = from + len(f) - h
	if to > s.payload || (from%s.mss != 0 && s.udp) {
		return from, to, fmt.Errorf("from %d to %d of %d", from, to, s.payload)
	}
	for i, b := range f[h:] {
		if b != content(from+i) {
			return from, to, fmt.Errorf("octet %d of the payload is %02x, want %02x", from+i, b, content(from+i))
		}
	}
	want := append([]byte{}, whole.Frame[:h]...)
	if s.v6 {
		binary.BigEndian.PutUint16(want[n+4:], uint16(len(f)-t))
	} else {
		binary.BigEndian.PutUint16(want[n+2:], uint16(len(f)-n))
		binary.BigEndian.PutUint16(want[n+4:], s.id+uint16(from/s.mss))
		binary.BigEndian.PutUint16(want[n+10:], 0)
		binary.BigEndian.PutUint16(want[n+10:], ^onesSum(want[n:n+20]))
	}
	s.transportOf(want[t:], from, to)
	binary.BigEndian.PutUint16(want[t+s.sumAt():], s.pseudo(f))
	for i := range want {
		if f[i] != want[i] {
			return from, to, fmt.Errorf("octet %d of the headers is %02x, want %02x (network at %d, transport at %d):\n% x\n% x", i, f[i], want[i], n, t, f[:h], want)
		}
	}
	o := s.offload(to - from)
	if from > 0 {
		o.GSO &^= drawbridge.GSOECN
	}
	if p.Offload != o {
		return from, to, fmt.Errorf("offload %+v, want %+v", p.Offload, o)
	}
	return from, to, nil
}

// place finds where in the payload a run begins: TCP tells, of UDP the content does.
func (s superFrame) place(f []byte) (int, error) {
	if !s.udp {
		return int(binary.BigEndian.Uint32(f[s.transport()+4:]) - s.seq), nil
	}
	if n := len(f) - s.headers(); n%s.mss != 0 { // only the last segment is shorter
		return s.payload - n, nil
	}
next:
	for from := 0; from < s.payload; from += s.mss {
		for i, b := range f[s.headers():] {
			if from+i >= s.payload || b != content(from+i) {
				continue next
			}
		}
		return from, nil
	}
	return 0, fmt.Errorf("payload % x… is nowhere in the whole", f[s.headers():s.headers()+8])
}

// transportOf makes the transport header of the whole that of a run.
func (s superFrame) transportOf(t []byte, from, to int) {
	if s.udp {
		binary.BigEndian.PutUint16(t[4:], uint16(8+to-from))
		return
	}
	binary.BigEndian.PutUint32(t[4:], s.seq+uint32(from))
	if to < s.payload {
		t[13] &^= 0x09
	}
	if from > 0 {
		t[13] &^= 0x80
	}
}

// portOf is the source port of a frame that superFrame wrote.
func portOf(f []byte) int {
	at, v6 := 14, false
	for f[at-2] == 0x81 || f[at-2] == 0x88 {
		at += 4
	}
	if v6 = f[at-2] == 0x86; v6 {
		at += 20
	}
	return int(binary.BigEndian.Uint16(f[at+20:]))
}
