package mesh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// maxHops bounds the links that a message or stream crosses. Routes have no loops; those of two peers that
// know different records may have one, for the moment.
const maxHops = 32

// headLimit bounds how long a stream may take to say where it goes.
const headLimit = 5 * time.Second

// ErrUnreachable says that no links lead to a peer.
var ErrUnreachable = errors.New("no links lead to the peer")

// next is the link on which messages to a peer leave; nil: none. A control link serves before frames do.
func (r *Router) next(to drawbridge.PeerID) *link {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.links[to]; l != nil {
		return l
	}
	return r.links[r.flow.routes.Next[to]]
}

// post sends a message towards its destination.
func (r *Router) post(k wire.Kind, m *wire.Routed) error {
	l := r.next(m.To)
	if l == nil {
		return fmt.Errorf("peer %s: %w", m.To, ErrUnreachable)
	}
	return l.send(k, m.Append(nil))
}

// receiveRouted takes a message that is for us, and passes on another.
func (r *Router) receiveRouted(k wire.Kind, body []byte) error {
	m, err := wire.ParseRouted(k, body)
	if err != nil {
		return err
	}
	switch {
	case m.To == r.id && k == wire.KindPacket:
		r.members.receivePacket(&m)
	case m.To == r.id:
		r.receiveChannel(&m)
	case m.Hops == 0:
		r.drop("relay: too many hops")
	default:
		m.Hops--
		if err := r.post(k, &m); err != nil {
			r.drop("relay: " + dropCause(err))
		}
	}
	return nil
}

func dropCause(err error) string {
	switch {
	case errors.Is(err, ErrUnreachable):
		return "unreachable"
	case errors.Is(err, errQueueFull):
		return "queue full"
	}
	return "link gone"
}

// Handle gives streams that other peers open for a service to serve, which owns them. Names are for good, as
// those of channels are. serve is called on a goroutine of its own; the peers between are trusted for from.
func (r *Router) Handle(service string, serve func(from drawbridge.PeerID, c net.Conn)) {
	mustName("service", service)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services[service] = serve
}

// Open opens a stream to a service of another peer, over several links if need be. It ends with any of them.
func (r *Router) Open(to drawbridge.PeerID, service string) (net.Conn, error) {
	return r.openStream(wire.Stream{From: r.id, To: to, Hops: maxHops, Service: service})
}

func (r *Router) openStream(h wire.Stream) (net.Conn, error) {
	l := r.next(h.To)
	if l == nil {
		return nil, fmt.Errorf("stream to peer %s: %w", h.To, ErrUnreachable)
	}
	s, err := l.session.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("stream to peer %s: %w", h.To, err)
	}
	s.SetWriteDeadline(time.Now().Add(headLimit))
	if _, err := s.Write(h.Append(nil)); err != nil {
		s.Close()
		return nil, fmt.Errorf("stream to peer %s: %w", h.To, err)
	}
	s.SetWriteDeadline(time.Time{})
	return s, nil
}

// serveStream gives a stream that came in to its service, or passes it on.
func (r *Router) serveStream(s net.Conn) {
	s.SetReadDeadline(time.Now().Add(headLimit))
	h, err := wire.ReadStream(s)
	if err != nil {
		r.drop("stream: malformed")
		s.Close()
		return
	}
	s.SetReadDeadline(time.Time{})
	if h.To != r.id {
		r.relayStream(h, s)
		return
	}
	r.mu.Lock()
	serve := r.services[h.Service]
	r.mu.Unlock()
	if serve == nil {
		r.drop("stream: unknown service")
		s.Close()
		return
	}
	serve(h.From, s)
}

func (r *Router) relayStream(h wire.Stream, s net.Conn) {
	defer s.Close()
	if h.Hops == 0 {
		r.drop("stream: too many hops")
		return
	}
	h.Hops--
	onward, err := r.openStream(h)
	if err != nil {
		r.drop("stream: " + dropCause(err))
		return
	}
	defer onward.Close()
	var both sync.WaitGroup
	both.Go(func() { pump(onward, s) })
	both.Go(func() { pump(s, onward) })
	both.Wait()
}

// pump copies until src ends, and hands the end on; closing a yamux stream closes its sending half.
func pump(dst, src net.Conn) {
	io.Copy(dst, src)
	dst.Close()
}
