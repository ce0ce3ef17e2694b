package segment

import (
	"encoding/binary"
	"errors"

	"github.com/drawbridge-net/drawbridge"
)

// room is the capacity that every frame of a Splitter has behind its length, as frames of ports have: who seals a
// frame in place may overwrite it.
const room = 256

// TCP flags of the thirteenth byte (RFC 9293 §3.1).
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// Splitter turns packets into finished frames. Its zero value is ready; it belongs to one goroutine and allocates
// only while its buffer grows.
type Splitter struct{ scratch []byte }

// Split calls out with each finished frame that p stands for, in order; p itself stays as it is, so that it may go
// to other ports too. A frame lives until out returns. mtu > 0 is the most that may follow the Ethernet header and
// the VLAN tags: TCP is cut smaller when its segments exceed it, as any sender may cut its stream, while UDP is not,
// whose datagrams have a meaning. The rules are those of Linux's tcp_gso_segment and __udp_gso_segment.
func (s *Splitter) Split(p *drawbridge.Packet, mtu int, out func(drawbridge.Frame)) error {
	if p.Offload.GSO == drawbridge.GSONone {
		return s.complete(p, out)
	}
	l, err := superLayout(p)
	if errors.Is(err, ErrTunnel) {
		inner, _ := tunnelled(p, l)
		s.splitTunnel(p, l, inner, mtu, out)
		return nil
	}
	if err != nil {
		return err
	}
	size, payload := SegmentPayload(p, l, mtu), p.Frame[l.Payload:]
	for at, index := 0, 0; at < len(payload) || index == 0; at, index = at+size, index+1 {
		end := min(at+size, len(payload))
		f := s.join(p.Frame[:l.Payload], payload[at:end])
		l.patchNetwork(f, index)
		l.patchTransport(f, at, end == len(payload))
		out(f)
	}
	return nil
}

func (s *Splitter) complete(p *drawbridge.Packet, out func(drawbridge.Frame)) error {
	if p.Offload.Flags&drawbridge.NeedsChecksum == 0 {
		out(p.Frame)
		return nil
	}
	done := drawbridge.Packet{Frame: s.join(p.Frame, nil), Offload: p.Offload}
	if err := Complete(&done); err != nil {
		return err
	}
	out(done.Frame)
	return nil
}

// join builds a frame in the scratch buffer.
func (s *Splitter) join(head, payload []byte) drawbridge.Frame {
	if need := len(head) + len(payload) + room; cap(s.scratch) < need {
		s.scratch = make([]byte, 0, need)
	}
	return append(append(s.scratch[:0], head...), payload...)
}

// SegmentPayload is how many bytes of payload each segment of the super-frame p gets on a wire with that MTU (see
// Split). l is p's layout.
func SegmentPayload(p *drawbridge.Packet, l Layout, mtu int) int {
	size := int(p.Offload.SegmentSize)
	if fit := mtu - (l.Payload - l.Network); l.Protocol == protoTCP && mtu > 0 && fit > 0 {
		return min(size, fit)
	}
	return size
}

// Fit is p's Offload for an interface with that MTU, which sends the segments of a super-frame at whatever size it is
// told: those of TCP become small enough. Not ok: p is datagrams that are too long, which no one may cut.
func Fit(p *drawbridge.Packet, mtu int) (o drawbridge.Offload, ok bool) {
	o = p.Offload
	if o.GSO == drawbridge.GSONone || int(o.HeaderLen)+int(o.SegmentSize) <= drawbridge.MinFrame+mtu {
		return o, true
	}
	l := Parse(p.Frame)
	o.SegmentSize = uint16(SegmentPayload(p, l, mtu))
	return o, l.Payload-l.Network+int(o.SegmentSize) <= mtu
}

// patchNetwork gives segment number index its own IP lengths, identification and header checksum.
func (l Layout) patchNetwork(f drawbridge.Frame, index int) {
	ip := f[l.Network:]
	if l.IPv6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-fixedIPv6))
		return
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(index))
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], drawbridge.InternetChecksum(drawbridge.InternetSum(0, f[l.Network:l.Transport])))
}

// patchTransport does the same for TCP or UDP; at is where the segment's payload lay in the super-frame's. The
// options of TCP repeat in every segment, FIN and PSH belong to the last, CWR to the first (RFC 3168 §6.1.2).
func (l Layout) patchTransport(f drawbridge.Frame, at int, last bool) {
	header := f[l.Transport:]
	if l.Protocol == protoUDP {
		binary.BigEndian.PutUint16(header[4:], uint16(len(header)))
	} else {
		binary.BigEndian.PutUint32(header[4:], binary.BigEndian.Uint32(header[4:])+uint32(at))
		if !last {
			header[13] &^= tcpFIN | tcpPSH
		}
		if at > 0 {
			header[13] &^= tcpCWR
		}
	}
	l.putChecksum(f, 0)
	l.putChecksum(f, drawbridge.TransportChecksum(drawbridge.InternetSum(l.pseudo(f, len(header)), header)))
}
