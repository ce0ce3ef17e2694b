package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	wire "github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

// maxConns bounds TCP connections; idle ones end after 8 s.
const maxConns = 128

// Serve answers on a UDP socket and a TCP listener, either may be nil, until the context ends or one of them fails. It
// closes both.
func (s *Server) Serve(ctx context.Context, packets net.PacketConn, streams net.Listener) error {
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	var servers []*wire.Server
	if packets != nil {
		servers = append(servers, &wire.Server{PacketConn: packets, Handler: s.handler(run, false), UDPSize: maxUDP})
	}
	if streams != nil {
		servers = append(servers, &wire.Server{Listener: netutil.LimitListener(streams, maxConns), Handler: s.handler(run, true)})
	}
	if len(servers) == 0 {
		return errors.New("serve dns: neither a socket nor a listener")
	}
	var wait sync.WaitGroup
	errs := make([]error, len(servers))
	for i, server := range servers {
		wait.Go(func() {
			defer cancel()
			errs[i] = server.ActivateAndServe()
		})
		wait.Go(func() {
			<-run.Done()
			shut(server)
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("serve dns: the socket ended: %w", errors.Join(errs...))
}

// shut ends a server; one that has not started yet fails as soon as it does.
func shut(server *wire.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.ShutdownContext(ctx) == nil {
		return
	}
	if server.PacketConn != nil {
		_ = server.PacketConn.Close() // closed already is as good
	} else {
		_ = server.Listener.Close()
	}
}

func (s *Server) handler(ctx context.Context, tcp bool) wire.Handler {
	return wire.HandlerFunc(func(w wire.ResponseWriter, q *wire.Msg) {
		if err := w.WriteMsg(s.reply(ctx, q, tcp)); err != nil {
			_ = w.Close() // the asker has gone
		}
	})
}

// pass asks the resolvers, one after the other, and hands on what the first answers.
func (s *Server) pass(ctx context.Context, q, failed *wire.Msg, tcp bool) (*wire.Msg, Outcome) {
	failed.Rcode = wire.RcodeServerFailure
	select {
	case s.forward <- struct{}{}:
		defer func() { <-s.forward }()
	default:
		return failed, Failed // many wait already: an answer now is better than one that comes too late
	}
	ask := q.Copy()
	if opt := ask.IsEdns0(); opt != nil {
		opt.SetUDPSize(maxUDP)
	}
	for _, upstream := range s.config.Upstream {
		if ctx.Err() != nil {
			break
		}
		if m := s.exchange(ctx, ask, upstream.String(), tcp); m != nil {
			m.Id, m.Authoritative = q.Id, false
			return m, Forwarded
		}
	}
	return failed, Failed
}

// exchange asks one resolver under an id and from a port that nobody can guess; nil when it gives no usable answer.
func (s *Server) exchange(ctx context.Context, ask *wire.Msg, upstream string, tcp bool) *wire.Msg {
	client := wire.Client{Net: "udp", UDPSize: maxUDP, Timeout: s.config.Patience}
	if tcp {
		client.Net = "tcp"
	}
	ask.Id = wire.Id()
	m, _, err := client.ExchangeContext(ctx, ask, upstream)
	if err != nil || !m.Response || len(m.Question) != 1 || m.Question[0] != ask.Question[0] || m.Rcode == wire.RcodeServerFailure {
		return nil
	}
	return m
}
