package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// book is a Names for tests.
type book struct {
	mu    sync.Mutex
	addrs map[string][]netip.Addr
}

func newBook() *book {
	return &book{addrs: map[string][]netip.Addr{
		"alice":   {netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::a")},
		"many":    {netip.MustParseAddr("192.0.2.20"), netip.MustParseAddr("192.0.2.21"), netip.MustParseAddr("192.0.2.22")},
		"x.floor": {netip.MustParseAddr("192.0.2.30")},
	}}
}

func (b *book) Addrs(name string) (addrs []netip.Addr, exists bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := range b.addrs {
		exists = exists || strings.HasSuffix(n, "."+name)
	}
	addrs, here := b.addrs[name]
	return addrs, exists || here
}

func (b *book) Names(addr netip.Addr) (names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, list := range b.addrs {
		for _, a := range list {
			if a == addr {
				names = append(names, n)
			}
		}
	}
	if addr == netip.MustParseAddr("192.0.2.99") {
		return []string{"not a name", "elsewhere.example.net."}
	}
	return names
}

func (b *book) Serial() uint32 { return 42 }

func config() Config {
	return Config{
		Zone: "Guests.Example.", Self: []netip.Addr{netip.MustParseAddr("192.0.2.2")},
		Subnets: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.16.0.0/22"), netip.MustParsePrefix("198.51.100.64/26"),
			netip.MustParsePrefix("2001:db8::/64"),
		},
	}
}

