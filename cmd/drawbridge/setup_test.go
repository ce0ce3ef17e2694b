package main

import (
	"bytes"
	"context"
	"io"
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

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	h := newHost(t)
	if r := h.call(t, "run"); r.code != exitFailed || !strings.Contains(r.err, "no node file at "+h.file) {
		t.Errorf("without a node file: %+v", r)
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.file, []byte("stat_dir = \"/x\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := h.call(t, "run"); r.code != exitFailed || !strings.Contains(r.err, h.file+":1:1: stat_dir: unknown key; do you mean state_dir?") {
		t.Errorf("with a wrong node file: %+v", r)
	}
	if err := os.WriteFile(h.file, []byte("state_dir = \""+h.state+"\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := h.call(t, "run"); r.code != exitFailed || !strings.Contains(r.err, "no identity") {
		t.Errorf("without an identity: %+v", r)
	}
}

// TestRunAnswers is one peer by itself, from init to SIGTERM.
func TestRunAnswers(t *testing.T) {
	h := newHost(t)
	socket := filepath.Join(h.dir, "d.sock")
	if r := h.call(t, "init", "--network", "home", "--name", "a", "--state-dir", h.state, "--listen", freeAddress(t), "--socket", socket); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(h.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", manager.LocalAddr().String())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- newTool(strings.NewReader(""), io.Discard, &log).run(ctx, []string{"run", "--config", h.file})
		manager.Close() // or a daemon that cannot start is waited for
	}()
	told := make([]byte, 1000)
	n, err := manager.Read(told)
	if err != nil || !strings.Contains(string(told[:n]), "READY=1") {
		cancel()
		t.Fatalf("systemd was told %q (%v); the daemon ended with %d: %s", told[:n], err, <-ended, &log)
	}
	if r := h.call(t, "status", "--json"); r.code != exitDone || !strings.Contains(r.out, `"name": "a"`) {
		t.Errorf("status: %+v", r)
	}
	if r := h.call(t, "token", "create", "-q"); r.code != exitDone || !strings.HasPrefix(r.out, "dbt1") {
		t.Errorf("token: %+v", r)
	}
	if r := h.call(t, "peers"); !strings.Contains(r.out, "self") {
		t.Errorf("peers: %+v", r)
	}
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("ended with %d: %s", code, &log)
	}
	if r := h.call(t, "status"); r.code != exitUnreachable {
		t.Errorf("after the end: %+v", r)
	}
}

// freeAddress was free a moment ago.
func freeAddress(t *testing.T) string {
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}
