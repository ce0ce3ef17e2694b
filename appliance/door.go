package appliance

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
	"github.com/drawbridge-net/drawbridge/web/console"
)

// door is the way into the API: who may come in, and the listener for browsers.
type door struct {
	n            *Node
	access       *access.Access
	users        *access.Shared
	audit        *access.AuditFile
	certificates *access.Certificates // nil: no listener for browsers
	listener     net.Listener
}

// openDoor opens what the node file asks for. A listener or a certificate that cannot be had does not keep the
// gateway from carrying frames: it is reported, and the unix socket remains.
func (n *Node) openDoor() *door {
	dir := filepath.Join(n.cfg.StateDir, "access")
	d := &door{n: n, audit: access.NewAuditFile(filepath.Join(dir, "audit.log"))}
	d.users = access.OpenShared(filepath.Join(dir, "users.json"), people{n}, people{n}.told)
	cfg := access.Config{
		Store: d.users, Audit: d.audit, Log: n.log, Now: time.Now,
		Group: web.Group, Issuer: "Drawbridge " + n.creds.Network.Name,
	}
	if n.cfg.Console != "" {
		if err := d.listen(dir); err != nil {
			n.log.Error("no console for browsers", "addr", n.cfg.Console, "err", err)
			n.event(web.Event{Level: web.LevelError, Kind: "console_failed", Text: "no console for browsers: " + err.Error()})
		} else {
			cfg.Announce = d.announce
		}
	}
	if d.listener == nil && n.browsers != nil {
		n.log.Warn("systemd holds a socket for the console, but none is served: set console in the node file, or disable drawbridge-console.socket")
		_ = n.browsers.Close()
	}
	d.access = access.New(cfg)
	return d
}

func (d *door) listen(dir string) (err error) {
	if d.certificates, err = access.OpenCertificates(filepath.Join(dir, "tls"), access.HostNames(), time.Now); err != nil {
		return err
	}
	if d.listener = d.n.browsers; d.listener != nil { // systemd listens, also while this daemon starts again
		return nil
	}
	if d.listener, err = net.Listen("tcp", d.n.cfg.Console); err != nil {
		d.certificates = nil
		return fmt.Errorf("console: %w: is another program there?", err)
	}
	return nil
}

// handler answers at the socket and for browsers.
func (d *door) handler() http.Handler {
	return web.New(d.n, d.n.log, web.WithConsole(console.Handler()), web.WithAccess(d.access, d.certificates, d.audit))
}

// serve answers browsers until ctx ends. Its failure is no reason to stop the gateway.
func (d *door) serve(ctx context.Context) error {
	if err := web.ServeTLS(ctx, d.listener, d.handler(), d.certificates.TLS(), d.n.log); err != nil && ctx.Err() == nil {
		d.n.log.Error("the console for browsers ended", "addr", d.n.cfg.Console, "err", err)
		d.n.event(web.Event{Level: web.LevelError, Kind: "console_failed", Text: "the console for browsers ended: " + err.Error()})
	}
	return nil
}

// announce shows the one-time code to whoever is at the machine: in the log, and on its console.
func (d *door) announce(code string) {
	shown, err := d.certificates.Shown()
	if err != nil {
		d.n.log.Error("the certificate cannot be shown", "err", err)
	}
	d.n.log.Warn("there are no users yet: open the console and enter the one-time code", "url", "https://"+d.n.cfg.Console+"/", "code", code, "fingerprint", shown.Fingerprint)
	text := fmt.Sprintf("\r\nDrawbridge %s: open https://%s/ and enter the one-time code\r\n\r\n    %s\r\n\r\nSHA-256 of the certificate:\r\n    %s\r\n", d.n.creds.Name, d.n.cfg.Console, code, shown.Fingerprint)
	screen, err := os.OpenFile("/dev/console", os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return // a container, or not root: the log has to do
	}
	_, _ = screen.WriteString(text)
	_ = screen.Close()
}

// close lets go of what openDoor opened.
func (d *door) close() {
	if d.listener != nil {
		_ = d.listener.Close()
	}
	_ = d.audit.Close()
}