func newServer(t testing.TB, change ...func(*Config)) *Server {
	t.Helper()
	c := config()
	for _, f := range change {
		f(&c)
	}
	s, err := New(c, newBook())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func question(name string, kind uint16) *wire.Msg { return new(wire.Msg).SetQuestion(name, kind) }

// ask goes through the octets of both messages.
func ask(t *testing.T, s *Server, q *wire.Msg, tcp bool) *wire.Msg {
	t.Helper()
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var m wire.Msg
	if err := m.Unpack(s.Answer(t.Context(), b, tcp)); err != nil {
		t.Fatal(err)
	}
	if m.Id != q.Id || !m.Response {
		t.Fatalf("%v", m)
	}
	return &m
}

// short is an answer in a line: code, what it holds, and whose start of authority comes along.
func short(m *wire.Msg) string {
	out := []string{wire.RcodeToString[m.Rcode]}
	if m.Authoritative {
		out = append(out, "aa")
	}
	for _, r := range m.Answer {
		fields := strings.Fields(r.String())
		out = append(out, fmt.Sprint(fields[0], " ", fields[1], " ", strings.Join(fields[3:], " ")))
	}
	for _, r := range m.Ns {
		out = append(out, "+"+r.Header().Name)
	}
	return strings.Join(out, "; ")
}

func TestAnswers(t *testing.T) {
	const soa = "SOA ns.guests.example. hostmaster.guests.example. 42 3600 600 86400 5"
	for _, c := range []struct {
		name string
		kind uint16
		want string
	}{
		{"alice.guests.example.", wire.TypeA, "NOERROR; aa; alice.guests.example. 5 A 192.0.2.10"},
		{"alice.guests.example.", wire.TypeAAAA, "NOERROR; aa; alice.guests.example. 5 AAAA 2001:db8::a"},
		{"aLiCe.GUESTS.example.", wire.TypeA, "NOERROR; aa; aLiCe.GUESTS.example. 5 A 192.0.2.10"},
		{"alice.guests.example.", wire.TypeMX, "NOERROR; aa; +guests.example."},
		{"nobody.guests.example.", wire.TypeA, "NXDOMAIN; aa; +guests.example."},
		{"floor.guests.example.", wire.TypeA, "NOERROR; aa; +guests.example."},
		{"x.floor.guests.example.", wire.TypeA, "NOERROR; aa; x.floor.guests.example. 5 A 192.0.2.30"},
		{"_ldap._tcp.guests.example.", wire.TypeSRV, "NXDOMAIN; aa; +guests.example."},
		{"guests.example.", wire.TypeSOA, "NOERROR; aa; guests.example. 5 " + soa},
		{"guests.example.", wire.TypeNS, "NOERROR; aa; guests.example. 5 NS ns.guests.example."},
		{"guests.example.", wire.TypeA, "NOERROR; aa; +guests.example."},
		{"ns.guests.example.", wire.TypeA, "NOERROR; aa; ns.guests.example. 5 A 192.0.2.2"},
		{"myguests.example.", wire.TypeA, "REFUSED"},
		{"example.", wire.TypeA, "REFUSED"},
		{".", wire.TypeNS, "REFUSED"},
		{"guests.example.", wire.TypeAXFR, "REFUSED"},
		{"10.2.0.192.in-addr.arpa.", wire.TypePTR, "NOERROR; aa; 10.2.0.192.in-addr.arpa. 5 PTR alice.guests.example."},
		{"10.2.0.192.in-addr.arpa.", wire.TypeA, "NOERROR; aa; +2.0.192.in-addr.arpa."},
		{"11.2.0.192.in-addr.arpa.", wire.TypePTR, "NXDOMAIN; aa; +2.0.192.in-addr.arpa."},
		{"99.2.0.192.in-addr.arpa.", wire.TypePTR, "NOERROR; aa; 99.2.0.192.in-addr.arpa. 5 PTR elsewhere.example.net."},
		{"2.0.192.in-addr.arpa.", wire.TypeSOA, "NOERROR; aa; 2.0.192.in-addr.arpa. 5 " + soa},
		{"2.0.192.in-addr.arpa.", wire.TypePTR, "NOERROR; aa; +2.0.192.in-addr.arpa."},
		{"0.192.in-addr.arpa.", wire.TypeSOA, "REFUSED"},
		{"010.2.0.192.in-addr.arpa.", wire.TypePTR, "REFUSED"},
		{"300.2.0.192.in-addr.arpa.", wire.TypePTR, "REFUSED"},
		{"1.10.2.0.192.in-addr.arpa.", wire.TypePTR, "REFUSED"},
		{"5.3.16.10.in-addr.arpa.", wire.TypePTR, "NXDOMAIN; aa; +3.16.10.in-addr.arpa."},
		{"5.4.16.10.in-addr.arpa.", wire.TypePTR, "REFUSED"},
		{"70.100.51.198.in-addr.arpa.", wire.TypePTR, "NXDOMAIN; aa; +100.51.198.in-addr.arpa."},
		{"5.100.51.198.in-addr.arpa.", wire.TypePTR, "REFUSED"},
		{"100.51.198.in-addr.arpa.", wire.TypeSOA, "REFUSED"},
		{"a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", wire.TypePTR, "NOERROR; aa; a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 5 PTR alice.guests.example."},
		{"0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", wire.TypeNS, "NOERROR; aa; 0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 5 NS ns.guests.example."},
		{"f.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", wire.TypePTR, "NOERROR; aa; +0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."},
		{"8.b.d.0.1.0.0.2.ip6.arpa.", wire.TypePTR, "REFUSED"},
	} {
		if got := short(ask(t, newServer(t), question(c.name, c.kind), false)); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.name, wire.TypeToString[c.kind], got, c.want)
		}
	}
}

func TestAddressesTakeTurns(t *testing.T) {
	s, first := newServer(t), map[string]int{}
	for range 9 {
		m := ask(t, s, question("many.guests.example.", wire.TypeA), false)
		if len(m.Answer) != 3 {
			t.Fatalf("%v", m)
		}
		first[m.Answer[0].(*wire.A).A.String()]++
	}
	if len(first) != 3 || first["192.0.2.20"] != 3 {
		t.Errorf("%v", first)
	}
}

