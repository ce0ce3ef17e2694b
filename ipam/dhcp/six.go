package dhcp

import (
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"github.com/drawbridge-net/drawbridge"
)

// Bounds on one message: a host has one identity association, a host of containers a few.
const (
	maxIAs   = 8
	maxAddrs = 4 // of one association
	maxDUID  = 130
)

// exchange6 is one DHCPv6 message and what is known of its sender.
type exchange6 struct {
	asking
	sub    *Subnet6
	in     datagram
	req    *dhcpv6.Message
	client Client // Key without the IAID
	refuse Outcome
	silent bool // the answer is not known now, and none must be given
}

func (a asking) six(p drawbridge.Packet) (drawbridge.Frame, Outcome) {
	in, o := parse6(p)
	if o != Ignored {
		return nil, o
	}
	decoded, err := dhcpv6.FromBytes(in.payload)
	if err != nil || !in.from.IsLinkLocalUnicast() || !in.to.IsMulticast() { // RFC 8415 §16: unicast only where allowed
		return nil, Malformed
	}
	if decoded.IsRelay() {
		return nil, Relayed
	}
	x := exchange6{asking: a, sub: a.link.Six, in: in, req: decoded.(*dhcpv6.Message)}
	if o := x.identify(); o != Ignored {
		return nil, o
	}
	if !a.clients.allow(x.client.Key, a.now) {
		return nil, Limited
	}
	return x.converse()
}

// identify checks the identifiers as RFC 8415 §16 asks for each kind of message.
func (x *exchange6) identify() Outcome {
	id, server := x.req.Options.ClientID(), x.req.Options.ServerID()
	if id == nil && x.req.MessageType != dhcpv6.MessageTypeInformationRequest {
		return Malformed
	}
	switch x.req.MessageType {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRebind:
		if server != nil {
			return Malformed
		}
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		if server == nil {
			return Malformed
		}
	}
	if server != nil && !server.Equal(x.self()) {
		return OtherServer
	}
	x.client = Client{Key: "duid:", MAC: x.in.src, Port: x.port, Host: x.host()}
	if id != nil {
		b := id.ToBytes()
		if len(b) < 3 || len(b) > maxDUID {
			return Malformed
		}
		x.client.Key += hex.EncodeToString(b)
	} else {
		x.client.Key += hex.EncodeToString(x.in.src[:])
	}
	return Ignored
}

// self is the server's identifier. It follows from the hardware address, which all peers share: a guest that has moved
// to another peer goes on renewing.
func (x *exchange6) self() dhcpv6.DUID {
	return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: x.link.MAC[:]}
}

func (x *exchange6) host() string {
	if f := x.req.Options.FQDN(); f != nil && f.DomainName != nil && len(f.DomainName.Labels) > 0 {
		return hostLabel(f.DomainName.Labels[0])
	}
	return ""
}

func (x *exchange6) converse() (drawbridge.Frame, Outcome) {
	switch x.req.MessageType {
	case dhcpv6.MessageTypeSolicit:
		if x.req.GetOneOption(dhcpv6.OptionRapidCommit) != nil {
			return x.answer(dhcpv6.MessageTypeReply, x.grant, Replied)
		}
		return x.answer(dhcpv6.MessageTypeAdvertise, x.offer, Advertised)
	case dhcpv6.MessageTypeRequest:
		return x.answer(dhcpv6.MessageTypeReply, x.grant, Replied)
	case dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
		return x.answer(dhcpv6.MessageTypeReply, x.renew, Replied)
	case dhcpv6.MessageTypeRelease:
		return x.answer(dhcpv6.MessageTypeReply, x.giving(x.config.Leases.Release), Released)
	case dhcpv6.MessageTypeDecline:
		return x.answer(dhcpv6.MessageTypeReply, x.giving(x.config.Leases.Decline), Declined)
	case dhcpv6.MessageTypeConfirm:
		return x.confirm()
	case dhcpv6.MessageTypeInformationRequest:
		return x.answer(dhcpv6.MessageTypeReply, nil, Informed)
	}
	return nil, Unsupported
}

