// Package arp finds out from a wire who uses an address: it reads and writes the few ARP (RFC 826, RFC 5227) and
// neighbour discovery messages (RFC 4861, RFC 4862) that tell, probes before an address is handed out, defends one
// that is held, and listens for addresses that others use. Everything in it is told what was heard and what time it
// is; nothing in it runs or sends.
package arp

import (
	"encoding/binary"
	"net/netip"

	"github.com/drawbridge-net/drawbridge"
)

// EtherTypes that the package reads.
const (
	etherTypeARP  = 0x0806
	etherTypeVLAN = 0x8100
	etherTypeIPv6 = 0x86dd
)

// minFrame is the shortest Ethernet frame without its check sequence; shorter ones are padded.
const minFrame = 60

// Kind says what a message tells of an address.
type Kind uint8

// Kinds are only ever appended.
const (
	Claim Kind = 1 // the sender uses the address
	Want  Kind = 2 // the sender asks whether it may use the address (a probe)
)

func (k Kind) String() string {
	switch k {
	case Claim:
		return "claim"
	case Want:
		return "want"
	}
	return "none"
}

// Sighting is what one ARP or neighbour discovery message tells.
type Sighting struct {
	Kind  Kind
	Addr  netip.Addr     // the address that is used or wanted
	MAC   drawbridge.MAC // of its user, as the message states it
	Via   drawbridge.MAC // the Ethernet source, which differs from MAC when a proxy or a liar speaks
	Asked netip.Addr     // whose hardware address the sender asks for; zero when it asks for none
	Nonce [6]byte        // of an IPv6 probe (RFC 7527): tells our own probe that came back from another's
}

// Parse reads a message out of a frame; false when it is none, is malformed, or belongs to another VLAN than the
// one that the wire stands for. A priority tag (VLAN 0) is looked through.
func Parse(frame []byte) (s Sighting, ok bool) {
	if len(frame) < drawbridge.MinFrame {
		return s, false
	}
	f := drawbridge.Frame(frame)
	kind, body := f.EtherType(), frame[drawbridge.MinFrame:]
	if kind == etherTypeVLAN && len(body) >= 4 && binary.BigEndian.Uint16(body)&0xfff == 0 {
		kind, body = binary.BigEndian.Uint16(body[2:]), body[4:]
	}
	s.Via = f.Src()
	switch kind {
	case etherTypeARP:
		ok = s.parseARP(body)
	case etherTypeIPv6:
		ok = s.parseND(body)
	}
	return s, ok && !s.MAC.Group() && s.MAC != drawbridge.MAC{}
}

// arpSize is an ARP message for Ethernet and IPv4, arpHead its invariable start up to the operation's high octet.
const arpSize = 28

var arpHead = [7]byte{0, 1, 8, 0, 6, 4, 0}

const (
	opRequest = 1
	opReply   = 2
)

func (s *Sighting) parseARP(b []byte) bool {
	if len(b) < arpSize || [7]byte(b) != arpHead || b[7] != opRequest && b[7] != opReply {
		return false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	s.MAC = drawbridge.MAC(b[8:])
	switch {
	case !sender.IsUnspecified():
		s.Kind, s.Addr = Claim, sender
		if b[7] == opRequest && target != sender {
			s.Asked = target
		}
	case b[7] == opRequest:
		s.Kind, s.Addr, s.Asked = Want, target, target
	}
	return usable(s.Addr)
}

// usable reports whether one station can have the address a.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// frameARP writes a request or reply, padded.
func frameARP(dst, src drawbridge.MAC, op byte, sender netip.Addr, targetMAC drawbridge.MAC, target netip.Addr) drawbridge.Frame {
	f := make([]byte, 0, minFrame)
	f = append(append(append(f, dst[:]...), src[:]...), etherTypeARP>>8, etherTypeARP&0xff)
	f = append(append(f, arpHead[:]...), op)
	f = append(append(f, src[:]...), sender.AsSlice()...)
	f = append(append(f, targetMAC[:]...), target.AsSlice()...)
	return drawbridge.Frame(f[:minFrame])
}

// ProbeFrame asks on behalf of own whether anybody uses addr, without claiming it: an ARP probe (RFC 5227 §2.1.1),
// or a neighbour solicitation from the unspecified address (RFC 4862 §5.4.2) that carries the nonce.
func ProbeFrame(addr netip.Addr, own drawbridge.MAC, nonce [6]byte) drawbridge.Frame {
	if addr.Is4() {
		return frameARP(drawbridge.Broadcast, own, opRequest, netip.IPv4Unspecified(), drawbridge.MAC{}, addr)
	}
	option := append([]byte{optNonce, 1}, nonce[:]...)
	group := SolicitedNode(addr)
	return frameND(groupMAC(group), own, netip.IPv6Unspecified(), group, typeNS, 0, addr, option)
}

// AnnounceFrame tells everybody that own uses addr (RFC 5227 §2.3; RFC 4861 §7.2.6).
func AnnounceFrame(addr netip.Addr, own drawbridge.MAC) drawbridge.Frame {
	if addr.Is4() {
		return frameARP(drawbridge.Broadcast, own, opRequest, addr, drawbridge.MAC{}, addr)
	}
	all := netip.IPv6LinkLocalAllNodes()
	return frameND(groupMAC(all), own, addr, all, typeNA, flagOverride, addr, linkLayer(optTargetMAC, own))
}

// AnswerFrame tells the sender of question, which asked for an address, that own has it.
func AnswerFrame(question Sighting, own drawbridge.MAC) drawbridge.Frame {
	has := question.Asked
	if has.Is4() {
		to := question.Addr
		if question.Kind == Want {
			to = netip.IPv4Unspecified()
		}
		return frameARP(question.Via, own, opReply, has, question.MAC, to)
	}
	if question.Kind == Want { // it has no address to answer to (RFC 4861 §7.2.4)
		all := netip.IPv6LinkLocalAllNodes()
		return frameND(groupMAC(all), own, has, all, typeNA, flagOverride, has, linkLayer(optTargetMAC, own))
	}
	return frameND(question.Via, own, has, question.Addr, typeNA, flagSolicited|flagOverride, has, linkLayer(optTargetMAC, own))
}
