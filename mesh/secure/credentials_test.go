package secure

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func TestFoundedNetworkReadsBack(t *testing.T) {
	a := found(t, "office", "a")
	a.Close()
	b, err := Open(a.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Name != "a" || b.ID() != a.ID() || b.Network.Name != "office" || b.Network.ID != a.Network.ID || b.Network.KeyHash() != a.Network.KeyHash() {
		t.Errorf("read back %s of %s", b.Name, b.Network)
	}
	if b.CA == nil || b.CA.Network().ID != a.Network.ID || b.Self().Roles != Voter|Gateway || !bytes.Equal(b.Certificate().Raw, a.Certificate().Raw) {
		t.Errorf("read back %+v", b.Self())
	}
	if b.Dir() != a.Dir() {
		t.Errorf("directory is %s", b.Dir())
	}
}

func TestPeerIDIsTheStartOfTheKeysHash(t *testing.T) {
	a := found(t, "office", "a")
	sum := sha256.Sum256(a.Public())
	if want := drawbridge.PeerID(binary.BigEndian.Uint32(sum[:])); a.ID() != want || a.ID() == 0 || PeerIDOf(a.Public()) != want {
		t.Errorf("id is %s, want %s", a.ID(), want)
	}
}

func TestNetworksOfOneNameDiffer(t *testing.T) {
	a, b := found(t, "office", "a"), found(t, "office", "a")
	if a.Network.ID == b.Network.ID || a.Network.KeyHash() == b.Network.KeyHash() || a.ID() == b.ID() {
		t.Errorf("%s and %s are alike", a.Network, b.Network)
	}
}

func TestFoundRefusesADirectoryInUse(t *testing.T) {
	a := found(t, "office", "a")
	a.Close()
	_, err := Found(a.Dir(), "plant", "b", noon)
	mustSay(t, err, ErrHasIdentity, "peer a", `"office"`, "drawbridge peers forget", a.Dir())

	if err := os.Remove(filepath.Join(a.Dir(), certFile)); err != nil {
		t.Fatal(err)
	}
	_, err = Found(a.Dir(), "plant", "b", noon) // the authority's key alone is worth as much
	mustSay(t, err, ErrHasIdentity, "authority")
}

func TestFoundRefusesBadNames(t *testing.T) {
	dir := t.TempDir()
	for _, names := range [][2]string{{"Office 1", "a"}, {"office", "A!"}, {"", "a"}, {"office", ""}} {
		_, err := Found(dir, names[0], drawbridge.PeerName(names[1]), noon)
		mustSay(t, err, drawbridge.ErrName)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files were made: %v, %v", left, err)
	}
}

func TestOpenOfAnEmptyDirectory(t *testing.T) {
	_, err := Open(t.TempDir())
	mustSay(t, err, ErrNoIdentity, "drawbridge init", "drawbridge join")
}

func TestRenewedCertificateIsUsedAndKept(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", 0, time.Now().Add(-peerLife-time.Hour))
	_, server := shakeHands(t, b.Connect, a.Accept)
	mustSay(t, server.err, ErrExpired)

	cert, err := a.CA.Renew(b.Self(), Gateway, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Renewed(cert.Raw); err != nil {
		t.Fatal(err)
	}
	if _, server := shakeHands(t, b.Connect, a.Accept); server.err != nil || server.peer.Roles != Gateway || server.peer.ID != b.ID() {
		t.Errorf("seen as %+v, %v", server.peer, server.err)
	}
	b.Close()
	again, err := Open(b.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !bytes.Equal(again.Certificate().Raw, cert.Raw) {
		t.Error("the old certificate is on disk")
	}
}

func TestRenewalIsForTheSamePeerOnly(t *testing.T) {
	a, plant := found(t, "office", "a"), found(t, "plant", "a")
	b := member(t, a, "b", 0, noon)
	before := b.Certificate()
	mustSay(t, b.Renewed(a.Certificate().Raw), ErrCertificate, "peer a", "peer b")
	mustSay(t, b.Renewed([]byte("?")), ErrCertificate)
	mustMix(t, b.Renewed(plant.Certificate().Raw), a.Network, plant.Network)
	if b.Certificate() != before {
		t.Error("taken all the same")
	}
	_, err := a.CA.Renew(plant.Self(), 0, noon)
	mustMix(t, err, a.Network, plant.Network)
}

func TestAuthorityRefusesWhatNoPeerCanHave(t *testing.T) {
	ca := authority(t)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	_, err = ca.Issue("A!", key.Public().(ed25519.PublicKey), 0, noon)
	mustSay(t, err, drawbridge.ErrName)
	_, err = ca.Issue("a", nil, 0, noon)
	mustSay(t, err, ErrCertificate, "0 bytes")
}

// TestVerifyCertificate: what a record's certificate may be wrong with, at a given time.
func TestVerifyCertificate(t *testing.T) {
	a, plant := found(t, "office", "a"), found(t, "plant", "a")
	b := member(t, a, "b", Gateway, noon)
	der := b.Certificate().Raw
	p, err := a.VerifyCertificate(der, noon)
	if err != nil || p.Name != "b" || p.ID != b.ID() || p.Roles != Gateway || !p.Key.Equal(b.Public()) {
		t.Fatalf("read %+v, %v", p, err)
	}
	for name, tt := range map[string]struct {
		now  time.Time
		want error
	}{
		"first moment":      {noon.Add(-MaxSkew), nil},
		"before it":         {noon.Add(-MaxSkew - time.Second), ErrClock},
		"last moment":       {noon.Add(peerLife), nil},
		"after it":          {noon.Add(peerLife + time.Second), ErrExpired},
		"clock never set":   {time.Unix(0, 0), ErrClock},
		"ten years from it": {noon.AddDate(9, 11, 0), nil},
	} {
		if _, err := a.VerifyCertificate(der, tt.now); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	_, err = plant.VerifyCertificate(der, noon)
	mustMix(t, err, plant.Network, a.Network)
	_, err = a.VerifyCertificate(der[:len(der)-1], noon)
	mustSay(t, err, ErrCertificate)
	forged := bytes.Clone(der)
	forged[len(forged)-1] ^= 1
	_, err = a.VerifyCertificate(forged, noon)
	mustSay(t, err, ErrForged, `"b"`, `"office"`)
	_, err = a.VerifyCertificate(a.Network.Authority.Raw, noon)
	mustSay(t, err, ErrCertificate) // the authority is no peer

	if err := a.Revoke("b", b.ID(), noon); err != nil {
		t.Fatal(err)
	}
	_, err = a.VerifyCertificate(der, noon) // known good a moment ago
	mustSay(t, err, ErrRevoked, "peer b", b.ID().String())
}

// TestCertificatesThatPretend: the authority's signature alone does not make a peer.
func TestCertificatesThatPretend(t *testing.T) {
	a := found(t, "office", "a")
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().(ed25519.PublicKey)
	signed := func(change func(*x509.Certificate)) []byte {
		template := peerTemplate(a.Network.ID, "b", 0, noon)
		change(template)
		cert, err := sign(template, a.Network.Authority, public, a.CA.key)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Raw
	}
	for name, change := range map[string]func(*x509.Certificate){
		"no address":      func(c *x509.Certificate) { c.URIs = nil },
		"another name":    func(c *x509.Certificate) { c.Subject.CommonName = "c" },
		"an authority":    func(c *x509.Certificate) { c.IsCA = true },
		"impossible name": func(c *x509.Certificate) { c.Subject.CommonName = "B!"; c.URIs[0].Path = "/B!" },
	} {
		if _, err := a.VerifyCertificate(signed(change), noon); !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	later := signed(func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"gateway", "astronaut"} })
	if p, err := a.VerifyCertificate(later, noon); err != nil || p.Roles != Gateway {
		t.Errorf("a role of a later version: %s, %v", p.Roles, err)
	}
}

func TestGoodCertificatesAreCheckedOnce(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", 0, noon)
	bad := bytes.Clone(b.Certificate().Raw)
	bad[len(bad)-1] ^= 1
	for range 3 {
		if _, err := a.VerifyCertificate(b.Certificate().Raw, noon); err != nil {
			t.Fatal(err)
		}
		a.VerifyCertificate(bad, noon)
	}
	if n := len(a.verified.good); n != 1 {
		t.Errorf("%d certificates are kept, want the good one", n)
	}
	for i := range 2 * maxVerdicts {
		a.verified.put([32]byte{1, byte(i), byte(i >> 8)}, Peer{})
	}
	if n := len(a.verified.good); n > maxVerdicts {
		t.Errorf("%d certificates are kept", n)
	}
}

func TestCertificateIsAuthoritative(t *testing.T) {
	p := Peer{Name: "b", ID: 7}
	if err := p.Claims("b", 7); err != nil {
		t.Error(err)
	}
	mustSay(t, p.Claims("c", 7), ErrForged, "c", "b")
	mustSay(t, p.Claims("b", 8), ErrForged)
}

func FuzzPeerCertificate(f *testing.F) {
	ca := authority(f)
	key, err := newKey()
	if err != nil {
		f.Fatal(err)
	}
	cert, err := ca.Issue("b", key.Public().(ed25519.PublicKey), Gateway, noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert.Raw)
	f.Add(ca.network.Authority.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if _, err := networkOf(cert); err == nil {
			claimedNetwork(cert)
		}
		if p, err := ca.network.verify(cert); err == nil && (p.ID == 0 || p.Name == "") {
			t.Errorf("accepted %+v", p)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	key, err := newKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encodeKey(key))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := decodeKey(b)
		if err != nil {
			return
		}
		if again, err := decodeKey(encodeKey(key)); err != nil || !again.Equal(key) {
			t.Errorf("%q reads as another key: %v", b, err)
		}
	})
}
