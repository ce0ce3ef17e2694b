package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// shape names a super-frame to build.
type shape struct {
	gso     uint8
	tags    []uint16 // tag protocols, outermost first
	options int      // bytes of TCP options
	extra   bool     // an IPv6 hop-by-hop header
	payload int
	size    int // segment
}

func (s shape) String() string {
	return fmt.Sprintf("gso=%#x,tags=%x,options=%d,extra=%v,payload=%d,size=%d", s.gso, s.tags, s.options, s.extra, s.payload, s.size)
}

func (s shape) proto() byte {
	if s.gso == drawbridge.GSOUDP {
		return protoUDP
	}
	return protoTCP
}

// build makes the packet as Linux's stack would hand it to a card that segments.
func (s shape) build(v6 bool) drawbridge.Packet {
	f := drawbridge.Frame{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for i, tpid := range s.tags {
		f = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(f, tpid), uint16(42+i))
	}
	transport := make([]byte, udpLen)
	if s.proto() == protoTCP {
		transport = make([]byte, minTCP+s.options)
		binary.BigEndian.PutUint32(transport[4:], 0xffffff00) // wraps soon
		transport[12], transport[13] = byte(len(transport)/4)<<4, 0x10|tcpFIN|tcpPSH|tcpCWR
		for i := minTCP; i < len(transport); i++ {
			transport[i] = 1
		}
	}
	binary.BigEndian.PutUint16(transport, 4000)
	binary.BigEndian.PutUint16(transport[2:], 5000)
	if s.proto() == protoUDP {
		binary.BigEndian.PutUint16(transport[4:], uint16(udpLen+s.payload))
	}
	for i := range s.payload {
		transport = append(transport, byte(i*7+i>>8))
	}
	if v6 {
		f = s.ipv6(f, len(transport))
	} else {
		f = s.ipv4(f, len(transport))
	}
	at := len(f)
	p := drawbridge.Packet{Frame: append(f, transport...)}
	p.Offload = drawbridge.Offload{Flags: drawbridge.NeedsChecksum, GSO: s.gso, SegmentSize: uint16(s.size), HeaderLen: 9999}
	l := Parse(p.Frame)
	if l.Transport != at {
		panic(fmt.Sprintf("%v: parsed %+v, transport at %d", s, l, at))
	}
	p.Offload.ChecksumStart, p.Offload.ChecksumOffset = uint16(at), l.checksumOffset()
	l.putChecksum(p.Frame, drawbridge.FoldSum(l.pseudo(p.Frame, len(transport))))
	return p
}

func (s shape) ipv4(f drawbridge.Frame, transport int) drawbridge.Frame {
	f = binary.BigEndian.AppendUint16(f, typeIPv4)
	ip := make([]byte, minIPv4)
	ip[0], ip[8], ip[9] = 0x45, 64, s.proto()
	binary.BigEndian.PutUint16(ip[2:], uint16(minIPv4+transport))
	binary.BigEndian.PutUint16(ip[4:], 0xfffe)
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(ip[10:], ^slowSum(ip))
	return append(f, ip...)
}

func (s shape) ipv6(f drawbridge.Frame, transport int) drawbridge.Frame {
	f = binary.BigEndian.AppendUint16(f, typeIPv6)
	ip := make([]byte, fixedIPv6)
	ip[0], ip[6], ip[7], ip[8], ip[24], ip[39] = 0x60, s.proto(), 64, 0xfd, 0xfd, 1
	if s.extra {
		ip[6] = 0
		ip = append(ip, s.proto(), 0, 1, 4, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-fixedIPv6+transport))
	return append(f, ip...)
}

// slowSum is RFC 1071 read word by word: the second opinion on sum and fold.
func slowSum(b []byte) uint16 {
	var acc uint32
	for i, c := range b {
		acc += uint32(c) << (8 * (1 - i%2))
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc>>16 + acc&0xffff)
}

