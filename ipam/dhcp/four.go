package dhcp

import (
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/drawbridge-net/drawbridge"
)

// exchange4 is one DHCPv4 message and what is known of its sender.
type exchange4 struct {
	asking
	sub    *Subnet4
	in     datagram
	req    *dhcpv4.DHCPv4
	client Client
}

func (a asking) four(p drawbridge.Packet) (drawbridge.Frame, Outcome) {
	in, o := parse4(p)
	if o != Ignored {
		return nil, o
	}
	req, err := dhcpv4.FromBytes(in.payload)
	if err != nil || req.OpCode != dhcpv4.OpcodeBootRequest || req.HWType != iana.HWTypeEthernet || len(req.ClientHWAddr) != 6 {
		return nil, Malformed
	}
	x := exchange4{asking: a, sub: a.link.Four, in: in, req: req}
	if o := x.identify(); o != Ignored {
		return nil, o
	}
	if !a.clients.allow(x.client.Key, a.now) {
		return nil, Limited
	}
	return x.converse()
}

// identify finds out who asks, and refuses who pretends to be somebody else or comes through a relay unasked.
func (x *exchange4) identify() Outcome {
	mac := drawbridge.MAC(x.req.ClientHWAddr)
	switch relay := addr4(x.req.GatewayIPAddr); {
	case relay.IsValid():
		if !x.allowed(relay) {
			return Relayed
		}
		if at := x.relayedFrom(relay); !x.sub.Prefix.Contains(at) {
			return OutsideSubnet
		}
	case x.req.Options.Has(dhcpv4.OptionRelayAgentInformation):
		return Relayed // a client must not speak for a relay (RFC 3046 §2.1)
	case mac != x.in.src:
		return Spoofed
	}
	if mac.Group() || mac == (drawbridge.MAC{}) {
		return Malformed
	}
	x.client = Client{Key: key4(x.req.Options.Get(dhcpv4.OptionClientIdentifier), mac), MAC: mac, Host: x.host(), Port: x.port}
	return Ignored
}

func (x *exchange4) allowed(relay netip.Addr) bool {
	for _, r := range x.sub.Relays {
		if r == relay {
			return true
		}
	}
	return false
}

// relayedFrom is an address on the client's link: the relay's, or what it says instead (RFC 3527).
func (x *exchange4) relayedFrom(relay netip.Addr) netip.Addr {
	if info := x.req.RelayAgentInfo(); info != nil {
		if a := addr4(info.Get(dhcpv4.LinkSelectionSubOption)); a.IsValid() {
			return a
		}
	}
	return relay
}

// key4 names a client (see Client.Key). Identifiers are at most 255 octets, so keys are bounded.
func key4(id []byte, mac drawbridge.MAC) string {
	if len(id) < 2 || len(id) > 255 || len(id) == 7 && id[0] == byte(iana.HWTypeEthernet) && drawbridge.MAC(id[1:]) == mac {
		return "mac:" + hex.EncodeToString(mac[:])
	}
	return "id:" + hex.EncodeToString(id)
}

func (x *exchange4) host() string {
	if b := x.req.Options.Get(dhcpv4.OptionFQDN); len(b) > 3 {
		if name := hostLabel(fqdn4(b)); name != "" {
			return name
		}
	}
	return hostLabel(string(x.req.Options.Get(dhcpv4.OptionHostName)))
}

func (x *exchange4) converse() (drawbridge.Frame, Outcome) {
	switch x.req.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return x.discover()
	case dhcpv4.MessageTypeRequest:
		return x.request()
	case dhcpv4.MessageTypeInform:
		return x.inform()
	case dhcpv4.MessageTypeRelease:
		return nil, x.giveUp(addr4(x.req.ClientIPAddr), x.config.Leases.Release, Released)
	case dhcpv4.MessageTypeDecline:
		return nil, x.giveUp(addr4(x.req.RequestedIPAddress()), x.config.Leases.Decline, Declined)
	case dhcpv4.MessageTypeNone:
		return nil, Malformed // BOOTP
	}
	return nil, Unsupported
}

func (x *exchange4) discover() (drawbridge.Frame, Outcome) {
	wanted := addr4(x.req.RequestedIPAddress())
	if !x.sub.has(wanted) || wanted == x.sub.Server {
		wanted = netip.Addr{}
	}
	addr, _, err := x.config.Leases.Allocate(x.ctx, x.sub.Prefix, x.client, wanted, x.sub.Hold)
	if err != nil {
		return nil, outcomeOf(err)
	}
	return x.reply(dhcpv4.MessageTypeOffer, addr, x.sub.Lease), Offered
}

// request tells the states of a client apart as RFC 2131 §4.3.2 does.
func (x *exchange4) request() (drawbridge.Frame, Outcome) {
	server, wanted, has := addr4(x.req.ServerIdentifier()), addr4(x.req.RequestedIPAddress()), addr4(x.req.ClientIPAddr)
	selecting := server.IsValid()
	switch {
	case selecting && server != x.sub.Server:
		return nil, OtherServer // the offer's hold runs out by itself
	case selecting && (has.IsValid() || !wanted.IsValid()), wanted.IsValid() == has.IsValid():
		return nil, Malformed
	case has.IsValid(): // renewing or rebinding
		wanted = has
	}
	if !x.sub.has(wanted) || wanted == x.sub.Server {
		return x.nak("address is not of this subnet"), Nacked
	}
	return x.confirm(wanted, selecting || x.sub.Authoritative)
}

// confirm renews the lease. Whoever is known to have no right gets a no; where we cannot know, or another server may
// know better, the client hears nothing and goes on as RFC 2131 lets it.
func (x *exchange4) confirm(addr netip.Addr, sayNo bool) (drawbridge.Frame, Outcome) {
	expiry, err := x.config.Leases.Renew(x.ctx, x.sub.Prefix, x.client, addr, x.sub.Lease)
	left := expiry.Sub(x.now).Truncate(time.Second)
	switch {
	case err == nil && left >= time.Second:
		return x.reply(dhcpv4.MessageTypeAck, addr, min(left, x.sub.Lease)), Acked
	case err == nil, errors.Is(err, ErrTaken), errors.Is(err, ErrExhausted), errors.Is(err, ErrUnknown) && sayNo:
		return x.nak("address is not yours"), Nacked
	}
	return nil, outcomeOf(err)
}

func (x *exchange4) inform() (drawbridge.Frame, Outcome) {
	has := addr4(x.req.ClientIPAddr)
	if !x.sub.has(has) {
		return nil, OutsideSubnet
	}
	return x.reply(dhcpv4.MessageTypeAck, netip.Addr{}, 0), Informed
}

// giveUp passes a release or a decline on; neither is answered.
func (x *exchange4) giveUp(addr netip.Addr, give giving, done Outcome) Outcome {
	if server := addr4(x.req.ServerIdentifier()); server != x.sub.Server {
		return OtherServer
	}
	if !x.sub.has(addr) {
		return OutsideSubnet
	}
	if err := give(x.ctx, x.sub.Prefix, x.client, addr); err != nil {
		return outcomeOf(err)
	}
	return done
}

// addr4 reads an address; invalid for none and for 0.0.0.0.
func addr4(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if a = a.Unmap(); !ok || !a.Is4() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
