package forwarder

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// answers are frames, of which the hexadecimal digits tell the headers and 1,400 octets 0, 1, 2 … follow, and what
// they are answered with on a path of so many octets; the answer goes on with as much of the frame as the limit of
// RFC 4443 leaves. Both were made, lengths and checksums included, with github.com/google/gopacket.
var answers = map[string]struct {
	mtu       int
	frame     string
	answer    string
	answerLen int
}{
	"IPv4": {
		1300,
		"020000000002020000000001 0800 4500059412344000401136eec0000201c6336402 0fa0138805804232",
		"020000000001020000000002 0800 45c000380000000040018dcec6336402c0000201 03048d1b00000506" +
			"4500059412344000401136eec0000201c6336402 0fa0138805804232", 70,
	},
	"IPv4 with options": {
		1300,
		"020000000002020000000001 0800 46000598123440004011a1e5c0000201c633640294040000 0fa0138805804232",
		"020000000001020000000002 0800 45c0003c0000000040018dcac6336402c0000201 03048d1b00000506" +
			"46000598123440004011a1e5c0000201c633640294040000 0fa0138805804232", 74,
	},
	"IPv4 in a VLAN": {
		1300,
		"020000000002020000000001 81006064 0800 4500059412344000401136eec0000201c6336402 0fa0138805804232",
		"020000000001020000000002 81006064 0800 45c000380000000040018dcec6336402c0000201 03048d1f00000502" +
			"4500059412344000401136eec0000201c6336402 0fa0138805804232", 74,
	},
	"IPv4 behind two tags": {
		1300,
		"020000000002020000000001 88a80064 8100200a 0800 4500059412344000401136eec0000201c6336402 0fa0138805804232",
		"020000000001020000000002 88a80064 8100200a 0800 45c000380000000040018dcec6336402c0000201 03048d23000004fe" +
			"4500059412344000401136eec0000201c6336402 0fa0138805804232", 78,
	},
	"IPv6": {
		1300,
		"020000000002020000000001 86dd 6000000005801140 20010db8000000000000000000000001 20010db8000000000000000000000002 0fa013880580d2f4",
		"020000000001020000000002 86dd 6000000004d83a40 20010db8000000000000000000000002 20010db8000000000000000000000001 0200008800000506" +
			"6000000005801140 20010db8000000000000000000000001 20010db8000000000000000000000002 0fa013880580d2f4", 1294,
	},
	"IPv6 in a VLAN": {
		1300,
		"020000000002020000000001 81006064 86dd 6000000005801140 20010db8000000000000000000000001 20010db8000000000000000000000002 0fa013880580d2f4",
		"020000000001020000000002 81006064 86dd 6000000004d83a40 20010db8000000000000000000000002 20010db8000000000000000000000001 0200008c00000502" +
			"6000000005801140 20010db8000000000000000000000001 20010db8000000000000000000000002 0fa013880580d2f4", 1298,
	},
	"IPv6 on a path below its minimum": {
		1180,
		"020000000002020000000001 86dd 6000000005801140 20010db8000000000000000000000001 20010db8000000000000000000000002 0fa013880580d2f4",
		"020000000001020000000002 86dd 6000000004d83a40 20010db8000000000000000000000002 20010db8000000000000000000000001 0200008e00000500" +
			"6000000005801140 20010db8000000000000000000000001 20010db8000000000000000000000002 0fa013880580d2f4", 1294,
	},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// big is a frame that begins with these headers.
func big(t testing.TB, headers string) drawbridge.Frame {
	f := unhex(t, headers)
	for i := range 1400 {
		f = append(f, byte(i))
	}
	return f
}

// pair is two peers with a guest each, 1 and 2, who know each other, and nothing said so far.
func pair(t testing.TB) (f *fabric, g []*station) {
	f, g = hosts(t, 2)
	g[1].say(drawbridge.Broadcast, 0)
	g[0].say(drawbridge.Broadcast, 0)
	g[0].got, g[1].got, f.log = nil, nil, nil
	return f, g
}

func TestAnswersToWhatIsTooBig(t *testing.T) {
	for name, c := range answers {
		t.Run(name, func(t *testing.T) {
			f, g := pair(t)
			f.mtu[2] = c.mtu
			asked, want := big(t, c.frame), unhex(t, c.answer)
			rest := asked[len(unhex(t, c.frame)):]
			want = append(want, rest[:c.answerLen-len(want)]...)
			g[0].send(drawbridge.Packet{Frame: asked})
			if len(g[0].got) != 1 || !bytes.Equal(g[0].got[0], want) {
				t.Errorf("answered with\n%x\nwant\n%x", g[0].got, want)
			}
			if len(f.log) != 0 || f.wires[0].ports[0].dropped(dropTooBig) != 1 {
				t.Errorf("%d frames went on", len(f.log))
			}
		})
	}
}

// udp4 is an IPv4 frame of guest 1 to guest 2, not to be fragmented, with so many octets behind the link header;
// udp6 the same of IPv6. Sums are wrong: nobody asks.
func udp4(t testing.TB, length int) drawbridge.Frame {
	f := big(t, "020000000002020000000001 0800 4500059412344000401136eec0000201c6336402 0fa0138805804232")[:14+length]
	binary.BigEndian.PutUint16(f[16:], uint16(length))
	return f
}

func udp6(t testing.TB, length int) drawbridge.Frame {
	f := big(t, answers["IPv6"].frame)[:14+length]
	binary.BigEndian.PutUint16(f[18:], uint16(length-40))
	return f
}

// with is f with other bytes at a place.
func with(f drawbridge.Frame, at int, b ...byte) drawbridge.Frame {
	copy(f[at:], b)
	return f
}

// extended is f, of IPv6, with extension headers put in front of what it carries.
func extended(f drawbridge.Frame, first byte, headers ...byte) drawbridge.Frame {
	f[20] = first
	return slices.Insert(f, 54, headers...)
}

func TestWhatIsNeverAnswered(t *testing.T) {
	for name, p := range map[string]drawbridge.Packet{
		"fits":                      {Frame: udp4(t, 1286)},
		"IPv4 that may be cut":      {Frame: with(udp4(t, 1400), 20, 0)},
		"fragment":                  {Frame: with(udp4(t, 1400), 20, 0x40, 1)},
		"first fragment":            {Frame: with(udp4(t, 1400), 20, 0x60, 0)},
		"TCP":                       {Frame: with(udp4(t, 1400), 23, 6)},
		"ICMP unreachable":          {Frame: with(with(udp4(t, 1400), 23, 1), 34, 3)},
		"the same behind options":   {Frame: with(with(with(udp4(t, 1400), 14, 0x46), 23, 1), 34, 0, 0, 0, 0, 3)},
		"to a group":                {Frame: with(udp4(t, 1400), 30, 239, 1, 2, 3)},
		"to everybody":              {Frame: with(udp4(t, 1400), 30, 255, 255, 255, 255)},
		"from nobody":               {Frame: with(udp4(t, 1400), 26, 0, 0, 0, 0)},
		"from a group":              {Frame: with(udp4(t, 1400), 26, 224, 0, 0, 1)},
		"from itself":               {Frame: with(udp4(t, 1400), 26, 127, 0, 0, 1)},
		"not version 4":             {Frame: with(udp4(t, 1400), 14, 0x65)},
		"header too short":          {Frame: with(udp4(t, 1400), 14, 0x44)},
		"IPv6 that must always fit": {Frame: udp6(t, 1280)},
		"IPv6 TCP":                  {Frame: with(udp6(t, 1400), 20, 6)},
		"IPv6 TCP behind options":   {Frame: extended(udp6(t, 1400), 0, 6, 0, 1, 4, 0, 0, 0, 0)},
		"IPv6 fragment":             {Frame: extended(udp6(t, 1400), 44, 17, 0, 0, 8, 0, 0, 0, 1)},
		"fragment behind a route":   {Frame: extended(udp6(t, 1392), 43, 44, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 8, 0, 0, 0, 1)},
		"ICMPv6 error":              {Frame: with(with(udp6(t, 1400), 20, 58), 54, 1)},
		"ICMPv6 error behind AH":    {Frame: extended(with(udp6(t, 1400), 54, 1), 51, 58, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
		"ICMPv6 redirect":           {Frame: with(with(udp6(t, 1400), 20, 58), 54, 137)},
		"IPv6 to a group":           {Frame: with(udp6(t, 1400), 38, 0xff, 2)},
		"IPv6 from nobody":          {Frame: with(udp6(t, 1400), 22, make([]byte, 16)...)},
		"IPv6 from a group":         {Frame: with(udp6(t, 1400), 22, 0xff, 2)},
		"not version 6":             {Frame: with(udp6(t, 1400), 14, 0x45)},
		"endless extensions":        {Frame: extended(udp6(t, 1300), 0, bytes.Repeat([]byte{0, 0, 1, 4, 0, 0, 0, 0}, 10)...)},
		"ICMPv6 past the end":       {Frame: extended(udp6(t, 1400), 0, 58, 255, 1, 4, 0, 0, 0, 0)},
		"extension past the end":    {Frame: extended(udp6(t, 1400), 0, 0, 255, 1, 4, 0, 0, 0, 0)},
		"neither IPv4 nor IPv6":     {Frame: with(udp4(t, 1400), 12, 0x88, 0xb5)},
		"three tags":                {Frame: with(udp4(t, 1400), 12, 0x81, 0, 0, 1, 0x81, 0, 0, 1, 0x81, 0, 0, 1, 8, 0)},
		"super-frame of TCP": {Frame: with(udp4(t, 1400), 23, 6), Offload: drawbridge.Offload{
			Flags: drawbridge.NeedsChecksum, GSO: drawbridge.GSOTCPv4, HeaderLen: 54, SegmentSize: 1300, ChecksumStart: 34, ChecksumOffset: 16,
		}},
		"super-frame of small datagrams": {Frame: udp4(t, 1400), Offload: drawbridge.Offload{
			Flags: drawbridge.NeedsChecksum, GSO: drawbridge.GSOUDP, HeaderLen: 42, SegmentSize: 1258, ChecksumStart: 34, ChecksumOffset: 6,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f, g := pair(t)
			f.mtu[2] = 1300
			want := bytes.Clone(p.Frame)
			g[0].send(p)
			if len(g[0].got) != 0 || len(f.log) != 1 || !bytes.Equal(f.log[0].packet.Frame, want) {
				t.Errorf("answered with %x, and %d frames went on", g[0].got, len(f.log))
			}
		})
	}
}

func TestWhatIsAnsweredToo(t *testing.T) {
	for name, p := range map[string]drawbridge.Packet{
		"echo":                 {Frame: with(with(udp4(t, 1400), 23, 1), 34, 8)},
		"echo reply":           {Frame: with(with(udp4(t, 1400), 23, 1), 34, 0)},
		"ICMPv6 echo":          {Frame: with(with(udp6(t, 1400), 20, 58), 54, 128)},
		"UDP behind extension": {Frame: extended(udp6(t, 1400), 60, 17, 0, 1, 4, 0, 0, 0, 0)},
		"super-frame of datagrams": {Frame: udp4(t, 1428), Offload: drawbridge.Offload{
			Flags: drawbridge.NeedsChecksum, GSO: drawbridge.GSOUDP, HeaderLen: 42, SegmentSize: 1259, ChecksumStart: 34, ChecksumOffset: 6,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f, g := pair(t)
			f.mtu[2] = 1300
			g[0].send(p)
			if len(g[0].got) != 1 || len(f.log) != 0 {
				t.Errorf("answered %d times, and %d frames went on", len(g[0].got), len(f.log))
			}
		})
	}
}

func TestFloodsAreNeverAnswered(t *testing.T) {
	f, g := pair(t)
	f.mtu[0], f.mtu[2] = 1300, 1300
	for _, dst := range []drawbridge.MAC{drawbridge.Broadcast, {1, 0, 0x5e, 1, 2, 3}, address(99)} {
		g[0].send(drawbridge.Packet{Frame: with(udp4(t, 1400), 0, dst[:]...)})
	}
	if len(g[0].got) != 0 || len(f.log) != 3 {
		t.Errorf("%d answers, %d frames went on", len(g[0].got), len(f.log))
	}
}

func TestAnswersHaveARate(t *testing.T) {
	f, g := pair(t)
	f.mtu[2] = 1300
	ask := func(n int) (answered int) {
		for range n {
			g[0].send(drawbridge.Packet{Frame: udp4(t, 1400)})
		}
		answered = len(g[0].got)
		g[0].got = nil
		return answered
	}
	if n := ask(answerBurst + 10); n != answerBurst {
		t.Errorf("%d answers at once, want %d", n, answerBurst)
	}
	f.now += time.Second / answerRate
	if n := ask(5); n != 1 {
		t.Errorf("%d answers after the time of one", n)
	}
	if len(f.log) != 0 {
		t.Errorf("%d unanswered frames went on", len(f.log))
	}
}

// TestAnswersObeyTheGate: the answer to a host on a segment is written to the segment.
func TestAnswersObeyTheGate(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.guest.say(drawbridge.Broadcast, 0)
	o.host.say(drawbridge.Broadcast, 0)
	o.mtu[1] = 1300
	o.host.got = nil
	ask := with(with(udp4(t, 1400), 0, o.guest.mac[:]...), 6, o.host.mac[:]...)
	o.host.send(drawbridge.Packet{Frame: ask})
	if len(o.host.got) != 1 || o.host.got[0].Src() != o.guest.mac {
		t.Fatalf("answered with %x", o.host.got)
	}
	o.host.got = nil
	o.a.pump.now = o.now
	p := drawbridge.Packet{Frame: bytes.Clone(ask)}
	o.a.gate.Shut()
	o.a.pump.frame(&p, 5)
	o.settle()
	if len(o.host.got) != 0 || o.a.dropped(dropGateShut) != 1 {
		t.Errorf("answered with %x through a shut gate", o.host.got)
	}
}