// correct checks one finished frame as a receiver would: lengths and both checksums.
func correct(t testing.TB, f drawbridge.Frame) (l Layout) {
	t.Helper()
	l = Parse(f)
	ip, transport := f[l.Network:], f[l.Transport:]
	pseudo := append([]byte{}, ip[12:20]...)
	if l.IPv6 {
		pseudo = append([]byte{}, ip[8:40]...)
		if got := int(binary.BigEndian.Uint16(ip[4:])); got != len(ip)-fixedIPv6 {
			t.Errorf("IPv6 payload length %d of %d bytes", got, len(ip)-fixedIPv6)
		}
	} else {
		if slowSum(ip[:l.Transport-l.Network]) != 0xffff {
			t.Error("IPv4 header checksum is wrong")
		}
		if got := int(binary.BigEndian.Uint16(ip[2:])); got != len(ip) {
			t.Errorf("IPv4 total length %d of %d bytes", got, len(ip))
		}
	}
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(transport)))
	pseudo = append(pseudo, 0, l.Protocol)
	if slowSum(append(pseudo, transport...)) != 0xffff {
		t.Error("transport checksum is wrong")
	}
	if l.Protocol == protoUDP && int(binary.BigEndian.Uint16(transport[4:])) != len(transport) {
		t.Error("UDP length is wrong")
	}
	return l
}

var shapes = []shape{
	{gso: drawbridge.GSOTCPv4, payload: 5000, size: 1460},
	{gso: drawbridge.GSOTCPv4, payload: 2 * 1448, size: 1448, options: 12, tags: []uint16{typeVLAN}},
	{gso: drawbridge.GSOTCPv4 | drawbridge.GSOECN, payload: 60001, size: 1001, tags: []uint16{typeSVLAN, typeVLAN}},
	{gso: drawbridge.GSOTCPv6, payload: 5000, size: 1440, options: 12},
	{gso: drawbridge.GSOTCPv6, payload: 777, size: 100, extra: true, tags: []uint16{typeSVLAN}},
	{gso: drawbridge.GSOUDP, payload: 5000, size: 1200},
	{gso: drawbridge.GSOTCPv4, payload: 10, size: 1460},
}

func each(t *testing.T, test func(t *testing.T, s shape, p drawbridge.Packet)) {
	for _, s := range shapes {
		if s.gso != drawbridge.GSOTCPv6 {
			t.Run("v4,"+s.String(), func(t *testing.T) { test(t, s, s.build(false)) })
		}
		if s.gso&^drawbridge.GSOECN != drawbridge.GSOTCPv4 {
			t.Run("v6,"+s.String(), func(t *testing.T) { test(t, s, s.build(true)) })
		}
	}
}

func TestSplitMakesTheFramesOfTheSender(t *testing.T) {
	each(t, func(t *testing.T, s shape, p drawbridge.Packet) {
		before, l := bytes.Clone(p.Frame), Parse(p.Frame)
		var splitter Splitter
		var got []byte
		index, total := 0, (s.payload+s.size-1)/s.size
		err := splitter.Split(&p, 0, func(f drawbridge.Frame) {
			if cap(f) < len(f)+room {
				t.Errorf("%d bytes behind segment %d, want %d", cap(f)-len(f), index, room)
			}
			if !bytes.Equal(f[:l.Network], before[:l.Network]) {
				t.Errorf("segment %d: the tags changed", index)
			}
			checkSegment(t, f, l, index, len(got), index == total-1)
			got = append(got, f[l.Payload:]...)
			index++
		})
		if err != nil || index != total {
			t.Fatalf("%d segments, want %d: %v", index, total, err)
		}
		if !bytes.Equal(got, p.Frame[l.Payload:]) {
			t.Error("the payload changed")
		}
		if !bytes.Equal(before, p.Frame) {
			t.Error("Split changed the packet, which other ports may still need")
		}
	})
}

func checkSegment(t *testing.T, f drawbridge.Frame, whole Layout, index, at int, last bool) {
	t.Helper()
	if l := correct(t, f); l != whole {
		t.Errorf("segment %d has layout %+v, want %+v", index, l, whole)
	}
	if id := binary.BigEndian.Uint16(f[whole.Network+4:]); !whole.IPv6 && id != 0xfffe+uint16(index) {
		t.Errorf("segment %d has identification %#x", index, id)
	}
	if whole.Protocol == protoUDP {
		return
	}
	tcp := f[whole.Transport:]
	if seq := binary.BigEndian.Uint32(tcp[4:]); seq != 0xffffff00+uint32(at) {
		t.Errorf("segment %d has sequence number %#x", index, seq)
	}
	want := byte(0x10)
	if last {
		want |= tcpFIN | tcpPSH
	}
	if index == 0 {
		want |= tcpCWR
	}
	if tcp[13] != want {
		t.Errorf("segment %d has flags %#x, want %#x", index, tcp[13], want)
	}
}

