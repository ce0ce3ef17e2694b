package dns

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	wire "github.com/miekg/dns"
)

// Outcome says what became of a question.
type Outcome uint8

// Outcomes are only ever appended.
const (
	Answered  Outcome = iota
	NoData            // the name exists, but has no records of that type
	NoName            // NXDOMAIN
	Forwarded         // a resolver answered
	Failed            // no resolver answered, or too many questions are with them
	Refused           // a foreign zone, a zone transfer or another class
	Unknown           // an operation or an EDNS version that is not supported
	Malformed
	Truncated // counted beside what the answer was
	outcomes
)

var outcomeNames = [outcomes]string{"answered", "no-data", "no-name", "forwarded", "failed", "refused", "unknown", "malformed", "truncated"}

func (o Outcome) String() string { return outcomeNames[min(o, outcomes-1)] }

// maxUDP is the largest answer over UDP: what passes everywhere without fragments (DNS flag day 2020).
const maxUDP = 1232

// Server answers questions. It is safe for concurrent use.
type Server struct {
	config  Config
	names   Names
	counts  [outcomes]atomic.Uint64
	turn    atomic.Uint32 // by which several addresses of a name take turns at the front
	forward chan struct{} // a place for each question that is with a resolver
}

// New prepares a server.
func New(c Config, names Names) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	c.Subnets, c.Self, c.Upstream = slices.Clone(c.Subnets), slices.Clone(c.Self), slices.Clone(c.Upstream)
	return &Server{config: c, names: names, forward: make(chan struct{}, 64)}, nil
}

// Counts tells how many questions came to which outcome, since the start.
func (s *Server) Counts() map[Outcome]uint64 {
	out := map[Outcome]uint64{}
	for o := range outcomes {
		out[o] = s.counts[o].Load()
	}
	return out
}

// Answer answers one message as it stands on the wire; nil when none must be given. It is for questions that do not come
// over a socket, such as those of guests to an address that no socket has.
func (s *Server) Answer(ctx context.Context, message []byte, tcp bool) []byte {
	var q wire.Msg
	if err := q.Unpack(message); err != nil || q.Response {
		s.counts[Malformed].Add(1)
		return nil
	}
	out, err := s.reply(ctx, &q, tcp).Pack()
	if err != nil {
		s.counts[Failed].Add(1)
		return nil
	}
	return out
}

// reply answers a question, within the size that the asker takes.
func (s *Server) reply(ctx context.Context, q *wire.Msg, tcp bool) *wire.Msg {
	m, o := s.decide(ctx, q, tcp)
	s.counts[o].Add(1)
	size := wire.MaxMsgSize
	opt := q.IsEdns0()
	if !tcp {
		if size = wire.MinMsgSize; opt != nil {
			size = min(max(int(opt.UDPSize()), size), maxUDP)
		}
	}
	if m.IsEdns0() == nil && opt != nil {
		m.SetEdns0(maxUDP, opt.Do())
	}
	m.Compress = true
	m.Truncate(size)
	if m.Truncated {
		s.counts[Truncated].Add(1)
	}
	return m
}

func (s *Server) decide(ctx context.Context, q *wire.Msg, tcp bool) (*wire.Msg, Outcome) {
	m := new(wire.Msg).SetReply(q)
	m.RecursionAvailable = len(s.config.Upstream) > 0
	opt := q.IsEdns0()
	switch {
	case q.Opcode != wire.OpcodeQuery:
		m.Rcode = wire.RcodeNotImplemented
		return m, Unknown
	case len(q.Question) != 1:
		m.Rcode = wire.RcodeFormatError
		return m, Malformed
	case opt != nil && opt.Version() != 0:
		m.SetEdns0(maxUDP, opt.Do())
		m.IsEdns0().SetExtendedRcode(wire.RcodeBadVers)
		m.Rcode = wire.RcodeBadVers
		return m, Unknown
	}
	ask := q.Question[0]
	if ask.Qclass != wire.ClassINET || ask.Qtype == wire.TypeAXFR || ask.Qtype == wire.TypeIXFR {
		return refuse(m)
	}
	name := strings.ToLower(strings.TrimSuffix(ask.Name, "."))
	if own, ok := s.forwardName(name); ok {
		return s.lookup(m, ask, own)
	}
	if b, ok := parseBackward(name); ok {
		if zone, apex, ok := b.within(s.config.Subnets); ok {
			return s.reverse(m, ask, b, zone, apex)
		}
	}
	if len(s.config.Upstream) == 0 || !q.RecursionDesired {
		return refuse(m)
	}
	return s.pass(ctx, q, m, tcp)
}

func refuse(m *wire.Msg) (*wire.Msg, Outcome) {
	m.Rcode = wire.RcodeRefused
	return m, Refused
}

