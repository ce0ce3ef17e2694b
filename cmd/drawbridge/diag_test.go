package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/diag"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// bundled lists the files of a bundle with their texts, without the directory.
func bundled(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(z); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(in)
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(text)
	}
}

func TestDiag(t *testing.T) {
	n := webtest.New()
	var made bytes.Buffer
	part := diag.Part{Name: "status.json", About: "state", Read: func(context.Context) ([]byte, error) { return []byte("{}"), nil }}
	if err := diag.Write(t.Context(), &made, "drawbridge-a", time.Unix(1, 0), diag.NewRedactor(), []diag.Part{part}); err != nil {
		t.Fatal(err)
	}
	n.Change(func(v *webtest.Values) { v.Bundle = made.Bytes() })
	socket, dir := daemon(t, n), t.TempDir()
	out := filepath.Join(dir, "b.tar.gz")
	none := filepath.Join(dir, "none.toml")
	r := call(t, nil, "diag", "--quick", "--out", out, "--socket", socket, "--config", none)
	b, err := os.ReadFile(out)
	if err != nil || r.code != exitDone || !strings.Contains(r.out, "wrote "+out) {
		t.Fatalf("code %d, %v: %s%s", r.code, err, r.out, r.err)
	}
	files := bundled(t, b)
	for name, want := range map[string]string{"README.txt": "Added by the command line tool", "status.json": "{}", "doctor.json": `"check": "node-file"`, "host/journal.txt": ""} {
		if text, ok := files[name]; !ok || !strings.Contains(text, want) {
			t.Errorf("%s: %q", name, text)
		}
	}
	r = call(t, nil, "diag", "--quick", "--out", "-", "--socket", filepath.Join(dir, "none"), "--config", none)
	files = bundled(t, []byte(r.out))
	if _, ok := files["host/interfaces.txt"]; r.code != exitDone || !ok || !strings.Contains(r.err, "does not answer") {
		t.Errorf("code %d, %v %s", r.code, files, r.err)
	}
	r = call(t, nil, "diag", "--list")
	for _, want := range []string{"metrics.txt", "process/goroutines.txt", "host/journal.txt", "TOTP secrets", "session cookies"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the list has no %s: %s", want, r.out)
		}
	}
	n.Change(func(v *webtest.Values) { v.Failure = errors.New("no room") })
	if r := call(t, nil, "diag", "--quick", "--out", out, "--socket", socket, "--config", none); r.code != exitFailed || !strings.Contains(r.err, "no room") {
		t.Errorf("code %d: %s", r.code, r.err)
	}
}
