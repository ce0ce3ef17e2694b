package netlab

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Mapping is which outside port a NAT chooses (RFC 4787 §4.1).
type Mapping int

// The kinds of mapping there are in practice.
const (
	// Independent: one outside port for everything that an inside port sends, whoever to. Peers behind such NATs
	// can call each other once both have tried.
	Independent Mapping = iota
	// Symmetric: another outside port for every destination (address and port-dependent mapping). Two peers behind
	// such NATs need a third.
	Symmetric
)

// How long a mapping lasts without a packet from inside. RFC 4787 §4.3 asks for two minutes; home routers that
// forget after half a minute are common, and those are who keep-alives are for.
const (
	natTimeoutUDP = 30 * time.Second
	natTimeoutTCP = 10 * time.Minute
)

// The outside ports that a NAT gives out.
const (
	natFirstPort = 20000
	natLastPort  = 60000
)

// NAT is the table of a network address translator for IPv4 (UDP, TCP, ICMP echo and ICMP errors). Whatever the mapping,
// it lets in only what comes from an address and port that the inside has sent to (RFC 4787 §5: address and
// port-dependent filtering), as nearly all do. It is not for several goroutines.
type NAT struct {
	Inside  netip.Prefix
	Outside netip.Addr
	Mapping Mapping

	byFlow map[flow]*binding
	byPort map[natPort]*binding
	next   uint16
	swept  time.Time
}

// flow is what a binding belongs to; far is zero with independent mapping.
type flow struct {
	protocol  uint8
	near, far netip.AddrPort
}

type natPort struct {
	protocol uint8
	port     uint16
}

type binding struct {
	flow
	port uint16
	used time.Time
	sent map[netip.AddrPort]bool // whom the inside has sent to
}

// IP protocols.
const (
	protoICMP, protoTCP, protoUDP = 1, 6, 17
)

// Reasons for which a NAT drops a packet.
var (
	errNATForm   = errors.New("not a whole IPv4 packet of a kind that is translated")
	errNATOther  = errors.New("neither from inside nor to the outside address")
	errNATClosed = errors.New("nobody inside has sent to where it comes from")
	errNATFull   = errors.New("all ports are taken")
)

// Translate changes a packet in place, from inside to outside, back, or, when one inside calls another by the outside
// address, both. An error says why it is to be dropped.
func (n *NAT) Translate(b []byte, now time.Time) error {
	p, err := parseIPv4(b)
	if err != nil {
		return err
	}
	n.sweep(now)
	switch {
	case n.Inside.Contains(p.src()):
		if err := n.leave(p, now); err != nil {
			return err
		}
		if p.dst() == n.Outside {
			return n.enter(p, now)
		}
		return nil
	case p.dst() == n.Outside:
		return n.enter(p, now)
	}
	return errNATOther
}

func (n *NAT) leave(p ipv4, now time.Time) error {
	if quoted, isError := p.icmpError(); isError {
		k, ok := n.byFlow[n.flowOf(quoted.protocol(), quoted.end(dstEnd), quoted.end(srcEnd))]
		if !ok {
			return errNATClosed
		}
		quoted.setEnd(dstEnd, netip.AddrPortFrom(n.Outside, k.port))
		p.setAddr(srcEnd, n.Outside)
		p.sumICMP()
		return nil
	}
	near, far := p.end(srcEnd), p.end(dstEnd)
	k, err := n.bind(n.flowOf(p.protocol(), near, far), now)
	if err != nil {
		return err
	}
	k.used, k.sent[far] = now, true
	p.setEnd(srcEnd, netip.AddrPortFrom(n.Outside, k.port))
	return nil
}

func (n *NAT) flowOf(protocol uint8, near, far netip.AddrPort) flow {
	if n.Mapping == Independent {
		far = netip.AddrPort{}
	}
	return flow{protocol, near, far}
}

func (n *NAT) bind(f flow, now time.Time) (*binding, error) {
	if k, ok := n.byFlow[f]; ok {
		return k, nil
	}
	if n.byFlow == nil {
		n.byFlow, n.byPort, n.next = map[flow]*binding{}, map[natPort]*binding{}, natFirstPort
	}
	for range natLastPort - natFirstPort {
		at := natPort{f.protocol, n.next}
		if n.next++; n.next == natLastPort {
			n.next = natFirstPort
		}
		if n.byPort[at] == nil {
			k := &binding{flow: f, port: at.port, used: now, sent: map[netip.AddrPort]bool{}}
			n.byFlow[f], n.byPort[at] = k, k
			return k, nil
		}
	}
	return nil, errNATFull
}

func (n *NAT) enter(p ipv4, now time.Time) error {
	if quoted, isError := p.icmpError(); isError {
		k := n.byPort[natPort{quoted.protocol(), quoted.end(srcEnd).Port()}]
		if k == nil || !k.sent[quoted.end(dstEnd)] {
			return errNATClosed
		}
		quoted.setEnd(srcEnd, k.near)
		p.setAddr(dstEnd, k.near.Addr())
		p.sumICMP()
		return nil
	}
	k := n.byPort[natPort{p.protocol(), p.end(dstEnd).Port()}]
	if k == nil || !k.sent[p.end(srcEnd)] {
		return errNATClosed
	}
	p.setEnd(dstEnd, k.near)
	return nil
}

