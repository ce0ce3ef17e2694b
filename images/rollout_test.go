//go:build image

package images

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// hostAt is where QEMU's own network has the machine that the tests run on.
const hostAt = "10.0.2.2"

// served gives a bundle to whoever asks over https, and the certificate that he must trust.
func served(t *testing.T, bundle string) (address, certificate string) {
	t.Helper()
	dir := t.TempDir()
	own, err := access.OpenCertificates(dir, []string{hostAt}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", own.TLS())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, bundle) })}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	text, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	return "https://" + hostAt + ":" + port + "/drawbridge.bundle", string(text)
}

// trust has the daemon take a certificate for good until the machine starts again.
func (v *vm) trust(certificate string) {
	v.t.Helper()
	v.expect("cat >/run/trusted.pem <<'EOF'\n"+strings.TrimSpace(certificate)+"\nEOF\nchmod 644 /run/trusted.pem", "END=0")
	v.expect("mkdir -p /run/systemd/system/drawbridge.service.d && printf '[Service]\\nEnvironment=SSL_CERT_FILE=/run/trusted.pem\\n' >/run/systemd/system/drawbridge.service.d/trust.conf && systemctl daemon-reload && systemctl restart drawbridge", "END=0")
	v.expect(untilReady, "END=0")
}

// TestRollout updates a pair of gateways one after the other from an https address, each with a restart of the machine, while
// hosts on the VLAN and among the guests send numbered broadcasts.
func TestRollout(t *testing.T) {
	address, certificate := served(t, nextBundle(t))
	s := newSite(t)
	s.form()
	s.active("w", 2, anybody)
	for _, name := range []string{"a", "b"} {
		s.vms[name].trust(certificate)
		s.active("w", 2, anybody)
	}
	s.reach()
	s.counted("quiet", func() { <-time.After(10 * time.Second) })
	s.counted("roll-out", func() {
		s.vms["w"].expect("drawbridge rollout start --from "+address+" --wait", "END=0")
	})
	for _, name := range []string{"a", "b"} {
		v := s.vms[name]
		v.drain()
		v.booted()
		v.expect("grep -c SLOT=b /run/drawbridge-boot/slot", "^1\n")
		v.expect("drawbridge update status", "^b .*running, starts next, good")
	}
	s.active("w", 2, anybody)
	said := s.vms["w"].do("drawbridge events -n 200")
	if t.Failed() {
		t.Log(said)
	}
}
