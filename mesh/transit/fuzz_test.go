package transit

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// checker wants of everything delivered that a port can take it, and that it stays as it is until Flush.
type checker struct {
	t      interface{ Fatalf(string, ...any) }
	frames []drawbridge.Frame
	sums   []uint32
}

func (c *checker) Deliver(_ *drawbridge.Header, p *drawbridge.Packet) {
	if why := unsound(p); why != "" {
		c.t.Fatalf("delivered a frame of %d bytes with offload %+v: %s", len(p.Frame), p.Offload, why)
	}
	c.frames, c.sums = append(c.frames, p.Frame), append(c.sums, crc32.ChecksumIEEE(p.Frame))
}

func (c *checker) Flush() {
	for i, f := range c.frames {
		if crc32.ChecksumIEEE(f) != c.sums[i] {
			c.t.Fatalf("frame %d of %d bytes changed before Flush", i, len(f))
		}
	}
	c.frames, c.sums = nil, nil
}

// unsound says what a port could not take.
func unsound(p *drawbridge.Packet) string {
	o := p.Offload
	kind := o.GSO &^ drawbridge.GSOECN
	switch {
	case len(p.Frame) < drawbridge.MinFrame, len(p.Frame) > 1<<16+255:
		return "length"
	case o.Flags&^drawbridge.NeedsChecksum != 0:
		return "flags"
	case o.Flags != 0 && int(o.ChecksumStart)+int(o.ChecksumOffset)+2 > len(p.Frame):
		return "checksum outside"
	case o.GSO == drawbridge.GSONone:
		if o.SegmentSize != 0 {
			return "segment size of no segments"
		}
		return ""
	case kind != drawbridge.GSOTCPv4 && kind != drawbridge.GSOTCPv6 && kind != drawbridge.GSOUDP:
		return "type"
	case o.GSO == drawbridge.GSOUDP|drawbridge.GSOECN:
		return "ECN of UDP"
	case o.Flags == 0, o.SegmentSize == 0, int(o.HeaderLen) >= len(p.Frame):
		return "super-frame"
	}
	return ""
}

// records cuts fuzz bytes into a list: kind, length in 8-byte steps and the bytes.
func records(b []byte) (all []byte, rest []byte, kind byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, 0, false
	}
	n := min(int(b[1])*8, len(b)-2)
	return b[2 : 2+n], b[2+n:], b[0], true
}

// record is the reverse; plain is padded in front, where the payload is.
func record(kind byte, plain []byte) []byte {
	pad := (8 - len(plain)%8) % 8
	b := append([]byte{kind, byte((len(plain) + pad) / 8)}, make([]byte, pad)...)
	return append(b, plain...)
}

// slicesOf are the plain texts of a super-frame's slices.
func slicesOf(t testing.TB, p drawbridge.Packet, limit int) (plain [][]byte) {
	n := newStill(t, 1)
	l := n.neighbour(2, 7)
	l.max.Store(int32(limit))
	n.s.Send(&drawbridge.Header{Dest: 2, VNI: 1}, &p)
	for _, d := range n.sealed() {
		plain = append(plain, n.r.open(nil, d.data, l.rx[0]))
	}
	return plain
}

func FuzzMeta(f *testing.F) {
	f.Add((&meta{flags: 0x1f, hops: 16, vni: 1, origin: 2, seq: 3, mss: 100, total: 2}).append(make([]byte, 60)))
	f.Add((&meta{flags: flagFlood | flagMark, origin: 2}).append(nil))
	f.Add((&meta{flags: 0x1f, origin: 2, mss: 1, total: 1}).append(nil)[1:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m meta
		rest, ok := m.parse(b)
		if ok && !bytes.Equal(m.append(bytes.Clone(rest)), b) {
			t.Errorf("% x is read as %v and written otherwise", b, &m)
		}
		if ok && int(m.headerLen) > len(rest) {
			t.Errorf("%d bytes of headers in %d", m.headerLen, len(rest))
		}
	})
}

// tiny is one piece whose headers and payload together are no frame, although its sum lies inside it.
func tiny() []byte {
	m := meta{
		flags: flagPiece | flagOffload | flagMSS, hops: 16, origin: 2, total: 1, headerLen: 8,
		offload: owedChecksum | owedUDP | drawbridge.GSOUDP, mss: 100,
	}
	return m.append(make([]byte, 10))
}

