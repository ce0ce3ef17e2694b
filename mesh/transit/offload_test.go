package transit

import (
	"bytes"
	"encoding/binary"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// TestWhatIsOwedMustMakeSense hears pieces whose offload, headers and lengths contradict each other.
func TestWhatIsOwedMustMakeSense(t *testing.T) {
	v4, v6 := superFrame{payload: 400, mss: 100}, superFrame{v6: true, payload: 400, mss: 100}
	slice := func(s superFrame, change func(m *meta, f []byte)) []byte {
		f := s.packet().Frame
		m := meta{flags: flagPiece | flagOffload, hops: 9, origin: 1, offload: owedChecksum | 1, csumStart: uint8(s.transport()), total: 4, headerLen: uint8(s.headers())}
		if s.v6 {
			m.offload = owedChecksum | 4
		}
		change(&m, f)
		headers := f[:m.headerLen]
		return m.append(append(bytes.Clone(f[s.headers():s.headers()+100]), headers...))
	}
	short := func(s superFrame, start int, offload uint8) []byte { // a slice of 4 octets behind headers that end with the ports
		f := s.packet().Frame
		m := meta{flags: flagPiece | flagOffload, hops: 9, origin: 1, offload: offload, csumStart: uint8(start), total: 2, headerLen: uint8(start + 8)}
		return m.append(append(make([]byte, 4), f[:start+8]...))
	}
	piece := func(change func(m *meta, f []byte)) []byte { // a fragment that is all there is
		f := v4.packet().Frame
		m := meta{flags: flagPiece | flagOffload | flagMSS, hops: 9, origin: 1, offload: owedChecksum | 1, csumStart: 34, mss: 100, total: 1}
		change(&m, f)
		return m.append(f)
	}
	for name, plain := range map[string][]byte{
		"slices of nothing": func() []byte {
			m := meta{flags: flagPiece | flagOffload, hops: 9, origin: 1, offload: owedChecksum | 1, csumStart: 34, total: 4, headerLen: 54}
			return m.append(bytes.Clone(v4.packet().Frame[:54]))
		}(),
		"a last slice of a whole that has no others": slice(v4, func(m *meta, f []byte) {
			m.index = 3
			binary.BigEndian.PutUint16(f[16:], 40+100)
		}),
		"a last slice longer than the others": slice(v4, func(m *meta, f []byte) {
			m.index = 3
			binary.BigEndian.PutUint16(f[16:], 40+100+3*99)
		}),
		"a last slice of IPv6 that has no others": slice(v6, func(m *meta, f []byte) {
			m.index = 3
			binary.BigEndian.PutUint16(f[18:], 20+100)
		}),
		"a last slice of nothing but Ethernet": (&meta{flags: flagPiece | flagOffload, hops: 9, origin: 1, offload: owedChecksum | 1, index: 3, total: 4, headerLen: 14}).
			append(append([]byte{0}, v4.packet().Frame[:14]...)),
		"a last slice of no IP":            slice(v4, func(m *meta, f []byte) { m.index, f[12] = 3, 9 }),
		"a slice of no IP":                 slice(v4, func(_ *meta, f []byte) { f[12] = 9 }),
		"tags without end":                 slice(v4, func(_ *meta, f []byte) { copy(f[12:], bytes.Repeat([]byte{0x81, 0, 0, 1}, 8)) }),
		"transport behind the headers":     slice(v4, func(m *meta, _ []byte) { m.csumStart = 50 }),
		"transport in the Ethernet header": slice(v4, func(m *meta, _ []byte) { m.csumStart = 5 }),
		"transport in the IP header":       slice(v4, func(m *meta, _ []byte) { m.csumStart = 30 }),
		"slices that are whole":            slice(v4, func(m *meta, _ []byte) { m.offload = owedChecksum }),
		"slices that owe nothing":          slice(v4, func(m *meta, _ []byte) { m.offload = 0 }),
		"TCP that ends with its ports":     short(v4, 34, owedChecksum|1),
		"IPv6 that ends in its addresses":  short(v6, 34, owedChecksum|owedUDP|5),
		"segments of unknown length":       piece(func(m *meta, _ []byte) { m.flags &^= flagMSS }),
		"segments of UDP fragmentation":    piece(func(m *meta, _ []byte) { m.offload = owedChecksum | 3 }),
		"segments of an unknown kind":      piece(func(m *meta, _ []byte) { m.offload = owedChecksum | 7 }),
		"segments of UDP with TCP's ECN":   piece(func(m *meta, _ []byte) { m.offload = owedChecksum | owedUDP | owedECN | 5 }),
		"no segments with ECN":             piece(func(m *meta, _ []byte) { m.offload = owedChecksum | owedECN }),
		"TCP with a header of 16":          piece(func(_ *meta, f []byte) { f[46] = 4 << 4 }),
		"a sum outside":                    piece(func(m *meta, _ []byte) { m.offload, m.csumStart, m.total = owedChecksum, 255, 1 })[200:],
		"a frame shorter than Ethernet":    (&meta{flags: flagPiece, hops: 9, origin: 1, total: 1}).append(make([]byte, 13)),
		"a TCP header longer than the rest": func() []byte {
			f := v4.packet().Frame[:80]
			f[46] = 15 << 4
			return (&meta{flags: flagPiece | flagOffload | flagMSS, hops: 9, origin: 1, offload: owedChecksum | 1, csumStart: 34, mss: 100, total: 1}).append(f)
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			_, b := pairOfStills(t)
			got := b.hear(b.seal(b.links[1], kindFrame, plain))
			for _, g := range got {
				t.Errorf("delivered %d bytes, offload %+v", len(g.packet.Frame), g.packet.Offload)
			}
			wantDrops(t, b, nil, map[string]uint64{"malformed": 1})
		})
	}
	for name, plain := range map[string][]byte{
		"slice":          slice(v4, func(*meta, []byte) {}),
		"slice of IPv6":  slice(v6, func(*meta, []byte) {}),
		"last slice":     slice(v4, func(m *meta, _ []byte) { m.index = 3 }),
		"last of IPv6":   slice(v6, func(m *meta, _ []byte) { m.index = 3 }),
		"whole fragment": piece(func(*meta, []byte) {}),
	} {
		_, b := pairOfStills(t)
		if got := b.hear(b.seal(b.links[1], kindFrame, plain)); len(got) != 1 {
			t.Errorf("a good %s is not delivered: %v", name, b.Drops())
		}
	}
}

