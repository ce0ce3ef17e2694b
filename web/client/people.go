package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/drawbridge-net/drawbridge/web"
)

// user is the path of one.
func user(name string) string { return "users/" + url.PathEscape(name) }

// Users asks for everybody who can log in.
func (c *Client) Users(ctx context.Context) ([]web.User, error) {
	return get[[]web.User](ctx, c, "users", nil)
}

// AddUser makes a user.
func (c *Client) AddUser(ctx context.Context, r web.UserRequest) (u web.User, err error) {
	return u, c.send(ctx, http.MethodPost, "users", r, &u)
}

// ChangeUser changes role or disabled.
func (c *Client) ChangeUser(ctx context.Context, name string, r web.UserChange) (u web.User, err error) {
	return u, c.send(ctx, http.MethodPatch, user(name), r, &u)
}

// RemoveUser removes a user.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.send(ctx, http.MethodDelete, user(name), nil, nil)
}

// SetPassword gives a user a password.
func (c *Client) SetPassword(ctx context.Context, name, password string) error {
	return c.send(ctx, http.MethodPut, user(name)+"/password", web.PasswordRequest{Password: password}, nil)
}

// EnrolUser begins two-factor log in.
func (c *Client) EnrolUser(ctx context.Context, name string) (s web.TOTPSecret, err error) {
	return s, c.send(ctx, http.MethodPost, user(name)+"/totp", nil, &s)
}

// ConfirmUser ends the beginning.
func (c *Client) ConfirmUser(ctx context.Context, name, code string) (r web.RecoveryCodes, err error) {
	return r, c.send(ctx, http.MethodPut, user(name)+"/totp", web.TOTPCode{Code: code}, &r)
}

// EndTOTP ends two-factor log in.
func (c *Client) EndTOTP(ctx context.Context, name string) error {
	return c.send(ctx, http.MethodDelete, user(name)+"/totp", nil, nil)
}

// FirstRunCode asks for the one-time code; empty when there are users.
func (c *Client) FirstRunCode(ctx context.Context) (web.FirstRunCode, error) {
	return get[web.FirstRunCode](ctx, c, "first-run", nil)
}

// AccessTokens asks for the API tokens.
func (c *Client) AccessTokens(ctx context.Context) ([]web.AccessToken, error) {
	return get[[]web.AccessToken](ctx, c, "access-tokens", nil)
}

// CreateAccessToken makes an API token.
func (c *Client) CreateAccessToken(ctx context.Context, r web.AccessTokenRequest) (t web.NewAccessToken, err error) {
	return t, c.send(ctx, http.MethodPost, "access-tokens", r, &t)
}

// RevokeAccessToken ends an API token.
func (c *Client) RevokeAccessToken(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, "access-tokens/"+url.PathEscape(id), nil, nil)
}

// EndSession ends a log in.
func (c *Client) EndSession(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, "sessions/"+url.PathEscape(id), nil, nil)
}

// SetCertificate replaces the certificate.
func (c *Client) SetCertificate(ctx context.Context, r web.CertificateRequest) (shown web.Certificate, err error) {
	return shown, c.send(ctx, http.MethodPut, "certificate", r, &shown)
}

// RenewCertificate has the peer make one that is signed by itself.
func (c *Client) RenewCertificate(ctx context.Context) (shown web.Certificate, err error) {
	return shown, c.send(ctx, http.MethodPost, "certificate/renew", nil, &shown)
}

// SetACME has an authority give certificates.
func (c *Client) SetACME(ctx context.Context, r web.ACMERequest) (shown web.Certificate, err error) {
	return shown, c.send(ctx, http.MethodPut, "certificate/acme", r, &shown)
}

// Issuer asks for the issuer by which people can log in.
func (c *Client) Issuer(ctx context.Context) (web.Issuer, error) {
	return get[web.Issuer](ctx, c, "oidc", nil)
}

// SetIssuer replaces it.
func (c *Client) SetIssuer(ctx context.Context, i web.Issuer) error {
	return c.send(ctx, http.MethodPut, "oidc", i, nil)
}

// RemoveIssuer ends log in by an issuer.
func (c *Client) RemoveIssuer(ctx context.Context) error {
	return c.send(ctx, http.MethodDelete, "oidc", nil, nil)
}
