package dhcp

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"github.com/drawbridge-net/drawbridge"
)

// giving is Leases.Release or Leases.Decline.
type giving func(ctx context.Context, subnet netip.Prefix, c Client, addr netip.Addr) error

// Sizes of RFC 2131 §2: what every client accepts as an IP datagram, and what of it is not DHCP.
const (
	leastSize = 576
	mostSize  = 1500
	overhead  = headerIPv4 + headerUDP
)

// bare is an answer without options but those that have to be there.
func (x *exchange4) bare(kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: x.req.HWType, TransactionID: x.req.TransactionID, Flags: x.req.Flags,
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero,
		GatewayIPAddr: x.req.GatewayIPAddr, ClientHWAddr: x.req.ClientHWAddr, Options: dhcpv4.Options{},
	}
	m.UpdateOption(dhcpv4.OptMessageType(kind))
	m.UpdateOption(dhcpv4.OptServerIdentifier(ip(x.sub.Server)))
	for _, echoed := range []dhcpv4.OptionCode{dhcpv4.OptionClientIdentifier, dhcpv4.OptionRelayAgentInformation} { // RFC 6842, RFC 3046
		if b := x.req.Options.Get(echoed); b != nil {
			m.UpdateOption(dhcpv4.OptGeneric(echoed, b))
		}
	}
	return m
}

// reply is an offer or an acknowledgement; without an address it answers an INFORM.
func (x *exchange4) reply(kind dhcpv4.MessageType, addr netip.Addr, lease time.Duration) drawbridge.Frame {
	m := x.bare(kind)
	if kind == dhcpv4.MessageTypeAck {
		m.ClientIPAddr = x.req.ClientIPAddr
	}
	if addr.IsValid() {
		m.YourIPAddr = ip(addr)
		m.UpdateOption(dhcpv4.OptIPAddressLeaseTime(lease))
		m.UpdateOption(dhcpv4.OptRenewTimeValue(lease / 2))
		m.UpdateOption(dhcpv4.OptRebindingTimeValue(lease * 7 / 8))
	}
	m.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(x.sub.Prefix.Bits(), 32)))
	x.fill(m)
	return x.send(m, addr)
}

func (x *exchange4) nak(why string) drawbridge.Frame {
	m := x.bare(dhcpv4.MessageTypeNak)
	m.UpdateOption(dhcpv4.OptMessage(why))
	if addr4(x.req.GatewayIPAddr).IsValid() {
		m.SetBroadcast() // the client may not have an address that the relay could reach (RFC 2131 §4.3.2)
	}
	return x.send(m, netip.Addr{})
}

// fill adds the options that the client asked for, the important ones first, as long as they fit.
func (x *exchange4) fill(m *dhcpv4.DHCPv4) {
	room := leastSize
	if n, err := x.req.MaxMessageSize(); err == nil {
		room = min(max(int(n), leastSize), mostSize)
	}
	asked := x.req.ParameterRequestList()
	for _, o := range x.offered(asked) {
		if len(asked) > 0 && !asked.Has(o.Code) && o.Code.Code() != dhcpv4.OptionFQDN.Code() {
			continue
		}
		m.UpdateOption(o)
		if len(m.ToBytes()) > room-overhead {
			m.DeleteOption(o.Code)
			x.cut.Add(1)
		}
	}
}

