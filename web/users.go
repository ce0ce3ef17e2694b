package web

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// tagged is an answer with the version of the directory of users.
type tagged[T any] struct {
	ETag string `header:"ETag" doc:"Version of the directory of users, for If-Match"`
	Body T
}

// NamedUser is an operation on one user.
type NamedUser struct {
	Conditional
	UserName
}

// UserName is a request about a user to which it is all the same what became of the others.
type UserName struct {
	Name string `path:"name" maxLength:"100" doc:"Name of the user"`
}

// users registers what admins do with users.
func (s *server) users() {
	const invalid, missing, conflict, stale = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed
	attended(s, operation("get-users", http.MethodGet, "/users", "Everybody who can log in"), func(ctx context.Context, _ *none) (*tagged[[]User], error) {
		d, err := s.access.Directory()
		list := []User{}
		for _, u := range d.Users {
			list = append(list, s.userOf(ctx, u))
		}
		return &tagged[[]User]{etag(d.Version), list}, err
	})
	attended(s, operation("get-user", http.MethodGet, "/users/{name}", "One of them", missing), func(ctx context.Context, in *UserName) (*tagged[User], error) {
		d, err := s.access.Directory()
		u, ok := d.User(in.Name)
		if err == nil && !ok {
			err = access.NoUser(in.Name)
		}
		return &tagged[User]{etag(d.Version), s.userOf(ctx, u)}, err
	})
	type addition struct {
		Conditional
		Body UserRequest
	}
	add := operation("add-user", http.MethodPost, "/users", "Make a user", invalid, conflict, stale)
	add.DefaultStatus = http.StatusCreated
	attended(s, add, func(ctx context.Context, in *addition) (*tagged[User], error) {
		return s.changed(ctx, in.Conditional, in.Body.Name, func(v *uint64) (access.Directory, error) {
			return s.access.AddUser(ctx, v, in.Body.Name, access.Role(in.Body.Role), in.Body.Password)
		})
	})
	type change struct {
		NamedUser
		Body UserChange
	}
	attended(s, operation("change-user", http.MethodPatch, "/users/{name}", "Change role or disabled", invalid, missing, conflict, stale), func(ctx context.Context, in *change) (*tagged[User], error) {
		return s.changed(ctx, in.Conditional, in.Name, func(v *uint64) (access.Directory, error) {
			return s.access.UpdateUser(v, in.Name, (*access.Role)(in.Body.Role), in.Body.Disabled)
		})
	})
	attended(s, operation("remove-user", http.MethodDelete, "/users/{name}", "Remove a user with their sessions and tokens", missing, conflict, stale), func(ctx context.Context, in *NamedUser) (*none, error) {
		_, err := s.changed(ctx, in.Conditional, in.Name, func(v *uint64) (access.Directory, error) { return s.access.RemoveUser(v, in.Name) })
		return nil, err
	})
	type password struct {
		NamedUser
		Body PasswordRequest
	}
	attended(s, operation("set-password", http.MethodPut, "/users/{name}/password", "Give a user a password; their sessions end", invalid, missing, stale), func(ctx context.Context, in *password) (*none, error) {
		_, err := s.changed(ctx, in.Conditional, in.Name, func(v *uint64) (access.Directory, error) {
			return s.access.SetPassword(ctx, v, in.Name, in.Body.Password)
		})
		return nil, err
	})
	s.usersTOTP()
}

func (s *server) usersTOTP() {
	const invalid, missing, conflict, stale = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed
	attended(s, operation("enrol-user", http.MethodPost, "/users/{name}/totp", "Begin two-factor log in for a user", missing), func(_ context.Context, in *UserName) (*answer[TOTPSecret], error) {
		secret, uri, err := s.access.Enrol(in.Name)
		return &answer[TOTPSecret]{TOTPSecret{secret, uri}}, err
	})
	type confirmation struct {
		UserName
		Body TOTPCode
	}
	attended(s, operation("confirm-user", http.MethodPut, "/users/{name}/totp", "Show a code of the app, which ends the beginning", invalid, missing, conflict), func(ctx context.Context, in *confirmation) (*answer[RecoveryCodes], error) {
		codes, err := s.access.ConfirmTOTP(ctx, in.Name, in.Body.Code)
		return &answer[RecoveryCodes]{RecoveryCodes{codes}}, err
	})
	attended(s, operation("end-totp-of-user", http.MethodDelete, "/users/{name}/totp", "End two-factor log in of a user who lost the phone", missing, stale), func(ctx context.Context, in *NamedUser) (*none, error) {
		_, err := s.changed(ctx, in.Conditional, in.Name, func(v *uint64) (access.Directory, error) { return s.access.EndTOTP(v, in.Name) })
		return nil, err
	})
}

