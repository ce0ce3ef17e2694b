package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// selfLife is that of a certificate that we sign ourselves. It outlives the hardware: its end would lock
// everybody out, and nobody checks more of it than its fingerprint.
const selfLife = 20 * 365 * 24 * time.Hour

// maxPEM bounds what is uploaded, in bytes: a chain of ten RSA certificates has a third of it.
const maxPEM = 64 << 10

// Certificates is what the listener shows: one of our own making, one that was uploaded, or one from an ACME
// authority.
type Certificates struct {
	dir   string
	now   func() time.Time
	names []string // host names and addresses of this node
	shown atomic.Pointer[tls.Certificate]
	acme  atomic.Pointer[autocert.Manager]
}

// OpenCertificates reads the certificate in dir, or makes one for names when there is none. One that cannot
// be used is an error: replacing it would change the fingerprint that people have noted.
func OpenCertificates(dir string, names []string, now func() time.Time) (*Certificates, error) {
	c := &Certificates{dir: dir, now: now, names: names}
	chain, err := os.ReadFile(c.path("cert.pem"))
	if errors.Is(err, os.ErrNotExist) {
		return c, c.renew()
	}
	key, keyErr := os.ReadFile(c.path("key.pem"))
	if err := errors.Join(err, keyErr); err != nil {
		return nil, fmt.Errorf("certificate: %w: restore it, or move %s away for a new one", err, dir)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w: restore it, or move %s away for a new one", err, dir)
	}
	c.shown.Store(&pair)
	return c, c.resume()
}

func (c *Certificates) path(name string) string { return filepath.Join(c.dir, name) }

// renew makes and keeps a certificate that is signed by itself.
func (c *Certificates) renew() error {
	chain, key, err := selfSigned(c.names, c.now())
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return c.keep(chain, key)
}

// selfSigned makes a key (ECDSA P-256, which every browser takes) and a certificate for names and addresses.
func selfSigned(names []string, now time.Time) (chain, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "drawbridge"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(selfLife), // clocks differ
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if n != "" {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	if len(t.DNSNames) > 0 {
		t.Subject.CommonName = t.DNSNames[0][:min(64, len(t.DNSNames[0]))]
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	bits, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bits}), nil
}

// keep puts a pair on the disk and shows it from the next connection on. The key goes first: after a crash in
// between, the pair does not match, and the old files are one rename away.
func (c *Certificates) keep(chain, key []byte) error {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if err := errors.Join(writeSecret(c.path("key.pem"), key), writeSecret(c.path("cert.pem"), chain)); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.shown.Store(&pair)
	return nil
}

// Replace takes a certificate with its chain and key in PEM, when it would work. It also ends ACME.
func (c *Certificates) Replace(chain, key []byte) error {
	if err := checkPair(chain, key, c.now()); err != nil {
		return err
	}
	if err := c.keep(chain, key); err != nil {
		return err
	}
	return c.forgetACME()
}

// Renew goes back to a new certificate of our own making.
func (c *Certificates) Renew() error {
	if err := c.renew(); err != nil {
		return err
	}
	return c.forgetACME()
}

// checkPair reports why browsers would not take a certificate.
func checkPair(chain, key []byte, now time.Time) error {
	if len(chain) > maxPEM || len(key) > maxPEM {
		return invalid("certificate: more than %d bytes: send PEM of the certificate, its chain and its key only", maxPEM)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return invalid("certificate: %w: send PEM: the certificate first, then its issuers, and the key that belongs to it, not encrypted", err)
	}
	certs := make([]*x509.Certificate, 0, len(pair.Certificate))
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return invalid("certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	return checkChain(certs, now)
}

func checkChain(certs []*x509.Certificate, now time.Time) error {
	leaf := certs[0]
	switch {
	case !now.Before(leaf.NotAfter):
		return invalid("certificate: it expired at %s: have it renewed", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return invalid("certificate: it is not valid before %s: check the clock of this node", leaf.NotBefore.UTC().Format(time.RFC3339))
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return invalid("certificate: it names no host (subject alternative name): browsers take none without")
	case leaf.IsCA && len(certs) == 1 && leaf.CheckSignatureFrom(leaf) != nil:
		return invalid("certificate: it is an authority's own: send the one that the authority made for this host")
	case len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		return invalid("certificate: it is not for servers (extended key usage)")
	}
	for i := range certs[:len(certs)-1] {
		if err := certs[i].CheckSignatureFrom(certs[i+1]); err != nil {
			return invalid("certificate: number %d of the chain is not signed by number %d (%s): order them from the host's to the authority's", i+1, i+2, err)
		}
		if !now.Before(certs[i+1].NotAfter) {
			return invalid("certificate: number %d of the chain has expired", i+2)
		}
	}
	return nil
}

// get is tls.Config.GetCertificate. A challenge of the authority (RFC 8737) comes this way, too.
func (c *Certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if m := c.acme.Load(); m != nil && hello.ServerName != "" {
		if cert, err := m.GetCertificate(hello); err == nil {
			return cert, nil
		}
	}
	return c.shown.Load(), nil
}

// TLS is the configuration of the listener: TLS 1.3, or 1.2 with forward secrecy. A certificate that is
// replaced is shown from the next connection on.
func (c *Certificates) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1", acme.ALPNProto}}
}

// Certificate is what a certificate says.
type Certificate struct {
	Fingerprint string // SHA-256 of the whole, as browsers show it
	Subject     string
	Issuer      string
	Names       []string
	NotBefore   time.Time
	NotAfter    time.Time
	SelfSigned  bool
	Key         string
	ACME        bool
}

// Shown is the certificate that is shown to whoever names no host that ACME has one for.
func (c *Certificates) Shown() (Certificate, error) {
	cert, err := x509.ParseCertificate(c.shown.Load().Certificate[0])
	if err != nil {
		return Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return Certificate{
		Fingerprint: fingerprint(cert.Raw), Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), Names: names,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, SelfSigned: cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil,
		Key: keyName(cert.PublicKey), ACME: c.acme.Load() != nil,
	}, nil
}

func keyName(k crypto.PublicKey) string {
	if e, ok := k.(*ecdsa.PublicKey); ok {
		return "ECDSA " + e.Curve.Params().Name
	}
	return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", k), "*"), "crypto/")
}

// fingerprint is the SHA-256 of a certificate in pairs of hexadecimal digits.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// HostNames are the name and the addresses of this host, for a certificate.
func HostNames() (names []string) {
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	names = append(names, "localhost")
	addresses, _ := net.InterfaceAddrs() // none: the name has to do
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			names = append(names, n.IP.String())
		}
	}
	slices.Sort(names[1:])
	return slices.Compact(names)
}
