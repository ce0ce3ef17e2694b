package web_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// entrance are the operations about people; TestEntrance asks for them in an order that makes sense.
var entrance = map[string]bool{
	"get-session": true, "log-in": true, "log-out": true, "first-run": true, "get-first-run": true, "start-oidc": true, "finish-oidc": true,
	"get-oidc": true, "set-oidc": true, "delete-oidc": true, "get-users": true, "get-user": true, "add-user": true, "change-user": true,
	"remove-user": true, "set-password": true, "enrol-user": true, "confirm-user": true, "end-totp-of-user": true, "get-account": true,
	"change-password": true, "enrol": true, "confirm-totp": true, "end-totp": true, "get-access-tokens": true, "create-access-token": true,
	"revoke-access-token": true, "get-sessions": true, "end-session": true, "end-other-sessions": true, "get-certificate": true,
	"set-certificate": true, "renew-certificate": true, "set-acme": true, "get-audit": true,
}

// gate is a peer with a guard in front of it.
type gate struct {
	t     *testing.T
	url   string
	http  *http.Client
	asked map[string]bool
	code  string // one-time

	cookie, token string
	key           string // Idempotency-Key
}

func newGate(t *testing.T) *gate {
	t.Helper()
	return newGateOf(t, webtest.New(), time.Now)
}

