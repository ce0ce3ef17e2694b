package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam/arp"
)

// Config is what a server needs. Only Leases has no default; Inject is needed by Run.
type Config struct {
	Leases Leases
	Inject func(port string, frame drawbridge.Frame) // sends a frame to the guest behind a port
	Now    func() time.Time
	Log    *slog.Logger
	// Patience is how long a message may wait for Leases. Longer than 4 s is of no use: the client has asked again.
	Patience time.Duration
	// Advertise is the time between unsolicited router advertisements; their lifetimes are three times as long.
	Advertise time.Duration
}

// Server answers the clients of the guest ports that are bound. It is safe for concurrent use.
type Server struct {
	config  Config
	links   atomic.Pointer[map[string]*Link]
	counts  [outcomes]atomic.Uint64
	cut     atomic.Uint64
	clients *limiter
	ports   *limiter
	queues  [workers]chan job
	bound   chan string // ports to advertise on at once

	mu sync.Mutex // held while links is replaced
}

// New prepares a server that serves no port yet.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Patience == 0 {
		c.Patience = 3 * time.Second
	}
	if c.Advertise == 0 {
		c.Advertise = 200 * time.Second
	}
	s := &Server{config: c, clients: newLimiter(clientRate, 1<<13), ports: newLimiter(portRate, 1<<12), bound: make(chan string, 64)}
	for i := range s.queues {
		s.queues[i] = make(chan job, queueLength)
	}
	s.links.Store(&map[string]*Link{})
	return s
}

// Bind serves a guest port, or changes what it is served. The caller sees to it that it is a guest port.
func (s *Server) Bind(port string, l Link) error {
	complete, err := l.complete()
	if err != nil {
		return fmt.Errorf("serve port %s: %w", port, err)
	}
	s.replace(func(m map[string]*Link) { m[port] = complete })
	if complete.Six != nil {
		select {
		case s.bound <- port:
		default: // it is advertised on with the others, at the next round
		}
	}
	return nil
}

// Unbind leaves a port unanswered from now on.
func (s *Server) Unbind(port string) { s.replace(func(m map[string]*Link) { delete(m, port) }) }

func (s *Server) replace(change func(map[string]*Link)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(*s.links.Load())
	change(next)
	s.links.Store(&next)
}

// Ports lists what is bound.
func (s *Server) Ports() map[string]Link {
	out := map[string]Link{}
	for port, l := range *s.links.Load() {
		out[port] = *l
	}
	return out
}

// Counts tells how many messages came to which outcome, since the start.
func (s *Server) Counts() map[Outcome]uint64 {
	out := map[Outcome]uint64{}
	for o := Ignored + 1; o < outcomes; o++ {
		out[o] = s.counts[o].Load()
	}
	return out
}

// OptionsCut counts options that were left out of answers, as they had no room in what the client accepts.
func (s *Server) OptionsCut() uint64 { return s.cut.Load() }

// Wants reports whether a frame from a guest port is for the server. Such a frame is not forwarded: it would reach
// another server, or let the server's address be looked for where it is not. It costs a few nanoseconds and allocates
// nothing.
func (s *Server) Wants(frame []byte, port string) bool {
	what := about(frame)
	if what == nothing {
		return false
	}
	l := (*s.links.Load())[port]
	return l != nil && l.wants(what, frame)
}

func (l *Link) wants(what subject, frame []byte) bool {
	dst := drawbridge.Frame(frame).Dst()
	if !dst.Group() && dst != l.MAC {
		return false // a lease that the guest has from elsewhere is none of ours
	}
	_, b := network(frame)
	switch what {
	case four:
		to := netip.AddrFrom4([4]byte(b[16:]))
		return l.Four != nil && (to == l.Four.Server || to == l.Four.broadcast() || to == broadcast)
	case six, solicitation:
		return l.Six != nil
	}
	_, ok := l.question(frame)
	return ok
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// question reads an ARP request or neighbour solicitation for the server's own address.
func (l *Link) question(frame []byte) (arp.Sighting, bool) {
	q, ok := arp.Parse(frame)
	ours := l.Four != nil && q.Asked == l.Four.Server || l.Six != nil && q.Asked == linkLocal(l.MAC)
	return q, ok && ours
}

// Serve answers one message of a guest port; ok is false when there is no answer. It waits for Leases, at most
// Config.Patience.
func (s *Server) Serve(ctx context.Context, p drawbridge.Packet, port string, now time.Time) (reply drawbridge.Frame, ok bool) {
	reply, o, client := s.serve(ctx, p, port, now)
	s.counts[o].Add(1)
	if o.Refused() {
		s.config.Log.Debug("dhcp message refused", "port", port, "mac", client, "reason", o.String())
	}
	return reply, reply != nil
}

func (s *Server) serve(ctx context.Context, p drawbridge.Packet, port string, now time.Time) (drawbridge.Frame, Outcome, drawbridge.MAC) {
	what := about(p.Frame)
	if what == nothing {
		return nil, Ignored, drawbridge.MAC{}
	}
	mac := p.Frame.Src()
	l := (*s.links.Load())[port]
	if l == nil {
		return nil, Unbound, mac
	}
	if !l.wants(what, p.Frame) {
		return nil, Ignored, mac
	}
	if !s.ports.allow(port, now) {
		return nil, Limited, mac
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	a := asking{Server: s, ctx: ctx, link: l, port: port, now: now}
	reply, o := a.answer(what, p)
	return reply, o, mac
}

// asking is one message on its way to an answer.
type asking struct {
	*Server
	ctx  context.Context
	link *Link
	port string
	now  time.Time
}

func (a asking) answer(what subject, p drawbridge.Packet) (drawbridge.Frame, Outcome) {
	switch what {
	case four:
		return a.four(p)
	case six:
		return a.six(p)
	case solicitation:
		return a.solicited(p)
	}
	q, _ := a.link.question(p.Frame)
	return arp.AnswerFrame(q, a.link.MAC), Resolved
}
