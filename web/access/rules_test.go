package access

import (
	"context"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRules(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         Role
	}{
		{"GET", "/", Nobody},
		{"GET", "/assets/app.js", Nobody},
		{"POST", "/", Admin},
		{"GET", "/metrics", Viewer},
		{"GET", "/debug/pprof", Admin},
		{"GET", "/api", Admin},
		{"GET", "/api/v1/unheard-of", Admin},
		{"GET", "/api/v2/status", Admin},
		{"HEAD", "/api/v1/status", Viewer},
		{"OPTIONS", "/api/v1/status", Viewer},
		{"POST", "/api/v1/status", Admin},
		{"PURGE", "/api/v1/status", Admin},
		{"GET", "/api/v1/statusx", Admin},
		{"GET", "/api/v1/status/", Viewer},
		{"GET", "/api/v1/users", Admin},
		{"GET", "/api/v1/audit", Admin},
		{"POST", "/api/v1/login", Nobody},
		{"GET", "/api/v1/login", Admin},
		{"DELETE", "/api/v1/account/totp", Viewer},
		{"POST", "/api/v1/tokens", Admin},
		{"GET", "/api/v1/tokens", Operator},
		{"PUT", "/api/v1/segments/office/gate", Operator},
		{"DELETE", "/api/v1/peers/b", Admin},
		{"GET", "/api/v1/capture", Operator},
		{"POST", "/api/v1/ports/tap0/clear", Operator},
		{"GET", "/api/v1/diag", Admin},
		{"GET", "/api/v1/update", Viewer},
		{"POST", "/api/v1/update/bundle", Admin},
	} {
		if got := least(Rules, c.method, c.path); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

// No spelling of a path gets more than the path that a router could take it for.
func TestSpellingsGetNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"api", "v1", "users", "status", "..", ".", "", "/", "login", "Status", "status%2f"}), 1, 7).Draw(t, "parts")
		p := "/" + strings.Join(parts, "/")
		method := rapid.SampledFrom([]string{"GET", "POST", "HEAD", "PUT"}).Draw(t, "method")
		if plainPath(p) && least(Rules, method, p) != least(Rules, method, path.Clean(p)) {
			t.Fatalf("%s %s", method, p)
		}
		if clean := path.Clean(p); plainPath(p) && clean != strings.TrimSuffix(p, "/") && clean != "/" {
			t.Fatalf("%s is plain", p)
		}
	})
}

func TestSocketCallers(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: b.server, ConnContext: ConnContext}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	answer, err := client.Post("http://x/api/v1/users", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Errorf("we ourselves: %s", answer.Status)
	}
	if r := b.audit.list[0]; r.By != BySocket || r.From != "local" || !strings.HasPrefix(r.Who, "unix:") {
		t.Errorf("%+v", r)
	}
}

func TestPeerRights(t *testing.T) {
	const stranger = 54321
	for _, c := range []struct {
		p    peer
		want bool
	}{
		{peer{uid: 0}, true},
		{peer{uid: uint32(os.Geteuid())}, true},
		{peer{uid: stranger}, false},
		{peer{uid: stranger, groups: []uint32{7, 0}}, true}, // group root stands in for drawbridge
		{peer{uid: 0, err: os.ErrInvalid}, false},
	} {
		if got := c.p.admin("root"); got != c.want {
			t.Errorf("%+v: %v", c.p, got)
		}
	}
	if (peer{uid: stranger, groups: []uint32{0}}).admin("no-such-group") {
		t.Error("a group that does not exist lets in")
	}
	b := newBench(t)
	if _, refusal := b.bySocket(peer{uid: stranger}, Caller{}); refusal == nil || refusal.Status != 403 {
		t.Errorf("%+v", refusal)
	}
}

func TestPeerOfASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	p := peerOf(at.(*net.UnixConn))
	groups, _ := os.Getgroups()
	if p.err != nil || p.uid != uint32(os.Geteuid()) || len(p.groups) != len(groups)+1 {
		t.Errorf("%+v, groups are %v", p, groups)
	}
}