// offered is what the subnet has to tell, by importance.
func (x *exchange4) offered(asked dhcpv4.OptionCodeList) (list []dhcpv4.Option) {
	s := x.sub
	if len(s.Routes) > 0 && asked.Has(dhcpv4.OptionClasslessStaticRoute) {
		list = append(list, dhcpv4.OptClasslessStaticRoute(s.classless()...)) // replaces the router option (RFC 3442)
	} else if len(s.Routers) > 0 {
		list = append(list, dhcpv4.OptRouter(ips(s.Routers)...))
	}
	if len(s.DNS) > 0 {
		list = append(list, dhcpv4.OptDNS(ips(s.DNS)...))
	}
	if s.MTU != 0 {
		list = append(list, dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{byte(s.MTU >> 8), byte(s.MTU)}))
	}
	if s.Domain != "" {
		list = append(list, dhcpv4.OptDomainName(s.Domain))
	}
	list = append(list, dhcpv4.OptBroadcastAddress(ip(s.broadcast())))
	if len(s.Search) > 0 {
		list = append(list, dhcpv4.OptDomainSearch(&rfc1035label.Labels{Labels: s.Search}))
	}
	if len(s.NTP) > 0 {
		list = append(list, dhcpv4.OptNTPServers(ips(s.NTP)...))
	}
	if x.client.Host != "" {
		list = append(list, dhcpv4.OptHostName(x.client.Host))
	}
	return x.addFQDN(list)
}

func (s *Subnet4) classless() (list []*dhcpv4.Route) {
	if len(s.Routers) > 0 {
		list = append(list, route(netip.PrefixFrom(netip.IPv4Unspecified(), 0), s.Routers[0]))
	}
	for _, r := range s.Routes {
		list = append(list, route(r.To, r.Via))
	}
	return list
}

func route(to netip.Prefix, via netip.Addr) *dhcpv4.Route {
	return &dhcpv4.Route{Dest: &net.IPNet{IP: ip(to.Addr()), Mask: net.CIDRMask(to.Bits(), 32)}, Router: ip(via)}
}

// Flags of the client FQDN option (RFC 4702 §2.1).
const (
	fqdnServer   = 1 // the server keeps the name's address records
	fqdnOverride = 2 // against the client's wish
	fqdnEncoded  = 4 // as DNS labels, not as ASCII
)

// addFQDN answers a client that told its full name: the records are kept here, whatever it wished.
func (x *exchange4) addFQDN(list []dhcpv4.Option) []dhcpv4.Option {
	b := x.req.Options.Get(dhcpv4.OptionFQDN)
	if len(b) < 3 || x.client.Host == "" {
		return list
	}
	name := x.client.Host
	if x.sub.Domain != "" {
		name += "." + x.sub.Domain
	}
	flags := byte(fqdnServer) | b[0]&fqdnEncoded
	if b[0]&fqdnServer == 0 {
		flags |= fqdnOverride
	}
	out := []byte{flags, 255, 255} // RFC 4702 §2.2: the response codes are not used any more
	if flags&fqdnEncoded != 0 {
		out = append(out, (&rfc1035label.Labels{Labels: []string{name}}).ToBytes()...)
	} else {
		out = append(out, name...)
	}
	return append(list, dhcpv4.OptGeneric(dhcpv4.OptionFQDN, out))
}

func fqdn4(b []byte) string {
	if b[0]&fqdnEncoded == 0 {
		return string(b[3:])
	}
	size := min(int(b[3]), len(b)-4)
	return string(b[4 : 4+size])
}

// send addresses an answer as RFC 2131 §4.1 says.
func (x *exchange4) send(m *dhcpv4.DHCPv4, addr netip.Addr) drawbridge.Frame {
	out := datagram{src: x.link.MAC, from: x.sub.Server, ports: [2]uint16{server4, client4}, payload: m.ToBytes()}
	relay, has := addr4(x.req.GatewayIPAddr), addr4(x.req.ClientIPAddr)
	switch nak := m.MessageType() == dhcpv4.MessageTypeNak; {
	case relay.IsValid():
		out.dst, out.to, out.ports[1] = x.in.src, relay, server4
	case !nak && has.IsValid():
		out.dst, out.to = x.client.MAC, has
	case nak || x.req.IsBroadcast() || !addr.IsValid():
		out.dst, out.to = drawbridge.Broadcast, broadcast
	default:
		out.dst, out.to = x.client.MAC, addr
	}
	return out.frame()
}

func ip(a netip.Addr) net.IP { return a.AsSlice() }

func ips(list []netip.Addr) (out []net.IP) {
	for _, a := range list {
		out = append(out, ip(a))
	}
	return out
}
