package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

const (
	dialLimit  = 5 * time.Second
	helloLimit = 5 * time.Second

	// lingerLimit bounds how long a refused caller may take to read why.
	lingerLimit = 2 * time.Second

	// exporterLabel names the secret that the data link derives its keys from (RFC 5705, RFC 8446 §7.5).
	exporterLabel = "EXPORTER-drawbridge-data-v1"
	exporterSize  = 32
)

// Why a connection did not become a link, beside the network's errors and those of package secure.
var (
	ErrRefused = errors.New("refused")
	ErrSelf    = errors.New("the address is this peer's own")
	ErrClone   = errors.New("another running peer has this peer's key: a state directory was copied; stop the copy, remove its state directory and join anew there")

	errDuplicate = errors.New("there is a link already") // no failure
)

// abrupt closes a TLS connection without waiting for the far end to take note.
type abrupt struct{ *tls.Conn }

func (a abrupt) Close() error { return a.NetConn().Close() }

// dial calls addr and makes a link of it. It says who answered, also with an error.
func (r *Router) dial(ctx context.Context, addr string) (drawbridge.PeerID, error) {
	dialing, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	raw, err := r.config.Dial(dialing, "tcp", addr)
	if err != nil {
		return 0, err
	}
	conn, p, err := r.config.Credentials.Connect(ctx, raw, nil)
	if err != nil {
		return 0, err
	}
	return p.ID, r.call(ctx, conn, p)
}

// call introduces us on a connection that we made, and serves the link when the far end agrees.
func (r *Router) call(ctx context.Context, conn *tls.Conn, p secure.Peer) error {
	serial, err := r.claim(p.ID)
	if err != nil {
		conn.NetConn().Close()
		return err
	}
	defer r.unclaim(p.ID)
	l, err := r.newLink(conn, p, true)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.session.Close() })()
	if err := r.introduce(l, serial); err != nil {
		l.session.Close()
		return err
	}
	_, err = r.install(l)
	if err != nil {
		l.session.Close()
		return err
	}
	r.serve(ctx, l)
	return nil
}

// introduce sends our Hello and waits for theirs.
func (r *Router) introduce(l *link, serial uint64) (err error) {
	if l.stream, err = l.session.OpenStream(); err != nil {
		return err
	}
	l.stream.SetDeadline(time.Now().Add(helloLimit)) // of both directions: lifted in hear
	hello := r.hello(serial, l.remote)
	if _, err := l.stream.Write(wire.AppendMessage(nil, wire.KindHello, hello.Append(nil))); err != nil {
		return fmt.Errorf("hello to peer %s: %w", l.peer.Name, err)
	}
	return r.hear(l)
}

// hear reads the far end's Hello, or why there is none.
func (r *Router) hear(l *link) error {
	k, body, err := wire.ReadMessage(l.stream, nil)
	if err != nil {
		return fmt.Errorf("hello of peer %s: %w", l.peer.Name, err)
	}
	switch k {
	case wire.KindHello:
		if l.hello, err = wire.ParseHello(body); err != nil {
			return err
		}
		l.stream.SetDeadline(time.Time{})
		return r.credible(l)
	case wire.KindRefuse:
		return r.refused(l, body)
	}
	return fmt.Errorf("peer %s begins with %s instead of hello: %w", l.peer.Name, k, wire.ErrMessage)
}

// credible compares a Hello with the certificate of who sent it.
func (r *Router) credible(l *link) error {
	if l.hello.Network != r.config.Credentials.Network.ID {
		return fmt.Errorf("hello of peer %s is for network %s: %w", l.peer.Name, l.hello.Network, wire.ErrMessage)
	}
	return l.peer.Claims(l.hello.Name, l.hello.ID)
}

