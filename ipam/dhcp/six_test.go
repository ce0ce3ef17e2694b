package dhcp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/drawbridge-net/drawbridge"
)

func subnet6() *Subnet6 {
	return &Subnet6{
		Prefix: netip.MustParsePrefix("2001:db8::/64"), DNS: []netip.Addr{addr("2001:db8::3")}, NTP: []netip.Addr{addr("2001:db8::4")},
		Search: []string{"office.example"}, MTU: 1400, Lease: time.Hour, Router: addr("fe80::1"),
	}
}

var (
	iaid    = [4]byte{0, 0, 0, 7}
	selfID  = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: serverMAC[:]}
	aliceID = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: alice[:]}
	bobID   = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: bob[:]}
	key6    = "duid:0003000102000000000a/00000007"
)

func say6(kind dhcpv6.MessageType, server dhcpv6.DUID, addrs ...string) *dhcpv6.Message {
	m, err := dhcpv6.NewMessage()
	if err != nil {
		panic(err)
	}
	m.MessageType = kind
	m.AddOption(dhcpv6.OptClientID(aliceID))
	if server != nil {
		m.AddOption(dhcpv6.OptServerID(server))
	}
	ia := &dhcpv6.OptIANA{IaId: iaid}
	for _, a := range addrs {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: ip(addr(a))})
	}
	m.AddOption(ia)
	m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList, dhcpv6.OptionNTPServer))
	return m
}

func frame6(m dhcpv6.DHCPv6, change ...func(*datagram)) drawbridge.Packet {
	servers := netip.MustParseAddr("ff02::1:2")
	d := datagram{
		src: alice, dst: groupMAC(servers), from: linkLocal(alice), to: servers,
		ports: [2]uint16{client6, server6}, payload: m.ToBytes(),
	}
	for _, c := range change {
		c(&d)
	}
	return drawbridge.Packet{Frame: d.frame()}
}

func (r *rig) ask6(p drawbridge.Packet) (m *dhcpv6.Message, o Outcome) {
	r.t.Helper()
	if !r.Wants(p.Frame, "guest") {
		r.t.Fatal("not wanted")
	}
	before := r.Counts()
	reply, ok := r.Serve(r.t.Context(), p, "guest", r.now)
	for outcome, n := range r.Counts() {
		if n != before[outcome] {
			o = outcome
		}
	}
	if !ok {
		return nil, o
	}
	d, parsed := parse6(drawbridge.Packet{Frame: reply})
	m, err := dhcpv6.MessageFromBytes(d.payload)
	if parsed != Ignored || err != nil || d.dst != alice || d.to != linkLocal(alice) || d.from != linkLocal(serverMAC) || d.ports != [2]uint16{547, 546} {
		r.t.Fatalf("%s %v %+v", parsed, err, d)
	}
	if !m.Options.ServerID().Equal(selfID) || AnswerOf(reply) != Answer6 {
		r.t.Errorf("%v is %s", m, AnswerOf(reply))
	}
	return m, o
}

func TestLease6(t *testing.T) {
	r := newRig(t, Link{Six: subnet6()})
	adv, o := r.ask6(frame6(say6(dhcpv6.MessageTypeSolicit, nil)))
	if o != Advertised || adv.MessageType != dhcpv6.MessageTypeAdvertise || adv.Options.OneIANA().Options.OneAddress().IPv6Addr.String() != "2001:db8::a" {
		t.Fatalf("%s %v", o, adv)
	}
	rep, o := r.ask6(frame6(say6(dhcpv6.MessageTypeRequest, selfID, "2001:db8::a")))
	a := rep.Options.OneIANA().Options.OneAddress()
	if o != Replied || a.ValidLifetime != time.Hour || a.PreferredLifetime != 37*time.Minute+30*time.Second || rep.Options.OneIANA().T1 != a.PreferredLifetime/2 {
		t.Fatalf("%s %v", o, rep)
	}
	if rep.Options.DNS()[0].String() != "2001:db8::3" || rep.Options.NTPServers()[0].String() != "2001:db8::4" || rep.Options.DomainSearchList() == nil {
		t.Errorf("%v", rep)
	}
	r.book.has(t, "2001:db8::a", key6)
	for _, kind := range []dhcpv6.MessageType{dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind} {
		server := dhcpv6.DUID(selfID)
		if kind == dhcpv6.MessageTypeRebind {
			server = nil
		}
		r.now = r.now.Add(time.Minute)
		r.book.now = r.now
		rep, o = r.ask6(frame6(say6(kind, server, "2001:db8::a")))
		if o != Replied || rep.Options.OneIANA().Options.OneAddress().ValidLifetime != time.Hour {
			t.Fatalf("%s: %s %v", kind, o, rep)
		}
	}
	if rep, o = r.ask6(frame6(say6(dhcpv6.MessageTypeRelease, selfID, "2001:db8::a"))); o != Released || rep.Options.Status().StatusCode != iana.StatusSuccess {
		t.Fatalf("%s %v", o, rep)
	}
	r.book.has(t, "2001:db8::a", "")
}

