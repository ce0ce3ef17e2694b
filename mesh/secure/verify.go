package secure

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// VerifyCertificate reads the certificate that came with a signed record. It answers as the TLS
// configurations do: *OtherNetworkError, ErrForged, ErrRevoked, ErrExpired, ErrClock, ErrCertificate. A good
// certificate costs one signature check the first time and a hash afterwards.
func (c *Credentials) VerifyCertificate(der []byte, now time.Time) (Peer, error) {
	p, err := c.verified.get(der, c.Network)
	if err != nil {
		return Peer{}, err
	}
	return p, c.current(p, now, nil)
}

// current checks what may change while a certificate stays the same: its age and whether it was revoked.
func (c *Credentials) current(p Peer, now time.Time, revoked func(drawbridge.PeerID) bool) error {
	if c.Revocations.Revoked(p.ID) || revoked != nil && revoked(p.ID) {
		return fmt.Errorf("peer %s (%s): %w", p.Name, p.ID, ErrRevoked)
	}
	return checkDates(p.Cert, now)
}

// maxVerdicts bounds the memory for good certificates to about 2 KiB each. Bad ones are not kept, so that
// nobody can fill it who is not a member.
const maxVerdicts = 1024

// verdicts remembers certificates with a good signature. The zero value is ready.
type verdicts struct {
	mu   sync.Mutex
	good map[[sha256.Size]byte]Peer
}

func (v *verdicts) get(der []byte, n Network) (Peer, error) {
	sum := sha256.Sum256(der)
	v.mu.Lock()
	p, ok := v.good[sum]
	v.mu.Unlock()
	if ok {
		return p, nil
	}
	cert, err := x509.ParseCertificate(bytes.Clone(der)) // what it returns points into it
	if err != nil {
		return Peer{}, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if p, err = n.verify(cert); err != nil {
		return Peer{}, err
	}
	v.put(sum, p)
	return p, nil
}

func (v *verdicts) put(sum [sha256.Size]byte, p Peer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.good == nil || len(v.good) >= maxVerdicts {
		v.good = make(map[[sha256.Size]byte]Peer) // starting over costs one check for each peer
	}
	v.good[sum] = p
}