// refused turns what the far end refused us with into an error.
func (r *Router) refused(l *link, body []byte) error {
	why, err := wire.ParseRefuse(body)
	if err != nil {
		return err
	}
	switch why.Reason {
	case wire.RefuseDuplicate:
		return errDuplicate
	case wire.RefuseSelf:
		return ErrSelf
	case wire.RefuseClone:
		r.reportCopy(l.remote.String())
		return ErrClone
	case wire.RefuseRevoked:
		return fmt.Errorf("by peer %s: %w", l.peer.Name, secure.ErrRevoked)
	}
	return fmt.Errorf("by peer %s: %s: %w", l.peer.Name, why.Text, ErrRefused)
}

// answer makes a link, or a member, of a connection that came in.
func (r *Router) answer(ctx context.Context, raw net.Conn) error {
	conn, p, err := r.config.Credentials.Accept(ctx, raw, nil)
	if err != nil {
		return err
	}
	if p.ID == 0 {
		return r.admit(ctx, conn)
	}
	l, err := r.newLink(conn, p, false)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.session.Close() })()
	if err := r.listen(ctx, l); err != nil {
		l.refuse(err)
		return fmt.Errorf("peer %s at %s: %w", p.Name, l.remote, err)
	}
	serial, err := r.install(l)
	if errors.Is(err, ErrClone) {
		r.reportCopy(l.remote.String())
	}
	if err != nil {
		l.refuse(err)
		return err
	}
	hello := r.hello(serial, l.remote)
	l.send(wire.KindHello, hello.Append(nil)) // the first in the queue; an error is the link's end
	r.serve(ctx, l)
	return nil
}

// listen waits for the message stream and the Hello of a caller.
func (r *Router) listen(ctx context.Context, l *link) error {
	ctx, cancel := context.WithTimeout(ctx, helloLimit)
	defer cancel()
	s, err := l.session.AcceptStreamWithContext(ctx)
	if err != nil {
		return fmt.Errorf("hung up before its hello: %w", err)
	}
	l.stream = s
	l.stream.SetDeadline(time.Now().Add(helloLimit)) // of both directions: lifted in hear
	return r.hear(l)
}

func (r *Router) newLink(conn *tls.Conn, p secure.Peer, dialled bool) (*link, error) {
	cs := conn.ConnectionState()
	secret, err := cs.ExportKeyingMaterial(exporterLabel, nil, exporterSize)
	if err != nil {
		conn.NetConn().Close()
		return nil, fmt.Errorf("key for the data link to peer %s: %w", p.Name, err)
	}
	mux := yamux.Server
	if dialled {
		mux = yamux.Client
	}
	session, err := mux(abrupt{conn}, muxConfig())
	if err != nil {
		conn.NetConn().Close()
		return nil, err
	}
	return &link{
		peer: p, dialled: dialled, session: session, secret: secret, queue: newQueue(),
		local: conn.LocalAddr(), remote: conn.RemoteAddr(), since: time.Now(),
		done: make(chan struct{}), gone: make(chan struct{}),
	}, nil
}

// refuse tells a caller why, waits until it has hung up, and closes.
func (l *link) refuse(err error) {
	defer l.session.Close()
	if l.stream == nil {
		return
	}
	l.stream.SetDeadline(time.Now().Add(lingerLimit))
	why := wire.Refuse{Reason: reasonOf(err), Text: err.Error()}
	if _, err := l.stream.Write(wire.AppendMessage(nil, wire.KindRefuse, why.Append(nil))); err == nil {
		io.Copy(io.Discard, l.stream) // closing earlier could destroy what is still on its way (RFC 1122 §4.2.2.13)
	}
}

func reasonOf(err error) wire.Reason {
	reasons := []struct {
		err    error
		reason wire.Reason
	}{
		{errDuplicate, wire.RefuseDuplicate},
		{ErrSelf, wire.RefuseSelf},
		{ErrClone, wire.RefuseClone},
		{errFull, wire.RefuseFull},
		{errLeaving, wire.RefuseLeaving},
		{secure.ErrRevoked, wire.RefuseRevoked},
	}
	for _, known := range reasons {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return wire.RefuseProtocol
}
