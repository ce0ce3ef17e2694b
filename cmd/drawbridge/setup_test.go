package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// host is a place for one peer's files.
type host struct{ dir, file, state string }

func newHost(t *testing.T) host {
	dir := t.TempDir()
	return host{dir, filepath.Join(dir, "etc", "drawbridge.toml"), filepath.Join(dir, "state")}
}

// call runs a command on the host, at the real time: certificates have dates.
func (h host) call(t *testing.T, args ...string) result {
	t.Helper()
	return call(t, func(to *tool) { to.now = time.Now }, append(args, "--config", h.file)...)
}

func TestInit(t *testing.T) {
	h := newHost(t)
	r := h.call(t, "init", "--network", "home", "--name", "a", "--state-dir", h.state, "--advertise", "192.0.2.1")
	if r.code != exitDone || !strings.Contains(r.out, "network home is founded") || !strings.Contains(r.out, "systemctl enable") {
		t.Fatalf("%+v", r)
	}
	c, err := config.Load(h.file)
	if err != nil || c.Name != "a" || c.StateDir != h.state || c.Advertise[0] != "192.0.2.1:6630" {
		t.Errorf("node file: %+v %v", c, err)
	}
	identity, err := secure.Open(h.state)
	if err != nil || identity.Name != "a" || identity.Network.Name != "home" {
		t.Fatalf("identity: %v", err)
	}
	if err := identity.Close(); err != nil {
		t.Fatal(err)
	}
	if r := h.call(t, "init", "--network", "other", "--name", "a"); r.code != exitFailed || !strings.Contains(r.err, "already has an identity") {
		t.Errorf("a second time: %+v", r)
	}
	if r := h.call(t, "init", "--network", "home", "--name", "b"); r.code != exitFailed || !strings.Contains(r.err, "this peer is a, not b") {
		t.Errorf("with another name: %+v", r)
	}
	if r := h.call(t, "init", "--network", "home", "--name", "a", "--listen", "192.0.2.9:1"); r.code != exitFailed || !strings.Contains(r.err, "says listen") {
		t.Errorf("with another address: %+v", r)
	}
}

func TestFailedInitLeavesNoNodeFile(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(h.state, nil, 0o600); err != nil { // where a directory should be
		t.Fatal(err)
	}
	if r := h.call(t, "init", "--network", "home", "--name", "a", "--state-dir", h.state); r.code != exitFailed {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(h.file); err == nil {
		t.Error("a node file was left")
	}
}

// door is a network that admits, as a running voter would.
func door(t *testing.T) (token string) {
	t.Helper()
	c, err := secure.Found(t.TempDir(), "home", "a", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := secure.OpenTokens(c)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	made, err := tokens.Create(secure.TokenSpec{Addrs: []string{l.Addr().String()}, Roles: secure.Gateway, CreatedBy: "test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	admission := &secure.Admission{Credentials: c, Tokens: tokens}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			if conn, _, err := c.Accept(t.Context(), raw, nil); err == nil {
				_, _ = admission.Admit(t.Context(), conn) // the far end tells the test
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended; c.Close() })
	return made.String()
}

func TestJoin(t *testing.T) {
	token, h := door(t), newHost(t)
	r := h.call(t, "join", token, "--name", "b", "--state-dir", h.state, "--outbound-only")
	if r.code != exitDone || !strings.Contains(r.out, "has joined network home; roles: gateway") || !strings.Contains(r.err, "calling 127.0.0.1:") {
		t.Fatalf("%+v", r)
	}
	c, err := config.Load(h.file)
	if err != nil || c.Name != "b" || len(c.Join) != 1 || c.Advertise == nil {
		t.Errorf("node file: %+v %v", c, err)
	}
	other := newHost(t)
	if r := other.call(t, "join", token, "--name", "c", "--state-dir", other.state); r.code != exitFailed || !strings.Contains(r.err, "used up") {
		t.Errorf("a second peer: %+v", r)
	}
	if _, err := os.Stat(other.file); err == nil {
		t.Error("a refused peer has a node file")
	}
}

func TestJoinReadsTheTokenFromInput(t *testing.T) {
	token, h := door(t), newHost(t)
	r := call(t, func(to *tool) { to.now, to.in = time.Now, strings.NewReader(token+"\n") }, "join", "-", "--name", "b", "--state-dir", h.state, "--config", h.file)
	if r.code != exitDone {
		t.Errorf("%+v", r)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
