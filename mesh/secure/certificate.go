package secure

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Lifetimes. A peer is removed by revocation, not by waiting, so a certificate may outlive the hardware: what
// expires in a network that nobody looks at takes it down. The margin before the start is MaxSkew.
const (
	authorityLife = 20 * 365 * 24 * time.Hour
	peerLife      = 10 * 365 * 24 * time.Hour

	// MaxSkew is how far two clocks may differ. A certificate starts to be valid this long before it was
	// signed, and joining is refused when the clocks differ by more, so a peer that could join can also be
	// verified by everybody else whose clock is right.
	MaxSkew = 10 * time.Minute
)

const (
	uriScheme    = "drawbridge"
	organization = "Drawbridge"
)

// Network is what identifies a network to people (its name) and to peers (its id and its authority).
type Network struct {
	Name      string
	ID        drawbridge.NetworkID
	Authority *x509.Certificate // nil where only a claim was seen
}

func (n Network) String() string { return fmt.Sprintf("%q (%s)", n.Name, n.ID) }

// KeyHash is the SHA-256 of the authority's public key, by which a token pins the network.
func (n Network) KeyHash() [sha256.Size]byte {
	return sha256.Sum256(n.Authority.PublicKey.(ed25519.PublicKey))
}

// Peer is what a certificate says about its holder.
type Peer struct {
	Name  drawbridge.PeerName
	ID    drawbridge.PeerID
	Key   ed25519.PublicKey
	Roles Roles
	Cert  *x509.Certificate
}

// Claims reports whether a record that claims this name and id may be this peer's: the certificate is
// authoritative, whatever the record says.
func (p Peer) Claims(name drawbridge.PeerName, id drawbridge.PeerID) error {
	if p.Name != name || p.ID != id {
		return fmt.Errorf("record claims peer %s (%s), its certificate names peer %s (%s): %w", name, id, p.Name, p.ID, ErrForged)
	}
	return nil
}

// authorityTemplate puts name and id of the network into the subject, from where they get into the issuer
// field of every peer certificate: so a stranger's certificate tells which network it is of.
func authorityTemplate(name string, id drawbridge.NetworkID, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: name, SerialNumber: id.String(), Organization: []string{organization}},
		URIs:                  []*url.URL{{Scheme: uriScheme, Host: id.String()}},
		NotBefore:             now.Add(-MaxSkew),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
}

func peerTemplate(network drawbridge.NetworkID, name drawbridge.PeerName, roles Roles, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: newSerial(),
		Subject: pkix.Name{
			CommonName: string(name), Organization: []string{organization}, OrganizationalUnit: roles.Words(),
		},
		URIs:                  []*url.URL{{Scheme: uriScheme, Host: network.String(), Path: "/" + string(name)}},
		NotBefore:             now.Add(-MaxSkew),
		NotAfter:              now.Add(peerLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// newSerial draws 127 random bits (RFC 5280 §4.1.2.2 wants a positive number of at most 20 octets).
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// networkOf reads an authority certificate, which must be self-signed and name its network.
func networkOf(cert *x509.Certificate) (Network, error) {
	_, ed := cert.PublicKey.(ed25519.PublicKey)
	if !ed || !cert.IsCA {
		return Network{}, fmt.Errorf("authority certificate without an Ed25519 authority key: %w", ErrCertificate)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return Network{}, fmt.Errorf("authority certificate: %w: %w", ErrForged, err)
	}
	id, err := drawbridge.ParseNetworkID(cert.Subject.SerialNumber)
	if err != nil {
		return Network{}, fmt.Errorf("authority certificate: %w: %w", ErrCertificate, err)
	}
	if err := drawbridge.CheckName(cert.Subject.CommonName); err != nil {
		return Network{}, fmt.Errorf("authority certificate: %w: %w", ErrCertificate, err)
	}
	return Network{cert.Subject.CommonName, id, cert}, nil
}

// claimedNetwork is the network that a peer certificate says it is of. Nothing of it has been verified.
func claimedNetwork(cert *x509.Certificate) (Network, bool) {
	id, err := drawbridge.ParseNetworkID(cert.Issuer.SerialNumber)
	name := cert.Issuer.CommonName
	if err != nil || drawbridge.CheckName(name) != nil {
		return Network{}, false
	}
	return Network{Name: name, ID: id}, true
}

// verify reads a peer certificate of network n and checks everything but its dates and revocation.
func (n Network) verify(cert *x509.Certificate) (Peer, error) {
	theirs, ok := claimedNetwork(cert)
	if ok && theirs.ID != n.ID {
		return Peer{}, &OtherNetworkError{Mine: n, Theirs: theirs}
	}
	if !ok || !bytes.Equal(cert.RawIssuer, n.Authority.RawSubject) {
		return Peer{}, fmt.Errorf("certificate of %q names no Drawbridge network as its issuer: %w", cert.Subject.CommonName, ErrCertificate)
	}
	if err := cert.CheckSignatureFrom(n.Authority); err != nil {
		return Peer{}, fmt.Errorf("certificate of %q claims network %s: %w", cert.Subject.CommonName, n, ErrForged)
	}
	return n.read(cert)
}

// read takes the fields out of a certificate whose signature was checked.
func (n Network) read(cert *x509.Certificate) (Peer, error) {
	key, ed := cert.PublicKey.(ed25519.PublicKey)
	p := Peer{Name: drawbridge.PeerName(cert.Subject.CommonName), Key: key, Cert: cert}
	want := uriScheme + "://" + n.ID.String() + "/" + string(p.Name)
	switch {
	case !ed || cert.IsCA:
		return Peer{}, fmt.Errorf("certificate of %q is not for an Ed25519 peer key: %w", p.Name, ErrCertificate)
	case len(cert.URIs) != 1 || cert.URIs[0].String() != want:
		return Peer{}, fmt.Errorf("certificate of %q lacks the name %s: %w", p.Name, want, ErrCertificate)
	case drawbridge.CheckName(string(p.Name)) != nil || PeerIDOf(key) == 0:
		return Peer{}, fmt.Errorf("certificate of %q: no peer can have this name and key: %w", p.Name, ErrCertificate)
	}
	p.ID = PeerIDOf(key)
	for _, word := range cert.Subject.OrganizationalUnit {
		role, _ := roleOf(word) // a word of a later version gives no role here
		p.Roles |= role
	}
	return p, nil
}

// checkDates says ErrClock before the certificate's time, and ErrExpired after it.
func checkDates(cert *x509.Certificate, now time.Time) error {
	name := cert.Subject.CommonName
	if now.Before(cert.NotBefore) {
		signed := cert.NotBefore.Add(MaxSkew)
		return &ClockError{Here: now, Ahead: now.Sub(signed), Least: true, Other: "the one that signed the certificate of " + name}
	}
	if now.After(cert.NotAfter) {
		return fmt.Errorf("certificate of %s ended on %s and this clock reads %s: renew it, or set the clock: %w",
			name, cert.NotAfter.UTC().Format(time.DateOnly), now.UTC().Format(time.RFC3339), ErrExpired)
	}
	return nil
}

// networkName cuts what an operator typed to the form that CheckName wants.
func networkName(s string) (string, error) {
	s = strings.TrimSpace(s)
	if err := drawbridge.CheckName(s); err != nil {
		return "", fmt.Errorf("network %w", err)
	}
	return s, nil
}
