package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// protocols are those that may stand alone or before a kind. transport is that of IP, 0: none; family its EtherType,
// 0: IPv4 and IPv6.
var protocols = map[string]struct {
	family    int
	transport uint8
}{
	"ether": {}, "ip": {family: typeIPv4}, "ip6": {family: typeIPv6}, "arp": {family: typeARP}, "rarp": {family: typeRARP},
	"tcp": {transport: protoTCP}, "udp": {transport: protoUDP}, "sctp": {transport: protoSCTP},
	"icmp": {family: typeIPv4, transport: protoICMP}, "icmp6": {family: typeIPv6, transport: protoICMP6},
}

// primitive is qualifiers and an id, a protocol, or one of the special words.
func (p *parser) primitive() (match, error) {
	if m, err, ok := p.special(); ok {
		return m, err
	}
	q, some := p.qualifiers()
	word := p.peek(0)
	if q.kind == "" && (word == "" || word == ")" || isJoint(word)) {
		if _, known := protocols[q.proto]; known && q.proto != "ether" && q.side == either {
			return ofProtocol(q.proto), nil
		}
		return nil, p.unexpected("a primitive")
	}
	if word == "" || symbolAt(word) > 0 {
		return nil, p.unexpected("an address, a number or a name")
	}
	if !some {
		q = p.last
	}
	if q.kind == "" {
		q.kind = "host"
	}
	p.last = q
	p.at++
	return build(q, word)
}

func isJoint(word string) bool {
	return word == "and" || word == "or" || word == "&&" || word == "||"
}

// qualifiers reads what comes before an id, and whether anything did.
func (p *parser) qualifiers() (q qualifiers, some bool) {
	start := p.at
	if _, known := protocols[p.peek(0)]; known {
		q.proto = p.next()
	}
	q.side = p.side()
	switch p.peek(0) {
	case "host", "net", "port", "portrange", "proto":
		q.kind = p.next()
	}
	return q, p.at > start
}

func (p *parser) side() side {
	first, joint, second := p.peek(0), p.peek(1), p.peek(2)
	if first != "src" && first != "dst" {
		return either
	}
	p.at++
	if isJoint(joint) && (second == "src" || second == "dst") && second != first {
		p.at += 2
		if joint == "or" || joint == "||" {
			return either
		}
		return both
	}
	if first == "src" {
		return source
	}
	return destination
}

// special reads the primitives that are made of words alone, or of a word and a number.
func (p *parser) special() (m match, err error, ok bool) {
	switch word := p.peek(0); word {
	case "inbound", "outbound":
		p.at++
		want := map[string]forwarder.Direction{"inbound": forwarder.Inbound, "outbound": forwarder.Outbound}[word]
		return func(v *view) bool { return v.direction == want }, nil, true
	case "less", "greater":
		p.at++
		n, err := number(p.next(), 1<<20)
		if word == "less" {
			return func(v *view) bool { return len(v.frame) <= n }, err, true
		}
		return func(v *view) bool { return len(v.frame) >= n }, err, true
	case "vlan":
		p.at++
		m, err := p.vlan()
		return m, err, true
	case "broadcast", "multicast":
		p.at++
		return ofStations(word), nil, true
	}
	if word := p.peek(1); p.peek(0) == "ether" && (word == "broadcast" || word == "multicast") {
		p.at += 2
		return ofStations(word), nil, true
	}
	return nil, nil, false
}

func (p *parser) vlan() (match, error) {
	id := p.peek(0)
	if id == "" || id == ")" || isJoint(id) {
		return func(v *view) bool { return len(v.vlans) > 0 }, nil
	}
	p.at++
	n, err := number(id, 4095)
	return func(v *view) bool {
		for _, vlan := range v.vlans {
			if int(vlan) == n {
				return true
			}
		}
		return false
	}, err
}

func ofStations(word string) match {
	if word == "broadcast" {
		return func(v *view) bool {
			return len(v.frame) >= drawbridge.MinFrame && v.frame.Dst() == drawbridge.Broadcast
		}
	}
	return func(v *view) bool { return len(v.frame) >= drawbridge.MinFrame && v.frame.Dst().Group() }
}

func number(s string, most int) (int, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil || n > uint64(most) {
		return 0, fmt.Errorf("filter: %q: want a number up to %d: %w", s, most, ErrFilter)
	}
	return int(n), nil
}

// ofProtocol matches the frames of a protocol.
func ofProtocol(name string) match {
	proto := protocols[name]
	if proto.transport == 0 {
		return func(v *view) bool { return v.kind == proto.family }
	}
	return func(v *view) bool {
		return v.layout.Network != 0 && v.layout.Protocol == proto.transport && (proto.family == 0 || v.kind == proto.family)
	}
}

