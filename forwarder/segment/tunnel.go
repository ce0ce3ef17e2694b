package segment

import (
	"encoding/binary"

	"github.com/drawbridge-net/drawbridge"
)

// tunnelled finds the IP header inside a super-frame whose outer layout is l when what has to be cut is the TCP or UDP
// inside a UDP tunnel (VXLAN, Geneve, FOU). The kernel shows such a frame as if there were no tunnel; only the
// place of the checksum tells. What lies between the headers differs by tunnel and does not matter: every segment
// repeats it.
func tunnelled(p *drawbridge.Packet, outer Layout) (inner Layout, ok bool) {
	o, f, at := p.Offload, p.Frame, int(p.Offload.ChecksumStart)
	if o.Flags == 0 || o.SegmentSize == 0 || outer.Protocol != protoUDP || outer.Payload == 0 || at <= outer.Payload || at >= len(f) {
		return inner, false
	}
	for _, size := range []int{minIPv4, fixedIPv6} {
		inner, err := promised(o, size == fixedIPv6)
		if err != nil || inner.IPv6 != (size == fixedIPv6) || at-size < outer.Payload {
			continue
		}
		inner.Network, inner.Transport = at-size, at
		inner.parseTransport(f)
		if inner.Payload != 0 && inner.checksumOffset() == o.ChecksumOffset && inner.fills(f) {
			return inner, true
		}
	}
	return inner, false
}

// fills reports whether f has an IP header without options at l's place that says what l says, up to the end of f.
func (l Layout) fills(f drawbridge.Frame) bool {
	ip := f[l.Network:]
	if l.IPv6 {
		return ip[0]>>4 == 6 && ip[6] == l.Protocol && int(binary.BigEndian.Uint16(ip[4:])) == len(ip)-fixedIPv6
	}
	return ip[0] == 0x45 && ip[9] == l.Protocol && int(binary.BigEndian.Uint16(ip[2:])) == len(ip)
}

// splitTunnel is Split for the super-frame inside a tunnel. The outer datagrams are numbered as segments are, and have
// a checksum if the super-frame's had one.
func (s *Splitter) splitTunnel(p *drawbridge.Packet, outer, inner Layout, mtu int, out func(drawbridge.Frame)) {
	if mtu > 0 {
		mtu -= inner.Network - outer.Network
	}
	size, payload := SegmentPayload(p, inner, mtu), p.Frame[inner.Payload:]
	summed := binary.BigEndian.Uint16(p.Frame[outer.Transport+udpChecksumAt:]) != 0
	for at, index := 0, 0; at < len(payload); at, index = at+size, index+1 {
		end := min(at+size, len(payload))
		f := s.join(p.Frame[:inner.Payload], payload[at:end])
		inner.patchNetwork(f, index)
		inner.patchTransport(f, at, end == len(payload))
		outer.patchNetwork(f, index)
		outer.patchTransport(f, at, end == len(payload))
		if !summed {
			outer.putChecksum(f, 0)
		}
		out(f)
	}
}
