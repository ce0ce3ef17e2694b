package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Application protocols (RFC 7301) of the control port.
const (
	ControlProtocol = "drawbridge/1"      // both ends have certificates of the network
	JoinProtocol    = "drawbridge-join/1" // only the server has
)

// ServerTLS is the configuration of the control port, for peers and for those who want to join; the
// negotiated protocol tells which came. A peer whose network, signature, dates or revocation is wrong fails
// the handshake with *OtherNetworkError, ErrForged, ErrExpired, ErrClock or ErrRevoked. revoked may be nil;
// the credentials' own Revocations always count. Accept is built on it and tells the far end why, too.
func (c *Credentials) ServerTLS(revoked func(drawbridge.PeerID) bool) *tls.Config {
	return c.serverTLS(func(cs tls.ConnectionState) error { return c.check(cs, revoked) })
}

func (c *Credentials) serverTLS(check func(tls.ConnectionState) error) *tls.Config {
	control := base(ControlProtocol)
	control.ClientAuth = tls.RequireAnyClientCert // verified by check: a stranger's certificate must be readable to be named
	control.VerifyConnection = check
	control.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.tlsCertificate(false), nil }

	join := base(JoinProtocol)
	join.VerifyConnection = func(cs tls.ConnectionState) error { return spoke(cs, JoinProtocol) }
	join.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.tlsCertificate(true), nil }

	both := control.Clone()
	both.NextProtos = []string{ControlProtocol, JoinProtocol}
	both.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, JoinProtocol) {
			return join, nil
		}
		return control, nil
	}
	return both
}

// ClientTLS is the configuration for calling another peer. The same errors as from ServerTLS come out of the
// handshake when the server is not what it should be.
func (c *Credentials) ClientTLS(revoked func(drawbridge.PeerID) bool) *tls.Config {
	return c.clientTLS(func(cs tls.ConnectionState) error { return c.check(cs, revoked) })
}

func (c *Credentials) clientTLS(check func(tls.ConnectionState) error) *tls.Config {
	config := base(ControlProtocol)
	config.InsecureSkipVerify = true // peers have no DNS names: check verifies against the network's authority
	config.VerifyConnection = check
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.tlsCertificate(false), nil }
	return config
}

// base has no resumption: a resumed session would skip what has been revoked since.
func base(protocol string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		SessionTicketsDisabled: true,
	}
}

// spoke checks the negotiated protocol: Go accepts a far end that offers none.
func spoke(cs tls.ConnectionState, protocol string) error {
	if cs.NegotiatedProtocol != protocol {
		return fmt.Errorf("negotiated protocol %q, want %q: %w", cs.NegotiatedProtocol, protocol, ErrProtocol)
	}
	return nil
}

// check is the whole verification of the far end of a control link.
func (c *Credentials) check(cs tls.ConnectionState, revoked func(drawbridge.PeerID) bool) error {
	if err := spoke(cs, ControlProtocol); err != nil {
		return err
	}
	if len(cs.PeerCertificates) == 0 {
		return fmt.Errorf("no certificate: %w", ErrCertificate)
	}
	p, err := c.Network.verify(cs.PeerCertificates[0])
	if err != nil {
		return err
	}
	return c.current(p, time.Now(), revoked)
}

// PeerOf says who is at the far end of a connection that was made with ServerTLS or ClientTLS. A joining
// connection has nobody yet: ErrCertificate.
func PeerOf(cs tls.ConnectionState) (Peer, error) {
	if !cs.HandshakeComplete || len(cs.PeerCertificates) == 0 {
		return Peer{}, fmt.Errorf("connection without a verified peer: %w", ErrCertificate)
	}
	return peerIn(cs.PeerCertificates[0])
}

// peerIn reads a certificate that the handshake has verified.
func peerIn(cert *x509.Certificate) (Peer, error) {
	n, ok := claimedNetwork(cert)
	if !ok {
		return Peer{}, errors.Join(ErrCertificate, errors.New("no network in the issuer"))
	}
	return n.read(cert)
}