func newGateOf(t *testing.T, n web.Node, now func() time.Time) *gate {
	t.Helper()
	dir := t.TempDir()
	audit := access.NewAuditFile(filepath.Join(dir, "audit.log"))
	t.Cleanup(func() { _ = audit.Close() })
	certificates, err := access.OpenCertificates(filepath.Join(dir, "tls"), []string{"gw"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, asked: map[string]bool{}}
	a := access.New(access.Config{
		Store: access.OpenFile(filepath.Join(dir, "users.json")), Audit: audit, Log: slog.New(slog.DiscardHandler),
		Announce: func(code string) { g.code = code }, Now: now, Group: "no-such-group", Issuer: "Drawbridge home",
	})
	a.FirstRunCode()
	s := httptest.NewTLSServer(web.New(n, slog.New(slog.DiscardHandler), web.WithAccess(a, certificates, audit)))
	t.Cleanup(s.Close)
	g.url, g.http = s.URL, s.Client()
	g.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return g
}

// ask sends a request and decodes the answer into out, unless that is nil. It checks status and document.
func (g *gate) ask(id, method, path, body string, want int, out any) *http.Response {
	g.t.Helper()
	g.asked[id] = true
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if g.key != "" {
		r.Header.Set("Idempotency-Key", g.key)
	}
	if g.cookie != "" {
		r.AddCookie(&http.Cookie{Name: access.Cookie, Value: g.cookie})
	}
	if g.token != "" {
		r.Header.Set("Authorization", "Bearer "+g.token)
	}
	answer, err := g.http.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	_, _ = text.ReadFrom(answer.Body)
	if answer.StatusCode != want {
		g.t.Fatalf("%s %s: %s %s, want %d", method, path, answer.Status, text.String(), want)
	}
	for _, c := range answer.Cookies() {
		if c.Name == access.Cookie {
			g.cookie = c.Value
		}
	}
	if want >= 400 && answer.Header.Get("Content-Type") != "application/problem+json" {
		g.t.Errorf("%s %s: %s", method, path, answer.Header.Get("Content-Type"))
	}
	if out != nil {
		if err := json.Unmarshal(text.Bytes(), out); err != nil {
			g.t.Fatalf("%s %s: %s: %v", method, path, text.String(), err)
		}
	}
	return answer
}

const goodPassword = "four random little words"

// TestEntrance walks through everything about people, as the console would.
func TestEntrance(t *testing.T) {
	g := newGate(t)
	var me web.SessionInfo
	g.ask("get-session", "GET", "/session", "", 200, &me)
	if me.LoggedIn || !me.FirstRun || len(me.Fingerprint) != 95 || me.Peer == "" {
		t.Errorf("%+v", me)
	}
	g.ask("", "GET", "/status", "", 401, nil)
	g.ask("get-first-run", "GET", "/first-run", "", 401, nil)
	g.ask("first-run", "POST", "/first-run", fmt.Sprintf(`{"code":%q,"name":"ann","password":%q}`, g.code, goodPassword), 204, nil)
	g.ask("get-session", "GET", "/session", "", 200, &me)
	if me.Name != "ann" || me.Role != "admin" || me.By != "session" || me.FirstRun {
		t.Errorf("%+v", me)
	}
	g.ask("log-out", "POST", "/logout", "", 204, nil)
	g.ask("", "GET", "/status", "", 401, nil)
	g.ask("log-in", "POST", "/login", `{"name":"ann","password":"wrong"}`, 401, nil)
	g.ask("log-in", "POST", "/login", `{"name":"ann","password":"`+goodPassword+`"}`, 204, nil)
	g.ask("", "GET", "/status", "", 200, nil)

	g.walkUsers()
	g.walkAccount()
	g.walkTokens()
	g.walkCertificate()
	g.walkIssuer()
	g.checkAudit()
	for id := range entrance {
		if !g.asked[id] {
			t.Errorf("nobody asked for %s", id)
		}
	}
}

func (g *gate) walkUsers() {
	var list []web.User
	tag := g.ask("get-users", "GET", "/users", "", 200, &list).Header.Get("ETag")
	if len(list) != 1 || list[0].Sessions != 1 || tag == "" {
		g.t.Errorf("%+v %s", list, tag)
	}
	g.ask("add-user", "POST", "/users", `{"name":"Bob!","role":"viewer","password":"`+goodPassword+`"}`, 422, nil)
	g.ask("add-user", "POST", "/users", `{"name":"bob","role":"king","password":"`+goodPassword+`"}`, 422, nil)
	g.ask("add-user", "POST", "/users", `{"name":"bob","role":"viewer","password":"password1234"}`, 422, nil)
	g.ask("add-user", "POST", "/users", `{"name":"bob","role":"viewer","password":"`+goodPassword+`"}`, 201, nil)
	g.ask("add-user", "POST", "/users", `{"name":"bob","role":"viewer","password":"`+goodPassword+`"}`, 409, nil)
	var bob web.User
	g.ask("change-user", "PATCH", "/users/bob", `{"role":"operator"}`, 200, &bob)
	if bob.Role != "operator" || bob.Disabled {
		g.t.Errorf("%+v", bob)
	}
	g.ask("change-user", "PATCH", "/users/ann", `{"role":"viewer"}`, 409, nil)
	g.ask("set-password", "PUT", "/users/bob/password", `{"password":"another set of words"}`, 204, nil)
	var secret web.TOTPSecret
	g.ask("enrol-user", "POST", "/users/bob/totp", "", 200, &secret)
	if raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret.Secret); err != nil || len(raw) != 20 || !strings.HasPrefix(secret.URI, "otpauth://totp/Drawbridge%20home:bob?") {
		g.t.Errorf("%+v %v", secret, err)
	}
	g.ask("confirm-user", "PUT", "/users/bob/totp", `{"code":"x"}`, 422, nil)
	g.ask("end-totp-of-user", "DELETE", "/users/bob/totp", "", 204, nil)
	g.ask("get-user", "GET", "/users/bob", "", 200, &bob)
	g.ask("get-user", "GET", "/users/zoe", "", 404, nil)
	g.ask("remove-user", "DELETE", "/users/bob", "", 204, nil)
	g.ask("remove-user", "DELETE", "/users/bob", "", 404, nil)
}