func TestSizes(t *testing.T) {
	s := newServer(t)
	b := s.names.(*book)
	for i := range 200 {
		b.addrs["crowd"] = append(b.addrs["crowd"], netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	for name, c := range map[string]struct {
		edns      uint16
		tcp       bool
		size      int
		truncated bool
	}{
		"plain":          {0, false, 512, true},
		"EDNS":           {1232, false, 1232, true},
		"EDNS too large": {4096, false, 1232, true},
		"EDNS too small": {100, false, 512, true},
		"TCP":            {0, true, 65535, false},
	} {
		q := question("crowd.guests.example.", wire.TypeA)
		if c.edns > 0 {
			q.SetEdns0(c.edns, true)
		}
		wired, _ := q.Pack()
		raw := s.Answer(t.Context(), wired, c.tcp)
		m := ask(t, s, q, c.tcp)
		if len(raw) > c.size || m.Truncated != c.truncated || len(m.Answer) == 0 || !c.truncated && len(m.Answer) != 200 {
			t.Errorf("%s: %d octets, %d records, truncated %v", name, len(raw), len(m.Answer), m.Truncated)
		}
		if opt := m.IsEdns0(); (opt != nil) != (c.edns > 0) || opt != nil && (opt.UDPSize() != maxUDP || !opt.Do()) {
			t.Errorf("%s: %v", name, opt)
		}
	}
	if s.Counts()[Truncated] != 8 {
		t.Errorf("%v", s.Counts())
	}
}

func TestOddQuestions(t *testing.T) {
	version := question("alice.guests.example.", wire.TypeA).SetEdns0(1232, false)
	version.IsEdns0().SetVersion(1)
	chaos := question("version.bind.", wire.TypeTXT)
	chaos.Question[0].Qclass = wire.ClassCHAOS
	update := new(wire.Msg).SetUpdate("guests.example.")
	two := question("alice.guests.example.", wire.TypeA)
	two.Question = append(two.Question, two.Question[0])
	for name, c := range map[string]struct {
		q     *wire.Msg
		rcode int
		want  Outcome
	}{
		"EDNS 1":        {version, wire.RcodeBadVers, Unknown},
		"chaos":         {chaos, wire.RcodeRefused, Refused},
		"update":        {update, wire.RcodeNotImplemented, Unknown},
		"two questions": {two, wire.RcodeFormatError, Malformed},
	} {
		s := newServer(t)
		if m := ask(t, s, c.q, false); m.Rcode != c.rcode || s.Counts()[c.want] != 1 {
			t.Errorf("%s: %v %v", name, m, s.Counts())
		}
	}
	s := newServer(t)
	answer, _ := new(wire.Msg).SetReply(question("alice.guests.example.", wire.TypeA)).Pack()
	if s.Answer(t.Context(), answer, false) != nil || s.Answer(t.Context(), []byte("noise"), false) != nil || s.Counts()[Malformed] != 2 {
		t.Errorf("%v", s.Counts())
	}
}

// serve runs a server on sockets of the loopback until the test ends.
func serve(t *testing.T, s *Server) netip.AddrPort {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := packets.LocalAddr().(*net.UDPAddr).AddrPort()
	streams, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, packets, streams) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return at
}

func TestServeAndForward(t *testing.T) {
	upstream := newServer(t, func(c *Config) { c.Zone = "elsewhere.example" })
	dead, err := net.ListenPacket("udp", "127.0.0.1:0") // hears and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	front := newServer(t, func(c *Config) {
		c.Upstream = []netip.AddrPort{dead.LocalAddr().(*net.UDPAddr).AddrPort(), serve(t, upstream)}
		c.Patience = time.Second
	})
	at := serve(t, front).String()
	for _, network := range []string{"udp", "tcp"} {
		client := wire.Client{Net: network, Timeout: 5 * time.Second}
		for name, want := range map[string]string{
			"alice.guests.example.":     "NOERROR; aa; alice.guests.example. 5 A 192.0.2.10",
			"alice.elsewhere.example.":  "NOERROR; alice.elsewhere.example. 5 A 192.0.2.10",
			"nobody.elsewhere.example.": "NXDOMAIN; +elsewhere.example.",
		} {
			m, _, err := client.ExchangeContext(t.Context(), question(name, wire.TypeA), at)
			if err != nil {
				t.Fatalf("%s %s: %v", network, name, err)
			}
			if got := short(m); got != want || !m.RecursionAvailable && strings.Contains(name, "guests") {
				t.Errorf("%s %s: %s, want %s", network, name, got, want)
			}
		}
	}
	q := question("alice.elsewhere.example.", wire.TypeA)
	q.RecursionDesired = false
	if m := ask(t, front, q, false); m.Rcode != wire.RcodeRefused {
		t.Errorf("without recursion: %v", m)
	}
	if n := front.Counts(); n[Forwarded] != 4 || n[Answered] != 2 || n[Refused] != 1 {
		t.Errorf("%v", n)
	}
}

