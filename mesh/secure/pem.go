package secure

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

const (
	keyBlock  = "PRIVATE KEY" // RFC 7468 §10
	certBlock = "CERTIFICATE" // RFC 7468 §5
)

func encodeKey(key ed25519.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(fmt.Sprintf("secure: an Ed25519 key always has a PKCS #8 form: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
}

func encodeCert(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: cert.Raw})
}

// block returns the only PEM block of b, which must be of the given kind.
func block(b []byte, kind string) ([]byte, error) {
	p, rest := pem.Decode(b)
	if p == nil || p.Type != kind || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("want exactly one PEM block %q", kind)
	}
	return p.Bytes, nil
}

func decodeKey(b []byte) (ed25519.PrivateKey, error) {
	der, err := block(b, keyBlock)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key is of type %T, want Ed25519", key)
	}
	return private, nil
}

func decodeCert(b []byte) (*x509.Certificate, error) {
	der, err := block(b, certBlock)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
