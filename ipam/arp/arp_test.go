package arp

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/drawbridge-net/drawbridge"
)

var (
	own   = drawbridge.MAC{2, 0, 0, 0, 0, 1}
	alice = drawbridge.MAC{2, 0, 0, 0, 0, 0xa}
	bob   = drawbridge.MAC{2, 0, 0, 0, 0, 0xb}
	four  = netip.MustParseAddr("192.0.2.9")
	six   = netip.MustParseAddr("2001:db8::9")
	start = time.Unix(1_700_000_000, 0)
)

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Packets as the Linux kernel of Debian 12 sends them.
const (
	linuxRequest = `ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a c0000209 000000000000 c0000201`
	linuxReply   = `02000000000b 02000000000a 0806 0001 0800 06 04 0002 02000000000a c0000209 02000000000b c0000201`
	arpingProbe  = `ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a 00000000 ffffffffffff c0000209`
	inPriority   = `ffffffffffff 02000000000a 8100 6000 0806 0001 0800 06 04 0001 02000000000a c0000209 000000000000 c0000201`
	inVLAN       = `ffffffffffff 02000000000a 8100 0007 0806 0001 0800 06 04 0001 02000000000a c0000209 000000000000 c0000201`
	nullMAC      = `ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 000000000000 c0000209 000000000000 c0000201`
	token        = `ffffffffffff 02000000000a 0806 0006 0800 06 04 0001 02000000000a c0000209 000000000000 c0000201`
	group        = `ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a e0000001 000000000000 c0000201`
)

func TestParseARP(t *testing.T) {
	one := netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct {
		packet string
		want   Sighting
		ok     bool
	}{
		"request":      {linuxRequest, Sighting{Kind: Claim, Addr: four, MAC: alice, Via: alice, Asked: one}, true},
		"reply":        {linuxReply, Sighting{Kind: Claim, Addr: four, MAC: alice, Via: alice}, true},
		"probe":        {arpingProbe, Sighting{Kind: Want, Addr: four, MAC: alice, Via: alice, Asked: four}, true},
		"priority tag": {inPriority, Sighting{Kind: Claim, Addr: four, MAC: alice, Via: alice, Asked: one}, true},
		"VLAN 7":       {inVLAN, Sighting{}, false},
		"no MAC":       {nullMAC, Sighting{}, false},
		"token ring":   {token, Sighting{}, false},
		"group":        {group, Sighting{}, false},
		"short":        {linuxRequest[:60], Sighting{}, false},
	} {
		got, ok := Parse(bytesOf(t, c.packet))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, ok, c.want, c.ok)
		}
	}
}

func TestOwnFramesAreReadBack(t *testing.T) {
	nonce := [6]byte{1, 2, 3, 4, 5, 6}
	for _, a := range []netip.Addr{four, six} {
		probe, ok := Parse(ProbeFrame(a, own, nonce))
		if !ok || probe.Kind != Want || probe.Addr != a || probe.MAC != own || a.Is6() && probe.Nonce != nonce {
			t.Errorf("probe for %s: %+v %v", a, probe, ok)
		}
		announced, ok := Parse(AnnounceFrame(a, own))
		if !ok || announced.Kind != Claim || announced.Addr != a || announced.MAC != own {
			t.Errorf("announcement of %s: %+v %v", a, announced, ok)
		}
		answered, ok := Parse(AnswerFrame(probe, bob))
		if !ok || answered.Kind != Claim || answered.Addr != a || answered.MAC != bob {
			t.Errorf("answer for %s: %+v %v", a, answered, ok)
		}
	}
	asked := Sighting{Kind: Claim, Addr: netip.MustParseAddr("2001:db8::1"), MAC: alice, Via: alice, Asked: six}
	if s, ok := Parse(AnswerFrame(asked, bob)); !ok || s.Addr != six || s.MAC != bob {
		t.Errorf("solicited answer: %+v %v", s, ok)
	}
}

// TestFramesAreReadByOthers has another library read what we write.
func TestFramesAreReadByOthers(t *testing.T) {
	f := AnswerFrame(Sighting{Kind: Claim, Addr: netip.MustParseAddr("2001:db8::1"), MAC: alice, Via: alice, Asked: six}, bob)
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	na, _ := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if na == nil || !na.Solicited() || !na.Override() || na.TargetAddress.String() != six.String() {
		t.Fatalf("%v", p)
	}
	f = ProbeFrame(four, own, [6]byte{})
	a, _ := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeARP).(*layers.ARP)
	if a == nil || a.Operation != 1 || string(a.SourceProtAddress) != "\x00\x00\x00\x00" || string(a.DstProtAddress) != string(four.AsSlice()) {
		t.Fatalf("%+v", a)
	}
}

