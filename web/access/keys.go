package access

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// defaultTokenLife is that of a token of which nobody says how long it is for.
const defaultTokenLife = 90 * 24 * time.Hour

// NewToken asks for an API token.
type NewToken struct {
	Role    Role
	Prefix  string
	Comment string
	Life    time.Duration // 0: ninety days
}

// CreateToken makes a token for the caller, who keeps its text: it is shown this once. A token never does more
// than its owner may at the time.
func (a *Access) CreateToken(ctx context.Context, in NewToken) (text string, t Token, err error) {
	c, now := CallerOf(ctx), a.cfg.Now().UTC().Truncate(time.Second)
	switch {
	case c.By == ByToken:
		return "", t, &Refusal{Status: http.StatusForbidden, Kind: KindScope, Detail: "a token cannot make tokens: log in, or use the local socket"}
	case c.external:
		return "", t, conflict("users of an issuer have no tokens here, because nobody would tell when they leave: make one on the host")
	case !c.Role.Includes(in.Role):
		return "", t, &Refusal{Status: http.StatusForbidden, Kind: KindRole, Detail: "a token cannot do more than who makes it, a " + string(c.Role)}
	}
	if in.Life == 0 {
		in.Life = defaultTokenLife
	}
	text, id, digest := newToken()
	t = Token{ID: id, Digest: digest, Role: in.Role, Prefix: in.Prefix, Comment: in.Comment, Created: now, Expires: now.Add(in.Life)}
	if c.account() {
		t.Owner = c.Name
	}
	_, err = a.change(nil, func(d Directory) (Directory, error) { return d.AddToken(t) })
	return text, t, err
}

// Tokens are those that the caller may see: their own, or all for an admin.
func (a *Access) Tokens(ctx context.Context) ([]Token, error) {
	c := CallerOf(ctx)
	d, err := a.cfg.Store.Load()
	return slices.DeleteFunc(slices.Clone(d.Tokens), func(t Token) bool { return c.Role != Admin && t.Owner != c.Name }), err
}

// RevokeToken ends a token that the caller may see.
func (a *Access) RevokeToken(ctx context.Context, id string) error {
	c := CallerOf(ctx)
	_, err := a.change(nil, func(d Directory) (Directory, error) {
		if t, ok := d.Token(id); ok && c.Role != Admin && t.Owner != c.Name {
			return d, noToken(id) // of somebody else: there is nothing to learn here
		}
		return d.RevokeToken(id)
	})
	return err
}

// Session is one log in, as a list shows it.
type Session struct {
	ID, User, From, Agent string
	Began, Seen, Expires  time.Time
	Own                   bool // it is the one that asks
}

// Sessions are those that the caller may see: their own, or all of this node for an admin.
func (a *Access) Sessions(ctx context.Context) (list []Session) {
	c := CallerOf(ctx)
	for _, s := range a.sessions.list(a.cfg.Now()) {
		if c.Role != Admin && s.user != c.Name {
			continue
		}
		ends := s.began.Add(sessionLife)
		if idle := s.seen.Add(sessionIdle); idle.Before(ends) {
			ends = idle
		}
		list = append(list, Session{s.id(), s.user, s.from, s.agent, s.began, s.seen, ends, c.By == BySession && s.key == c.key})
	}
	return list
}

// EndSession ends a session that the caller may see, at once.
func (a *Access) EndSession(ctx context.Context, id string) error {
	c := CallerOf(ctx)
	n := a.sessions.end(func(s session) bool { return s.id() == id && (c.Role == Admin || s.user == c.Name) })
	if n == 0 {
		return missing("session "+id, "users sessions")
	}
	a.recheck()
	return nil
}

// EndOtherSessions ends the caller's sessions but the one that asks, and says how many.
func (a *Access) EndOtherSessions(ctx context.Context) (int, error) {
	c := CallerOf(ctx)
	if c.By != BySession {
		return 0, errNoAccount
	}
	n := a.sessions.end(func(s session) bool { return s.user == c.Name && s.key != c.key })
	a.recheck()
	return n, nil
}
