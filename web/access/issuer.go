package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// IssuerCookie ties a log in at an issuer to the browser that began it. It is Lax, because the issuer's
// page is what leads back to us.
const IssuerCookie = "__Host-drawbridge-oidc"

const (
	issuerFor   = 10 * time.Minute // to log in at the issuer
	issuerTakes = 10 * time.Second // to answer us
	maxJourneys = 1000
)

// issuers holds log ins at issuers that have begun.
type issuers struct {
	client *http.Client

	mu       sync.Mutex // guards what follows
	journeys map[string]journey
	provider *oidc.Provider // of the issuer that was asked last
	of       string         // its URL
	asked    time.Time
}

// describedFor is how long an issuer's description of itself is good for. Without it, anybody could have us
// call the issuer as often as they like.
const describedFor = time.Hour

// describe asks an issuer about itself.
func (i *issuers) describe(ctx context.Context, issuer string, now time.Time) (*oidc.Provider, error) {
	i.mu.Lock()
	p := i.provider
	if i.of != issuer || now.Sub(i.asked) >= describedFor {
		p = nil
	}
	i.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, unreachable(issuer, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.provider, i.of, i.asked = p, issuer, now
	return p, nil
}

// journey is one of them, by its state.
type journey struct {
	nonce, verifier string
	back            string // redirect URL
	until           time.Time
}

// StartIssuer begins a log in at the issuer: where to send the browser, and a cookie for it.
func (a *Access) StartIssuer(ctx context.Context) (to string, cookie http.Cookie, err error) {
	d, err := a.cfg.Store.Load()
	if err != nil {
		return "", cookie, err
	}
	if d.OIDC == nil {
		return "", cookie, NoIssuer()
	}
	ctx, cancel := a.issuers.context(ctx)
	defer cancel()
	provider, err := a.issuers.describe(ctx, d.OIDC.Issuer, a.cfg.Now())
	if err != nil {
		return "", cookie, err
	}
	state := randomText()
	j := journey{randomText(), oauth2.GenerateVerifier(), d.OIDC.back(CallerOf(ctx).host), a.cfg.Now().Add(issuerFor)}
	a.issuers.add(state, j, a.cfg.Now())
	to = d.OIDC.flow(provider, j.back).AuthCodeURL(state, oidc.Nonce(j.nonce), oauth2.S256ChallengeOption(j.verifier))
	return to, issuerCookie(state), nil
}

// FinishIssuer checks what the issuer says and begins a session.
func (a *Access) FinishIssuer(ctx context.Context, state, code, cookie string) (http.Cookie, error) {
	j, ok := a.issuers.take(state, a.cfg.Now())
	if !ok || cookie != state {
		return http.Cookie{}, &Refusal{Status: http.StatusBadRequest, Kind: KindWrong, Detail: "this log in did not begin in this browser, or took longer than ten minutes: begin again"}
	}
	d, err := a.cfg.Store.Load()
	if err != nil {
		return http.Cookie{}, err
	}
	if d.OIDC == nil {
		return http.Cookie{}, NoIssuer()
	}
	ctx, cancel := a.issuers.context(ctx)
	defer cancel()
	provider, err := a.issuers.describe(ctx, d.OIDC.Issuer, a.cfg.Now())
	if err != nil {
		return http.Cookie{}, err
	}
	name, role, err := d.OIDC.vouch(ctx, provider, j, code)
	if err != nil {
		return http.Cookie{}, err
	}
	if role == Nobody {
		return http.Cookie{}, &Refusal{Status: http.StatusForbidden, Kind: KindRole, Detail: "the issuer knows " + name + ", but none of its values of " + d.OIDC.RoleClaim + " stands for a role here: ask an admin"}
	}
	return a.begin(CallerOf(ctx), session{user: "oidc:" + name, external: role}), nil
}

// flow is how to speak to the issuer.
func (o OIDC) flow(p *oidc.Provider, back string) *oauth2.Config {
	scopes := append([]string{oidc.ScopeOpenID, "profile"}, o.Scopes...)
	return &oauth2.Config{ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: p.Endpoint(), RedirectURL: back, Scopes: scopes}
}

// vouch exchanges the code for what the issuer says about somebody.
func (o OIDC) vouch(ctx context.Context, provider *oidc.Provider, j journey, code string) (name string, role Role, err error) {
	got, err := o.flow(provider, j.back).Exchange(ctx, code, oauth2.VerifierOption(j.verifier))
	if err != nil {
		return "", Nobody, unreachable(o.Issuer, err)
	}
	raw, _ := got.Extra("id_token").(string)
	id, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: o.ClientID}).Verify(ctx, raw)
	if err != nil || id.Nonce != j.nonce {
		return "", Nobody, wrong("what the issuer says is not signed by it, not for us or not of this log in: begin again")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return "", Nobody, wrong("what the issuer says cannot be read")
	}
	return o.name(claims, id.Subject), o.role(texts(claims[o.RoleClaim])), nil
}

// name is what lists and the audit log call somebody.
func (o OIDC) name(claims map[string]any, subject string) string {
	for _, claim := range []string{o.NameClaim, "preferred_username", "email"} {
		if s, ok := claims[claim].(string); ok && s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return s
		}
	}
	return subject
}

// texts is a claim that is a text or a list of them.
func texts(claim any) (list []string) {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

func unreachable(issuer string, err error) error {
	return &Refusal{Status: http.StatusBadGateway, Detail: "issuer " + issuer + " does not answer as it should: " + err.Error() + ": log in as a user of this network, and check the settings"}
}

func (i *issuers) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if i.client != nil {
		ctx = oidc.ClientContext(ctx, i.client)
	}
	return context.WithTimeout(ctx, issuerTakes)
}

func (i *issuers) add(state string, j journey, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.journeys == nil {
		i.journeys = map[string]journey{}
	}
	for s, old := range i.journeys {
		if !now.Before(old.until) || len(i.journeys) >= maxJourneys {
			delete(i.journeys, s)
		}
	}
	i.journeys[state] = j
}

// take ends the wait for a state: each is good once.
func (i *issuers) take(state string, now time.Time) (journey, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	j, ok := i.journeys[state]
	delete(i.journeys, state)
	return j, ok && now.Before(j.until)
}

func issuerCookie(state string) http.Cookie {
	return http.Cookie{Name: IssuerCookie, Value: state, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(issuerFor / time.Second)}
}

func randomText() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(random)
}