// TestPortsThatMakeNoSense sends super-frames that nobody could cut.
func TestPortsThatMakeNoSense(t *testing.T) {
	s := superFrame{payload: 4000, mss: 1000}
	for name, change := range map[string]func(p *drawbridge.Packet){
		"no segment size":            func(p *drawbridge.Packet) { p.Offload.SegmentSize = 0 },
		"no checksum owed":           func(p *drawbridge.Packet) { p.Offload.Flags = 0 },
		"TCP header of 16":           func(p *drawbridge.Packet) { p.Frame[46] = 4 << 4 },
		"transport in Ethernet":      func(p *drawbridge.Packet) { p.Offload.ChecksumStart, p.Frame[16] = 4, 5<<4 },
		"transport outside":          func(p *drawbridge.Packet) { p.Frame = p.Frame[:40] },
		"nothing but headers":        func(p *drawbridge.Packet) { p.Frame = p.Frame[:54] },
		"unknown place of the sum":   func(p *drawbridge.Packet) { p.Offload.ChecksumOffset = 8 },
		"place too far to be said":   func(p *drawbridge.Packet) { p.Offload.ChecksumStart = 300 },
		"a sum outside, no segments": func(p *drawbridge.Packet) { p.Offload.GSO, p.Offload.ChecksumStart = 0, 5000 },
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := pairOfStills(t)
			p := s.packet()
			change(&p)
			a.s.Send(&drawbridge.Header{Dest: 2}, &p)
			if all := a.sealed(); len(all) != 0 {
				t.Errorf("%d datagrams", len(all))
			}
			wantDrops(t, a, nil, map[string]uint64{"bad_offload": 1})
		})
	}
}

