package appliance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/web"
)

func TestSpoolKeepsABundleWithoutAName(t *testing.T) {
	dir, text := t.TempDir(), bytes.Repeat([]byte("bundle"), 300_000)
	for name, size := range map[string]int64{"known": int64(len(text)), "unknown": -1} {
		var last int64
		f, err := spool(t.Context(), dir, iotest.HalfReader(bytes.NewReader(text)), size, func(_ string, done, _ int64) { last = done })
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := io.ReadAll(io.NewSectionReader(f, 0, slot.MaxBundle))
		if err != nil || !bytes.Equal(got, text) || last != int64(len(text)) {
			t.Errorf("%s size: %d bytes, told of %d: %v", name, len(got), last, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestSpoolRefuses(t *testing.T) {
	dir := t.TempDir()
	done, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the client is gone"))
	for name, c := range map[string]struct {
		ctx  context.Context
		from io.Reader
		size int64
		want error
		says string
	}{
		"too large":      {t.Context(), strings.NewReader("x"), slot.MaxBundle + 1, web.ErrInvalid, "more than any bundle has"},
		"cut off":        {t.Context(), strings.NewReader("abc"), 5, web.ErrInvalid, "ended after 3 of 5 bytes: send it again"},
		"too long":       {t.Context(), strings.NewReader("abcdef"), 5, web.ErrInvalid, "ended after 6 of 5"},
		"a broken line":  {t.Context(), iotest.ErrReader(errors.New("reset")), -1, web.ErrUnavailable, "stopped coming after 0 bytes: reset"},
		"nobody waits":   {done, strings.NewReader(strings.Repeat("x", 1<<20)), -1, nil, "the client is gone"},
		"no such folder": {t.Context(), strings.NewReader("x"), 1, nil, "room in"},
	} {
		in := dir
		if name == "no such folder" {
			in = filepath.Join(dir, "none")
		}
		_, err := spool(c.ctx, in, c.from, c.size, nil)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := roomFor(dir, 1<<60); !errors.Is(err, web.ErrConflict) || !strings.Contains(err.Error(), "no room for the bundle") {
		t.Errorf("a full disk: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestAddressesOfBundles(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://example.net/drawbridge-virt.bundle": true, "http://example.net/b": false, "file:///etc/passwd": false,
		"https://": false, "https://ann:secret@example.net/b": false, "b": false, "": false, "https://[::1": false,
	} {
		if err := checkBundleURL(address); (err == nil) != ok || err != nil && !errors.Is(err, web.ErrInvalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestFetchedBundles(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("bundle")) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) })
	mux.HandleFunc("/open", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/good", http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	trusted, old := s.Client().Transport, bundleClient.Transport
	if _, _, err := fetchBundle(t.Context(), s.URL+"/good"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
	bundleClient.Transport = trusted
	t.Cleanup(func() { bundleClient.Transport = old })
	for path, says := range map[string]string{"good": "", "moved": "", "open": "which is not https", "round": "without end", "none": "404 Not Found: is the address right?"} {
		body, size, err := fetchBundle(t.Context(), s.URL+"/"+path)
		if says != "" {
			if !errors.Is(err, web.ErrUnavailable) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		text, err := io.ReadAll(body)
		if err != nil || string(text) != "bundle" || size != 6 || body.Close() != nil {
			t.Errorf("%s: %q, %d bytes, %v", path, text, size, err)
		}
	}
}

func TestLeftBundlesGo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".update-123.bundle", "peer.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := leftBundles(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "peer.key" {
		t.Errorf("%v", left)
	}
}