func TestMalformedDiscoveryIsNone(t *testing.T) {
	good := AnnounceFrame(six, alice)
	for name, spoil := range map[string]func(b []byte){
		"checksum":         func(b []byte) { b[56] ^= 1 },
		"hop limit":        func(b []byte) { b[21] = 64 },
		"code":             func(b []byte) { b[55] = 1 },
		"option of length": func(b []byte) { b[79] = 0 },
		"length":           func(b []byte) { b[19] = 200 },
		"version":          func(b []byte) { b[14] = 0x40 },
	} {
		b := append([]byte(nil), good...)
		spoil(b)
		if s, ok := Parse(b); ok {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// run steps a probe through silence until there is a verdict or a frame for which hear answers something.
func run(t *testing.T, p *Probe, hear func(sent int, f drawbridge.Frame) []byte) (v Verdict, sent int, took time.Duration) {
	t.Helper()
	now := start
	for range 100 {
		send, verdict := p.Step(now, nil)
		if send != nil {
			sent++
			if answer := hear(sent, send); answer != nil {
				_, verdict = p.Step(now, answer)
			}
		}
		if verdict.State != Asking {
			return verdict, sent, now.Sub(start)
		}
		if !p.Next().After(now) {
			t.Fatal("the next step is not later")
		}
		now = p.Next()
	}
	t.Fatal("no verdict")
	return v, sent, took
}

func silence(int, drawbridge.Frame) []byte { return nil }

func TestProbe(t *testing.T) {
	for _, addr := range []netip.Addr{four, six} {
		for seed := range uint64(50) {
			draw := rand.New(rand.NewPCG(seed, 1))
			v, sent, took := run(t, NewProbe(addr, own, nil, RFC5227, draw), silence)
			if v.State != Free || sent != 3 || took < 4*time.Second || took > 7*time.Second {
				t.Fatalf("silence: %+v after %d probes, %s", v, sent, took)
			}
			for answered := 1; answered <= 3; answered++ {
				v, sent, _ = run(t, NewProbe(addr, own, nil, Quick, draw), func(n int, f drawbridge.Frame) []byte {
					if n != answered {
						return nil
					}
					s, _ := Parse(f)
					return AnswerFrame(s, bob)
				})
				if v != (Verdict{Taken, bob, false}) || sent != answered {
					t.Fatalf("answer %d: %+v after %d", answered, v, sent)
				}
			}
		}
	}
}

func TestWhatIsAConflict(t *testing.T) {
	for name, c := range map[string]struct {
		heard func(sent drawbridge.Frame) []byte
		want  Verdict
	}{
		"request from a user":    {func(drawbridge.Frame) []byte { return AnnounceFrame(six, bob) }, Verdict{Taken, bob, false}},
		"a rival":                {func(drawbridge.Frame) []byte { return ProbeFrame(six, bob, [6]byte{9}) }, Verdict{Taken, bob, true}},
		"our probe come back":    {func(f drawbridge.Frame) []byte { return f }, Verdict{State: Free}},
		"and with another MAC":   {func(f drawbridge.Frame) []byte { copy(f[6:12], bob[:]); return f }, Verdict{State: Free}},
		"the guest that gets it": {func(drawbridge.Frame) []byte { return AnnounceFrame(six, alice) }, Verdict{State: Free}},
		"another address":        {func(drawbridge.Frame) []byte { return AnnounceFrame(six.Next(), bob) }, Verdict{State: Free}},
		"noise":                  {func(drawbridge.Frame) []byte { return []byte("noise") }, Verdict{State: Free}},
	} {
		p := NewProbe(six, own, []drawbridge.MAC{alice}, Quick, rand.New(rand.NewPCG(1, 2)))
		v, _, _ := run(t, p, func(_ int, f drawbridge.Frame) []byte { return c.heard(f) })
		if v != c.want {
			t.Errorf("%s: %+v, want %+v", name, v, c.want)
		}
	}
}

// TestHeldUpDriverConcludesNothing: time that passes without steps is not silence.
func TestHeldUpDriverConcludesNothing(t *testing.T) {
	p := NewProbe(four, own, nil, Quick, rand.New(rand.NewPCG(1, 2)))
	now := start
	for i := range 3 {
		if send, v := p.Step(now, nil); send == nil || v.State != Asking {
			t.Fatalf("step %d: %v %+v", i, send, v)
		}
		now = now.Add(time.Hour)
	}
	if _, v := p.Step(now.Add(-time.Hour), nil); v.State != Asking {
		t.Fatalf("%+v at once after the last probe", v)
	}
}

func TestDefence(t *testing.T) {
	d := NewDefence(four, own)
	steps := []struct {
		after      time.Duration
		heard      []byte
		send, lost bool
	}{
		{0, AnnounceFrame(four, own), false, false},
		{0, ProbeFrame(four, bob, [6]byte{}), false, false},
		{0, AnnounceFrame(four, bob), true, false},
		{DefendInterval, AnnounceFrame(four, bob), true, false},
		{DefendInterval - 1, AnnounceFrame(four, alice), false, true},
	}
	now := start
	for i, s := range steps {
		now = now.Add(s.after)
		if send, lost := d.Step(now, s.heard); (send != nil) != s.send || lost != s.lost {
			t.Errorf("step %d: %v %v", i, send, lost)
		}
	}
	if d.Seen != 3 || d.LastBy != alice {
		t.Errorf("%d conflicts, last by %s", d.Seen, d.LastBy)
	}
}

func TestListener(t *testing.T) {
	l := NewListener([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, 100, time.Minute)
	for i, c := range []struct {
		after time.Duration
		heard []byte
		want  News
	}{
		{0, AnnounceFrame(four, alice), Appeared},
		{time.Second, AnnounceFrame(four, alice), Nothing},
		{time.Minute, AnnounceFrame(four, alice), Again},
		{time.Minute + time.Second, AnnounceFrame(four, bob), Moved},
		{time.Minute + time.Second, ProbeFrame(four, alice, [6]byte{}), Nothing},
		{time.Minute + time.Second, AnnounceFrame(six, bob), Nothing},
	} {
		if _, news := l.Hear(start.Add(c.after), c.heard); news != c.want {
			t.Errorf("%d: %s, want %s", i, news, c.want)
		}
	}
	if u, ok := l.Lookup(four); !ok || u.MAC != bob || !u.First.Equal(start.Add(time.Minute+time.Second)) {
		t.Errorf("%+v %v", u, ok)
	}
	if l.Forget(four); len(l.List()) != 0 {
		t.Errorf("%v", l.List())
	}
}

// TestListenerIsBounded: a flood of invented users neither grows the table nor drives out one who speaks.
func TestListenerIsBounded(t *testing.T) {
	l := NewListener(nil, 100, time.Hour)
	l.Hear(start, AnnounceFrame(four, alice))
	a := netip.MustParseAddr("10.0.0.1")
	for i := range 10_000 {
		l.Hear(start, AnnounceFrame(a, bob))
		if a = a.Next(); i%10 == 0 {
			if _, news := l.Hear(start, AnnounceFrame(four, alice)); news != Nothing {
				t.Fatalf("forgotten after %d: %s", i, news)
			}
		}
	}
	if n := len(l.List()); n > 100 {
		t.Errorf("%d entries", n)
	}
}

func TestHearingAllocatesNothing(t *testing.T) {
	l := NewListener(nil, 100, time.Hour)
	f, g := AnnounceFrame(four, alice), AnnounceFrame(six, alice)
	if n := testing.AllocsPerRun(100, func() { l.Hear(start, f); l.Hear(start, g) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHear(b *testing.B) {
	l := NewListener(nil, 100, time.Hour)
	for name, f := range map[string]drawbridge.Frame{"v4": AnnounceFrame(four, alice), "v6": AnnounceFrame(six, alice)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Hear(start, f)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{linuxRequest, linuxReply, arpingProbe, inPriority, inVLAN} {
		f.Add(bytesOf(f, s))
	}
	f.Add([]byte(ProbeFrame(six, own, [6]byte{1})))
	f.Add([]byte(AnnounceFrame(six, own)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := Parse(b)
		if !ok {
			return
		}
		if !usable(s.Addr) || s.MAC.Group() || s.Kind != Claim && s.Kind != Want {
			t.Fatalf("%+v", s)
		}
		if s.Asked.IsValid() && usable(s.Asked) && s.Asked.Is4() == s.Addr.Is4() {
			if _, again := Parse(AnswerFrame(s, own)); !again {
				t.Fatalf("the answer to %+v is not read back", s)
			}
		}
	})
}