// forwardName takes the zone off a name in it.
func (s *Server) forwardName(name string) (string, bool) {
	if name == s.config.Zone {
		return "", true
	}
	return strings.CutSuffix(name, "."+s.config.Zone)
}

// lookup answers for a name of the zone. Records carry the name as it was asked, as some resolvers mix upper and lower
// case to tell forged answers.
func (s *Server) lookup(m *wire.Msg, ask wire.Question, name string) (*wire.Msg, Outcome) {
	m.Authoritative = true
	var addrs []netip.Addr
	exists := false
	if name == "ns" {
		addrs, exists = s.config.Self, true
	} else if _, err := Normalise(name); name == "" || err == nil {
		addrs, exists = s.names.Addrs(name)
	}
	switch apex := name == ""; {
	case apex && ask.Qtype == wire.TypeSOA:
		m.Answer = []wire.RR{s.soa(ask.Name)}
	case apex && ask.Qtype == wire.TypeNS:
		m.Answer = []wire.RR{s.ns(ask.Name)}
		m.Extra = s.records("ns."+s.config.Zone+".", wire.TypeANY, s.config.Self)
	case !exists && !apex:
		m.Rcode = wire.RcodeNameError
	default:
		m.Answer = s.records(ask.Name, ask.Qtype, s.rotate(addrs))
	}
	return s.finish(m, s.config.Zone)
}

func (s *Server) reverse(m *wire.Msg, ask wire.Question, b backward, zone string, apex bool) (*wire.Msg, Outcome) {
	m.Authoritative = true
	switch {
	case apex && ask.Qtype == wire.TypeSOA:
		m.Answer = []wire.RR{s.soa(ask.Name)}
	case apex && ask.Qtype == wire.TypeNS:
		m.Answer = []wire.RR{s.ns(ask.Name)}
	case b.whole():
		names := s.names.Names(b.prefix.Addr())
		if len(names) == 0 {
			m.Rcode = wire.RcodeNameError
		} else if ask.Qtype == wire.TypePTR || ask.Qtype == wire.TypeANY {
			m.Answer = s.pointers(ask.Name, names)
		}
	}
	return s.finish(m, zone)
}

// finish adds to an empty answer the record that says how long it holds (RFC 2308).
func (s *Server) finish(m *wire.Msg, zone string) (*wire.Msg, Outcome) {
	if len(m.Answer) > 0 {
		return m, Answered
	}
	m.Ns = []wire.RR{s.soa(zone + ".")}
	if m.Rcode == wire.RcodeNameError {
		return m, NoName
	}
	return m, NoData
}

// rotate puts another address first every time: clients take the first.
func (s *Server) rotate(addrs []netip.Addr) []netip.Addr {
	if len(addrs) < 2 {
		return addrs
	}
	sorted := slices.Clone(addrs)
	slices.SortFunc(sorted, netip.Addr.Compare)
	n := int(s.turn.Add(1) % uint32(len(sorted)))
	return append(sorted[n:], sorted[:n]...)
}

func (s *Server) header(name string, kind uint16) wire.RR_Header {
	return wire.RR_Header{Name: name, Rrtype: kind, Class: wire.ClassINET, Ttl: uint32(s.config.TTL.Seconds())}
}

func (s *Server) records(name string, kind uint16, addrs []netip.Addr) (list []wire.RR) {
	for _, a := range addrs {
		a = a.Unmap()
		switch {
		case a.Is4() && (kind == wire.TypeA || kind == wire.TypeANY):
			list = append(list, &wire.A{Hdr: s.header(name, wire.TypeA), A: a.AsSlice()})
		case a.Is6() && (kind == wire.TypeAAAA || kind == wire.TypeANY):
			list = append(list, &wire.AAAA{Hdr: s.header(name, wire.TypeAAAA), AAAA: a.WithZone("").AsSlice()})
		}
	}
	return list
}

// pointers leaves out what is no name: one bad entry must not spoil the message.
func (s *Server) pointers(name string, targets []string) (list []wire.RR) {
	for _, t := range targets {
		if !strings.HasSuffix(t, ".") {
			t += "." + s.config.Zone
		}
		if n, err := Normalise(t); err == nil {
			list = append(list, &wire.PTR{Hdr: s.header(name, wire.TypePTR), Ptr: n + "."})
		}
	}
	return list
}

func (s *Server) soa(zone string) wire.RR {
	return &wire.SOA{
		Hdr: s.header(zone, wire.TypeSOA), Ns: "ns." + s.config.Zone + ".", Mbox: "hostmaster." + s.config.Zone + ".",
		Serial: s.names.Serial(), Refresh: 3600, Retry: 600, Expire: 86400, Minttl: uint32(s.config.TTL.Seconds()),
	}
}

func (s *Server) ns(zone string) wire.RR {
	return &wire.NS{Hdr: s.header(zone, wire.TypeNS), Ns: "ns." + s.config.Zone + "."}
}