func TestSplitFitsTCPToTheMTUAndLeavesDatagramsWhole(t *testing.T) {
	each(t, func(t *testing.T, s shape, p drawbridge.Packet) {
		const mtu = 600
		var splitter Splitter
		longest := 0
		if err := splitter.Split(&p, mtu, func(f drawbridge.Frame) {
			longest = max(longest, len(f)-correct(t, f).Network)
		}); err != nil {
			t.Fatal(err)
		}
		if s.proto() == protoTCP && longest > mtu {
			t.Errorf("a TCP segment of %d bytes on an MTU of %d", longest, mtu)
		}
		if s.proto() == protoUDP && longest < s.size {
			t.Errorf("a datagram of %d bytes was cut to %d", s.size, longest)
		}
	})
}

func TestCompleteFinishesAPartialChecksum(t *testing.T) {
	each(t, func(t *testing.T, s shape, p drawbridge.Packet) {
		if err := Complete(&p); !errors.Is(err, ErrOffload) {
			t.Fatalf("completed a super-frame: %v", err)
		}
		p.Offload.GSO = drawbridge.GSONone
		if err := Complete(&p); err != nil {
			t.Fatal(err)
		}
		correct(t, p.Frame)
		if p.Offload != (drawbridge.Offload{}) {
			t.Errorf("still owed: %+v", p.Offload)
		}
	})
}

func TestAChecksumOfZeroIsSentAsItsTwin(t *testing.T) {
	p := shape{gso: drawbridge.GSOUDP, payload: 4}.build(false)
	p.Offload.GSO = drawbridge.GSONone
	l := Parse(p.Frame)
	tail := p.Frame[l.Payload+2:]
	clear(tail)
	binary.BigEndian.PutUint16(tail, ^slowSum(p.Frame[l.Transport:])) // now the sum is 0xffff, its complement 0
	if err := Complete(&p); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint16(p.Frame[l.Transport+udpChecksumAt:]); got != 0xffff {
		t.Errorf("checksum %#x: 0 says that there is none", got)
	}
	correct(t, p.Frame)
}

