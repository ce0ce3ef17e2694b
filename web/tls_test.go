package web_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// serveTLS starts the console's listener and returns its address.
func serveTLS(t *testing.T) (addr string, c *access.Certificates) {
	t.Helper()
	c, err := access.OpenCertificates(filepath.Join(t.TempDir(), "tls"), []string{"127.0.0.1"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- web.ServeTLS(ctx, l, web.New(webtest.New(), slog.New(slog.DiscardHandler)), c.TLS(), slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), c
}

func TestServeTLS(t *testing.T) {
	addr, c := serveTLS(t)
	for _, proto := range []string{"h2", "http/1.1"} {
		var transport http.Transport
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}}
		transport.ForceAttemptHTTP2 = proto == "h2"
		client := &http.Client{Transport: &transport}
		answer, err := client.Get("https://" + addr + "/api/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != 200 || answer.TLS == nil || (answer.ProtoMajor == 2) != (proto == "h2") {
			t.Errorf("%s: %s %s", proto, answer.Proto, answer.Status)
		}
		transport.CloseIdleConnections()
	}
	if err := c.Renew(); err != nil {
		t.Fatal(err)
	}
	shown, _ := c.Shown()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
	if got := strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"); got != shown.Fingerprint {
		t.Errorf("shows %s, says %s", got, shown.Fingerprint)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func TestPlainHTTPIsSentToTLS(t *testing.T) {
	addr, _ := serveTLS(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get("http://" + addr + "/segments?x=1")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 307 || answer.Header.Get("Location") != "https://"+addr+"/segments?x=1" {
		t.Errorf("%s %s", answer.Status, answer.Header.Get("Location"))
	}
	answer, err = client.Post("http://"+addr+"/api/v1/login", "application/json", strings.NewReader(`{"password":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != 426 || !strings.Contains(string(text), "https://") {
		t.Errorf("%s %s", answer.Status, text)
	}
}

// Connections that say nothing, or nonsense, keep nobody else out.
func TestSilentConnections(t *testing.T) {
	addr, _ := serveTLS(t)
	for i := range 50 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			fmt.Fprint(c, "\x16\x00nonsense\r\n\r\n")
		}
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: gw\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "307") {
		t.Errorf("%q %v", line, err)
	}
}
