package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// attended is a daemon that knows people.
func attended(t *testing.T) (socket string) {
	t.Helper()
	dir := t.TempDir()
	people, err := webtest.WithPeople(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "d.sock")
	l, err := web.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- web.Serve(ctx, l, web.New(webtest.New(), slog.New(slog.DiscardHandler), people), slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

// random is what no golden file can have.
var random = regexp.MustCompile(`dbt-api-\S+|[0-9a-f]{10}\b|([0-9A-F]{2}:){31}[0-9A-F]{2}`)

func TestUsers(t *testing.T) {
	socket := attended(t)
	var all strings.Builder
	run := func(typed string, args ...string) result {
		t.Helper()
		args = append(args, "--socket", socket)
		r := call(t, func(to *tool) {
			to.in = strings.NewReader(typed)
		}, args...)
		all.WriteString("$ drawbridge " + strings.Join(args[:len(args)-2], " ") + "\n" + random.ReplaceAllString(r.out+r.err, "(random)"))
		return r
	}
	if r := run("", "users", "code"); len(strings.Fields(r.out)) != 8 {
		t.Errorf("%+v", r)
	}
	all.Reset()
	run("", "users", "list")
	run("four random little words\n", "users", "add", "ann", "--role", "viewer")
	run("four random little words\n", "users", "add", "ann", "--role", "admin")
	run("password1234\n", "users", "add", "bob")
	run("", "users", "add", "bob")
	run("four other little words", "users", "add", "bob", "--role", "king")
	run("four other little words", "users", "add", "bob")
	run("", "users", "code")
	run("", "users", "role", "bob", "operator")
	run("", "users", "role", "bob", "king")
	run("", "users", "role", "ann", "viewer")
	run("", "users", "disable", "bob")
	run("some more random words\n", "users", "passwd", "bob")
	run("", "users", "list")
	run("", "users", "enable", "bob")
	run("", "users", "totp", "bob", "--remove")
	run("", "users", "sessions")
	run("", "users", "sessions", "end", "none")
	run("", "users", "remove", "bob")
	run("", "users", "remove", "bob")
	run("", "users", "remove", "ann")
	run("", "users", "token", "list")
	run("", "users", "token", "create", "--role", "viewer", "--path", "/api/v1/status", "--comment", "probe", "--ttl", "24h")
	run("", "users", "token", "create", "--ttl", "0s")
	run("", "users", "token", "list")
	run("", "certificate")
	golden(t, "users", all.String())
	if r := run("", "audit"); !strings.Contains(r.out, "local     409  DELETE /api/v1/users/ann ") {
		t.Errorf("audit: %s", r.out)
	}
}

func TestCertificateCommands(t *testing.T) {
	socket := attended(t)
	missing := filepath.Join(t.TempDir(), "missing")
	if r := call(t, nil, "certificate", "set", missing, missing, "--socket", socket); r.code != exitFailed {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile(missing, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := call(t, nil, "certificate", "set", missing, missing, "--socket", socket); r.code != exitFailed || !strings.Contains(r.err, "send PEM") {
		t.Errorf("%+v", r)
	}
	if r := call(t, nil, "certificate", "renew", "--socket", socket); r.code != exitDone || !strings.Contains(r.out, "SHA-256 ") {
		t.Errorf("%+v", r)
	}
	if r := call(t, nil, "certificate", "acme", "192.0.2.1", "--socket", socket); r.code != exitFailed || !strings.Contains(r.err, "DNS name") {
		t.Errorf("%+v", r)
	}
}

func TestAskPassword(t *testing.T) {
	for _, c := range []struct {
		typed       string
		interactive bool
		want, err   string
	}{
		{"a b c\n", false, "a b c", ""},
		{"a b c", false, "a b c", ""},
		{"a b c\r\nmore\n", false, "a b c", ""},
		{"", false, "", "standard input"},
		{"one\none\n", true, "one", ""},
		{"one\ntwo\n", true, "", "differ"},
		{"one\n", true, "", "standard input"},
	} {
		to := newTool(strings.NewReader(c.typed), io.Discard, io.Discard)
		to.interactive = c.interactive
		got, err := to.askPassword("ann")
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %q %v", c.typed, got, err)
		}
	}
}
