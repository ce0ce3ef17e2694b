package capture

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFilter is the condition behind every expression that Compile refuses.
var ErrFilter = errors.New("the filter expression is not understood")

// Bounds of expressions: people write far shorter ones, and nobody else should make the recorder work.
const (
	maxText  = 4096
	maxDepth = 64
)

// Compile reads a filter expression in libpcap's language (pcap-filter(7)): the primitives with ether, ip, ip6, arp,
// rarp, tcp, udp, sctp, icmp, icmp6; host, net, port, portrange, proto; src, dst; broadcast, multicast, less, greater,
// vlan, inbound, outbound; and relations such as tcp[tcpflags] & tcp-syn != 0. It differs for the
// frames of a trunk, as VLAN tags are looked through everywhere and "vlan 42" asks about any of a frame's tags, and in
// that tcp[13] looks into IPv6 too. Names of hosts are not looked up. The language is compiled here because the pure-Go compilers that exist get "not" and
// parentheses wrong without an error. "" is nil, which takes every frame.
func Compile(text string) (*Filter, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("a filter of %d bytes, want at most %d: %w", len(text), maxText, ErrFilter)
	}
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, nil
	}
	p := &parser{tokens: tokens}
	m, err := p.expression(0)
	if err == nil && p.at < len(p.tokens) {
		err = p.unexpected("and, or, or the end")
	}
	if err != nil {
		return nil, err
	}
	return &Filter{text: text, match: m}, nil
}

// symbols that are not words, longest first.
var symbols = []string{"&&", "||", "<<", ">>", "!=", "<=", ">=", "==", "(", ")", "[", "]", "!", "&", "|", "^", "=", "<", ">", "+", "-", "*", "/", "%", ":"}

// scan cuts an expression into words and symbols.
func scan(text string) (tokens []string, err error) {
	inside := 0 // brackets, where ":" is a symbol: tcp[0:2]; elsewhere it is part of addresses
	for text = strings.TrimLeft(text, " \t\r\n"); text != ""; text = strings.TrimLeft(text, " \t\r\n") {
		n := 0
		for n < len(text) && (wordByte(text[n], n) && (text[n] != ':' || inside == 0)) {
			n++
		}
		if n == 0 {
			if n = symbolAt(text); n == 0 {
				return nil, fmt.Errorf("filter: character %q: %w", text[0], ErrFilter)
			}
		}
		switch text[0] {
		case '[':
			inside++
		case ']':
			inside--
		}
		tokens, text = append(tokens, text[:n]), text[n:]
	}
	return tokens, nil
}

// wordByte reports whether c may stand at that place of a word: "4000-4100" and "10.0.0.0/8" are words, "-" and "/"
// after a space are not.
func wordByte(c byte, at int) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("._:\\", c) >= 0 || at > 0 && (c == '-' || c == '/')
}

func symbolAt(text string) int {
	for _, s := range symbols {
		if strings.HasPrefix(text, s) {
			return len(s)
		}
	}
	return 0
}

// parser descends through an expression. The last qualifiers stay: "port 53 or 67" means "port 53 or port 67".
type parser struct {
	tokens []string
	at     int
	last   qualifiers
}

// qualifiers go before an id: what kind of thing it is, on which side, in which protocol.
type qualifiers struct {
	proto, kind string
	side        side
}

// peek is the token so many places ahead; "" behind the end.
func (p *parser) peek(ahead int) string { return p.peekAt(p.at + ahead) }

func (p *parser) peekAt(at int) string {
	if at >= len(p.tokens) {
		return ""
	}
	return p.tokens[at]
}

func (p *parser) next() string {
	t := p.peek(0)
	p.at++
	return t
}

func (p *parser) accept(tokens ...string) bool {
	for _, t := range tokens {
		if p.peek(0) == t {
			p.at++
			return true
		}
	}
	return false
}

func (p *parser) unexpected(want string) error {
	if p.at >= len(p.tokens) {
		return fmt.Errorf("filter ends where %s should come: %w", want, ErrFilter)
	}
	return fmt.Errorf("filter has %q where %s should come: %w", p.peek(0), want, ErrFilter)
}

// expression is primitives joined by and and or, which bind alike and to the left, as libpcap's do.
func (p *parser) expression(depth int) (match, error) {
	left, err := p.term(depth)
	for err == nil {
		a := left
		var b match
		switch {
		case p.accept("and", "&&"):
			b, err = p.term(depth)
			left = func(v *view) bool { return a(v) && b(v) }
		case p.accept("or", "||"):
			b, err = p.term(depth)
			left = func(v *view) bool { return a(v) || b(v) }
		default:
			return left, nil
		}
	}
	return nil, err
}

// term is one operand, perhaps negated.
func (p *parser) term(depth int) (match, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("filter with more than %d levels: %w", maxDepth, ErrFilter)
	}
	if p.accept("not", "!") {
		m, err := p.term(depth + 1)
		return func(v *view) bool { return !m(v) }, err
	}
	start := p.at
	if m, err := p.relation(depth); err == nil || p.peekAt(start+1) == "[" {
		return m, err
	}
	p.at = start
	if p.accept("(") {
		m, err := p.expression(depth + 1)
		if err == nil && !p.accept(")") {
			err = p.unexpected(")")
		}
		return m, err
	}
	return p.primitive()
}