// build makes the match of an id with its qualifiers.
func build(q qualifiers, id string) (match, error) {
	switch q.kind {
	case "proto":
		return ofNumber(q, strings.TrimPrefix(id, `\`))
	case "port", "portrange":
		return ofPorts(q, id)
	}
	if q.proto == "ether" {
		mac, err := drawbridge.ParseMAC(id)
		if err != nil || q.kind != "host" {
			return nil, fmt.Errorf("filter: ether %s %q: want a MAC address behind ether host: %w", q.kind, id, ErrFilter)
		}
		return func(v *view) bool {
			return len(v.frame) >= drawbridge.MinFrame && q.side.pick(v.frame.Src() == mac, v.frame.Dst() == mac)
		}, nil
	}
	if protocols[q.proto].transport != 0 {
		return nil, fmt.Errorf("filter: %s has no %s: %w", q.proto, q.kind, ErrFilter)
	}
	prefix, err := network(id, q.kind == "net")
	if err != nil {
		return nil, err
	}
	return ofAddresses(q, prefix), nil
}

// network reads an address or, as a net, a prefix, in which missing octets of IPv4 stand for any: "net 10.1".
func network(id string, isNet bool) (netip.Prefix, error) {
	bits := ""
	if isNet {
		id, bits, _ = strings.Cut(id, "/")
	}
	missing := 3 - strings.Count(id, ".")
	if isNet && missing > 0 && missing <= 3 && !strings.Contains(id, ":") {
		id += strings.Repeat(".0", missing)
		if bits == "" {
			bits = strconv.Itoa(32 - 8*missing)
		}
	}
	address, err := netip.ParseAddr(id)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("filter: %q is no address; names are not looked up: %w", id, ErrFilter)
	}
	length := address.BitLen()
	if bits != "" {
		if length, err = number(bits, length); err != nil {
			return netip.Prefix{}, err
		}
	}
	prefix := netip.PrefixFrom(address, length)
	if prefix != prefix.Masked() {
		return prefix, fmt.Errorf("filter: %s has bits behind its mask; did you mean %s? %w", prefix, prefix.Masked(), ErrFilter)
	}
	return prefix, nil
}

// ofAddresses matches addresses of IP, ARP and RARP.
func ofAddresses(q qualifiers, prefix netip.Prefix) match {
	family := protocols[q.proto].family
	return func(v *view) bool {
		if family != 0 && v.kind != family {
			return false
		}
		src, dst, ok := v.addresses()
		return ok && q.side.pick(prefix.Contains(src), prefix.Contains(dst))
	}
}

// addresses are the network layer's source and destination.
func (v *view) addresses() (src, dst netip.Addr, ok bool) {
	var b []byte
	switch {
	case v.ipv4():
		b = v.bytes(v.layout.Network+12, 8)
	case v.ipv6():
		b = v.bytes(v.layout.Network+8, 32)
	case v.kind == typeARP || v.kind == typeRARP:
		if a := v.bytes(v.body+14, 14); a != nil {
			return netip.AddrFrom4([4]byte(a[0:4])), netip.AddrFrom4([4]byte(a[10:14])), true
		}
	}
	if b == nil {
		return src, dst, false
	}
	src, _ = netip.AddrFromSlice(b[:len(b)/2])
	dst, _ = netip.AddrFromSlice(b[len(b)/2:])
	return src, dst, true
}

// ofPorts matches a port or a range of them.
func ofPorts(q qualifiers, id string) (match, error) {
	transport := protocols[q.proto].transport
	switch transport {
	case protoTCP, protoUDP, protoSCTP:
	default:
		if q.proto != "" {
			return nil, fmt.Errorf("filter: %s has no ports: %w", q.proto, ErrFilter)
		}
	}
	low, high := id, id
	if q.kind == "portrange" {
		var isRange bool
		if low, high, isRange = strings.Cut(id, "-"); !isRange {
			return nil, fmt.Errorf("filter: port range %q: want such as 6000-6008: %w", id, ErrFilter)
		}
	}
	from, err := port(q.proto, low)
	if err != nil {
		return nil, err
	}
	to, err := port(q.proto, high)
	if err != nil {
		return nil, err
	}
	return func(v *view) bool {
		src, dst, ok := v.ports(transport)
		return ok && q.side.pick(from <= src && src <= to, from <= dst && dst <= to)
	}, nil
}

// port reads a number, or a name that the system knows.
func port(proto, id string) (uint16, error) {
	if n, err := number(id, 65535); err == nil {
		return uint16(n), nil
	}
	for _, network := range []string{"tcp", "udp"} {
		if proto == "" || proto == network {
			if n, err := net.LookupPort(network, id); err == nil {
				return uint16(n), nil
			}
		}
	}
	return 0, fmt.Errorf("filter: %q is no port: %w", id, ErrFilter)
}

// ports are those of the transport, 0: of any that has them.
func (v *view) ports(transport uint8) (src, dst uint16, ok bool) {
	switch v.layout.Protocol {
	case protoTCP, protoUDP, protoSCTP:
	default:
		return 0, 0, false
	}
	b := v.bytes(v.layout.Transport, 4)
	if v.layout.Transport == 0 || b == nil || transport != 0 && v.layout.Protocol != transport {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), true
}

// ofNumber matches a protocol by its number or name: an EtherType behind ether proto, else IP's.
func ofNumber(q qualifiers, id string) (match, error) {
	if q.proto != "ether" && q.proto != "ip" && q.proto != "ip6" && q.proto != "" || q.side != either {
		return nil, fmt.Errorf("filter: proto behind %s: want ether, ip or ip6: %w", q.proto, ErrFilter)
	}
	known, named := protocols[id]
	if q.proto == "ether" {
		n := known.family
		var err error
		if !named || known.transport != 0 || n == 0 {
			n, err = number(id, 65535)
		}
		return func(v *view) bool { return v.kind == n }, err
	}
	n := int(known.transport)
	var err error
	if n == 0 {
		n, err = number(id, 255)
	}
	family := protocols[q.proto].family
	return func(v *view) bool {
		return v.layout.Network != 0 && int(v.layout.Protocol) == n && (family == 0 || v.kind == family)
	}, err
}
