package secure

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// found makes a network whose first peer is called name.
func found(t testing.TB, network string, name drawbridge.PeerName) *Credentials {
	t.Helper()
	c, err := Found(t.TempDir(), network, name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// member makes another peer of the network of ca, with a certificate signed at the given time.
func member(t testing.TB, ca *Credentials, name drawbridge.PeerName, roles Roles, signed time.Time) *Credentials {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.CA.Issue(name, key.Public().(ed25519.PublicKey), roles, signed)
	if err != nil {
		t.Fatal(err)
	}
	d, err := lockDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.close() })
	if err := errors.Join(d.write(keyFile, encodeKey(key)), d.settle(ca.Network, nil, cert)); err != nil {
		t.Fatal(err)
	}
	c, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// twinOf is an authority that says it is n's, with another key.
func twinOf(t testing.TB, n Network) *Authority {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := authorityTemplate(n.Name, n.ID, time.Now())
	cert, err := sign(template, template, key.Public().(ed25519.PublicKey), key)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{Network{n.Name, n.ID, cert}, key}
}

// end is how one side of a handshake came out.
type end struct {
	conn *tls.Conn
	peer Peer
	err  error
}

type handshake func(ctx context.Context, raw net.Conn, revoked func(drawbridge.PeerID) bool) (*tls.Conn, Peer, error)

// shakeHands runs a client and a server against each other over a pipe.
func shakeHands(t testing.TB, client, server handshake) (atClient, atServer end) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	done := make(chan end, 1)
	go func() {
		conn, p, err := server(t.Context(), far, nil)
		done <- end{conn, p, err}
	}()
	conn, p, err := client(t.Context(), near, nil)
	return end{conn, p, err}, <-done
}

// mustSay fails the test unless err is want and its text holds all of the words.
func mustSay(t testing.TB, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

// mustMix fails the test unless err names mine and theirs as two networks.
func mustMix(t testing.TB, err error, mine, theirs Network) {
	t.Helper()
	var other *OtherNetworkError
	if !errors.As(err, &other) {
		t.Fatalf("error is %v, want an OtherNetworkError", err)
	}
	if other.Mine.ID != mine.ID || other.Theirs.ID != theirs.ID {
		t.Errorf("error names %s and %s, want %s and %s", other.Mine, other.Theirs, mine, theirs)
	}
	for _, word := range []string{mine.Name, mine.ID.String(), theirs.Name, theirs.ID.String()} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}
