package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServeTLS answers on l until ctx ends, with TLS as c says. Who speaks plain HTTP to it, as people do who type
// an address without https, is told where to go. It closes l.
func ServeTLS(ctx context.Context, l net.Listener, h http.Handler, c *tls.Config, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := &sorter{Listener: l, ctx: ctx, secret: make(chan net.Conn), plain: make(chan net.Conn), room: make(chan struct{}, maxUnsorted)}
	var group sync.WaitGroup
	var plainErr, tlsErr, err error
	group.Go(func() { plainErr = Serve(ctx, sorted{s, s.plain}, http.HandlerFunc(toTLS), log) })
	group.Go(func() { tlsErr = Serve(ctx, tls.NewListener(sorted{s, s.secret}, c), h, log) })
	group.Go(func() {
		err = s.run()
		stop()
	})
	<-ctx.Done()
	_ = l.Close()
	group.Wait()
	s.group.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, unlessClosed(plainErr), unlessClosed(tlsErr))
}

func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// toTLS sends a browser to the same place with https. Only reading is sent on: a form has gone over the wire by
// now, and must not look as if that were right.
func toTLS(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.Host == "" {
		problem(w, http.StatusUpgradeRequired, "this port speaks HTTPS: use https://, and change any secret that was sent without")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "https://"+r.Host+r.URL.RequestURI(), http.StatusTemporaryRedirect)
}

// Bounds of connections of which nobody knows yet what they speak.
const (
	maxUnsorted = 256
	sortWithin  = 10 * time.Second
)

// handshake is the first byte of TLS (RFC 8446 §5.1). No method of HTTP begins with it.
const handshake = 22

// sorter tells TLS from plain HTTP by the first byte of a connection.
type sorter struct {
	net.Listener
	ctx           context.Context
	secret, plain chan net.Conn
	room          chan struct{}
	group         sync.WaitGroup
}

// run accepts until the listener is closed.
func (s *sorter) run() error {
	for {
		c, err := s.Accept()
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			continue
		}
		if err != nil {
			return err
		}
		select {
		case s.room <- struct{}{}:
			s.group.Go(func() { s.sort(c) })
		case <-s.ctx.Done():
			_ = c.Close()
		}
	}
}

func (s *sorter) sort(c net.Conn) {
	defer func() { <-s.room }()
	_ = c.SetReadDeadline(time.Now().Add(sortWithin)) // fails when the connection is closed; so does reading
	end := context.AfterFunc(s.ctx, func() { _ = c.Close() })
	in := bufio.NewReaderSize(c, 16)
	first, err := in.Peek(1)
	if err != nil || !end() {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	to := s.plain
	if first[0] == handshake {
		to = s.secret
	}
	select {
	case to <- &peeked{c, in}:
	case <-s.ctx.Done():
		_ = c.Close()
	}
}

// peeked is a connection of which the first bytes are in a buffer.
type peeked struct {
	net.Conn
	in *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) {
	if p.in.Buffered() > 0 {
		return p.in.Read(b)
	}
	return p.Conn.Read(b)
}

// sorted is the listener of one kind.
type sorted struct {
	*sorter
	of <-chan net.Conn
}

// Accept implements net.Listener.
func (s sorted) Accept() (net.Conn, error) {
	select {
	case c := <-s.of:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The listener behind belongs to ServeTLS.
func (s sorted) Close() error { return nil }
