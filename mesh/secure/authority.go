package secure

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Authority signs who belongs to a network. Every voter holds it. It keeps no list of what it signed: that
// is the business of Tokens and of whoever calls Issue.
type Authority struct {
	network Network
	key     ed25519.PrivateKey
}

// newAuthority draws the key and the id of a new network.
func newAuthority(name string, now time.Time) (*Authority, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw the authority's key: %w", err)
	}
	var id drawbridge.NetworkID
	rand.Read(id[:]) // never fails (crypto/rand)
	t := authorityTemplate(name, id, now)
	cert, err := sign(t, t, public, private)
	if err != nil {
		return nil, err
	}
	return &Authority{Network{name, id, cert}, private}, nil
}

// Network is the network that the authority signs for.
func (a *Authority) Network() Network { return a.network }

// Issue signs that key belongs to the peer called name, in these roles, from now on for ten years. The
// caller has made sure that nobody else has the name or the id of the key.
func (a *Authority) Issue(name drawbridge.PeerName, key ed25519.PublicKey, roles Roles, now time.Time) (*x509.Certificate, error) {
	if err := drawbridge.CheckName(string(name)); err != nil {
		return nil, fmt.Errorf("peer %w", err)
	}
	if len(key) != ed25519.PublicKeySize || PeerIDOf(key) == 0 {
		return nil, fmt.Errorf("peer %s: key of %d bytes cannot identify a peer: %w", name, len(key), ErrCertificate)
	}
	return sign(peerTemplate(a.network.ID, name, roles, now), a.network.Authority, key, a.key)
}

// Renew signs again for the holder of p: same name and key, new dates, and roles that may differ.
func (a *Authority) Renew(p Peer, roles Roles, now time.Time) (*x509.Certificate, error) {
	if _, err := a.network.verify(p.Cert); err != nil {
		return nil, fmt.Errorf("renew peer %s: %w", p.Name, err)
	}
	return a.Issue(p.Name, p.Key, roles, now)
}

func sign(template, parent *x509.Certificate, public ed25519.PublicKey, private ed25519.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, private)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %q: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// Secret derives a secret that all holders of the authority's key share, for one use named by label and
// bound to context: the keys of lease datagrams and of ALONE hellos, which must work before any session.
func (a *Authority) Secret(label string, context []byte) []byte {
	secret, err := hkdf.Key(sha256.New, a.key.Seed(), context, "drawbridge "+label, 32)
	if err != nil { // the length is constant
		panic(err)
	}
	return secret
}
