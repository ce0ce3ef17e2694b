package dhcp

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/drawbridge-net/drawbridge"
)

var (
	serverMAC = drawbridge.MAC{2, 0, 0x5e, 0, 0, 1}
	alice     = drawbridge.MAC{2, 0, 0, 0, 0, 0xa}
	bob       = drawbridge.MAC{2, 0, 0, 0, 0, 0xb}
	aliceKey  = "mac:02000000000a"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func subnet4() *Subnet4 {
	return &Subnet4{
		Prefix: netip.MustParsePrefix("192.0.2.0/24"), Server: addr("192.0.2.2"), Authoritative: true,
		Routers: []netip.Addr{addr("192.0.2.1")}, DNS: []netip.Addr{addr("192.0.2.3")}, NTP: []netip.Addr{addr("192.0.2.4")},
		Domain: "office.example", Search: []string{"office.example", "example"}, MTU: 1400, Lease: time.Hour,
	}
}

// rig is a server with one bound port, "guest".
type rig struct {
	*Server
	t    *testing.T
	book *book
	now  time.Time
}

func newRig(t *testing.T, l Link) *rig {
	t.Helper()
	b := newBook()
	s := New(Config{Leases: b})
	l.MAC = serverMAC
	if err := s.Bind("guest", l); err != nil {
		t.Fatal(err)
	}
	return &rig{s, t, b, start}
}

// frame4 wraps a message as a client sends it.
func frame4(m *dhcpv4.DHCPv4, change ...func(*datagram)) drawbridge.Packet {
	d := datagram{
		src: drawbridge.MAC(m.ClientHWAddr), dst: drawbridge.Broadcast, from: netip.IPv4Unspecified(), to: broadcast,
		ports: [2]uint16{client4, server4}, payload: m.ToBytes(),
	}
	for _, c := range change {
		c(&d)
	}
	return drawbridge.Packet{Frame: d.frame()}
}

func message(kind dhcpv4.MessageType, mac drawbridge.MAC, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithMessageType(kind), dhcpv4.WithHwAddr(mac[:])}, mods...)...)
	if err != nil {
		panic(err)
	}
	return m
}

func wants(a string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip(addr(a))))
}

func to(a string) dhcpv4.Modifier { return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(ip(addr(a)))) }

func having(a string) dhcpv4.Modifier { return dhcpv4.WithClientIP(ip(addr(a))) }

// ask sends a packet and reads the answer with a library that is not ours.
func (r *rig) ask(p drawbridge.Packet) (m *dhcpv4.DHCPv4, d datagram, o Outcome) {
	r.t.Helper()
	before := r.Counts()
	reply, ok := r.Serve(r.t.Context(), p, "guest", r.now)
	for outcome, n := range r.Counts() {
		if n != before[outcome] {
			o = outcome
		}
	}
	if !ok {
		return nil, d, o
	}
	seen := gopacket.NewPacket(reply, layers.LayerTypeEthernet, gopacket.Default)
	if seen.ErrorLayer() != nil || seen.Layer(layers.LayerTypeDHCPv4) == nil {
		r.t.Fatalf("unreadable answer: %v", seen)
	}
	d, parsed := parse4(drawbridge.Packet{Frame: reply})
	if parsed != Ignored {
		r.t.Fatalf("answer is %s", parsed)
	}
	m, err := dhcpv4.FromBytes(d.payload)
	if err != nil {
		r.t.Fatal(err)
	}
	if !Foreign(reply) {
		r.t.Error("an answer that crosses would not be recognised")
	}
	return m, d, o
}

