package lab

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// behind is a console over a socket at which somebody answers.
func behind(t *testing.T, addr string) http.Handler {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	})}}
	s.Start()
	t.Cleanup(s.Close)
	return consoleOver(socket, netip.MustParseAddrPort(addr))
}

func TestConsoleAnswersOnlyWhoMeansIt(t *testing.T) {
	for _, c := range []struct {
		at, host string
		want     int
	}{
		{"127.0.0.1:7630", "127.0.0.1:7630", 200},
		{"127.0.0.1:7630", "localhost:7630", 200},
		{"127.0.0.1:7630", "[::1]:7630", 200}, // a forwarded port
		{"127.0.0.1:7630", "127.0.0.1:7631", 421},
		{"127.0.0.1:7630", "evil.example:7630", 421},
		{"127.0.0.1:7630", "127.0.0.1.evil.example:7630", 421},
		{"192.0.2.1:80", "192.0.2.1", 200},
		{"192.0.2.1:7630", "192.0.2.1:7630", 200},
		{"192.0.2.1:7630", "localhost:7630", 421},
	} {
		r := httptest.NewRequest("GET", "/api/v1/status", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		behind(t, c.at).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("console at %s, called as %s: status %d, want %d", c.at, c.host, w.Code, c.want)
		}
	}
}

func TestConsoleTakesNoChangesFromOtherSites(t *testing.T) {
	h := behind(t, "127.0.0.1:7630")
	ask := func(header, value string) int {
		r := httptest.NewRequest("POST", "/api/v1/tokens", strings.NewReader("{}"))
		r.Host = "127.0.0.1:7630"
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	if got := ask("Sec-Fetch-Site", "cross-site"); got != 403 {
		t.Errorf("cross-site: status %d", got)
	}
	if got := ask("Origin", "http://evil.example"); got != 403 {
		t.Errorf("foreign origin: status %d", got)
	}
	if got := ask("Sec-Fetch-Site", "same-origin"); got != 200 {
		t.Errorf("same origin: status %d", got)
	}
}

func TestConsoleOfADeadNode(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "127.0.0.1:7630"
	w := httptest.NewRecorder()
	consoleOver(filepath.Join(t.TempDir(), "none"), netip.MustParseAddrPort("127.0.0.1:7630")).ServeHTTP(w, r)
	if w.Code != 502 || !strings.Contains(w.Body.String(), "drawbridge lab start") {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
}

func TestConsoleAddress(t *testing.T) {
	topo, _, err := Load("default")
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Name: "x", plan: newPlan("x", topo)}
	for addr, ok := range map[string]bool{
		"127.0.0.1:7630": true, "[::1]:7630": true, "192.0.2.1:80": true,
		"0.0.0.0:7630": false, "[::]:7630": false, "127.0.0.1": false, "localhost:7630": false, "127.0.0.1:0": false, "127.0.0.1:65535": false,
	} {
		if err := l.checkConsole(addr); (err == nil) != ok {
			t.Errorf("--console %s: %v", addr, err)
		}
	}
	if _, err := begin(Options{Name: "labtest", Console: "0.0.0.0:7630"}); err == nil || !strings.Contains(err.Error(), "without a password") {
		t.Errorf("a lab whose consoles everybody reaches was begun: %v", err)
	}
	l.Console = "http://127.0.0.1:7630/"
	first, last := topo.Nodes[0].Name, topo.Nodes[len(topo.Nodes)-1].Name
	if got := l.ConsoleOf(first); got != "http://127.0.0.1:7630/" {
		t.Errorf("console of %s is %s", first, got)
	}
	if got := l.ConsoleOf(last); got != fmt.Sprintf("http://127.0.0.1:%d/", 7629+len(topo.Nodes)) {
		t.Errorf("console of %s is %s", last, got)
	}
	if l.ConsoleOf("nobody") != "" {
		t.Error("a node that does not exist has a console")
	}
}