// changed makes a change of the version that the request names, and answers with what became of the user.
func (s *server) changed(ctx context.Context, c Conditional, name string, change func(*uint64) (access.Directory, error)) (*tagged[User], error) {
	version, err := c.version()
	if err != nil {
		return nil, err
	}
	d, err := change(version)
	if err != nil {
		return nil, err
	}
	u, _ := d.User(name)
	return &tagged[User]{etag(d.Version), s.userOf(ctx, u)}, nil
}

func (s *server) userOf(ctx context.Context, u access.User) User {
	v := User{
		Name: u.Name, Role: string(u.Role), Disabled: u.Disabled, TOTP: u.TOTP != nil, RecoveryLeft: len(u.Recovery),
		Created: u.Created, Changed: u.Changed,
	}
	for _, open := range s.access.Sessions(ctx) {
		if open.User == u.Name {
			v.Sessions++
		}
	}
	return v
}

// account registers what users do for themselves.
func (s *server) account() {
	const invalid, conflict, slow = http.StatusUnprocessableEntity, http.StatusConflict, http.StatusTooManyRequests
	attended(s, operation("get-account", http.MethodGet, "/account", "The user who asks", conflict), func(ctx context.Context, _ *none) (*answer[User], error) {
		u, err := s.access.Account(ctx)
		return &answer[User]{s.userOf(ctx, u)}, err
	})
	attended(s, operation("change-password", http.MethodPut, "/account/password", "Change one's own password; other sessions end", invalid, conflict, slow), func(ctx context.Context, in *answer[OwnPasswordRequest]) (*none, error) {
		return nil, s.access.ChangePassword(ctx, in.Body.Current, in.Body.Password)
	})
	attended(s, operation("enrol", http.MethodPost, "/account/totp", "Begin two-factor log in for oneself", conflict), func(ctx context.Context, _ *none) (*answer[TOTPSecret], error) {
		u, err := s.access.Account(ctx)
		if err != nil {
			return nil, err
		}
		secret, uri, err := s.access.Enrol(u.Name)
		return &answer[TOTPSecret]{TOTPSecret{secret, uri}}, err
	})
	attended(s, operation("confirm-totp", http.MethodPut, "/account/totp", "Show a code of the app, which ends the beginning; other sessions end", invalid, conflict), func(ctx context.Context, in *answer[TOTPCode]) (*answer[RecoveryCodes], error) {
		u, err := s.access.Account(ctx)
		if err != nil {
			return nil, err
		}
		codes, err := s.access.ConfirmTOTP(ctx, u.Name, in.Body.Code)
		return &answer[RecoveryCodes]{RecoveryCodes{codes}}, err
	})
	attended(s, operation("end-totp", http.MethodPost, "/account/totp/end", "End two-factor log in for oneself; other sessions end", conflict, slow), func(ctx context.Context, in *answer[Confirmation]) (*none, error) {
		return nil, s.access.EndOwnTOTP(ctx, in.Body.Password)
	})
}

// accessTokens registers keys for programs.
func (s *server) accessTokens() {
	const invalid, missing, conflict = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict
	attended(s, operation("get-access-tokens", http.MethodGet, "/access-tokens", "API tokens: one's own, or all for an admin"), func(ctx context.Context, _ *none) (*answer[[]AccessToken], error) {
		tokens, err := s.access.Tokens(ctx)
		list := []AccessToken{}
		for _, t := range tokens {
			list = append(list, accessTokenOf(t))
		}
		return &answer[[]AccessToken]{list}, err
	})
	create := operation("create-access-token", http.MethodPost, "/access-tokens", "Make an API token", invalid, conflict)
	create.DefaultStatus = http.StatusCreated
	attended(s, create, func(ctx context.Context, in *answer[AccessTokenRequest]) (*answer[NewAccessToken], error) {
		r := in.Body
		text, t, err := s.access.CreateToken(ctx, access.NewToken{
			Role: access.Role(r.Role), Prefix: r.Prefix, Comment: r.Comment, Life: time.Duration(r.TTLS) * time.Second,
		})
		return &answer[NewAccessToken]{NewAccessToken{text, accessTokenOf(t)}}, err
	})
	type numbered struct {
		ID string `path:"id" maxLength:"100" doc:"Ten hexadecimal digits of the token"`
	}
	attended(s, operation("revoke-access-token", http.MethodDelete, "/access-tokens/{id}", "End an API token at once", missing), func(ctx context.Context, in *numbered) (*none, error) {
		return nil, s.access.RevokeToken(ctx, in.ID)
	})
}

func accessTokenOf(t access.Token) AccessToken {
	return AccessToken{t.ID, t.Owner, t.Comment, string(t.Role), t.Prefix, t.Created, t.Expires, t.LastUsed}
}