func TestLeaseFromDiscoverToRelease(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	offer, d, o := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice)))
	if o != Offered || offer.MessageType() != dhcpv4.MessageTypeOffer || offer.YourIPAddr.String() != "192.0.2.10" {
		t.Fatalf("%s %v", o, offer)
	}
	if d.dst != alice || d.to != addr("192.0.2.10") || d.from != addr("192.0.2.2") || d.src != serverMAC || d.ports != [2]uint16{67, 68} {
		t.Errorf("offer goes %+v", d)
	}
	request := message(dhcpv4.MessageTypeRequest, alice, to("192.0.2.2"), wants("192.0.2.10"))
	ack, _, o := r.ask(frame4(request))
	if o != Acked || ack.IPAddressLeaseTime(0) != time.Hour || ack.IPAddressRenewalTime(0) != 30*time.Minute || ack.TransactionID != request.TransactionID {
		t.Fatalf("%s %v", o, ack)
	}
	r.now = r.now.Add(30 * time.Minute)
	r.book.now = r.now
	renewed, d, o := r.ask(frame4(message(dhcpv4.MessageTypeRequest, alice, having("192.0.2.10")), func(d *datagram) {
		d.dst, d.from, d.to = serverMAC, addr("192.0.2.10"), addr("192.0.2.2")
	}))
	if o != Acked || renewed.IPAddressLeaseTime(0) != time.Hour || d.to != addr("192.0.2.10") || d.dst != alice {
		t.Fatalf("%s %v %+v", o, renewed, d)
	}
	rebound, _, o := r.ask(frame4(message(dhcpv4.MessageTypeRequest, alice, having("192.0.2.10"))))
	if o != Acked || rebound.YourIPAddr.String() != "192.0.2.10" {
		t.Fatalf("%s %v", o, rebound)
	}
	r.book.has(t, "192.0.2.10", aliceKey)
	if _, _, o := r.ask(frame4(message(dhcpv4.MessageTypeRelease, alice, having("192.0.2.10"), to("192.0.2.2")))); o != Released {
		t.Fatalf("%s", o)
	}
	r.book.has(t, "192.0.2.10", "")
}

func TestEveryRefusalIsCounted(t *testing.T) {
	discover := func(mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
		return message(dhcpv4.MessageTypeDiscover, alice, mods...)
	}
	request := func(mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
		return message(dhcpv4.MessageTypeRequest, alice, mods...)
	}
	spoil := func(at int) drawbridge.Packet { p := frame4(discover()); p.Frame[at] ^= 0xff; return p }
	fragment := frame4(discover())
	fragment.Frame[20] |= 0x20
	for name, c := range map[string]struct {
		packet drawbridge.Packet
		want   Outcome
		nak    bool
		fail   error
		change func(*Subnet4)
	}{
		"another hardware address":  {frame4(discover(), func(d *datagram) { d.src = bob }), Spoofed, false, nil, nil},
		"through a relay":           {frame4(discover(dhcpv4.WithRelay(net.IP{192, 0, 2, 9}))), Relayed, false, nil, nil},
		"speaks for a relay":        {frame4(discover(dhcpv4.WithGeneric(dhcpv4.OptionRelayAgentInformation, []byte{1, 1, 1}))), Relayed, false, nil, nil},
		"IP checksum":               {spoil(14 + 10), BadChecksum, false, nil, nil},
		"UDP checksum":              {spoil(14 + 20 + 6), BadChecksum, false, nil, nil},
		"fragment":                  {fragment, Fragmented, false, nil, nil},
		"an answer":                 {frame4(&dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, HWType: 1, ClientHWAddr: alice[:]}), Malformed, false, nil, nil},
		"BOOTP":                     {frame4(&dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootRequest, HWType: 1, ClientHWAddr: alice[:]}), Malformed, false, nil, nil},
		"an offer":                  {frame4(message(dhcpv4.MessageTypeOffer, alice)), Unsupported, false, nil, nil},
		"group":                     {frame4(message(dhcpv4.MessageTypeDiscover, drawbridge.Broadcast)), Malformed, false, nil, nil},
		"another server":            {frame4(request(to("192.0.2.99"), wants("192.0.2.10"))), OtherServer, false, nil, nil},
		"request for nothing":       {frame4(request()), Malformed, false, nil, nil},
		"request for two":           {frame4(request(wants("192.0.2.10"), having("192.0.2.11"))), Malformed, false, nil, nil},
		"boots in a foreign subnet": {frame4(request(wants("198.51.100.7"))), Nacked, true, nil, nil},
		"wants our own":             {frame4(request(wants("192.0.2.2"))), Nacked, true, nil, nil},
		"wants the broadcast":       {frame4(request(wants("192.0.2.255"))), Nacked, true, nil, nil},
		"boots, unknown":            {frame4(request(wants("192.0.2.77"))), Nacked, true, nil, nil},
		"boots, unknown, not ours":  {frame4(request(wants("192.0.2.77"))), UnknownClient, false, nil, func(s *Subnet4) { s.Authoritative = false }},
		"selects, unknown":          {frame4(request(to("192.0.2.2"), wants("192.0.2.77"))), Nacked, true, nil, func(s *Subnet4) { s.Authoritative = false }},
		"another's":                 {frame4(request(wants("192.0.2.77"))), Nacked, true, ErrTaken, func(s *Subnet4) { s.Authoritative = false }},
		"owner cut off":             {frame4(request(having("192.0.2.77"))), Unreachable, false, ErrUnreachable, nil},
		"nothing free":              {frame4(discover()), Exhausted, false, ErrExhausted, nil},
		"releases to another":       {frame4(message(dhcpv4.MessageTypeRelease, alice, having("192.0.2.10"), to("192.0.2.9"))), OtherServer, false, nil, nil},
		"releases what it has not":  {frame4(message(dhcpv4.MessageTypeRelease, alice, having("192.0.2.10"), to("192.0.2.2"))), UnknownClient, false, nil, nil},
		"informs from elsewhere":    {frame4(message(dhcpv4.MessageTypeInform, alice, having("198.51.100.7"))), OutsideSubnet, false, nil, nil},
	} {
		sub := subnet4()
		if c.change != nil {
			c.change(sub)
		}
		r := newRig(t, Link{Four: sub})
		r.book.fail = c.fail
		m, d, o := r.ask(c.packet)
		if o != c.want || !o.Refused() || (m != nil) != c.nak {
			t.Errorf("%s: %s, want %s (%v)", name, o, c.want, m)
		}
		if m != nil && (m.MessageType() != dhcpv4.MessageTypeNak || d.dst != drawbridge.Broadcast || d.to != broadcast || m.YourIPAddr.String() != "0.0.0.0") {
			t.Errorf("%s: %v %+v", name, m, d)
		}
	}
}

