package secure

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// Identity is the name of a peer and the key that proves it.
type Identity struct {
	Name    drawbridge.PeerName
	Private ed25519.PrivateKey
}

// ID is the short form of the key that travels in data frames.
func (i Identity) ID() drawbridge.PeerID { return PeerIDOf(i.Public()) }

// Public is the half of the key that others may know.
func (i Identity) Public() ed25519.PublicKey { return i.Private.Public().(ed25519.PublicKey) }

// PeerIDOf is the first four bytes, big endian, of the SHA-256 of key. A key whose id is 0 names no peer;
// newKey never draws one and certificates with one are refused.
func PeerIDOf(key ed25519.PublicKey) drawbridge.PeerID {
	sum := sha256.Sum256(key)
	return drawbridge.PeerID(binary.BigEndian.Uint32(sum[:4]))
}

// newKey draws a key that has a usable peer id.
func newKey() (ed25519.PrivateKey, error) {
	for {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("draw an identity key: %w", err)
		}
		if PeerIDOf(public) != 0 {
			return private, nil
		}
	}
}
