package web

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// entrance is who may come in, and how.
type entrance struct {
	access       *access.Access
	certificates *access.Certificates
	audit        access.Audit
}

// WithAccess puts a guard in front of everything, and people behind the operations that are about them.
// Without it, whoever reaches the handler may do everything. certificates is nil where there is no TLS.
func WithAccess(a *access.Access, certificates *access.Certificates, audit access.Audit) Option {
	return func(s *server) { s.entrance = entrance{a, certificates, audit} }
}

// guarded is h behind the guard, if there is one.
func (e entrance) guarded(h http.Handler) http.Handler {
	if e.access == nil {
		return h
	}
	return e.access.Guard(h)
}

// refused turns an error of the entrance into problem details.
func refused(err error) error {
	if err == nil {
		return nil
	}
	r := access.AsRefusal(err)
	p := &huma.ErrorModel{Type: r.Type(), Status: r.Status, Title: http.StatusText(r.Status), Detail: r.Detail}
	if after := r.RetryAfter(); after != "" {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {after}})
	}
	return p
}

// none is an answer without a body.
type none struct{}

// cookied is an answer that sets a cookie and has no body.
type cookied struct {
	SetCookie string `header:"Set-Cookie"`
}

// attended registers an operation about people, which a peer without a directory of them does not have.
func attended[In, Out any](s *server, op huma.Operation, handle func(context.Context, *In) (*Out, error)) {
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*Out, error) {
		if s.access == nil {
			return nil, huma.Error503ServiceUnavailable("this peer knows no users: give its node file a console = \"ADDRESS\"")
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, refused(err)
		}
		return out, nil
	})
}

// people registers everything about who has access.
func (s *server) people() {
	s.doors()
	s.issuer()
	s.users()
	s.account()
	s.accessTokens()
	s.sessions()
	s.certificate()
	s.auditLog()
}

// doors registers the ways in and out.
func (s *server) doors() {
	const wrong, slow, invalid = http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusUnprocessableEntity
	attended(s, operation("get-session", http.MethodGet, "/session", "Who asks; anybody may"), func(ctx context.Context, _ *none) (*answer[SessionInfo], error) {
		info, err := s.sessionInfo(ctx)
		return &answer[SessionInfo]{info}, err
	})
	login := operation("log-in", http.MethodPost, "/login", "Begin a session, kept in a cookie; anybody may", wrong, slow, invalid)
	attended(s, login, func(ctx context.Context, in *answer[LoginRequest]) (*cookied, error) {
		cookie, err := s.access.LogIn(ctx, access.Login{Name: in.Body.Name, Password: in.Body.Password, Code: in.Body.Code})
		return &cookied{cookie.String()}, err
	})
	attended(s, operation("log-out", http.MethodPost, "/logout", "End the session"), func(ctx context.Context, _ *none) (*cookied, error) {
		cookie := s.access.LogOut(ctx)
		return &cookied{cookie.String()}, nil
	})
	first := operation("first-run", http.MethodPost, "/first-run", "Make the first admin with the one-time code, and log in; anybody may", wrong, slow, invalid, http.StatusConflict)
	attended(s, first, func(ctx context.Context, in *answer[FirstRunRequest]) (*cookied, error) {
		cookie, err := s.access.FirstRun(ctx, in.Body.Code, in.Body.Name, in.Body.Password)
		return &cookied{cookie.String()}, err
	})
	attended(s, operation("get-first-run", http.MethodGet, "/first-run", "The one-time code"), func(context.Context, *none) (*answer[FirstRunCode], error) {
		return &answer[FirstRunCode]{FirstRunCode{s.access.FirstRunCode()}}, nil
	})
}

func (s *server) sessionInfo(ctx context.Context) (SessionInfo, error) {
	c := access.CallerOf(ctx)
	d, err := s.access.Directory()
	info := SessionInfo{
		LoggedIn: c.By != "", Name: c.Name, Role: string(c.Role), By: c.By, Expires: c.Expires(),
		FirstRun: err == nil && d.Empty(), Peer: s.node.Status().Name,
	}
	if d.OIDC != nil {
		info.Issuer = d.OIDC.Name
	}
	if s.certificates != nil {
		if shown, err := s.certificates.Shown(); err == nil {
			info.Fingerprint = shown.Fingerprint
		}
	}
	return info, err
}

