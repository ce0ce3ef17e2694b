package access

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// visit is a request that is being answered.
type visit struct {
	caller Caller
	least  Role
	path   string
	cancel context.CancelFunc
}

// Guard lets through what the rules allow, and tells next who asks. It refuses everything else with problem
// details, ends requests whose caller loses the right to them, and puts changes into the audit log.
func (a *Access) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers(w, r)
		c, refusal := a.admit(r)
		c.host = r.Host
		w.Header().Set("X-Request-Id", c.Request)
		r = r.WithContext(withCaller(r.Context(), c))
		if refusal != nil {
			if changes(r.Method) && c.Name != "" {
				a.record(a.entry(r, c, refusal.Status, refusal.Detail))
			}
			refusal.Write(w)
			return
		}
		r, leave := a.enter(r, c)
		defer leave()
		if changes(r.Method) {
			a.audited(w, r, c, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headers are those of every answer. The console replaces the policy by its own. HSTS is left out: with a
// certificate that nobody signed, it would lock the operator out.
func headers(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'")
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.Set("Cache-Control", "no-store")
	}
}

// admit finds out who asks, and whether they may.
func (a *Access) admit(r *http.Request) (Caller, *Refusal) {
	c := Caller{From: addressOf(r), Agent: agentOf(r), Request: requestID(r)}
	if !plainPath(r.URL.Path) {
		return c, &Refusal{Status: http.StatusNotFound, Kind: KindPath, Detail: "this path has a spelling that nothing has: no //, . or .. in it"}
	}
	if err := a.csrf.Check(r); err != nil {
		return c, &Refusal{Status: http.StatusForbidden, Kind: KindCrossSite, Detail: "another web site asked for this change: use the console of this node itself"}
	}
	c, refusal := a.identify(r, c)
	if refusal != nil {
		return c, refusal
	}
	return c, a.allowed(c, r)
}

// allowed compares what the rules ask for with what the caller has.
func (a *Access) allowed(c Caller, r *http.Request) *Refusal {
	want := least(a.cfg.Rules, r.Method, r.URL.Path)
	switch {
	case want == Nobody:
		return nil
	case c.By == ByToken && !(Token{Prefix: c.prefix}).covers(r.URL.Path):
		return &Refusal{Status: http.StatusForbidden, Kind: KindScope, Detail: "this token is for " + c.prefix + " only: make one with a wider prefix"}
	case c.Role.Includes(want):
		return nil
	case c.By == "":
		return &Refusal{Status: http.StatusUnauthorized, Kind: KindLogIn, Detail: "log in first (POST /api/v1/login), or send Authorization: Bearer with an API token"}
	default:
		return &Refusal{Status: http.StatusForbidden, Kind: KindRole, Detail: c.Name + " may do what a " + string(c.Role) + " may; this takes a role of " + string(want) + ": ask an admin"}
	}
}

// enter notes that a request is being answered; it ends when its caller loses the right to it.
func (a *Access) enter(r *http.Request, c Caller) (_ *http.Request, leave func()) {
	if c.By == "" || c.By == BySocket {
		return r, func() {}
	}
	ctx, cancel := context.WithCancel(r.Context())
	v := &visit{caller: c, least: least(a.cfg.Rules, r.Method, r.URL.Path), path: r.URL.Path, cancel: cancel}
	a.mu.Lock()
	a.live[v] = struct{}{}
	a.mu.Unlock()
	return r.WithContext(ctx), func() {
		cancel()
		a.mu.Lock()
		delete(a.live, v)
		a.mu.Unlock()
	}
}

// recheck ends the requests of callers who may no longer.
func (a *Access) recheck() {
	a.mu.Lock()
	visits := make([]*visit, 0, len(a.live))
	for v := range a.live {
		visits = append(visits, v)
	}
	a.mu.Unlock()
	for _, v := range visits {
		if c, ok := a.refresh(v.caller, false); !ok || !c.Role.Includes(v.least) {
			v.cancel()
		}
	}
}

// requestID is what the client calls the request, if that is fit for a log, or one of our own.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id != "" && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == "" {
		return id
	}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	return hex.EncodeToString(random)
}

// agentOf is the start of what a browser says about itself.
func agentOf(r *http.Request) string {
	s := r.UserAgent()
	s = s[:min(len(s), 200)]
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, s)
}