func TestOwedChecksumIsNotChecked(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	p := frame4(message(dhcpv4.MessageTypeDiscover, alice))
	p.Frame[14+20+6] ^= 0xff
	p.Offload.Flags = drawbridge.NeedsChecksum
	if _, _, o := r.ask(p); o != Offered {
		t.Errorf("%s", o)
	}
}

func TestUnboundPortIsNeverAnswered(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	p := frame4(message(dhcpv4.MessageTypeDiscover, alice))
	if reply, ok := r.Serve(t.Context(), p, "segment", r.now); ok || r.Wants(p.Frame, "segment") || r.Take(p, "segment") {
		t.Fatalf("answered with %x", reply)
	}
	if r.Counts()[Unbound] != 1 || len(r.book.calls) != 0 {
		t.Errorf("%v %v", r.Counts(), r.book.calls)
	}
	if r.Unbind("guest"); r.Wants(p.Frame, "guest") {
		t.Error("still served")
	}
}

func TestDecline(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice)))
	if _, _, o := r.ask(frame4(message(dhcpv4.MessageTypeDecline, alice, wants("192.0.2.10"), to("192.0.2.2")))); o != Declined {
		t.Fatalf("%s", o)
	}
	offer, _, _ := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice, wants("192.0.2.10"))))
	if offer.YourIPAddr.String() != "192.0.2.11" {
		t.Errorf("offered %s, which was declined", offer.YourIPAddr)
	}
}

func TestInform(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	m, d, o := r.ask(frame4(message(dhcpv4.MessageTypeInform, alice, having("192.0.2.50"))))
	if o != Informed || m.YourIPAddr.String() != "0.0.0.0" || m.Options.Has(dhcpv4.OptionIPAddressLeaseTime) || d.to != addr("192.0.2.50") || len(m.DNS()) != 1 {
		t.Errorf("%s %v %+v", o, m, d)
	}
}

func TestBroadcastFlagAndClientIdentifier(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	id := []byte{255, 1, 2, 3, 4, 0, 3, 0, 1, 2, 0, 0, 0, 0, 0xa}
	m, d, _ := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice, dhcpv4.WithBroadcast(true), dhcpv4.WithOption(dhcpv4.OptClientIdentifier(id)))))
	if d.dst != drawbridge.Broadcast || d.to != broadcast || !m.IsBroadcast() {
		t.Errorf("goes %+v", d)
	}
	if got := m.Options.Get(dhcpv4.OptionClientIdentifier); !slices.Equal(got, id) {
		t.Errorf("client identifier %x is not echoed (RFC 6842)", got)
	}
	r.book.has(t, "192.0.2.10", "id:ff01020304000300010200000000"+"0a")
	r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice)))
	r.book.has(t, "192.0.2.11", aliceKey) // the same machine, another client (RFC 2131 §4.2)
	trivial := append([]byte{1}, alice[:]...)
	m, _, _ = r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice, dhcpv4.WithOption(dhcpv4.OptClientIdentifier(trivial)))))
	if m.YourIPAddr.String() != "192.0.2.11" {
		t.Errorf("an identifier that repeats the hardware address made another client: %s", m.YourIPAddr)
	}
}