// TestSumsThatCannotBeSaid are completed by the sender: far into the frame, or at an unusual place.
func TestSumsThatCannotBeSaid(t *testing.T) {
	for name, o := range map[string]drawbridge.Offload{
		"far":     {Flags: drawbridge.NeedsChecksum, ChecksumStart: 300, ChecksumOffset: 16},
		"unusual": {Flags: drawbridge.NeedsChecksum, ChecksumStart: 35, ChecksumOffset: 8},
		"odd":     {Flags: drawbridge.NeedsChecksum, ChecksumStart: 301, ChecksumOffset: 6},
	} {
		a, b := pairOfStills(t)
		for _, n := range []int{400, 401, 402, 403} {
			f := frameOf(n)
			at := int(o.ChecksumStart + o.ChecksumOffset)
			want := bytes.Clone(f)
			sum := ^onesSum(f[o.ChecksumStart:])
			binary.BigEndian.PutUint16(want[at:], sum)
			a.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: f, Offload: o})
			got := b.hear(a.sealed()[0].data)
			if len(got) != 1 || got[0].packet.Offload != (drawbridge.Offload{}) || !bytes.Equal(got[0].packet.Frame, want) {
				t.Errorf("%s sum of %d: %+v", name, n, got)
			}
		}
	}
	zero := make([]byte, 400)
	zero[310], zero[311] = 0xff, 0xff
	p := drawbridge.Packet{Frame: zero, Offload: drawbridge.Offload{Flags: drawbridge.NeedsChecksum, ChecksumStart: 300, ChecksumOffset: 6}}
	if !completeChecksum(&p) || binary.BigEndian.Uint16(zero[306:]) != 0xffff {
		t.Errorf("a sum of zero is written as % x, which UDP takes for none", zero[306:308])
	}
}

// TestWhatIsOwedArrives sends single frames whose checksum is owed, of every kind.
func TestWhatIsOwedArrives(t *testing.T) {
	a, b := pairOfStills(t)
	for _, s := range []superFrame{{}, {udp: true}, {v6: true}, {v6: true, udp: true, tags: 2}, {tags: 1, options: 40}} {
		s.payload, s.mss = 500, 1000
		p := s.packet()
		a.s.Send(&drawbridge.Header{Dest: 2}, &p)
		got := b.hear(a.sealed()[0].data)
		if len(got) != 1 {
			t.Fatalf("%s: %v", s, b.Drops())
		}
		if _, _, wrong := s.check(&got[0].packet); wrong != nil {
			t.Errorf("%s: %v", s, wrong)
		}
	}
}

// TestLongHeaders sends super-frames whose headers are too long for each slice to have them: in fragments.
func TestLongHeaders(t *testing.T) {
	a, b := pairOfStills(t)
	long := superFrame{payload: 5000, mss: 1000, options: 40}.packet().Frame
	f := append(bytes.Clone(long[:34]), make([]byte, 206)...) // an IP header with more options than there can be
	f = append(f, long[34:]...)
	p := drawbridge.Packet{Frame: f, Offload: drawbridge.Offload{Flags: 1, GSO: drawbridge.GSOTCPv4, SegmentSize: 1000, HeaderLen: 300, ChecksumStart: 240, ChecksumOffset: 16}}
	want := bytes.Clone(f)
	o := p.Offload
	a.s.Send(&drawbridge.Header{Dest: 2}, &p)
	var all [][]byte
	for _, d := range a.sealed() {
		all = append(all, d.data)
	}
	got := b.hear(all...)
	if len(got) != 1 || !bytes.Equal(got[0].packet.Frame, want) || got[0].packet.Offload != o {
		t.Errorf("%d frames, dropped %v %v", len(got), a.Drops(), b.Drops())
	}
}