// answer builds a message with what each makes of every identity association. If any is not known now, there is no
// answer at all: the client repeats the whole message.
func (x *exchange6) answer(kind dhcpv6.MessageType, each func(*dhcpv6.OptIANA) *dhcpv6.OptIANA, done Outcome) (drawbridge.Frame, Outcome) {
	m := x.bare(kind)
	list := x.req.Options.IANA()
	if len(list) > maxIAs {
		return nil, Malformed
	}
	if each != nil {
		for _, ia := range list {
			if out := each(ia); out != nil {
				m.AddOption(out)
			}
		}
		for _, ia := range x.req.Options.IAPD() {
			out := &dhcpv6.OptIAPD{IaId: ia.IaId}
			out.Options.Add(status(iana.StatusNoPrefixAvail, "prefixes are not delegated"))
			m.AddOption(out)
		}
	}
	switch {
	case x.silent:
		return nil, Unreachable
	case done == Released || done == Declined:
		m.AddOption(status(iana.StatusSuccess, ""))
	case x.refuse != Ignored:
		done = x.refuse
	}
	return x.send(m), done
}

func (x *exchange6) bare(kind dhcpv6.MessageType) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: kind, TransactionID: x.req.TransactionID}
	m.AddOption(dhcpv6.OptServerID(x.self()))
	if id := x.req.Options.ClientID(); id != nil {
		m.AddOption(dhcpv6.OptClientID(id))
	}
	if kind == dhcpv6.MessageTypeReply && x.req.MessageType == dhcpv6.MessageTypeSolicit {
		m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	}
	x.fill(m)
	return m
}

// fill adds the options that the client asked for.
func (x *exchange6) fill(m *dhcpv6.Message) {
	if len(x.sub.DNS) > 0 && x.req.IsOptionRequested(dhcpv6.OptionDNSRecursiveNameServer) {
		m.AddOption(dhcpv6.OptDNS(ips(x.sub.DNS)...))
	}
	if len(x.sub.Search) > 0 && x.req.IsOptionRequested(dhcpv6.OptionDomainSearchList) {
		m.AddOption(dhcpv6.OptDomainSearchList(&rfc1035label.Labels{Labels: x.sub.Search}))
	}
	if len(x.sub.NTP) > 0 && x.req.IsOptionRequested(dhcpv6.OptionNTPServer) {
		ntp := &dhcpv6.OptNTPServer{}
		for _, a := range x.sub.NTP {
			s := dhcpv6.NTPSuboptionSrvAddr(ip(a))
			ntp.Suboptions.Add(&s)
		}
		m.AddOption(ntp)
	}
}

func (x *exchange6) send(m *dhcpv6.Message) drawbridge.Frame {
	return datagram{
		src: x.link.MAC, dst: x.in.src, from: linkLocal(x.link.MAC), to: x.in.from,
		ports: [2]uint16{server6, client6}, payload: m.ToBytes(),
	}.frame()
}

func (x *exchange6) of(ia *dhcpv6.OptIANA) Client {
	c := x.client
	c.Key += "/" + hex.EncodeToString(ia.IaId[:])
	return c
}

// wanted is the first address of the subnet that the client names.
func (x *exchange6) wanted(ia *dhcpv6.OptIANA) netip.Addr {
	for _, a := range ia.Options.Addresses() {
		if w := addr6(a.IPv6Addr); x.sub.Prefix.Contains(w) {
			return w
		}
	}
	return netip.Addr{}
}

func (x *exchange6) offer(ia *dhcpv6.OptIANA) *dhcpv6.OptIANA {
	addr, _, err := x.config.Leases.Allocate(x.ctx, x.sub.Prefix, x.of(ia), x.wanted(ia), x.sub.Hold)
	if err != nil {
		return x.none(ia, err)
	}
	return x.has(ia, addr, x.sub.Lease)
}

// grant makes an offered address the client's, or finds another: in DHCPv6 a server may (RFC 8415 §18.3.2).
func (x *exchange6) grant(ia *dhcpv6.OptIANA) *dhcpv6.OptIANA {
	c, wanted := x.of(ia), x.wanted(ia)
	addr, _, err := x.config.Leases.Allocate(x.ctx, x.sub.Prefix, c, wanted, x.sub.Hold)
	if err != nil {
		return x.none(ia, err)
	}
	expiry, err := x.config.Leases.Renew(x.ctx, x.sub.Prefix, c, addr, x.sub.Lease)
	if left := expiry.Sub(x.now).Truncate(time.Second); err == nil && left >= time.Second {
		return x.has(ia, addr, min(left, x.sub.Lease))
	}
	return x.none(ia, err)
}

