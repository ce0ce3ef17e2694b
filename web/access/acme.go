package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// authority is what ACME needs to know, as it is kept across restarts.
type authority struct {
	Hosts     []string `json:"hosts"`
	Email     string   `json:"email,omitempty"`
	Directory string   `json:"directory,omitempty"`
}

// ACME asks an authority for certificates of hosts (RFC 8555), and falls back on ours while there is none.
// directory is the authority's URL; empty: Let's Encrypt. Whoever calls it has agreed to the authority's terms.
func (c *Certificates) ACME(hosts []string, email, directory string) error {
	a := authority{hosts, email, directory}
	if err := a.check(); err != nil {
		return err
	}
	text, err := json.Marshal(a)
	if err == nil {
		err = writeSecret(c.path("acme.json"), text)
	}
	if err != nil {
		return fmt.Errorf("ACME: %w", err)
	}
	c.ask(a)
	return nil
}

func (a authority) check() error {
	for _, h := range a.Hosts {
		if net.ParseIP(h) != nil || !strings.Contains(h, ".") || strings.ContainsAny(h, "/:* ") {
			return invalid("ACME: %q: want a DNS name that resolves to this node from the Internet", h)
		}
	}
	if len(a.Hosts) == 0 {
		return invalid("ACME: want at least one DNS name of this node")
	}
	if a.Directory != "" && !strings.HasPrefix(a.Directory, "https://") {
		return invalid("ACME: directory %q: want an https URL", a.Directory)
	}
	return nil
}

// ask has the authority asked when somebody calls for one of the hosts.
func (c *Certificates) ask(a authority) {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(c.path("acme")), HostPolicy: autocert.HostWhitelist(a.Hosts...), Email: a.Email}
	if a.Directory != "" {
		m.Client = &acme.Client{DirectoryURL: a.Directory}
	}
	c.acme.Store(m)
}

// resume goes on with what was set before a restart.
func (c *Certificates) resume() error {
	text, err := os.ReadFile(c.path("acme.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var a authority
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err == nil {
		err = a.check()
	}
	if err != nil {
		return fmt.Errorf("certificate: %s: %w: move it away to go on without ACME", c.path("acme.json"), err)
	}
	c.ask(a)
	return nil
}

func (c *Certificates) forgetACME() error {
	c.acme.Store(nil)
	if err := os.Remove(c.path("acme.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("ACME: %w", err)
	}
	return nil
}