func (g *gate) walkAccount() {
	var me web.User
	g.ask("get-account", "GET", "/account", "", 200, &me)
	g.ask("enrol", "POST", "/account/totp", "", 200, nil)
	g.ask("confirm-totp", "PUT", "/account/totp", `{"code":"x"}`, 422, nil)
	g.ask("end-totp", "POST", "/account/totp/end", `{"password":"wrong"}`, 403, nil)
	g.ask("end-totp", "POST", "/account/totp/end", `{"password":"`+goodPassword+`"}`, 204, nil)
	g.ask("change-password", "PUT", "/account/password", `{"current":"`+goodPassword+`","password":"some other long words"}`, 204, nil)

	first := g.cookie
	g.cookie = ""
	g.ask("log-in", "POST", "/login", `{"name":"ann","password":"some other long words"}`, 204, nil)
	var list []web.Session
	g.ask("get-sessions", "GET", "/sessions", "", 200, &list)
	if len(list) != 2 || list[0].Own == list[1].Own || list[0].User != "ann" {
		g.t.Errorf("%+v", list)
	}
	var ended web.Ended
	g.ask("end-other-sessions", "POST", "/sessions/end-others", "", 200, &ended)
	if ended.Ended != 1 {
		g.t.Errorf("%+v", ended)
	}
	g.ask("end-session", "DELETE", "/sessions/0123456789abcdef", "", 404, nil)
	second := g.cookie
	g.cookie = first
	g.ask("", "GET", "/status", "", 401, nil)
	g.cookie = second
}

func (g *gate) walkTokens() {
	var made web.NewAccessToken
	g.ask("create-access-token", "POST", "/access-tokens", `{"role":"viewer","prefix":"no path"}`, 422, nil)
	g.ask("create-access-token", "POST", "/access-tokens", `{"role":"viewer","prefix":"/api/v1/status","comment":"probe"}`, 201, &made)
	cookie := g.cookie
	g.cookie, g.token = "", made.Token
	g.ask("", "GET", "/status", "", 200, nil)
	g.ask("", "GET", "/peers", "", 403, nil)
	g.cookie, g.token = cookie, ""
	var list []web.AccessToken
	g.ask("get-access-tokens", "GET", "/access-tokens", "", 200, &list)
	if len(list) != 1 || list[0].ID != made.Info.ID || list[0].Owner != "ann" || list[0].LastUsed.IsZero() {
		g.t.Errorf("%+v", list)
	}
	g.ask("revoke-access-token", "DELETE", "/access-tokens/"+made.Info.ID, "", 204, nil)
	g.token = made.Token
	g.ask("", "GET", "/status", "", 401, nil)
	g.token = ""
}

func (g *gate) walkCertificate() {
	var before, after web.Certificate
	g.ask("get-certificate", "GET", "/certificate", "", 200, &before)
	g.ask("set-certificate", "PUT", "/certificate", `{"certificate":"x","private_key":"y"}`, 422, nil)
	g.ask("set-acme", "PUT", "/certificate/acme", `{"hosts":["192.0.2.1"]}`, 422, nil)
	g.ask("renew-certificate", "POST", "/certificate/renew", "", 200, &after)
	if before.Fingerprint == after.Fingerprint || !after.SelfSigned {
		g.t.Errorf("%+v", after)
	}
}

func (g *gate) walkIssuer() {
	g.ask("get-oidc", "GET", "/oidc", "", 404, nil)
	g.ask("start-oidc", "GET", "/oidc/start", "", 404, nil)
	g.ask("finish-oidc", "GET", "/oidc/callback?state=x&code=y", "", 400, nil)
	g.ask("set-oidc", "PUT", "/oidc", `{"name":"x","issuer":"http://evil","client_id":"c","redirect_url":"","role_claim":"g","roles":{}}`, 422, nil)
	g.ask("set-oidc", "PUT", "/oidc", `{"name":"Example","issuer":"https://127.0.0.1:1","client_id":"c","client_secret":"very secret","redirect_url":"https://gw/api/v1/oidc/callback","role_claim":"groups","roles":{"noc":"operator"}}`, 204, nil)
	var shown web.Issuer
	g.ask("get-oidc", "GET", "/oidc", "", 200, &shown)
	if shown.ClientSecret != "" || shown.Roles["noc"] != "operator" {
		g.t.Errorf("%+v", shown)
	}
	g.ask("start-oidc", "GET", "/oidc/start", "", 502, nil)
	g.ask("delete-oidc", "DELETE", "/oidc", "", 204, nil)
}

