package secure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// joinLimit bounds one whole joining exchange after the TLS handshake.
const joinLimit = 10 * time.Second

// Admission is the door of the network: it answers joining connections. A peer that cannot admit has one
// too, to say who can.
type Admission struct {
	Credentials *Credentials
	Tokens      *Tokens // nil on a peer that does not hold the authority's key

	// Voters are addresses (host:port) of peers that can admit; nil: none known. Called when Tokens is nil.
	Voters func() []string
	// Peers are the names and ids that the mesh knows, so that none is given twice; nil: none known.
	Peers func() map[drawbridge.PeerName]drawbridge.PeerID
}

// Admit serves one joining connection, which Accept or a handshake with ServerTLS made, and closes it. It
// returns who was admitted, or why nobody was; the far end has been told as much as it needs. Any number may
// run at once; each ends within ten seconds whatever the far end does.
func (a *Admission) Admit(ctx context.Context, conn *tls.Conn) (Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.NetConn().Close() })()
	defer conn.Close() // within the limit: it may wait for the far end to read the alert
	p, err := a.admit(ctx, conn)
	if err != nil {
		return Peer{}, fmt.Errorf("admit %s: %w", conn.RemoteAddr(), err)
	}
	return p, nil
}

func (a *Admission) admit(ctx context.Context, conn *tls.Conn) (Peer, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		return Peer{}, err
	}
	cs := conn.ConnectionState()
	if err := spoke(cs, JoinProtocol); err != nil {
		return Peer{}, err
	}
	hello := a.greeting(time.Now())
	if err := writeMessage(conn, hello); err != nil {
		return Peer{}, err
	}
	if !hello.Voter {
		return Peer{}, &NotVoterError{a.Credentials.Name, hello.Voters}
	}
	p, yes, err := a.decide(conn, cs)
	if err != nil {
		_ = writeMessage(conn, refuse(err)) // err is what counts
		return Peer{}, err
	}
	return p, writeMessage(conn, yes)
}

func (a *Admission) greeting(now time.Time) greeting {
	g := greeting{Version: joinVersion, Peer: string(a.Credentials.Name), Time: now.UTC(), Voter: a.Tokens != nil}
	if !g.Voter && a.Voters != nil {
		voters := a.Voters()
		g.Voters = voters[:min(len(voters), maxTokenAddrs)]
	}
	return g
}

// decide reads the request and, when it is granted, signs.
func (a *Admission) decide(conn *tls.Conn, cs tls.ConnectionState) (Peer, answer, error) {
	var r request
	if err := readMessage(conn, &r); err != nil {
		return Peer{}, answer{}, err
	}
	c, err := r.claim(cs)
	if err != nil {
		return Peer{}, answer{}, err
	}
	now := time.Now()
	roles, err := a.Tokens.redeem(c, now, func() error { return a.free(c) })
	if err != nil {
		return Peer{}, answer{}, fmt.Errorf("peer %s: %w", c.name, err)
	}
	cert, err := a.Credentials.CA.Issue(c.name, c.key, roles, now)
	if err != nil {
		return Peer{}, answer{}, err
	}
	return a.grant(cert, roles)
}

func (a *Admission) grant(cert *x509.Certificate, roles Roles) (Peer, answer, error) {
	p, err := a.Credentials.Network.verify(cert)
	if err != nil {
		return Peer{}, answer{}, err
	}
	yes := answer{Certificate: cert.Raw}
	if roles.Has(Voter) {
		yes.AuthorityKey = a.Credentials.CA.key.Seed()
	}
	return p, yes, nil
}

// free compares a claim with ourselves and with the peers that the mesh knows. A revoked peer's name is free.
func (a *Admission) free(c claim) error {
	if err := c.collides(a.Credentials.Name, a.Credentials.ID()); err != nil {
		return err
	}
	if a.Peers == nil {
		return nil
	}
	for name, id := range a.Peers() {
		if a.Credentials.Revocations.Revoked(id) {
			continue
		}
		if err := c.collides(name, id); err != nil {
			return err
		}
	}
	return nil
}
