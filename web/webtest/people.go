package webtest

import (
	"path/filepath"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
)

// WithPeople is a guard and a directory without users, whose files are in dir. Its clock reads Now.
func WithPeople(dir string) (web.Option, error) {
	clock := func() time.Time { return Now }
	certificates, err := access.OpenCertificates(filepath.Join(dir, "tls"), []string{"gw.example", "192.0.2.1"}, clock)
	if err != nil {
		return nil, err
	}
	audit := access.NewAuditFile(filepath.Join(dir, "audit.log"))
	a := access.New(access.Config{
		Store: access.OpenFile(filepath.Join(dir, "users.json")), Audit: audit, Now: clock,
		Announce: func(string) {}, Group: web.Group, Issuer: "Drawbridge home",
	})
	return web.WithAccess(a, certificates, audit), nil
}
