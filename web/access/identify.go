package access

import (
	"net/http"
	"strings"
)

// identify finds out who asks: by token, by session, by socket, in that order. A token that is not
// good is refused; a session that has ended is nobody, who may still log in.
func (a *Access) identify(r *http.Request, c Caller) (Caller, *Refusal) {
	if text := r.Header.Get("Authorization"); text != "" {
		return a.byToken(text, c)
	}
	if p, ok := r.Context().Value(peerKey).(peer); ok {
		return a.bySocket(p, c)
	}
	for _, cookie := range r.CookiesNamed(Cookie) {
		key, ok := parseCookie(cookie.Value)
		if !ok {
			continue
		}
		known := c
		known.By, known.key = BySession, key
		if known, ok = a.refresh(known, true); ok {
			return known, nil
		}
	}
	return c, nil
}

func (a *Access) bySocket(p peer, c Caller) (Caller, *Refusal) {
	if !p.admin(a.cfg.Group) {
		return c, &Refusal{Status: http.StatusForbidden, Kind: KindRole, Detail: "the local socket is for root and the group " + a.cfg.Group + ": run this with sudo, or join the group"}
	}
	c.Name, c.Role, c.By = p.name(), Admin, BySocket
	return c, nil
}

func (a *Access) byToken(header string, c Caller) (Caller, *Refusal) {
	bad := &Refusal{Status: http.StatusUnauthorized, Kind: KindLogIn, Detail: "this API token is not valid: it is mistyped, revoked or expired, or its owner is disabled; drawbridge users token list shows those that there are"}
	scheme, text, _ := strings.Cut(header, " ")
	id, secret, err := parseToken(text)
	if !strings.EqualFold(scheme, "Bearer") || err != nil {
		return c, bad
	}
	d, err := a.cfg.Store.Load()
	if err != nil {
		return c, AsRefusal(err)
	}
	t, ok := d.Token(id)
	if !ok || !t.holds(secret) {
		return c, bad
	}
	c.By, c.Token = ByToken, id
	if c, ok = a.refresh(c, true); !ok {
		return c, bad
	}
	if next, worth := d.TouchToken(id, a.cfg.Now()); worth {
		_ = a.cfg.Store.Save(d.Version, next) // the next use tries again
	}
	return c, nil
}

// refresh is a caller as they are now; false: they are nobody any more.
func (a *Access) refresh(c Caller, touch bool) (Caller, bool) {
	d, err := a.cfg.Store.Load()
	if err != nil {
		return c, false
	}
	switch c.By {
	case BySession:
		return a.refreshSession(d, c, touch)
	case ByToken:
		return a.refreshToken(d, c)
	default:
		return c, c.By == BySocket
	}
}

func (a *Access) refreshSession(d Directory, c Caller, touch bool) (Caller, bool) {
	s, ok := a.sessions.find(c.key, a.cfg.Now(), touch)
	if !ok {
		return Caller{From: c.From, Agent: c.Agent, Request: c.Request}, false
	}
	c.Name, c.Role, c.generation, c.expires = s.user, s.external, s.generation, s.began.Add(sessionLife)
	if s.external != Nobody {
		c.external = true
		return c, d.OIDC != nil
	}
	u, ok := d.User(s.user)
	if !ok || u.Disabled || u.Generation != s.generation || !u.Created.Equal(s.made) {
		return Caller{From: c.From, Agent: c.Agent, Request: c.Request}, false
	}
	c.Role = u.Role
	return c, true
}

func (a *Access) refreshToken(d Directory, c Caller) (Caller, bool) {
	t, ok := d.Token(c.Token)
	if !ok || !a.cfg.Now().Before(t.Expires) {
		return c, false
	}
	c.Name, c.Role, c.prefix, c.expires = "token:"+t.ID, t.Role, t.Prefix, t.Expires
	if t.Owner != "" {
		u, ok := d.User(t.Owner)
		if !ok || u.Disabled {
			return c, false
		}
		c.Name, c.Role = u.Name, weaker(t.Role, u.Role)
	}
	return c, true
}
