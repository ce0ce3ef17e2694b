package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func certificates(t *testing.T) *Certificates {
	t.Helper()
	c, err := OpenCertificates(filepath.Join(t.TempDir(), "tls"), []string{"gw1", "192.0.2.1", "2001:db8::1"}, func() time.Time { return day })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSelfSigned(t *testing.T) {
	c := certificates(t)
	got, err := c.Shown()
	if err != nil || !got.SelfSigned || got.Key != "ECDSA P-256" || strings.Join(got.Names, " ") != "gw1 192.0.2.1 2001:db8::1" ||
		len(got.Fingerprint) != 95 || got.NotAfter.Before(day.Add(10*365*24*time.Hour)) {
		t.Errorf("%+v %v", got, err)
	}
	if info, err := os.Stat(c.path("key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	again, err := OpenCertificates(c.dir, nil, c.now)
	if err != nil {
		t.Fatal(err)
	}
	if kept, _ := again.Shown(); kept.Fingerprint != got.Fingerprint {
		t.Error("a restart makes another certificate")
	}
}

// A certificate that cannot be read is no reason to make another one.
func TestBrokenCertificateStays(t *testing.T) {
	c := certificates(t)
	if err := os.WriteFile(c.path("key.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCertificates(c.dir, nil, c.now); err == nil || !strings.Contains(err.Error(), "move "+c.dir) {
		t.Errorf("%v", err)
	}
}

// signer signs certificates for tests.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func sign(t *testing.T, template *x509.Certificate, by *signer) (*signer, []byte, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	parent, pen := template, key
	if by != nil {
		parent, pen = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), pen)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	bits, _ := x509.MarshalPKCS8PrivateKey(key)
	return &signer{cert, key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bits})
}

func TestReplace(t *testing.T) {
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: day.Add(-time.Hour), NotAfter: day.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	leaf := func(change func(*x509.Certificate)) *x509.Certificate {
		l := &x509.Certificate{Subject: pkix.Name{CommonName: "gw"}, DNSNames: []string{"gw.example"}, NotBefore: day.Add(-time.Hour), NotAfter: day.Add(time.Hour)}
		change(l)
		return l
	}
	root, rootPEM, _ := sign(t, ca("root"), nil)
	_, otherPEM, otherKey := sign(t, ca("other"), nil)
	_, good, goodKey := sign(t, leaf(func(*x509.Certificate) {}), root)
	chain := append(append([]byte{}, good...), rootPEM...)
	_, expired, expiredKey := sign(t, leaf(func(c *x509.Certificate) { c.NotAfter = day }), root)
	_, early, earlyKey := sign(t, leaf(func(c *x509.Certificate) { c.NotBefore = day.Add(time.Minute) }), root)
	_, nameless, namelessKey := sign(t, leaf(func(c *x509.Certificate) { c.DNSNames = nil }), root)
	_, client, clientKey := sign(t, leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), root)

	c := certificates(t)
	before, _ := c.Shown()
	for what, bad := range map[string]struct {
		chain, key []byte
		says       string
	}{
		"nothing":        {nil, nil, "send PEM"},
		"another's key":  {good, otherKey, "key that belongs to it"},
		"another's root": {append(append([]byte{}, good...), otherPEM...), goodKey, "not signed by number 2"},
		"wrong order":    {append(append([]byte{}, rootPEM...), good...), goodKey, "send PEM"},
		"expired":        {expired, expiredKey, "expired"},
		"not yet":        {early, earlyKey, "not valid before"},
		"no names":       {nameless, namelessKey, "names no host"},
		"for clients":    {client, clientKey, "not for servers"},
		"too much":       {make([]byte, maxPEM+1), goodKey, "more than"},
	} {
		err := c.Replace(bad.chain, bad.key)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: %v", what, err)
		}
		if now, _ := c.Shown(); now.Fingerprint != before.Fingerprint {
			t.Fatalf("%s: is shown", what)
		}
	}
	if err := c.Replace(chain, goodKey); err != nil {
		t.Fatal(err)
	}
	if now, _ := c.Shown(); now.SelfSigned || now.Issuer != "CN=root" || now.Names[0] != "gw.example" {
		t.Errorf("%+v", now)
	}
}

// Connections that begin after a replacement see it; nothing is restarted.
func TestReplacementIsShownAtOnce(t *testing.T) {
	c := certificates(t)
	seen := func() string {
		client, server := net.Pipe()
		go func() { _ = tls.Server(server, c.TLS()).Handshake() }()
		conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		return fingerprint(conn.ConnectionState().PeerCertificates[0].Raw)
	}
	first := seen()
	if err := c.Renew(); err != nil {
		t.Fatal(err)
	}
	shown, _ := c.Shown()
	if now := seen(); now == first || now != shown.Fingerprint {
		t.Errorf("still %s", now)
	}
}

func TestACMEFallsBack(t *testing.T) {
	c := certificates(t)
	for _, bad := range [][]string{nil, {"192.0.2.1"}, {"gw"}, {"*.example.com"}} {
		if err := c.ACME(bad, "", ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := c.ACME([]string{"gw.example.com"}, "ops@example.com", "https://127.0.0.1:1/none"); err != nil {
		t.Fatal(err)
	}
	again, err := OpenCertificates(c.dir, nil, c.now)
	if err != nil {
		t.Fatal(err)
	}
	if shown, _ := again.Shown(); !shown.ACME {
		t.Error("a restart forgets ACME")
	}
	for _, name := range []string{"", "other.example.com"} {
		cert, err := c.get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || cert != c.shown.Load() {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := c.Renew(); err != nil {
		t.Fatal(err)
	}
	if again, _ = OpenCertificates(c.dir, nil, c.now); again.acme.Load() != nil {
		t.Error("going back to our own does not end ACME")
	}
}

func FuzzCheckPair(f *testing.F) {
	chain, key, err := selfSigned([]string{"gw"}, day)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chain, key)
	f.Add([]byte(""), []byte("-----BEGIN CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		if checkPair(chain, key, day) == nil {
			if _, err := tls.X509KeyPair(chain, key); err != nil {
				t.Error(err)
			}
		}
	})
}