func TestNoResolverAnswers(t *testing.T) {
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	s := newServer(t, func(c *Config) {
		c.Upstream = []netip.AddrPort{dead.LocalAddr().(*net.UDPAddr).AddrPort()}
		c.Patience = time.Millisecond
	})
	if m := ask(t, s, question("example.net.", wire.TypeA), false); m.Rcode != wire.RcodeServerFailure || s.Counts()[Failed] != 1 {
		t.Errorf("%v %v", m, s.Counts())
	}
	for range cap(s.forward) {
		s.forward <- struct{}{}
	}
	if m := ask(t, s, question("example.net.", wire.TypeA), false); m.Rcode != wire.RcodeServerFailure || s.Counts()[Failed] != 2 {
		t.Errorf("%v %v", m, s.Counts())
	}
}

func TestServeEndsWithItsSocket(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams.Close()
	if err := newServer(t).Serve(t.Context(), packets, streams); err == nil || t.Context().Err() != nil {
		t.Errorf("%v", err)
	}
	if err := newServer(t).Serve(t.Context(), nil, nil); err == nil {
		t.Error("served on nothing")
	}
}

func TestNormalise(t *testing.T) {
	for s, want := range map[string]string{
		"Alice": "alice", "a.B-c.d.": "a.b-c.d", "": "", ".": "", "a..b": "", "-a": "", "a-": "", "a_b": "", "ä": "", "a b": "",
		strings.Repeat("a", 63): strings.Repeat("a", 63), strings.Repeat("a", 64): "", strings.Repeat("abc.", 64): "",
	} {
		if got, err := Normalise(s); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", s, got, err)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"zone":      func(c *Config) { c.Zone = "a_b" },
		"no zone":   func(c *Config) { c.Zone = "" },
		"host bits": func(c *Config) { c.Subnets[0] = netip.MustParsePrefix("192.0.2.1/24") },
		"all":       func(c *Config) { c.Subnets[0] = netip.MustParsePrefix("0.0.0.0/0") },
		"upstream":  func(c *Config) { c.Upstream = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")} },
		"lifetime":  func(c *Config) { c.TTL = time.Millisecond },
	} {
		c := config()
		change(&c)
		if _, err := New(c, newBook()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, q := range []*wire.Msg{
		question("alice.guests.example.", wire.TypeA), question("many.guests.example.", wire.TypeANY).SetEdns0(4096, true),
		question("10.2.0.192.in-addr.arpa.", wire.TypePTR), question("f.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", wire.TypePTR),
	} {
		b, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, b []byte, tcp bool) {
		out := s.Answer(t.Context(), b, tcp)
		if len(out) > maxUDP && !tcp {
			t.Fatalf("%d octets", len(out))
		}
		if out != nil {
			if err := new(wire.Msg).Unpack(out); err != nil {
				t.Fatalf("%x is answered with %x: %v", b, out, err)
			}
		}
	})
}

func FuzzBackward(f *testing.F) {
	f.Add("10.2.0.192.in-addr.arpa")
	f.Add("f.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")
	f.Add("300.in-addr.arpa")
	f.Fuzz(func(t *testing.T, name string) {
		b, ok := parseBackward(name)
		if ok && nameOf(b.prefix.Addr(), b.prefix.Bits()) != name {
			t.Fatalf("%q is read as %v", name, b)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	s := newServer(b)
	for name, q := range map[string]*wire.Msg{"forward": question("alice.guests.example.", wire.TypeA), "backward": question("10.2.0.192.in-addr.arpa.", wire.TypePTR)} {
		wired, err := q.Pack()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Answer(b.Context(), wired, false)
			}
		})
	}
}