func TestAllowedRelay(t *testing.T) {
	sub := subnet4()
	sub.Relays = []netip.Addr{addr("192.0.2.9"), addr("198.51.100.1")}
	r := newRig(t, Link{Four: sub})
	info := []byte{1, 3, 'e', 't', '0'}
	relayed := func(kind dhcpv4.MessageType, from net.IP, info []byte, mods ...dhcpv4.Modifier) drawbridge.Packet {
		mods = append(mods, dhcpv4.WithRelay(from), dhcpv4.WithGeneric(dhcpv4.OptionRelayAgentInformation, info))
		return frame4(message(kind, alice, mods...), func(d *datagram) {
			d.src, d.dst, d.from, d.to, d.ports[0] = bob, serverMAC, addr("192.0.2.9"), addr("192.0.2.2"), server4
		})
	}
	m, d, o := r.ask(relayed(dhcpv4.MessageTypeDiscover, net.IP{192, 0, 2, 9}, info))
	if o != Offered || d.dst != bob || d.to != addr("192.0.2.9") || d.ports[1] != server4 || m.GatewayIPAddr.String() != "192.0.2.9" {
		t.Errorf("%s %+v", o, d)
	}
	if got := m.Options.Get(dhcpv4.OptionRelayAgentInformation); !slices.Equal(got, info) {
		t.Errorf("relay information %x is not echoed", got)
	}
	m, d, o = r.ask(relayed(dhcpv4.MessageTypeRequest, net.IP{192, 0, 2, 9}, info, wants("192.0.2.77")))
	if o != Nacked || !m.IsBroadcast() || d.to != addr("192.0.2.9") {
		t.Errorf("%s %+v", o, d)
	}
	if _, _, o = r.ask(relayed(dhcpv4.MessageTypeDiscover, net.IP{198, 51, 100, 1}, info)); o != OutsideSubnet {
		t.Errorf("from another link: %s", o)
	}
	if _, _, o = r.ask(relayed(dhcpv4.MessageTypeDiscover, net.IP{198, 51, 100, 1}, []byte{5, 4, 192, 0, 2, 0})); o != Offered {
		t.Errorf("with the link selected (RFC 3527): %s", o)
	}
}

func TestOptions(t *testing.T) {
	sub := subnet4()
	sub.Routes = []Route{{netip.MustParsePrefix("10.0.0.0/8"), addr("192.0.2.5")}}
	r := newRig(t, Link{Four: sub})
	all, _, _ := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice)))
	if all.Router()[0].String() != "192.0.2.1" || all.DNS()[0].String() != "192.0.2.3" || all.NTPServers()[0].String() != "192.0.2.4" ||
		all.DomainName() != "office.example" || all.SubnetMask().String() != "ffffff00" || all.BroadcastAddress().String() != "192.0.2.255" ||
		all.DomainSearch() == nil || all.ClasslessStaticRoute() != nil {
		t.Errorf("%v", all)
	}
	if mtu := all.Options.Get(dhcpv4.OptionInterfaceMTU); len(mtu) != 2 || int(mtu[0])<<8|int(mtu[1]) != 1400 {
		t.Errorf("MTU %x", mtu)
	}
	some, _, _ := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice, dhcpv4.WithRequestedOptions(dhcpv4.OptionRouter, dhcpv4.OptionClasslessStaticRoute))))
	routes := some.ClasslessStaticRoute()
	if len(routes) != 2 || routes[0].String() != "route to 0.0.0.0/0 via 192.0.2.1" || routes[1].String() != "route to 10.0.0.0/8 via 192.0.2.5" || some.Router() != nil || some.DNS() != nil {
		t.Errorf("%v", some)
	}
}

// TestAnswersFitTheClient: what does not fit is left out, the most important options last, and counted.
func TestAnswersFitTheClient(t *testing.T) {
	sub := subnet4()
	for i := range 40 {
		sub.NTP = append(sub.NTP, netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}))
		sub.Search = append(sub.Search, string(rune('a'+i%26))+".office.example")
	}
	r := newRig(t, Link{Four: sub})
	m, d, _ := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice)))
	if len(d.payload)+overhead > leastSize || m.Router() == nil || m.DNS() == nil || r.OptionsCut() == 0 {
		t.Errorf("%d octets, %d options cut: %v", len(d.payload), r.OptionsCut(), m)
	}
	m, _, _ = r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice, dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1500)))))
	if len(m.NTPServers()) != 41 || len(m.DomainSearch().Labels) != 42 {
		t.Errorf("%d NTP servers, %d names, though there is room", len(m.NTPServers()), len(m.DomainSearch().Labels))
	}
}