func TestRapidCommit(t *testing.T) {
	r := newRig(t, Link{Six: subnet6()})
	m := say6(dhcpv6.MessageTypeSolicit, nil)
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	rep, o := r.ask6(frame6(m))
	if o != Replied || rep.MessageType != dhcpv6.MessageTypeReply || rep.GetOneOption(dhcpv6.OptionRapidCommit) == nil {
		t.Fatalf("%s %v", o, rep)
	}
	r.book.has(t, "2001:db8::a", key6)
}

func TestStates6(t *testing.T) {
	relay, err := dhcpv6.EncapsulateRelay(say6(dhcpv6.MessageTypeSolicit, nil), dhcpv6.MessageTypeRelayForward, net.ParseIP("2001:db8::1"), net.ParseIP("fe80::a"))
	if err != nil {
		t.Fatal(err)
	}
	nobody := say6(dhcpv6.MessageTypeSolicit, nil)
	nobody.Options.Del(dhcpv6.OptionClientID)
	inform := say6(dhcpv6.MessageTypeInformationRequest, nil)
	inform.Options.Del(dhcpv6.OptionIANA)
	for name, c := range map[string]struct {
		packet drawbridge.Packet
		fail   error
		want   Outcome
		status iana.StatusCode // 99: no answer; 98: an answer without a status
	}{
		"renews what it has not":    {frame6(say6(dhcpv6.MessageTypeRenew, selfID, "2001:db8::77")), nil, Nacked, iana.StatusNoBinding},
		"renews while owner is cut": {frame6(say6(dhcpv6.MessageTypeRenew, selfID, "2001:db8::77")), ErrUnreachable, Unreachable, 99},
		"renews another's":          {frame6(say6(dhcpv6.MessageTypeRenew, selfID, "2001:db8::77")), ErrTaken, Nacked, 98},
		"moved here":                {frame6(say6(dhcpv6.MessageTypeRebind, nil, "2001:db8:1::77")), nil, Nacked, 98},
		"confirms":                  {frame6(say6(dhcpv6.MessageTypeConfirm, nil, "2001:db8::77")), nil, Replied, iana.StatusSuccess},
		"confirms elsewhere":        {frame6(say6(dhcpv6.MessageTypeConfirm, nil, "2001:db8:1::77")), nil, Nacked, iana.StatusNotOnLink},
		"confirms nothing":          {frame6(say6(dhcpv6.MessageTypeConfirm, nil)), nil, Malformed, 99},
		"nothing free":              {frame6(say6(dhcpv6.MessageTypeSolicit, nil)), ErrExhausted, Exhausted, iana.StatusNoAddrsAvail},
		"another server":            {frame6(say6(dhcpv6.MessageTypeRequest, bobID)), nil, OtherServer, 99},
		"no server":                 {frame6(say6(dhcpv6.MessageTypeRequest, nil)), nil, Malformed, 99},
		"solicits a server":         {frame6(say6(dhcpv6.MessageTypeSolicit, selfID)), nil, Malformed, 99},
		"nobody":                    {frame6(nobody), nil, Malformed, 99},
		"a server's":                {frame6(say6(dhcpv6.MessageTypeAdvertise, nil)), nil, Unsupported, 99},
		"a relay":                   {frame6(relay), nil, Relayed, 99},
		"global source":             {frame6(say6(dhcpv6.MessageTypeSolicit, nil), func(d *datagram) { d.from = addr("2001:db8::5") }), nil, Malformed, 99},
		"information":               {frame6(inform), nil, Informed, 98},
		"releases what it has not":  {frame6(say6(dhcpv6.MessageTypeRelease, selfID, "2001:db8::77")), nil, Released, iana.StatusSuccess},
	} {
		r := newRig(t, Link{Six: subnet6()})
		r.book.fail = c.fail
		m, o := r.ask6(c.packet)
		got := iana.StatusCode(99)
		if m != nil {
			got = 98
			if s := m.Options.Status(); s != nil {
				got = s.StatusCode
			} else if ia := m.Options.OneIANA(); ia != nil && ia.Options.Status() != nil {
				got = ia.Options.Status().StatusCode
			}
		}
		if o != c.want || got != c.status {
			t.Errorf("%s: %s status %d, want %s %d: %v", name, o, got, c.want, c.status, m)
		}
		if c.want == Nacked && c.status == 98 && m.Options.OneIANA().Options.OneAddress().ValidLifetime != 0 {
			t.Errorf("%s: keeps its address: %v", name, m)
		}
	}
}

