package access

import (
	"fmt"
	"net/url"
	"strings"
)

// OIDC says who else vouches for people: an issuer, and which of its users get which role here.
type OIDC struct {
	Name         string          `json:"name"` // on the button
	Issuer       string          `json:"issuer"`
	ClientID     string          `json:"client_id"`
	ClientSecret string          `json:"client_secret,omitempty"`
	RedirectURL  string          `json:"redirect_url"` // of a console, ends in /api/v1/oidc/callback; {host}: of whichever the browser is at
	NameClaim    string          `json:"name_claim,omitempty"`
	RoleClaim    string          `json:"role_claim"`       // text or a list of texts, such as groups
	Roles        map[string]Role `json:"roles"`            // by value of that claim; the strongest counts
	Scopes       []string        `json:"scopes,omitempty"` // beside openid and profile
}

// oidcCallback is where the issuer sends people back to.
const oidcCallback = "/api/v1/oidc/callback"

// Check reports what is wrong with the settings.
func (o OIDC) Check() error {
	issuer, err := url.Parse(o.Issuer)
	if err != nil || issuer.Scheme != "https" && issuer.Hostname() != "127.0.0.1" || issuer.Host == "" {
		return invalid("oidc: issuer %q: want an https URL", o.Issuer)
	}
	back, err := url.Parse(o.back("console.example"))
	if err != nil || back.Scheme != "https" || back.Host == "" || back.Path != oidcCallback {
		return invalid("oidc: redirect_url %q: want https://CONSOLE%s, as the issuer knows it, or https://%s%s when it knows every console of the network", o.RedirectURL, oidcCallback, thisHost, oidcCallback)
	}
	if o.ClientID == "" || o.RoleClaim == "" || len(o.Roles) == 0 {
		return invalid("oidc: client_id, role_claim and roles are needed, or nobody could log in")
	}
	for value, role := range o.Roles {
		if err := checkRole(role); err != nil {
			return fmt.Errorf("oidc: roles: %q: %w", value, err)
		}
	}
	return nil
}

// thisHost stands in a redirect URL for the console that the browser is at: the settings are those of all nodes, and a log
// in ends where it began. Who sends another host gets an address that the issuer does not know, and refuses.
const thisHost = "{host}"

// back is where the issuer sends somebody back to who is at a host.
func (o OIDC) back(host string) string { return strings.ReplaceAll(o.RedirectURL, thisHost, host) }

// SetOIDC replaces the settings; nil ends log in by an issuer.
func (d Directory) SetOIDC(o *OIDC) (Directory, error) {
	if o != nil {
		if err := o.Check(); err != nil {
			return d, err
		}
	}
	next := d.next()
	next.OIDC = o
	return next, nil
}

// role is the strongest role that the values of the claim give; Nobody when none does.
func (o OIDC) role(values []string) Role {
	best := Nobody
	for _, v := range values {
		if r := o.Roles[v]; r.Includes(best) {
			best = r
		}
	}
	return best
}