func TestHostNames(t *testing.T) {
	fqdn := func(flags byte, name string) dhcpv4.Modifier {
		return dhcpv4.WithGeneric(dhcpv4.OptionFQDN, append([]byte{flags, 0, 0}, name...))
	}
	for _, c := range []struct {
		mod        dhcpv4.Modifier
		want, fqdn string
	}{
		{dhcpv4.WithOption(dhcpv4.OptHostName("Alice_PC")), "alice-pc", ""},
		{dhcpv4.WithOption(dhcpv4.OptHostName("alice.example.com")), "alice", ""},
		{dhcpv4.WithOption(dhcpv4.OptHostName("a;rm -rf")), "", ""},
		{fqdn(0, "alice.home"), "alice", "\x03\xff\xffalice.office.example"},
		{fqdn(1, "alice.home"), "alice", "\x01\xff\xffalice.office.example"},
		{fqdn(5, "\x05alice\x04home\x00"), "alice", "\x05\xff\xff\x05alice\x06office\x07example\x00"},
	} {
		r := newRig(t, Link{Four: subnet4()})
		m, _, _ := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice, c.mod)))
		if got := r.book.hosts[aliceKey]; got != c.want || m.HostName() != c.want {
			t.Errorf("%q in the lease, %q in the offer, want %q", got, m.HostName(), c.want)
		}
		if got := string(m.Options.Get(dhcpv4.OptionFQDN)); got != c.fqdn {
			t.Errorf("FQDN %q, want %q", got, c.fqdn)
		}
	}
}

func TestShortLeaseIsTold(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	r.ask(frame4(message(dhcpv4.MessageTypeDiscover, alice)))
	r.book.now = r.now.Add(-50 * time.Minute) // Leases gives less than it was asked for
	m, _, o := r.ask(frame4(message(dhcpv4.MessageTypeRequest, alice, having("192.0.2.10"))))
	if o != Acked || m.IPAddressLeaseTime(0) != 10*time.Minute {
		t.Errorf("%s %v", o, m)
	}
	r.book.of[addr("192.0.2.10")] = entry{aliceKey, r.now.Add(-time.Hour)}
	r.book.now = r.now.Add(-2 * time.Hour)
	if _, _, o = r.ask(frame4(message(dhcpv4.MessageTypeRequest, alice, having("192.0.2.10")))); o != Nacked {
		t.Errorf("a lease that is over: %s", o)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	count := func(n int, mac func(i int) drawbridge.MAC) (limited int) {
		for i := range n {
			if _, _, o := r.ask(frame4(message(dhcpv4.MessageTypeDiscover, mac(i)))); o == Limited {
				limited++
			}
		}
		return limited
	}
	if n := count(20, func(int) drawbridge.MAC { return alice }); n != 12 {
		t.Errorf("%d of 20 messages of one client refused", n)
	}
	if n := count(1, func(int) drawbridge.MAC { return bob }); n != 0 {
		t.Error("another client suffers")
	}
	r.now = r.now.Add(2 * time.Second)
	if n := count(3, func(int) drawbridge.MAC { return alice }); n != 1 {
		t.Errorf("%d of 3 refused after two seconds", n)
	}
	r.now = r.now.Add(time.Minute)
	calls := len(r.book.calls)
	count(1000, func(i int) drawbridge.MAC { return drawbridge.MAC{2, 9, 9, 9, byte(i >> 8), byte(i)} })
	if n := len(r.book.calls) - calls; n != 256 {
		t.Errorf("a flood of invented clients made %d allocations", n)
	}
}

func TestOwnAddressIsResolved(t *testing.T) {
	r := newRig(t, Link{Four: subnet4(), Six: subnet6()})
	request := drawbridge.Frame{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0xa, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 0xa, 192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2,
	}
	if !r.Wants(request, "guest") {
		t.Fatal("not ours")
	}
	reply, ok := r.Serve(t.Context(), drawbridge.Packet{Frame: request}, "guest", r.now)
	a, _ := gopacket.NewPacket(reply, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || a == nil || a.Operation != 2 || !slices.Equal(a.SourceHwAddress, serverMAC[:]) || !slices.Equal(a.SourceProtAddress, []byte{192, 0, 2, 2}) || !slices.Equal(a.DstHwAddress, alice[:]) {
		t.Errorf("%+v", a)
	}
	request[41] = 1
	if r.Wants(request, "guest") {
		t.Error("a question about the router is not ours")
	}
}
