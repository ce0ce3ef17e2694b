package wireguard

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// holders is a network of two peers; a certificate is a peer's name.
func holders() (private map[string]ed25519.PrivateKey, holder func([]byte) (drawbridge.PeerID, ed25519.PublicKey, error)) {
	private = map[string]ed25519.PrivateKey{}
	ids := map[string]drawbridge.PeerID{"a": 1, "b": 2}
	for name := range ids {
		private[name] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte(name), ed25519.SeedSize))
	}
	return private, func(cert []byte) (drawbridge.PeerID, ed25519.PublicKey, error) {
		if private[string(cert)] == nil {
			return 0, nil, errors.New("no certificate of this network")
		}
		return ids[string(cert)], private[string(cert)].Public().(ed25519.PublicKey), nil
	}
}

// TestCardsAreOfTheirPeer: nobody can name another's key, whoever passes it on.
func TestCardsAreOfTheirPeer(t *testing.T) {
	private, holder := holders()
	good := Sign(1, Key{7}, []byte("a"), private["a"])
	if k, err := good.Open(1, holder); err != nil || k != (Key{7}) {
		t.Fatalf("%v, %v", k, err)
	}
	for name, twist := range map[string]func(c *Card){
		"another key":           func(c *Card) { c.Key = bytes.Repeat([]byte{8}, 32) },
		"a short key":           func(c *Card) { c.Key = c.Key[:31] },
		"no key":                func(c *Card) { c.Key = nil },
		"another's certificate": func(c *Card) { c.Certificate = []byte("b") },
		"a stranger's":          func(c *Card) { c.Certificate = []byte("c") },
		"another's signature":   func(c *Card) { *c = Sign(1, Key{7}, []byte("b"), private["b"]) },
		"another's card":        func(c *Card) { *c = Sign(2, Key{7}, []byte("b"), private["b"]) },
		"no signature":          func(c *Card) { c.Signature = nil },
		"an empty card":         func(c *Card) { *c = Card{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			twist(&c)
			if k, err := c.Open(1, holder); err == nil || k != (Key{}) {
				t.Errorf("believed: %v", k)
			}
		})
	}
}

func FuzzCard(f *testing.F) {
	private, holder := holders()
	good := Sign(1, Key{7}, []byte("a"), private["a"])
	f.Add(good.Key, good.Certificate, good.Signature)
	f.Add([]byte{}, []byte("b"), good.Signature)
	f.Add(good.Key[:5], []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, key, cert, signature []byte) {
		c := Card{1, key, cert, signature}
		if k, err := c.Open(1, holder); err == nil && k != (Key{7}) {
			t.Errorf("believed %v", k)
		}
	})
}
