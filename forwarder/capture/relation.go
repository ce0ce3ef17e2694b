package capture

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// value is one side of a relation; not ok: the frame does not have the bytes that it asks for.
type value func(v *view) (n uint32, ok bool)

// relation is two values and how they compare. What a frame does not have makes the relation false.
func (p *parser) relation(depth int) (match, error) {
	left, err := p.sum(depth)
	if err != nil {
		return nil, err
	}
	compare, ok := comparisons[p.peek(0)]
	if !ok {
		return nil, p.unexpected("a comparison")
	}
	p.at++
	right, err := p.sum(depth)
	if err != nil {
		return nil, err
	}
	return func(v *view) bool {
		a, okA := left(v)
		b, okB := right(v)
		return okA && okB && compare(a, b)
	}, nil
}

var comparisons = map[string]func(a, b uint32) bool{
	"=":  func(a, b uint32) bool { return a == b },
	"==": func(a, b uint32) bool { return a == b },
	"!=": func(a, b uint32) bool { return a != b },
	"<":  func(a, b uint32) bool { return a < b },
	">":  func(a, b uint32) bool { return a > b },
	"<=": func(a, b uint32) bool { return a <= b },
	">=": func(a, b uint32) bool { return a >= b },
}

// operations by how they bind, weakest first, as in libpcap's grammar: it has & | ^ << >> together.
var operations = []map[string]func(a, b uint32) (uint32, bool){
	{
		"&":  func(a, b uint32) (uint32, bool) { return a & b, true },
		"|":  func(a, b uint32) (uint32, bool) { return a | b, true },
		"^":  func(a, b uint32) (uint32, bool) { return a ^ b, true },
		"<<": func(a, b uint32) (uint32, bool) { return a << b, true },
		">>": func(a, b uint32) (uint32, bool) { return a >> b, true },
	},
	{
		"+": func(a, b uint32) (uint32, bool) { return a + b, true },
		"-": func(a, b uint32) (uint32, bool) { return a - b, true },
	},
	{
		"*": func(a, b uint32) (uint32, bool) { return a * b, true },
		"/": func(a, b uint32) (uint32, bool) { return a / max(b, 1), b != 0 },
		"%": func(a, b uint32) (uint32, bool) { return a % max(b, 1), b != 0 },
	},
}

func (p *parser) sum(depth int) (value, error) { return p.operation(depth, 0) }

func (p *parser) operation(depth, level int) (value, error) {
	if level == len(operations) {
		return p.operand(depth)
	}
	left, err := p.operation(depth, level+1)
	for err == nil {
		operate, ok := operations[level][p.peek(0)]
		if !ok {
			return left, nil
		}
		p.at++
		a := left
		var b value
		b, err = p.operation(depth, level+1)
		left = func(v *view) (uint32, bool) {
			x, okX := a(v)
			y, okY := b(v)
			if !okX || !okY {
				return 0, false
			}
			return operate(x, y)
		}
	}
	return nil, err
}

// names of numbers, as in pcap-filter(7).
var names = map[string]uint32{
	"icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1, "tcpflags": 13,
	"tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-redirect": 5, "icmp-echo": 8, "icmp-timxceed": 11,
}

// operand is a number, a name, the length, an access, or a sum in parentheses.
func (p *parser) operand(depth int) (value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("filter with more than %d levels: %w", maxDepth, ErrFilter)
	}
	word := p.peek(0)
	if word == "(" {
		p.at++
		inner, err := p.sum(depth + 1)
		if err == nil && !p.accept(")") {
			err = p.unexpected(")")
		}
		return inner, err
	}
	if word == "len" {
		p.at++
		return func(v *view) (uint32, bool) { return uint32(len(v.frame)), true }, nil
	}
	if _, known := protocols[word]; known && p.peek(1) == "[" {
		p.at += 2
		return p.access(word, depth)
	}
	n, named := names[word]
	if !named {
		parsed, err := strconv.ParseUint(word, 0, 32)
		if err != nil {
			return nil, p.unexpected("a number")
		}
		n = uint32(parsed)
	}
	p.at++
	return func(*view) (uint32, bool) { return n, true }, nil
}

// access reads what follows "tcp[": where in the header, and optionally how many bytes.
func (p *parser) access(proto string, depth int) (value, error) {
	offset, err := p.sum(depth + 1)
	if err != nil {
		return nil, err
	}
	size := 1
	if p.accept(":") {
		bytes := p.next()
		if size, err = number(bytes, 4); err != nil || size == 0 || size == 3 {
			return nil, fmt.Errorf("filter: %q bytes: want 1, 2 or 4: %w", bytes, ErrFilter)
		}
	}
	if !p.accept("]") {
		return nil, p.unexpected("]")
	}
	return func(v *view) (uint32, bool) {
		at, ok := offset(v)
		base := v.header(proto)
		if !ok || base < 0 || at > 1<<20 {
			return 0, false
		}
		return bigEndian(v.bytes(base+int(at), size))
	}, nil
}

func bigEndian(b []byte) (uint32, bool) {
	switch len(b) {
	case 1:
		return uint32(b[0]), true
	case 2:
		return uint32(binary.BigEndian.Uint16(b)), true
	case 4:
		return binary.BigEndian.Uint32(b), true
	}
	return 0, false
}

// header is where a protocol's header begins; -1: the frame has none.
func (v *view) header(name string) int {
	proto := protocols[name]
	switch {
	case name == "ether":
		return 0
	case name == "arp" || name == "rarp":
		if v.kind == proto.family {
			return v.body
		}
	case v.layout.Network == 0 || proto.family != 0 && v.kind != proto.family:
	case proto.transport == 0:
		return v.layout.Network
	case v.layout.Protocol == proto.transport && v.layout.Transport != 0:
		return v.layout.Transport
	}
	return -1
}