// sessions registers log ins.
func (s *server) sessions() {
	attended(s, operation("get-sessions", http.MethodGet, "/sessions", "Log ins on this peer: one's own, or all for an admin"), func(ctx context.Context, _ *none) (*answer[[]Session], error) {
		list := []Session{}
		for _, v := range s.access.Sessions(ctx) {
			list = append(list, Session{v.ID, v.User, v.From, v.Agent, v.Began, v.Seen, v.Expires, v.Own})
		}
		return &answer[[]Session]{list}, nil
	})
	type numbered struct {
		ID string `path:"id" maxLength:"100" doc:"Sixteen hexadecimal digits of the session"`
	}
	attended(s, operation("end-session", http.MethodDelete, "/sessions/{id}", "End a session at once", http.StatusNotFound), func(ctx context.Context, in *numbered) (*none, error) {
		return nil, s.access.EndSession(ctx, in.ID)
	})
	attended(s, operation("end-other-sessions", http.MethodPost, "/sessions/end-others", "End one's own sessions but this one", http.StatusConflict), func(ctx context.Context, _ *none) (*answer[Ended], error) {
		n, err := s.access.EndOtherSessions(ctx)
		return &answer[Ended]{Ended{n}}, err
	})
}

// errNoTLS is for peers that have no console of their own.
var errNoTLS = &access.Refusal{Status: http.StatusServiceUnavailable, Detail: "this peer has no certificate: give its node file a console = \"ADDRESS\""}

// certificate registers what browsers are shown.
func (s *server) certificate() {
	const invalid = http.StatusUnprocessableEntity
	shown := func() (*answer[Certificate], error) {
		c, err := s.certificates.Shown()
		return &answer[Certificate]{complete(Certificate{c.Fingerprint, c.Subject, c.Issuer, c.Names, c.NotBefore.UTC(), c.NotAfter.UTC(), c.SelfSigned, c.Key, c.ACME})}, err
	}
	after := func(change func() error) (*answer[Certificate], error) {
		if s.certificates == nil {
			return nil, errNoTLS
		}
		if err := change(); err != nil {
			return nil, err
		}
		return shown()
	}
	attended(s, operation("get-certificate", http.MethodGet, "/certificate", "The certificate of this peer"), func(context.Context, *none) (*answer[Certificate], error) {
		return after(func() error { return nil })
	})
	attended(s, operation("set-certificate", http.MethodPut, "/certificate", "Replace the certificate; shown from the next connection on", invalid), func(_ context.Context, in *answer[CertificateRequest]) (*answer[Certificate], error) {
		return after(func() error { return s.certificates.Replace([]byte(in.Body.Certificate), []byte(in.Body.PrivateKey)) })
	})
	attended(s, operation("renew-certificate", http.MethodPost, "/certificate/renew", "Make a new certificate that is signed by itself"), func(context.Context, *none) (*answer[Certificate], error) {
		return after(func() error { return s.certificates.Renew() })
	})
	attended(s, operation("set-acme", http.MethodPut, "/certificate/acme", "Have an ACME authority give certificates", invalid), func(_ context.Context, in *answer[ACMERequest]) (*answer[Certificate], error) {
		return after(func() error { return s.certificates.ACME(in.Body.Hosts, in.Body.Email, in.Body.Directory) })
	})
}

// auditLog registers who changed what.
func (s *server) auditLog() {
	type filter struct {
		Before uint64 `query:"before" doc:"Only records with an ID below; 0: the newest"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most that are answered"`
		Who    string `query:"who" maxLength:"200" doc:"Only of this caller"`
		Path   string `query:"path" maxLength:"200" doc:"Only on paths that begin like this"`
		Failed bool   `query:"failed" doc:"Only what was refused"`
	}
	attended(s, operation("get-audit", http.MethodGet, "/audit", "Changes that were made or tried on this peer, the newest first"), func(_ context.Context, in *filter) (*answer[[]AuditRecord], error) {
		records, err := s.audit.List(in.Before, in.Limit, func(r access.Record) bool {
			return (in.Who == "" || r.Who == in.Who) && r.Below(in.Path) && (!in.Failed || r.Status >= http.StatusBadRequest)
		})
		list := []AuditRecord{}
		for _, r := range records {
			list = append(list, AuditRecord{r.ID, r.Time, r.Who, r.By, r.Token, r.From, r.Method, r.Path, r.Request, r.Status, r.Reason, value(r.Before), value(r.After)})
		}
		return &answer[[]AuditRecord]{list}, err
	})
}

// value is a document as the API writes it; nil when there is none.
func value(text json.RawMessage) any {
	if len(text) == 0 {
		return nil
	}
	return text
}