// returnPage leads from the issuer's answer into the console. A redirect would not do: the browser counts it as
// part of the journey from the issuer's site, and leaves out a cookie that is SameSite=Strict.
const returnPage = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Drawbridge</title><meta http-equiv="refresh" content="0;url=/"></head><body><p>%s <a href="/">Go to the console</a></p></body></html>`

// issuer registers log in by OpenID Connect.
func (s *server) issuer() {
	type start struct {
		Status    int
		Location  string `header:"Location"`
		SetCookie string `header:"Set-Cookie"`
	}
	begin := operation("start-oidc", http.MethodGet, "/oidc/start", "Go to the issuer to log in; for browsers", http.StatusNotFound, http.StatusBadGateway)
	begin.DefaultStatus = http.StatusFound
	attended(s, begin, func(ctx context.Context, _ *none) (*start, error) {
		to, cookie, err := s.access.StartIssuer(ctx)
		return &start{http.StatusFound, to, cookie.String()}, err
	})
	type back struct {
		State  string `query:"state" maxLength:"200" doc:"What the log in began with"`
		Code   string `query:"code" maxLength:"4000" doc:"What the issuer gives for it"`
		Error  string `query:"error" maxLength:"200" doc:"Why it gives nothing"`
		Cookie string `cookie:"__Host-drawbridge-oidc" doc:"Ties the log in to the browser that began it"`
	}
	type page struct {
		SetCookie   string `header:"Set-Cookie"`
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	end := operation("finish-oidc", http.MethodGet, "/oidc/callback", "Come back from the issuer; for browsers", http.StatusBadRequest, http.StatusBadGateway)
	end.Responses = map[string]*huma.Response{"200": {Description: "A page that leads into the console", Content: map[string]*huma.MediaType{"text/html": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	attended(s, end, func(ctx context.Context, in *back) (*page, error) {
		if in.Error != "" {
			return nil, &access.Refusal{Status: http.StatusForbidden, Kind: access.KindWrong, Detail: "the issuer refused: " + in.Error}
		}
		cookie, err := s.access.FinishIssuer(ctx, in.State, in.Code, in.Cookie)
		text := fmt.Sprintf(returnPage, html.EscapeString("You are logged in."))
		return &page{cookie.String(), "text/html; charset=utf-8", []byte(text)}, err
	})
	s.issuerSettings()
}

func (s *server) issuerSettings() {
	attended(s, operation("get-oidc", http.MethodGet, "/oidc", "The issuer by which people can log in, too", http.StatusNotFound), func(context.Context, *none) (*answer[Issuer], error) {
		d, err := s.access.Directory()
		if err == nil && d.OIDC == nil {
			return nil, access.NoIssuer()
		}
		if err != nil {
			return nil, err
		}
		return &answer[Issuer]{complete(issuerOf(*d.OIDC))}, nil
	})
	type change struct {
		Conditional
		Body Issuer
	}
	attended(s, operation("set-oidc", http.MethodPut, "/oidc", "Set the issuer; sessions that it vouched for end", http.StatusUnprocessableEntity, http.StatusPreconditionFailed), func(_ context.Context, in *change) (*none, error) {
		o := in.Body.settings()
		d, err := s.access.Directory()
		if err == nil && o.ClientSecret == "" && d.OIDC != nil {
			o.ClientSecret = d.OIDC.ClientSecret
		}
		version, err := in.version()
		if err == nil {
			_, err = s.access.SetOIDC(version, &o)
		}
		return nil, err
	})
	attended(s, operation("delete-oidc", http.MethodDelete, "/oidc", "Have no issuer; sessions that it vouched for end", http.StatusPreconditionFailed), func(_ context.Context, in *Conditional) (*none, error) {
		version, err := in.version()
		if err == nil {
			_, err = s.access.SetOIDC(version, nil)
		}
		return nil, err
	})
}

func issuerOf(o access.OIDC) Issuer {
	roles := map[string]string{}
	for value, role := range o.Roles {
		roles[value] = string(role)
	}
	return Issuer{Name: o.Name, Issuer: o.Issuer, ClientID: o.ClientID, RedirectURL: o.RedirectURL, NameClaim: o.NameClaim, RoleClaim: o.RoleClaim, Roles: roles, Scopes: o.Scopes}
}

func (i Issuer) settings() access.OIDC {
	roles := map[string]access.Role{}
	for value, role := range i.Roles {
		roles[value] = access.Role(role)
	}
	return access.OIDC{
		Name: i.Name, Issuer: i.Issuer, ClientID: i.ClientID, ClientSecret: i.ClientSecret, RedirectURL: i.RedirectURL,
		NameClaim: i.NameClaim, RoleClaim: i.RoleClaim, Roles: roles, Scopes: i.Scopes,
	}
}

// Conditional is a change of the directory of users as it was when somebody read it.
type Conditional struct {
	IfMatch string `header:"If-Match" doc:"ETag of the list of users: change it only if nobody else did since"`
}

// version is the one that If-Match names; nil: any.
func (c Conditional) version() (*uint64, error) {
	if c.IfMatch == "" || c.IfMatch == "*" {
		return nil, nil
	}
	v, err := strconv.ParseUint(strings.Trim(c.IfMatch, `"`), 10, 64)
	if err != nil {
		return nil, &access.Refusal{Status: http.StatusUnprocessableEntity, Detail: "If-Match: want the ETag of GET " + base + "/users"}
	}
	return &v, nil
}

func etag(version uint64) string { return strconv.Quote(strconv.FormatUint(version, 10)) }