func (g *gate) checkAudit() {
	var records []web.AuditRecord
	answer := g.ask("get-audit", "GET", "/audit?limit=1000", "", 200, &records)
	text, _ := json.Marshal(records)
	for _, secret := range []string{goodPassword, "some other long words", "another set of words", "very secret", g.cookie, g.code, "password1234"} {
		if bytes.Contains(text, []byte(secret)) {
			g.t.Errorf("the audit log holds %q", secret)
		}
	}
	if answer.Header.Get("X-Request-Id") == "" || answer.Header.Get("Cache-Control") != "no-store" {
		g.t.Errorf("%v", answer.Header)
	}
	var some []web.AuditRecord
	g.ask("get-audit", "GET", "/audit?who=ann&path=/api/v1/users/bob&failed=false&limit=50", "", 200, &some)
	for _, r := range some {
		if r.Method == "PATCH" && fmt.Sprint(r.Before.(map[string]any)["role"], "-", r.After.(map[string]any)["role"]) != "viewer-operator" {
			g.t.Errorf("%+v", r)
		}
	}
	if len(some) < 5 {
		g.t.Errorf("%d records of bob", len(some))
	}
	g.ask("get-audit", "GET", "/audit?limit=0", "", 422, nil)
}

func TestStaleChangesOfUsers(t *testing.T) {
	g := newGate(t)
	g.ask("", "POST", "/first-run", fmt.Sprintf(`{"code":%q,"name":"ann","password":%q}`, g.code, goodPassword), 204, nil)
	for tag, want := range map[string]int{`"1"`: 200, `"7"`: 412, `"x"`: 422} {
		r, _ := http.NewRequestWithContext(t.Context(), "PATCH", g.url+"/api/v1/users/ann", strings.NewReader(`{"disabled":false}`))
		r.Header.Set("If-Match", tag)
		r.Header.Set("Content-Type", "application/json")
		r.AddCookie(&http.Cookie{Name: access.Cookie, Value: g.cookie})
		answer, err := g.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want && (want != 200 || answer.StatusCode != 412) { // whichever comes first
			t.Errorf("%s: %s", tag, answer.Status)
		}
	}
}

// Wrong types, unknown fields, huge bodies: a problem each, and nothing happens.
func TestBadInputAtTheEntrance(t *testing.T) {
	g := newGate(t)
	for _, body := range []string{``, `[]`, `{"name":1}`, `{"name":"a","password":"b","admin":true}`, `{"name":"` + strings.Repeat("x", 1000) + `","password":"y"}`, `{"name":"a"`, "\x00"} {
		for _, path := range []string{"/login", "/first-run"} {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", g.url+"/api/v1"+path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			answer, err := g.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != 400 && answer.StatusCode != 422 || answer.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %.40q: %s", path, body, answer.Status)
			}
		}
	}
	g.ask("", "POST", "/login", strings.Repeat(" ", 2<<20), 413, nil)
}

// What has no rule of its own is for admins: a new operation is never open by accident. This test tells whoever
// adds one to decide.
func TestEveryOperationHasARole(t *testing.T) {
	doc := describe(t, serve(t, webtest.New()))
	var table strings.Builder
	table.WriteString("# Who may do what\n\nMade from the rules and the OpenAPI document (`go test ./web -update`). What is not here is for admins.\n\n| operation | least role |\n|---|---|\n")
	writeRoles(&table, doc)
	compare(t, "../docs/reference/roles.md", table.String())
}

func writeRoles(table *strings.Builder, doc openapi) {
	var lines []string
	for path, methods := range doc.Paths {
		for method := range methods {
			role := string(access.LeastRole(strings.ToUpper(method), path))
			if role == "" {
				role = "anybody"
			}
			lines = append(lines, fmt.Sprintf("| `%s %s` | %s |\n", strings.ToUpper(method), path, role))
		}
	}
	sortByPath(lines)
	table.WriteString(strings.Join(lines, ""))
}

