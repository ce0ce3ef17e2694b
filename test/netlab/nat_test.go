package netlab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// datagram is an IPv4 packet with UDP, TCP or ICMP echo in it.
func datagram(protocol uint8, from, to string) []byte {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	l4 := make([]byte, 24)
	switch protocol {
	case protoICMP:
		l4[0] = echoRequest4
		binary.BigEndian.PutUint16(l4[4:], src.Port())
		if src.Port() == 0 {
			l4[0] = echoReply4
			binary.BigEndian.PutUint16(l4[4:], dst.Port())
		}
	default:
		binary.BigEndian.PutUint16(l4[0:], src.Port())
		binary.BigEndian.PutUint16(l4[2:], dst.Port())
	}
	b := make([]byte, 20, 64)
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(l4)))
	copy(b[12:], src.Addr().AsSlice())
	copy(b[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	sumL4(ipv4{header: b, l4: l4})
	return append(b, l4...)
}

// sumL4 sets the checksum from scratch.
func sumL4(p ipv4) {
	field := map[uint8][]byte{protoICMP: p.l4[2:4], protoTCP: p.l4[16:18], protoUDP: p.l4[6:8]}[p.protocol()]
	field[0], field[1] = 0, 0
	b := p.l4
	if p.protocol() != protoICMP {
		pseudo := append(append([]byte{}, p.header[12:20]...), 0, p.protocol(), 0, byte(len(p.l4)))
		b = append(pseudo, p.l4...)
	}
	binary.BigEndian.PutUint16(field, checksum(b))
}

// ends reads a packet back, and demands that its checksums are right.
func ends(t *testing.T, b []byte) (from, to string) {
	t.Helper()
	p, err := parseIPv4(b)
	if err != nil {
		t.Fatal(err)
	}
	again := append([]byte{}, b...)
	q, _ := parseIPv4(again)
	sumL4(q)
	if checksum(p.header) != 0 || string(q.l4) != string(p.l4) {
		t.Errorf("checksums of % x are wrong, want % x", b, again)
	}
	return p.end(srcEnd).String(), p.end(dstEnd).String()
}

func newNAT(m Mapping) *NAT {
	return &NAT{Inside: netip.MustParsePrefix("192.168.1.0/24"), Outside: netip.MustParseAddr("192.0.2.220"), Mapping: m}
}

var natStart = time.Unix(1_000_000, 0)

// leaves sends from inside and returns what the outside sees as sender.
func leaves(t *testing.T, n *NAT, protocol uint8, from, to string, now time.Time) string {
	t.Helper()
	b := datagram(protocol, from, to)
	if err := n.Translate(b, now); err != nil {
		t.Fatalf("%s to %s: %v", from, to, err)
	}
	src, dst := ends(t, b)
	if dst != to {
		t.Errorf("destination became %s", dst)
	}
	return src
}

func TestNATGivesPortsAsItsMappingSays(t *testing.T) {
	for _, protocol := range []uint8{protoUDP, protoTCP, protoICMP} {
		far1, far2 := "192.0.2.10:6630", "192.0.2.11:6630"
		if protocol == protoICMP {
			far1, far2 = "192.0.2.10:0", "192.0.2.11:0"
		}
		n := newNAT(Independent)
		one, two := leaves(t, n, protocol, "192.168.1.10:6630", far1, natStart), leaves(t, n, protocol, "192.168.1.10:6630", far2, natStart)
		other := leaves(t, n, protocol, "192.168.1.11:6630", far1, natStart)
		if one != two || one == other {
			t.Errorf("protocol %d, independent: %s, %s; another host %s", protocol, one, two, other)
		}
		n = newNAT(Symmetric)
		one, two = leaves(t, n, protocol, "192.168.1.10:6630", far1, natStart), leaves(t, n, protocol, "192.168.1.10:6630", far2, natStart)
		if one == two || one != leaves(t, n, protocol, "192.168.1.10:6630", far1, natStart) {
			t.Errorf("protocol %d, symmetric: %s, %s", protocol, one, two)
		}
	}
}

func TestNATLetsInOnlyAnswers(t *testing.T) {
	for _, m := range []Mapping{Independent, Symmetric} {
		n := newNAT(m)
		src := leaves(t, n, protoUDP, "192.168.1.10:6630", "192.0.2.10:6630", natStart)
		answer := datagram(protoUDP, "192.0.2.10:6630", src)
		if err := n.Translate(answer, natStart); err != nil {
			t.Fatal(err)
		}
		if from, to := ends(t, answer); from != "192.0.2.10:6630" || to != "192.168.1.10:6630" {
			t.Errorf("the answer goes from %s to %s", from, to)
		}
		for _, from := range []string{"192.0.2.10:6631", "192.0.2.11:6630"} {
			if err := n.Translate(datagram(protoUDP, from, src), natStart); !errors.Is(err, errNATClosed) {
				t.Errorf("from %s: %v", from, err)
			}
		}
		if err := n.Translate(answer, natStart); !errors.Is(err, errNATOther) {
			t.Errorf("transit: %v", err)
		}
	}
}

func TestNATForgetsWhatIsNotUsed(t *testing.T) {
	n := newNAT(Independent)
	src := leaves(t, n, protoUDP, "192.168.1.10:6630", "192.0.2.10:6630", natStart)
	if leaves(t, n, protoUDP, "192.168.1.10:6630", "192.0.2.10:6630", natStart.Add(natTimeoutUDP-time.Second)) != src {
		t.Error("forgotten while in use")
	}
	if leaves(t, n, protoUDP, "192.168.1.10:6630", "192.0.2.10:6630", natStart.Add(3*natTimeoutUDP)) == src {
		t.Error("kept though unused")
	}
	if err := n.Translate(datagram(protoUDP, "192.0.2.10:6630", src), natStart.Add(3*natTimeoutUDP)); err == nil {
		t.Error("still lets answers in")
	}
	if len(n.byFlow) != 1 || len(n.byPort) != 1 {
		t.Errorf("%d flows, %d ports", len(n.byFlow), len(n.byPort))
	}
}

func TestNATTranslatesErrorsAboutPackets(t *testing.T) {
	n := newNAT(Independent)
	sent := datagram(protoUDP, "192.168.1.10:6630", "192.0.2.10:6630")
	if err := n.Translate(sent, natStart); err != nil {
		t.Fatal(err)
	}
	b := datagram(protoICMP, "192.0.2.1:0", "192.0.2.220:0")[:20]
	tooBig := append([]byte{3, 4, 0, 0, 0, 0, 5, 0}, sent[:28]...)
	b = append(b, tooBig...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
	if err := n.Translate(b, natStart); err != nil {
		t.Fatal(err)
	}
	p, _ := parseIPv4(b)
	quoted, _ := p.icmpError()
	if p.dst().String() != "192.168.1.10" || quoted.end(srcEnd).String() != "192.168.1.10:6630" || checksum(p.l4) != 0 || checksum(p.header) != 0 {
		t.Errorf("to %v about %v, sums %#x %#x", p.dst(), quoted.end(srcEnd), checksum(p.l4), checksum(p.header))
	}
}

func TestNATJoinsTwoInsidesThatCallEachOther(t *testing.T) {
	n := newNAT(Independent)
	if err := n.Translate(datagram(protoUDP, "192.168.1.10:1", "192.0.2.220:20001"), natStart); !errors.Is(err, errNATClosed) {
		t.Fatalf("the first call, to nobody yet: %v", err)
	}
	second := datagram(protoUDP, "192.168.1.11:2", "192.0.2.220:20000")
	if err := n.Translate(second, natStart); err != nil {
		t.Fatal(err)
	}
	if from, to := ends(t, second); from != "192.0.2.220:20001" || to != "192.168.1.10:1" {
		t.Errorf("the second call goes from %s to %s", from, to)
	}
}

func FuzzNAT(f *testing.F) {
	f.Add(datagram(protoUDP, "192.168.1.10:6630", "192.0.2.10:6630"))
	f.Add(datagram(protoTCP, "192.0.2.10:6630", "192.0.2.220:20000"))
	f.Add(datagram(protoICMP, "192.168.1.10:77", "192.0.2.10:0"))
	f.Add(append(datagram(protoICMP, "192.0.2.1:0", "192.0.2.220:0")[:20], 3, 4, 0, 0, 0, 0, 0, 0, 0x45))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, b := newNAT(Symmetric), bytes.Clone(b)
		if n.Translate(b, natStart) == nil && n.Inside.Contains(netip.AddrFrom4([4]byte(b[12:]))) {
			t.Errorf("an inside address left: % x", b)
		}
	})
}

