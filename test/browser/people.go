package browser

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
)

// NewGuarded starts a node behind real access control, over TLS. Its files are in dir. The code makes the first admin.
func NewGuarded(dir string) (n *Network, code string, err error) {
	n = newNetwork()
	audit := access.NewAuditFile(filepath.Join(dir, "audit.log"))
	certificates, err := access.OpenCertificates(filepath.Join(dir, "tls"), []string{"gw.example", "192.0.2.1"}, time.Now)
	if err != nil {
		return nil, "", err
	}
	a := access.New(access.Config{
		Store: access.OpenFile(filepath.Join(dir, "users.json")), Audit: audit, Log: slog.New(slog.DiscardHandler),
		Announce: func(c string) { code = c }, Group: "no-such-group", Issuer: "Drawbridge home",
	})
	a.FirstRunCode()
	n.files = audit
	n.server = httptest.NewTLSServer(n.answers(web.WithAccess(a, certificates, audit)))
	n.URL = n.server.URL
	return n, code, nil
}