func sortByPath(lines []string) {
	path := func(line string) string { return strings.Trim(strings.SplitN(line, " ", 4)[2], "`") }
	slices.SortFunc(lines, func(a, b string) int { return cmp.Or(strings.Compare(path(a), path(b)), strings.Compare(a, b)) })
}

// compare demands that a file says what was made, or writes it.
func compare(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is out of date; go test ./web -update writes it (%v)", path, err)
	}
}

func TestTypesOfPeopleAreDescribed(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[web.LoginRequest](), reflect.TypeFor[web.FirstRunRequest](), reflect.TypeFor[web.FirstRunCode](), reflect.TypeFor[web.SessionInfo](),
		reflect.TypeFor[web.User](), reflect.TypeFor[web.UserRequest](), reflect.TypeFor[web.UserChange](), reflect.TypeFor[web.PasswordRequest](),
		reflect.TypeFor[web.OwnPasswordRequest](), reflect.TypeFor[web.Confirmation](), reflect.TypeFor[web.TOTPSecret](), reflect.TypeFor[web.TOTPCode](),
		reflect.TypeFor[web.RecoveryCodes](), reflect.TypeFor[web.AccessToken](), reflect.TypeFor[web.AccessTokenRequest](), reflect.TypeFor[web.NewAccessToken](),
		reflect.TypeFor[web.Session](), reflect.TypeFor[web.Ended](), reflect.TypeFor[web.Certificate](), reflect.TypeFor[web.CertificateRequest](),
		reflect.TypeFor[web.ACMERequest](), reflect.TypeFor[web.Issuer](), reflect.TypeFor[web.AuditRecord](),
	} {
		for f := range typ.Fields() {
			if f.Tag.Get("doc") == "" {
				t.Errorf("%s.%s has no description", typ.Name(), f.Name)
			}
		}
	}
}

// The unix socket needs no log in: the kernel says who asks.
func TestSocketIsForRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := web.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	a := access.New(access.Config{Store: access.OpenFile(path + ".json"), Group: web.Group})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- web.Serve(ctx, l, web.New(webtest.New(), slog.New(slog.DiscardHandler), web.WithAccess(a, nil, access.NewAuditFile(path+".log"))), slog.New(slog.DiscardHandler))
	}()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	answer, err := client.Get("http://x/api/v1/users")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Error(answer.Status)
	}
	client.CloseIdleConnections()
	stop()
	<-done
}

// A key is its caller's: others use the same one for their own changes, and nobody is answered by what somebody else was told.
func TestKeysArePerCaller(t *testing.T) {
	g := newGate(t)
	g.key = "k"
	first := `{"code":"` + g.code + `","name":"ann","password":"` + goodPassword + `"}`
	g.ask("first-run", "POST", "/first-run", first, 204, nil)
	cookie := g.cookie
	g.cookie = ""
	g.ask("first-run", "POST", "/first-run", first, 409, nil) // nobody is known by it a second time
	login := `{"name":"ann","password":"` + goodPassword + `"}`
	g.ask("log-in", "POST", "/login", login, 204, nil)
	if g.cookie == "" || g.cookie == cookie {
		t.Fatal("a log in was answered by another one")
	}
	var mine, again web.NewAccessToken
	request := `{"role":"operator","ttl_s":3600}`
	g.ask("create-access-token", "POST", "/access-tokens", request, 201, &mine)
	if r := g.ask("create-access-token", "POST", "/access-tokens", request, 201, &again); again != mine || r.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%+v, then %+v", mine, again)
	}
	g.cookie = ""
	g.ask("create-access-token", "POST", "/access-tokens", request, 401, nil)
	g.token = mine.Token
	if r := g.ask("flush-macs", "POST", "/macs/flush", `{}`, 200, nil); r.Header.Get("Idempotent-Replayed") != "" {
		t.Error("a token's key is that of its owner's session")
	}
	g.ask("flush-macs", "POST", "/macs/flush", `{"vni":1}`, 422, nil)
}