// renew extends every address of an association; one that is not the client's gets no time left (RFC 8415 §18.3.4).
func (x *exchange6) renew(ia *dhcpv6.OptIANA) *dhcpv6.OptIANA {
	out, known := &dhcpv6.OptIANA{IaId: ia.IaId}, false
	for i, a := range ia.Options.Addresses() {
		addr := addr6(a.IPv6Addr)
		if i == maxAddrs {
			break
		}
		left, err := x.extend(ia, addr)
		switch {
		case err == nil:
			known = true
			x.add(out, addr, left)
		case errors.Is(err, ErrTaken):
			known, x.refuse = true, Nacked
			x.add(out, addr, 0)
		case !errors.Is(err, ErrUnknown):
			x.silent = true
		}
	}
	if !known {
		x.refuse = Nacked
		out.Options.Add(status(iana.StatusNoBinding, "no lease of these addresses"))
	}
	return out
}

func (x *exchange6) extend(ia *dhcpv6.OptIANA, addr netip.Addr) (time.Duration, error) {
	if !x.sub.Prefix.Contains(addr) {
		return 0, ErrTaken
	}
	expiry, err := x.config.Leases.Renew(x.ctx, x.sub.Prefix, x.of(ia), addr, x.sub.Lease)
	left := min(expiry.Sub(x.now).Truncate(time.Second), x.sub.Lease)
	if err == nil && left < time.Second {
		err = ErrTaken
	}
	return left, err
}

func (x *exchange6) giving(give giving) func(*dhcpv6.OptIANA) *dhcpv6.OptIANA {
	return func(ia *dhcpv6.OptIANA) *dhcpv6.OptIANA {
		known := false
		for i, a := range ia.Options.Addresses() {
			addr := addr6(a.IPv6Addr)
			if i == maxAddrs || !x.sub.Prefix.Contains(addr) {
				continue
			}
			switch err := give(x.ctx, x.sub.Prefix, x.of(ia), addr); {
			case err == nil:
				known = true
			case !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrTaken):
				x.silent = true
			}
		}
		if known {
			return nil
		}
		out := &dhcpv6.OptIANA{IaId: ia.IaId}
		out.Options.Add(status(iana.StatusNoBinding, "no lease of these addresses"))
		return out
	}
}

// confirm tells a host that may have moved whether its addresses fit the link (RFC 8415 §18.3.3).
func (x *exchange6) confirm() (drawbridge.Frame, Outcome) {
	any, fit := false, true
	for _, ia := range x.req.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			any, fit = true, fit && x.sub.Prefix.Contains(addr6(a.IPv6Addr))
		}
	}
	if !any {
		return nil, Malformed
	}
	m := x.bare(dhcpv6.MessageTypeReply)
	if !fit {
		m.AddOption(status(iana.StatusNotOnLink, "addresses are not of this link"))
		return x.send(m), Nacked
	}
	m.AddOption(status(iana.StatusSuccess, ""))
	return x.send(m), Replied
}

func (x *exchange6) has(ia *dhcpv6.OptIANA, addr netip.Addr, valid time.Duration) *dhcpv6.OptIANA {
	out := &dhcpv6.OptIANA{IaId: ia.IaId}
	x.add(out, addr, valid)
	return out
}

// add puts an address in, with the times at which RFC 8415 §21.4 suggests to renew: 0.5 and 0.8 of the preferred one.
func (x *exchange6) add(out *dhcpv6.OptIANA, addr netip.Addr, valid time.Duration) {
	preferred := (valid * 5 / 8).Truncate(time.Second)
	if preferred > 0 {
		out.T1, out.T2 = preferred/2, preferred*4/5
	}
	out.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: ip(addr), PreferredLifetime: preferred, ValidLifetime: valid})
}

// none is an association without an address. Only that no address is free is said; all else may be better the next time.
func (x *exchange6) none(ia *dhcpv6.OptIANA, err error) *dhcpv6.OptIANA {
	if !errors.Is(err, ErrExhausted) {
		x.silent = true
		return nil
	}
	x.refuse = Exhausted
	out := &dhcpv6.OptIANA{IaId: ia.IaId}
	out.Options.Add(status(iana.StatusNoAddrsAvail, "no address is free"))
	return out
}

func status(code iana.StatusCode, message string) dhcpv6.Option {
	return &dhcpv6.OptStatusCode{StatusCode: code, StatusMessage: message}
}

// addr6 reads an address; invalid for none.
func addr6(b net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(b)
	if !ok || !a.Is6() {
		return netip.Addr{}
	}
	return a
}
