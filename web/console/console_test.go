package console_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web/console"
)

const html = "text/html,application/xhtml+xml"

func get(t *testing.T, method, path, accept, encoding string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	console.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		in = z
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryScreenIsTheSamePage(t *testing.T) {
	home := body(t, get(t, "GET", "/", html, ""))
	for _, path := range []string{"/peers", "/timeline?open=3", "/segments/office", "/no/such/screen"} {
		r := get(t, "GET", path, html, "gzip")
		if r.StatusCode != 200 || body(t, r) != home {
			t.Errorf("%s: status %d, or not the page", path, r.StatusCode)
		}
		if got := r.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control %q: an update of the daemon would go unnoticed", path, got)
		}
	}
}

func TestOnlyFilesAndScreens(t *testing.T) {
	for _, c := range []struct {
		method, path, accept string
		want                 int
	}{
		{"GET", "/assets/gone.js", html, 404},
		{"GET", "/../console.go", html, 404},
		{"GET", "/peers", "application/json", 404},
		{"GET", "/peers", "", 404},
		{"POST", "/", html, 405},
		{"HEAD", "/", html, 200},
		{"GET", "/", "*/*", 200},
		{"GET", "/LICENSES.txt", "", 200},
	} {
		if r := get(t, c.method, c.path, c.accept, ""); r.StatusCode != c.want {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, r.StatusCode, c.want)
		}
	}
}

func TestFilesOfThePageAreKeptForEver(t *testing.T) {
	named := regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(body(t, get(t, "GET", "/", html, "")), -1)
	if len(named) < 3 {
		t.Fatalf("the page names %d files", len(named))
	}
	for _, n := range named {
		r := get(t, "GET", n[1], "*/*", "gzip, br")
		if r.StatusCode != 200 || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, Cache-Control %q", n[1], r.StatusCode, r.Header.Get("Cache-Control"))
		}
		if body(t, r) == "" {
			t.Errorf("%s is empty", n[1])
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/gone.js"} {
		h := get(t, "GET", path, html, "").Header
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'self';") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

// The policy forbids them, so a page with one would be broken in a browser only.
func TestNothingInline(t *testing.T) {
	page := body(t, get(t, "GET", "/", html, ""))
	for _, bad := range []string{"<style", " style=", " onclick", "javascript:", "http://", "https://", "data:"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	if regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page) {
		t.Error("the page has an inline script")
	}
}