func TestSplitPassesWhatOwesNothingAndCompletesACopy(t *testing.T) {
	p := shape{gso: drawbridge.GSOTCPv4, payload: 100, size: 50}.build(false)
	p.Offload.GSO = drawbridge.GSONone
	before := bytes.Clone(p.Frame)
	var splitter Splitter
	if err := splitter.Split(&p, 0, func(f drawbridge.Frame) { correct(t, f) }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, p.Frame) {
		t.Error("the packet changed")
	}
	p.Offload = drawbridge.Offload{}
	if err := splitter.Split(&p, 0, func(f drawbridge.Frame) {
		if &f[0] != &p.Frame[0] {
			t.Error("a finished frame was copied")
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSettleReplacesHintsByFacts(t *testing.T) {
	each(t, func(t *testing.T, s shape, p drawbridge.Packet) {
		l := Parse(p.Frame)
		p.Offload.Flags |= 2 // VIRTIO_NET_HDR_F_DATA_VALID
		if err := Settle(&p); err != nil {
			t.Fatal(err)
		}
		want := drawbridge.Offload{
			Flags: drawbridge.NeedsChecksum, GSO: s.gso, HeaderLen: uint16(l.Payload), SegmentSize: uint16(s.size),
			ChecksumStart: uint16(l.Transport), ChecksumOffset: l.checksumOffset(),
		}
		if p.Offload != want {
			t.Errorf("settled to %+v, want %+v", p.Offload, want)
		}
	})
}

func TestSettleGivesASuperFrameItsPartialChecksum(t *testing.T) {
	each(t, func(t *testing.T, _ shape, p drawbridge.Packet) {
		want := bytes.Clone(p.Frame)
		Parse(p.Frame).putChecksum(p.Frame, 0x1234)
		p.Offload.Flags = 2 // received and found right by the card: no partial sum
		if err := Settle(&p); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p.Frame, want) || p.Offload.Flags != drawbridge.NeedsChecksum {
			t.Errorf("offload %+v", p.Offload)
		}
	})
}

func TestSettleForgetsHowAFinishedFrameWasReceived(t *testing.T) {
	p := drawbridge.Packet{Frame: make(drawbridge.Frame, 60), Offload: drawbridge.Offload{Flags: 2, HeaderLen: 60}}
	if err := Settle(&p); err != nil || p.Offload != (drawbridge.Offload{}) {
		t.Errorf("%+v, %v", p.Offload, err)
	}
}

// TestSettleRefusesWhatCannotBeTrue holds the cases that must not get past a port.
func TestSettleRefusesWhatCannotBeTrue(t *testing.T) {
	tcp := func(change func(p *drawbridge.Packet)) drawbridge.Packet {
		p := shape{gso: drawbridge.GSOTCPv4, payload: 3000, size: 1000}.build(false)
		change(&p)
		return p
	}
	for name, p := range map[string]drawbridge.Packet{
		"unknown type":      tcp(func(p *drawbridge.Packet) { p.Offload.GSO = 3 }),
		"wrong family":      tcp(func(p *drawbridge.Packet) { p.Offload.GSO = drawbridge.GSOTCPv6 }),
		"wrong protocol":    tcp(func(p *drawbridge.Packet) { p.Offload.GSO = drawbridge.GSOUDP }),
		"no size":           tcp(func(p *drawbridge.Packet) { p.Offload.SegmentSize = 0 }),
		"cut short":         tcp(func(p *drawbridge.Packet) { p.Frame = p.Frame[:50] }),
		"not IP":            tcp(func(p *drawbridge.Packet) { p.Frame[12] = 0 }),
		"checksum outside":  tcp(func(p *drawbridge.Packet) { p.Offload.GSO, p.Offload.ChecksumStart = 0, 0xfff0 }),
		"checksum on edge":  tcp(func(p *drawbridge.Packet) { p.Offload.GSO, p.Frame = 0, p.Frame[:14+20+17] }),
		"checksum in MACs":  tcp(func(p *drawbridge.Packet) { p.Offload.GSO, p.Offload.ChecksumStart = 0, 2 }),
		"source-routed TCP": routed(),
	} {
		if err := Settle(&p); !errors.Is(err, ErrOffload) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// inVXLAN is a super-frame inside a tunnel, as a packet socket shows it: like one without, but for the place of the
// checksum.
func inVXLAN(inner drawbridge.Packet, v6, summed bool) drawbridge.Packet {
	const vxlan = 8
	outer := shape{gso: drawbridge.GSOUDP, tags: []uint16{typeVLAN}, payload: vxlan + len(inner.Frame)}.build(v6)
	l := Parse(outer.Frame)
	copy(outer.Frame[l.Payload+vxlan:], inner.Frame)
	if !summed {
		l.putChecksum(outer.Frame, 0)
	}
	o := inner.Offload
	o.ChecksumStart += uint16(l.Payload + vxlan)
	return drawbridge.Packet{Frame: outer.Frame, Offload: o}
}

// TestATunnelIsCutInside: nobody but Split can handle such a frame, and it says so.
func TestATunnelIsCutInside(t *testing.T) {
	each(t, func(t *testing.T, s shape, whole drawbridge.Packet) {
		if len(s.tags) > 0 || s.extra || s.payload <= s.size {
			return // forms that tunnels do not have inside
		}
		for _, outer6 := range []bool{false, true} {
			for _, summed := range []bool{false, true} {
				p := inVXLAN(whole, outer6, summed)
				if err := Settle(&p); !errors.Is(err, ErrTunnel) || !errors.Is(err, ErrOffload) {
					t.Fatalf("settled with %v", err)
				}
				checkTunnel(t, s, p, whole, summed)
			}
		}
	})
}

func checkTunnel(t *testing.T, s shape, p, whole drawbridge.Packet, summed bool) {
	t.Helper()
	inner, index, got := Parse(whole.Frame), 0, []byte(nil)
	var splitter Splitter
	err := splitter.Split(&p, 0, func(f drawbridge.Frame) {
		l := Parse(f)
		payload := f[l.Payload+8:]
		checkSegment(t, payload, inner, index, len(got), len(got)+s.size >= s.payload)
		if has := binary.BigEndian.Uint16(f[l.Transport+udpChecksumAt:]) != 0; has != summed {
			t.Errorf("outer checksum: %v, want %v", has, summed)
		}
		if summed {
			correct(t, f)
		}
		if length := int(binary.BigEndian.Uint16(f[l.Transport+4:])); length != len(f)-l.Transport {
			t.Errorf("outer UDP length %d of %d", length, len(f)-l.Transport)
		}
		got, index = append(got, payload[inner.Payload:]...), index+1
	})
	if err != nil || !bytes.Equal(got, whole.Frame[inner.Payload:]) {
		t.Errorf("%d segments: %v", index, err)
	}
	longest := 0
	_ = splitter.Split(&p, 700, func(f drawbridge.Frame) { longest = max(longest, len(f)-Parse(f).Network) })
	if s.proto() == protoTCP && longest > 700 {
		t.Errorf("%d bytes on an MTU of 700", longest)
	}
}

// routed is on its way through a routing header, so its checksum covers an address further down the list.
func routed() drawbridge.Packet {
	p := shape{gso: drawbridge.GSOTCPv6, payload: 3000, size: 1000, extra: true}.build(true)
	l := Parse(p.Frame)
	p.Frame[l.Network+6], p.Frame[l.Network+fixedIPv6+3] = 43, 1
	return p
}

func TestVnetHeaderIsTheKernels(t *testing.T) {
	want := drawbridge.Offload{Flags: 1, GSO: 0x81, HeaderLen: 66, SegmentSize: 1448, ChecksumStart: 34, ChecksumOffset: 16}
	var b [VnetLen]byte
	PutVnet(b[:], want)
	if got := Vnet(b[:]); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSplitAllocatesNothing(t *testing.T) {
	p := shape{gso: drawbridge.GSOTCPv4, payload: 60000, size: 1448}.build(false)
	var splitter Splitter
	out := func(drawbridge.Frame) {}
	if n := testing.AllocsPerRun(10, func() { _ = splitter.Split(&p, 1500, out) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range shapes {
		p := s.build(s.gso == drawbridge.GSOTCPv6)
		f.Add([]byte(p.Frame), s.gso, uint16(s.size), p.Offload.ChecksumStart, p.Offload.ChecksumOffset, 1500)
	}
	tunnel := inVXLAN(shapes[0].build(false), false, true)
	f.Add([]byte(tunnel.Frame), tunnel.Offload.GSO, tunnel.Offload.SegmentSize, tunnel.Offload.ChecksumStart, tunnel.Offload.ChecksumOffset, 1500)
	f.Fuzz(func(t *testing.T, frame []byte, gso uint8, size, start, offset uint16, mtu int) {
		p := drawbridge.Packet{Frame: frame, Offload: drawbridge.Offload{
			Flags: drawbridge.NeedsChecksum, GSO: gso, SegmentSize: size, ChecksumStart: start, ChecksumOffset: offset,
		}}
		if err := Settle(&p); errors.Is(err, ErrTunnel) {
			var splitter Splitter
			if err := splitter.Split(&p, mtu, func(drawbridge.Frame) {}); err != nil {
				t.Fatalf("a tunnel, but %v", err)
			}
			return
		} else if err != nil {
			return
		}
		l, total := Parse(p.Frame), 0
		var splitter Splitter
		if err := splitter.Split(&p, mtu, func(s drawbridge.Frame) { total += len(s) - l.Payload }); err != nil {
			t.Fatalf("settled, but %v", err)
		}
		if gso != drawbridge.GSONone && total != len(p.Frame)-l.Payload {
			t.Fatalf("%d bytes of payload became %d", len(p.Frame)-l.Payload, total)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	p := shape{gso: drawbridge.GSOTCPv4, payload: 60000, size: 1448}.build(false)
	var splitter Splitter
	out := func(drawbridge.Frame) {}
	b.SetBytes(int64(len(p.Frame)))
	for b.Loop() {
		_ = splitter.Split(&p, 1500, out)
	}
}

func BenchmarkSum(b *testing.B) {
	buf := make([]byte, 1460)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		drawbridge.InternetSum(0, buf)
	}
}
