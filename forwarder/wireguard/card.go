package wireguard

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// cardContext stands before what is signed, so that a signature over a card is one over nothing else.
const cardContext = "drawbridge wireguard v1\x00"

// ErrCard says that a card is not what its peer has signed.
var ErrCard = errors.New("not a WireGuard key that its peer has signed")

// Card says which WireGuard key a peer has in this run. It comes through other peers, who could name a key of theirs and read everything;
// so it is signed, and the certificate of the signer is with it.
type Card struct {
	Peer        drawbridge.PeerID `json:"peer"`
	Key         []byte            `json:"key"`         // 32 octets
	Certificate []byte            `json:"certificate"` // DER
	Signature   []byte            `json:"signature"`   // Ed25519 (RFC 8032) over context, peer and key
}

// Sign makes a peer's card.
func Sign(id drawbridge.PeerID, key Key, certDER []byte, identity ed25519.PrivateKey) Card {
	return Card{id, key[:], certDER, ed25519.Sign(identity, signed(id, key[:]))}
}

func signed(id drawbridge.PeerID, key []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(cardContext), uint32(id)), key...)
}

// Open is the key, if the peer has signed it. holder says who a certificate is of, and whether it is good.
func (c *Card) Open(peer drawbridge.PeerID, holder func(certDER []byte) (drawbridge.PeerID, ed25519.PublicKey, error)) (k Key, err error) {
	if c.Peer != peer || len(c.Key) != len(k) {
		return k, fmt.Errorf("card of peer %s: %w", peer, ErrCard)
	}
	id, public, err := holder(c.Certificate)
	if err != nil {
		return k, fmt.Errorf("card of peer %s: %w", peer, err)
	}
	if id != peer || len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, signed(peer, c.Key), c.Signature) {
		return k, fmt.Errorf("card of peer %s: %w", peer, ErrCard)
	}
	copy(k[:], c.Key)
	return k, nil
}