// TestRouterTranslates runs two hosts behind a router against one outside.
func TestRouterTranslates(t *testing.T) {
	inside, router, outside := space(t, "inside"), space(t, "router"), space(t, "outside")
	must(t, Wire(End{In: inside, Name: "eth0"}, End{In: router, Name: "in"}), Wire(End{In: router, Name: "out"}, End{In: outside, Name: "eth0"}))
	must(t, inside.Address("eth0", netip.MustParsePrefix("192.168.1.10/24")), router.Address("in", netip.MustParsePrefix("192.168.1.1/24")),
		router.Address("out", netip.MustParsePrefix("192.0.2.200/24")), outside.Address("eth0", addr4[0]),
		inside.Route(everywhere, netip.MustParseAddr("192.168.1.1")))
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- router.Do(func() error { return newNAT(Independent).Serve(ctx, "in", "out") }) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	if _, err := inside.Ping(within(t, 5*time.Second), addr4[0].Addr()); err != nil {
		t.Fatal(err)
	}
	l, err := outside.Listen(addr4[0].Addr())
	must(t, err)
	defer l.Close()
	c, err := inside.Dial(within(t, 5*time.Second), l.Addr().(*net.TCPAddr).AddrPort())
	must(t, err)
	defer c.Close()
	s, err := l.Accept()
	must(t, err)
	defer s.Close()
	if from := s.RemoteAddr().(*net.TCPAddr).AddrPort(); from.Addr().String() != "192.0.2.220" {
		t.Errorf("outside sees %v", from)
	}
	if _, err := outside.Ping(within(t, 200*time.Millisecond), netip.MustParseAddr("192.0.2.220")); err == nil {
		t.Error("the outside reached in unasked")
	}
	rateCtx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if rate, err := inside.Transfer(rateCtx, outside, addr4[0].Addr()); err != nil {
		t.Error(err)
	} else {
		t.Log(rate)
	}
}
