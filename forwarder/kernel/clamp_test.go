package kernel

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// syn is a TCP SYN over IPv4 with options and a valid checksum.
func syn(from, to drawbridge.MAC, flags byte, options ...byte) drawbridge.Frame {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	f := append(append(drawbridge.Frame{}, to[:]...), from[:]...)
	f = append(f, 0x08, 0, 0x45, 0, 0, byte(40+len(options)), 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	f = append(f, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, byte(20+len(options))<<2, flags, 1, 0, 0, 0, 0, 0)
	f = append(f, options...)
	binary.BigEndian.PutUint16(f[14+20+16:], ^tcpSum(f))
	return f
}

// tcpSum adds up the segment with its pseudo header; ffff where the checksum is right.
func tcpSum(f drawbridge.Frame) uint16 {
	ip, tcp := f[14:34], f[34:]
	sum := uint32(6) + uint32(len(tcp))
	for i := 12; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for i := 0; i < len(tcp); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(tcp[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestSegmentSizeIsClampedToTheTunnel(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	meet(l, a, b)
	const fits = 1450 - 14 - 40
	for _, c := range []struct {
		what    string
		flags   byte
		options []byte
		at      int
		want    uint16
	}{
		{"alone", 2, []byte{2, 4, 0x05, 0xb4}, 0, fits},
		{"with an answer", 0x12, []byte{2, 4, 0x05, 0xb4}, 0, fits},
		{"behind others", 2, []byte{1, 3, 3, 7, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 0x23, 0}, 14, fits},
		{"at an odd place", 2, []byte{1, 2, 4, 0x05, 0xb4}, 1, fits},
		{"smaller", 2, []byte{2, 4, 0x04, 0}, 0, 0x400},
		{"no SYN", 0x10, []byte{2, 4, 0x05, 0xb4}, 0, 0x5b4},
		{"behind the end", 2, []byte{0, 1, 1, 1, 2, 4, 0x05, 0xb4}, 4, 0x5b4},
	} {
		for _, to := range []drawbridge.MAC{b.mac, {2, 9, 9, 9, 9, 9}} { // known; not known, so flooded
			a.send(syn(a.mac, to, c.flags, c.options...))
			got := b.next(t)
			if mss := binary.BigEndian.Uint16(got[54+c.at+2:]); mss != c.want {
				t.Errorf("%s: segment size %d, want %d", c.what, mss, c.want)
			}
			if sum := tcpSum(got); sum != 0xffff {
				t.Errorf("%s: checksum is off: %04x", c.what, sum)
			}
		}
	}
}

// next is the next TCP segment.
func (s *station) next(t *testing.T) drawbridge.Frame {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		f := s.hear(deadline)
		if f == nil {
			t.Fatal("no segment arrived")
		}
		if f.EtherType() == 0x0800 {
			return f
		}
	}
}