// FuzzDatagram seals what the fuzzer makes up as a member of the network that does not keep to the protocol
// would, and wants no panic and nothing delivered that would hurt a port.
func FuzzDatagram(f *testing.F) {
	frame := append(bytes.Clone(arp), (&meta{hops: 16, origin: 2, total: 1}).append(nil)...)
	f.Add(record(kindFrame, frame))
	f.Add(record(kindFrame, tiny()))
	var run []byte
	for _, plain := range slicesOf(f, tcpFrame(400, 64), 200) {
		run = append(run, record(kindFrame, plain)...)
	}
	f.Add(run)
	f.Add(run[len(run)/3:])
	for _, plain := range slicesOf(f, drawbridge.Packet{Frame: frameOf(1000)}, 200) {
		run = append(run, record(kindFrame, plain)...)
	}
	f.Add(run)
	f.Add(append(record(kindFrame|0x80, frame), record(kindFrame|0x40, run)...))
	f.Add(record(kindHeartbeat, make([]byte, heartbeatLen)))
	f.Add(record(kindFrame, append(bytes.Clone(arp), (&meta{flags: flagFlood, hops: 16, origin: 3, total: 1}).append(nil)...)))
	f.Add(record(kindFrame, append(bytes.Clone(arp), (&meta{flags: flagDest, dest: 9, hops: 16, origin: 3, total: 1}).append(nil)...)))
	entry := append([]byte{0, 62}, frameOf(49)...) // eight times eight octets
	entry = (&meta{hops: 16, origin: 2, total: 1}).append(entry)
	f.Add(record(kindBundle, append(bytes.Clone(entry), entry...)))
	f.Add(append(record(kindBundle, append(bytes.Clone(entry), 0xff, 0xff, 1, 2, 3, 4, 5, 6)), run...))

	n := newStill(f, 1)
	links := []*Link{n.neighbour(2, 7), n.neighbour(4, 8)}
	n.SetRoutes(&Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{9: 4}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{3: {4}}})
	check := &checker{}
	n.r.recv = check
	f.Fuzz(func(t *testing.T, b []byte) {
		check.t = t
		for {
			plain, rest, kind, ok := records(b)
			if !ok {
				break
			}
			l := links[kind>>5&1]
			switch {
			case kind&0x80 != 0: // not sealed
				n.r.datagram(bytes.Clone(plain), -1)
			case kind&0x40 != 0: // over the control link
				n.r.control(controlFrame{l, plain})
			default:
				n.r.datagram(n.seal(l, kind&0xf, plain), -1)
			}
			b = rest
		}
		forget(n.r.relay)
		n.r.finish()
	})
}

// FuzzHandleControl hands over transit messages, and handles what they leave behind.
func FuzzHandleControl(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{controlFrameMsg}, append(bytes.Clone(arp), (&meta{hops: 16, origin: 2, total: 1}).append(nil)...)...))
	f.Add(append([]byte{controlFrameMsg}, tiny()...))
	f.Add(append([]byte{controlHeartbeat}, make([]byte, heartbeatLen)...))
	f.Add(append([]byte{controlKey, 1, 2, 3, 4, 1}, make([]byte, 32)...))
	f.Add(append([]byte{controlKey, 1, 2, 3, 4, 2}, make([]byte, 32)...))
	n := newStill(f, 1)
	l := n.neighbour(2, 7)
	check := &checker{}
	n.r.recv = check
	f.Fuzz(func(t *testing.T, b []byte) {
		check.t = t
		before := bytes.Clone(b)
		l.HandleControl(b)
		for len(n.tcp) > 0 {
			n.r.control(<-n.tcp)
		}
		forget(n.r.relay)
		n.r.finish()
		if !bytes.Equal(b, before) {
			t.Error("the message was changed")
		}
	})
}

// FuzzHeartbeat takes any heartbeat and then does everything that depends on what it said.
func FuzzHeartbeat(f *testing.F) {
	h := make([]byte, heartbeatLen)
	f.Add(bytes.Clone(h), true)
	binary.BigEndian.PutUint16(h[24:], 65535)
	f.Add(bytes.Clone(h), true)
	binary.BigEndian.PutUint64(h[12:], 1<<63)
	f.Add(bytes.Clone(h), true)
	f.Add(bytes.Clone(h), false)
	f.Add(bytes.Repeat([]byte{0xff}, heartbeatLen), true)
	n := newStill(f, 1)
	l := n.neighbour(2, 7)
	l.adopt(netip.MustParseAddrPort("127.0.0.1:9"))
	f.Fuzz(func(t *testing.T, b []byte, udp bool) {
		conn := -1
		if udp {
			conn = 0
		}
		l.takeHeartbeat(b, netip.MustParseAddrPort("127.0.0.1:10"), conn, len(b), n.now())
		l.path.Store(pathUDP)
		n.s.heartbeat(l, int(l.max.Load()), false)
		for _, p := range []drawbridge.Packet{tcpFrame(65000, 1400), tcpFrame(65000, 65000), {Frame: frameOf(65535)}} {
			n.s.Send(&drawbridge.Header{Dest: 2}, &p)
			n.sealed()
		}
		if s := l.State(); s.MTU < baseDatagram-Overhead || s.MTU > 9000 || s.RTT < 0 || s.Loss < 0 || s.Loss > 1 {
			t.Errorf("state %+v", s)
		}
	})
}