func TestDecline6AndPrefixDelegation(t *testing.T) {
	r := newRig(t, Link{Six: subnet6()})
	r.ask6(frame6(say6(dhcpv6.MessageTypeSolicit, nil)))
	if _, o := r.ask6(frame6(say6(dhcpv6.MessageTypeDecline, selfID, "2001:db8::a"))); o != Declined {
		t.Fatalf("%s", o)
	}
	m := say6(dhcpv6.MessageTypeSolicit, nil)
	m.AddOption(&dhcpv6.OptIAPD{IaId: iaid})
	adv, _ := r.ask6(frame6(m))
	if a := adv.Options.OneIANA().Options.OneAddress(); a.IPv6Addr.String() != "2001:db8::b" {
		t.Errorf("offered %s", a.IPv6Addr)
	}
	if s := adv.Options.OneIAPD().Options.Status(); s == nil || s.StatusCode != iana.StatusNoPrefixAvail {
		t.Errorf("%v", adv)
	}
}

// rs is a router solicitation as Linux sends it.
func rs(from netip.Addr) drawbridge.Packet {
	routers := netip.IPv6LinkLocalAllRouters()
	m := []byte{typeRS, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0xa}
	return drawbridge.Packet{Frame: datagram{src: alice, dst: groupMAC(routers), from: from, to: routers, payload: m}.frame6(protoICMPv6, 2)}
}

func TestRouterAdvertisement(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*Subnet6)
		from, to netip.Addr
		lifetime uint16
		source   netip.Addr
	}{
		"real router":   {func(*Subnet6) {}, linkLocal(alice), linkLocal(alice), 600, addr("fe80::1")},
		"no router":     {func(s *Subnet6) { s.Router = netip.Addr{} }, linkLocal(alice), linkLocal(alice), 0, linkLocal(serverMAC)},
		"nobody's host": {func(*Subnet6) {}, netip.IPv6Unspecified(), allNodes, 600, addr("fe80::1")},
	} {
		sub := subnet6()
		c.change(sub)
		r := newRig(t, Link{Six: sub})
		reply, ok := r.Serve(t.Context(), rs(c.from), "guest", r.now)
		if !ok || r.Counts()[Router] != 1 || AnswerOf(reply) != AnswerRouter {
			t.Fatalf("%s: %v %v", name, ok, r.Counts())
		}
		p := gopacket.NewPacket(reply, layers.LayerTypeEthernet, gopacket.Default)
		ra, _ := p.Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement)
		ip6 := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		if ra == nil || !ra.ManagedAddressConfig() || ra.RouterLifetime != c.lifetime || ip6.SrcIP.String() != c.source.String() || ip6.DstIP.String() != c.to.String() || ip6.HopLimit != 255 {
			t.Fatalf("%s: %v", name, p)
		}
		if _, o := parse6(drawbridge.Packet{Frame: reply}); o != Ignored {
			t.Errorf("%s: %s", name, o)
		}
		seen := map[layers.ICMPv6Opt]int{}
		for _, o := range ra.Options {
			seen[o.Type] = len(o.Data)
			if o.Type == layers.ICMPv6OptPrefixInfo && (o.Data[0] != 64 || o.Data[1] != flagOnLink) {
				t.Errorf("%s: prefix %x", name, o.Data)
			}
		}
		if seen[layers.ICMPv6OptMTU] != 6 || seen[optRDNSS] != 22 || seen[optDNSSL]%8 != 6 {
			t.Errorf("%s: %v", name, seen)
		}
	}
}

func TestForgedSolicitations(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f drawbridge.Frame)
		want  Outcome
	}{
		"hop limit": {func(f drawbridge.Frame) { f[21] = 64 }, Malformed},
		"checksum":  {func(f drawbridge.Frame) { f[57] ^= 1 }, BadChecksum},
		"length":    {func(f drawbridge.Frame) { f[19] = 99 }, Malformed},
	} {
		r := newRig(t, Link{Six: subnet6()})
		p := rs(linkLocal(alice))
		c.spoil(p.Frame)
		if _, ok := r.Serve(t.Context(), p, "guest", r.now); ok || r.Counts()[c.want] != 1 {
			t.Errorf("%s: %v", name, r.Counts())
		}
	}
}