// sweep forgets bindings that were not used for too long, looking once a second.
func (n *NAT) sweep(now time.Time) {
	if now.Sub(n.swept) < time.Second {
		return
	}
	n.swept = now
	for f, k := range n.byFlow {
		limit := natTimeoutUDP
		if f.protocol == protoTCP {
			limit = natTimeoutTCP
		}
		if now.Sub(k.used) >= limit {
			delete(n.byFlow, f)
			delete(n.byPort, natPort{f.protocol, k.port})
		}
	}
}

// ipv4 is a packet that can be changed. l4 is what follows its header; it may be cut off inside of an ICMP error.
type ipv4 struct {
	header, l4 []byte
	quoted     bool // inside of an ICMP error: checksums of l4 are not ours to keep
}

// parseIPv4 accepts what can be translated. Later fragments have no ports and are dropped, which is why peers must not
// send any.
func parseIPv4(b []byte) (p ipv4, err error) {
	if p, err = parseHeader(b); err != nil {
		return p, err
	}
	least := map[uint8]int{protoICMP: 8, protoTCP: 20, protoUDP: 8}[p.protocol()]
	if least == 0 || len(p.l4) < least {
		return p, errNATForm
	}
	if p.protocol() == protoICMP && !isEcho(p.l4[0]) {
		if _, ok := p.icmpError(); !ok {
			return p, errNATForm
		}
	}
	return p, nil
}

func parseHeader(b []byte) (p ipv4, err error) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return p, errNATForm
	}
	size, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if size < 20 || total < size || len(b) < size {
		return p, errNATForm
	}
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 { // a later fragment
		return p, errNATForm
	}
	return ipv4{header: b[:size], l4: b[size:min(total, len(b))]}, nil
}

func isEcho(kind byte) bool { return kind == echoRequest4 || kind == echoReply4 }

// icmpError is the packet that an ICMP error is about (RFC 792: destination unreachable, time exceeded, parameter
// problem), whose header and first eight bytes it quotes.
func (p ipv4) icmpError() (quoted ipv4, ok bool) {
	if p.protocol() != protoICMP || len(p.l4) < 8 || p.l4[0] != 3 && p.l4[0] != 11 && p.l4[0] != 12 {
		return quoted, false
	}
	quoted, err := parseHeader(p.l4[8:])
	quoted.quoted = true
	known := err == nil && (quoted.protocol() == protoTCP || quoted.protocol() == protoUDP || quoted.protocol() == protoICMP)
	return quoted, known && len(quoted.l4) >= 8 && (quoted.protocol() != protoICMP || isEcho(quoted.l4[0]))
}

func (p ipv4) protocol() uint8 { return p.header[9] }
func (p ipv4) src() netip.Addr { return netip.AddrFrom4([4]byte(p.header[12:])) }
func (p ipv4) dst() netip.Addr { return netip.AddrFrom4([4]byte(p.header[16:])) }

const (
	srcEnd = iota
	dstEnd
)

// end is the address and port of one side. An ICMP echo has its identifier as port on the side that asks, and also on
// the one that answers: the identifier is what a NAT changes.
func (p ipv4) end(side int) netip.AddrPort {
	addr := [2]netip.Addr{p.src(), p.dst()}[side]
	if p.protocol() == protoICMP {
		if side == p.echoSide() {
			return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(p.l4[4:]))
		}
		return netip.AddrPortFrom(addr, 0)
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(p.l4[2*side:]))
}

// echoSide is the side of an echo that the identifier belongs to.
func (p ipv4) echoSide() int {
	if p.l4[0] == echoReply4 {
		return dstEnd
	}
	return srcEnd
}

func (p ipv4) setEnd(side int, to netip.AddrPort) {
	p.setAddr(side, to.Addr())
	offset := 2 * side
	if p.protocol() == protoICMP {
		offset = 4
	}
	p.replace(p.l4[offset:offset+2], binary.BigEndian.AppendUint16(nil, to.Port()), false)
}

func (p ipv4) setAddr(side int, to netip.Addr) {
	a := to.As4()
	field := p.header[12+4*side : 16+4*side]
	p.replace(field, a[:], true)
}

// replace overwrites a field and keeps the checksums that cover it right, by their difference (RFC 1624).
func (p ipv4) replace(field, with []byte, address bool) {
	if address {
		adjust(p.header[10:12], field, with)
	}
	if sum := p.checksum(address); sum != nil {
		adjust(sum, field, with)
	}
	copy(field, with)
}

// checksum is the field in l4 that covers ports and, but for ICMP, addresses; nil: none, or quoted.
func (p ipv4) checksum(address bool) []byte {
	switch {
	case p.quoted:
		return nil
	case p.protocol() == protoTCP:
		return p.l4[16:18]
	case p.protocol() == protoUDP && (p.l4[6] != 0 || p.l4[7] != 0): // 0: the sender computed none
		return p.l4[6:8]
	case p.protocol() == protoICMP && !address:
		return p.l4[2:4]
	}
	return nil
}

func adjust(sum, old, now []byte) {
	v := uint32(^binary.BigEndian.Uint16(sum))
	for i := 0; i < len(old); i += 2 {
		v += uint32(^binary.BigEndian.Uint16(old[i:])) + uint32(binary.BigEndian.Uint16(now[i:]))
	}
	for v > 0xffff {
		v = v>>16 + v&0xffff
	}
	binary.BigEndian.PutUint16(sum, ^uint16(v))
}

// sumICMP computes the checksum of an ICMP message whose inside was changed.
func (p ipv4) sumICMP() {
	p.l4[2], p.l4[3] = 0, 0
	binary.BigEndian.PutUint16(p.l4[2:], checksum(p.l4))
}
