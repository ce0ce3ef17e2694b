package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// memory is a Store of its own.
type memory struct {
	mu sync.Mutex
	d  Directory
	// err is what Load reports.
	err error
	// race is called before every Save.
	race func()
}

func (m *memory) Load() (Directory, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.d, m.err
}

func (m *memory) Save(old uint64, d Directory) error {
	if m.race != nil {
		m.race()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.d.Version != old {
		return ErrStale
	}
	m.d = d
	return nil
}

// records is an Audit in memory.
type records struct {
	mu   sync.Mutex
	list []Record
}

func (r *records) Add(e Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.ID = uint64(len(r.list) + 1)
	r.list = append(r.list, e)
	return nil
}

func (r *records) List(uint64, int, func(Record) bool) ([]Record, error) { return r.list, nil }

// bench is an Access with users ann (admin), olga (operator), vic (viewer), whose password is goodPassword,
// and an API behind it.
type bench struct {
	*Access
	t      *testing.T
	store  *memory
	audit  *records
	now    time.Time
	shown  []string
	hashes int
	server http.Handler
}

const goodPassword = "four random little words"

var goodHash = sync.OnceValue(func() string { return HashPassword(goodPassword) })

func newBench(t *testing.T) *bench {
	t.Helper()
	b := emptyBench(t)
	d := Directory{}
	for name, role := range map[string]Role{"olga": Operator, "vic": Viewer} {
		if d.Empty() {
			d, _ = d.AddUser("ann", Admin, goodHash(), day)
		}
		var err error
		if d, err = d.AddUser(name, role, goodHash(), day); err != nil {
			t.Fatal(err)
		}
	}
	b.store.d = d
	return b
}

func emptyBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, store: &memory{}, audit: &records{}, now: day}
	b.Access = New(Config{
		Store: b.store, Audit: b.audit, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return b.now },
		Announce: func(code string) { b.shown = append(b.shown, code) }, Group: "no-such-group", Issuer: "Drawbridge test",
	})
	b.verify = func(h hash, password string) bool {
		b.hashes++
		return password == goodPassword && h.String() == goodHash()
	}
	b.server = b.Guard(b.api())
	return b
}

// api is what stands behind the guard.
func (b *bench) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/login", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Name, Password, Code string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		cookie, err := b.LogIn(r.Context(), Login(in))
		answerCookie(w, cookie, err)
	})
	mux.HandleFunc("POST /api/v1/first-run", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Code, Name, Password string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		cookie, err := b.FirstRun(r.Context(), in.Code, in.Name, in.Password)
		answerCookie(w, cookie, err)
	})
	mux.HandleFunc("POST /api/v1/logout", func(w http.ResponseWriter, r *http.Request) {
		answerCookie(w, b.LogOut(r.Context()), nil)
	})
	mux.HandleFunc("PUT /api/v1/account/password", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Current, Password string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		answerCookie(w, http.Cookie{}, b.ChangePassword(r.Context(), in.Current, in.Password))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c := CallerOf(r.Context())
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, `{"name":%q,"role":%q,"by":%q}`, c.Name, c.Role, c.By)
	})
	return mux
}

func answerCookie(w http.ResponseWriter, cookie http.Cookie, err error) {
	if err != nil {
		AsRefusal(err).Write(w)
		return
	}
	if cookie.Name != "" {
		http.SetCookie(w, &cookie)
	}
	w.WriteHeader(http.StatusNoContent)
}

// ask sends a request. how sets its headers: "cookie=…", "token=…", "from=…", or a header as "Name: value".
func (b *bench) ask(method, path, body string, how ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, "https://gw.example"+path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("X-Request-Id", "test-1")
	for _, h := range how {
		switch what, value, _ := strings.Cut(h, "="); what {
		case "cookie":
			r.AddCookie(&http.Cookie{Name: Cookie, Value: value})
		case "token":
			r.Header.Set("Authorization", "Bearer "+value)
		case "from":
			r.RemoteAddr = value + ":1"
		default:
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	return w
}

// logIn returns the cookie's value, or fails.
func (b *bench) logIn(name string) string {
	b.t.Helper()
	w := b.ask("POST", "/api/v1/login", `{"name":"`+name+`","password":"`+goodPassword+`"}`)
	for _, c := range w.Result().Cookies() {
		if c.Name == Cookie {
			return c.Value
		}
	}
	b.t.Fatalf("%s does not get in: %d %s", name, w.Code, w.Body)
	return ""
}

// want checks a status.
func (b *bench) want(code int, w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	b.t.Helper()
	if w.Code != code {
		b.t.Fatalf("%d %s, want %d", w.Code, w.Body, code)
	}
	return w
}

func TestLogInAndOut(t *testing.T) {
	b := newBench(t)
	w := b.want(204, b.ask("POST", "/api/v1/login", `{"name":"olga","password":"`+goodPassword+`"}`))
	set := w.Header().Get("Set-Cookie")
	for _, part := range []string{Cookie + "=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict"} {
		if !strings.Contains(set, part) {
			t.Errorf("cookie %q has no %q", set, part)
		}
	}
	if strings.Contains(set, "Domain") {
		t.Errorf("__Host- cookie with a domain: %s", set)
	}
	value := w.Result().Cookies()[0].Value
	if got := b.ask("GET", "/api/v1/status", "", "cookie="+value).Body.String(); got != `{"name":"olga","role":"operator","by":"session"}` {
		t.Error(got)
	}
	b.want(204, b.ask("POST", "/api/v1/logout", "", "cookie="+value))
	b.want(401, b.ask("GET", "/api/v1/status", "", "cookie="+value))
}

// What a stranger learns must not depend on whether there is such a user: not words, nor status, nor work.
func TestUnknownUsersLookLikeWrongPasswords(t *testing.T) {
	b := newBench(t)
	disabled := true
	if _, err := b.UpdateUser(nil, "vic", nil, &disabled); err != nil {
		t.Fatal(err)
	}
	var first string
	for i, in := range []string{
		`{"name":"ann","password":"wrong wrong wrong"}`, `{"name":"nobody","password":"wrong wrong wrong"}`,
		`{"name":"vic","password":"` + goodPassword + `"}`, `{"name":"<script>","password":"x"}`, `{"name":"ann","password":"` + strings.Repeat("x", 5000) + `"}`,
	} {
		before := b.hashes
		w := b.ask("POST", "/api/v1/login", in, fmt.Sprintf("from=198.51.100.%d", i+1))
		if first == "" {
			first = w.Body.String()
		}
		if w.Code != 401 || w.Body.String() != first || b.hashes != before+1 {
			t.Errorf("%.60s: %d %s, %d hashes", in, w.Code, w.Body, b.hashes-before)
		}
	}
	d, _ := b.store.Load()
	u, _ := d.User("ann")
	h, _ := parseHash(u.Hash)
	if b.unknown.memory != h.memory || b.unknown.time != h.time || b.unknown.threads != h.threads || len(b.unknown.key) != len(h.key) {
		t.Error("the hash of users that do not exist costs something else")
	}
}

func TestSessionsEnd(t *testing.T) {
	b := newBench(t)
	value := b.logIn("vic")
	for range 12 { // used every two hours, less one second
		b.now = b.now.Add(sessionIdle - time.Second)
		b.want(200, b.ask("GET", "/api/v1/status", "", "cookie="+value))
	}
	b.now = day.Add(sessionLife)
	b.want(401, b.ask("GET", "/api/v1/status", "", "cookie="+value))

	value = b.logIn("vic")
	b.now = b.now.Add(sessionIdle)
	b.want(401, b.ask("GET", "/api/v1/status", "", "cookie="+value))
}

func TestPasswordChangeEndsOtherSessions(t *testing.T) {
	b := newBench(t)
	mine, other, hers := b.logIn("vic"), b.logIn("vic"), b.logIn("ann")
	b.want(403, b.ask("PUT", "/api/v1/account/password", `{"current":"not my password","password":"another set of words"}`, "cookie="+mine))
	b.want(204, b.ask("PUT", "/api/v1/account/password", `{"current":"`+goodPassword+`","password":"another set of words"}`, "cookie="+mine))
	b.want(200, b.ask("GET", "/api/v1/status", "", "cookie="+mine))
	b.want(401, b.ask("GET", "/api/v1/status", "", "cookie="+other))
	b.want(200, b.ask("GET", "/api/v1/status", "", "cookie="+hers))
}

func TestRolesHoldAtOnce(t *testing.T) {
	b := newBench(t)
	value := b.logIn("olga")
	b.want(200, b.ask("POST", "/api/v1/macs/flush", "{}", "cookie="+value))
	role := Viewer
	if _, err := b.UpdateUser(nil, "olga", &role, nil); err != nil {
		t.Fatal(err)
	}
	b.want(403, b.ask("POST", "/api/v1/macs/flush", "{}", "cookie="+value))
	b.want(200, b.ask("GET", "/api/v1/status", "", "cookie="+value))
	if _, err := b.RemoveUser(nil, "olga"); err != nil {
		t.Fatal(err)
	}
	b.want(401, b.ask("GET", "/api/v1/status", "", "cookie="+value))
}

func TestCrossSiteIsRefused(t *testing.T) {
	b := newBench(t)
	cookie := "cookie=" + b.logIn("ann")
	b.want(403, b.ask("POST", "/api/v1/macs/flush", "{}", cookie, "Sec-Fetch-Site: cross-site"))
	b.want(403, b.ask("POST", "/api/v1/macs/flush", "{}", cookie, "Sec-Fetch-Site: same-site"))
	b.want(403, b.ask("POST", "/api/v1/macs/flush", "{}", cookie, "Origin: https://evil.example"))
	b.want(403, b.ask("POST", "/api/v1/login", "{}", "Origin: https://evil.example"))
	b.want(200, b.ask("POST", "/api/v1/macs/flush", "{}", cookie, "Sec-Fetch-Site: same-origin"))
	b.want(200, b.ask("POST", "/api/v1/macs/flush", "{}", cookie, "Origin: https://gw.example"))
	b.want(200, b.ask("POST", "/api/v1/macs/flush", "{}", cookie))
}

func TestLogInIsLimited(t *testing.T) {
	b := newBench(t)
	for range perAddress.burst {
		b.want(401, b.ask("POST", "/api/v1/login", `{"name":"ann","password":"x"}`))
	}
	hashes := b.hashes
	w := b.want(429, b.ask("POST", "/api/v1/login", `{"name":"ann","password":"`+goodPassword+`"}`))
	if w.Header().Get("Retry-After") != "60" || b.hashes != hashes {
		t.Errorf("Retry-After %q, %d hashes", w.Header().Get("Retry-After"), b.hashes-hashes)
	}
	b.want(204, b.ask("POST", "/api/v1/login", `{"name":"ann","password":"`+goodPassword+`"}`, "from=203.0.113.5"))
	b.now = b.now.Add(time.Minute)
	b.want(204, b.ask("POST", "/api/v1/login", `{"name":"ann","password":"`+goodPassword+`"}`))
}

func TestSecondFactor(t *testing.T) {
	b := newBench(t)
	_, _, err := b.Enrol("ann")
	if err != nil {
		t.Fatal(err)
	}
	secret := b.pending["ann"].secret
	code := func() string { return totpCode(secret, b.now.Unix()/30) }
	if _, err := b.ConfirmTOTP(t.Context(), "ann", "000000x"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a wrong code: %v", err)
	}
	recovery, err := b.ConfirmTOTP(t.Context(), "ann", code())
	if err != nil || len(recovery) != recoveryCodes {
		t.Fatal(recovery, err)
	}
	in := func(code string) *httptest.ResponseRecorder {
		return b.ask("POST", "/api/v1/login", `{"name":"ann","password":"`+goodPassword+`","code":"`+code+`"}`)
	}
	if w := b.want(401, in("")); !strings.Contains(w.Body.String(), "problem:"+KindTOTP) {
		t.Error(w.Body)
	}
	b.want(401, in(code())) // it was used to enrol
	b.now = b.now.Add(totpStep)
	b.want(204, in(code()))
	b.want(401, in(code()))
	b.want(204, in(recovery[3]))
	b.want(401, in(recovery[3]))
	d, _ := b.store.Load()
	if u, _ := d.User("ann"); len(u.Recovery) != recoveryCodes-1 {
		t.Errorf("%d recovery codes are left", len(u.Recovery))
	}
}

func TestFirstRun(t *testing.T) {
	b := emptyBench(t)
	claim := func(code, name, password string, how ...string) *httptest.ResponseRecorder {
		return b.ask("POST", "/api/v1/first-run", `{"code":"`+code+`","name":"`+name+`","password":"`+password+`"}`, how...)
	}
	b.want(401, claim("acid acid acid acid acid acid acid acid", "eve", goodPassword))
	code := b.shown[0]
	b.want(422, claim(code, "ann", "password1234"))
	b.want(204, claim(strings.ToUpper(code), "ann", goodPassword))
	d, _ := b.store.Load()
	if u, ok := d.User("ann"); !ok || u.Role != Admin || len(d.Users) != 1 {
		t.Errorf("%+v", d)
	}
	b.want(409, claim(code, "eve", goodPassword))
	if b.FirstRunCode() != "" || len(b.shown) != 1 {
		t.Errorf("shown: %v", b.shown)
	}
	if strings.Contains(fmt.Sprint(b.audit.list), code) {
		t.Error("the code is in the audit log")
	}
}

func TestFirstRunIsRaced(t *testing.T) {
	b := emptyBench(t)
	code := b.FirstRunCode()
	b.store.race = func() {
		b.store.race = nil
		d, _ := Directory{}.AddUser("ann", Admin, testHash, day)
		b.store.d = d
	}
	b.want(409, b.ask("POST", "/api/v1/first-run", `{"code":"`+code+`","name":"eve","password":"`+goodPassword+`"}`))
	if d, _ := b.store.Load(); len(d.Users) != 1 || d.Users[0].Name != "ann" {
		t.Errorf("%+v", d.Users)
	}
}

// A store that cannot be read must not open the first run.
func TestBrokenStoreLetsNobodyIn(t *testing.T) {
	b := emptyBench(t)
	code := b.FirstRunCode()
	b.store.err = errors.New("users: broken")
	b.want(503, b.ask("POST", "/api/v1/first-run", `{"code":"`+code+`","name":"eve","password":"`+goodPassword+`"}`))
	b.want(503, b.ask("POST", "/api/v1/login", `{"name":"eve","password":"x"}`))
	text, _, _ := newToken()
	b.want(503, b.ask("GET", "/api/v1/status", "", "token="+text))
	b.want(401, b.ask("GET", "/api/v1/status", "", "cookie="+strings.Repeat("A", 43)))
}

func TestChangesAreMadeAgainAndVersionsHold(t *testing.T) {
	b := newBench(t)
	b.store.race = func() {
		b.store.race = nil
		b.store.d, _ = b.store.d.SetRole("vic", Operator)
	}
	d, err := b.AddUser(t.Context(), nil, "new", Viewer, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if u, _ := d.User("vic"); u.Role != Operator {
		t.Error("a change of somebody else is lost")
	}
	stale := d.Version - 1
	if _, err := b.RemoveUser(&stale, "new"); !errors.Is(err, ErrStale) || AsRefusal(err).Status != 412 {
		t.Errorf("a stale version: %v", err)
	}
}

func TestTokens(t *testing.T) {
	b := newBench(t)
	ctx := func(name string) context.Context {
		w := b.logIn(name)
		key, _ := parseCookie(w)
		c, _ := b.refresh(Caller{By: BySession, key: key, From: home}, false)
		return withCaller(t.Context(), c)
	}
	olga := ctx("olga")
	if _, _, err := b.CreateToken(olga, NewToken{Role: Admin}); AsRefusal(err).Status != 403 {
		t.Errorf("an operator makes a token for admins: %v", err)
	}
	text, k, err := b.CreateToken(olga, NewToken{Role: Operator, Prefix: "/api/v1/macs", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b.want(200, b.ask("POST", "/api/v1/macs/flush", "{}", "token="+text))
	b.want(403, b.ask("GET", "/api/v1/status", "", "token="+text))
	b.want(401, b.ask("GET", "/api/v1/macs", "", "token="+text[:len(text)-1]+"!"))
	b.want(401, b.ask("GET", "/api/v1/macs", "", "Authorization: Basic "+text))
	if d, _ := b.store.Load(); d.Tokens[0].LastUsed.IsZero() {
		t.Error("nobody knows when it was used")
	}
	if list, _ := b.Tokens(ctx("vic")); len(list) != 0 {
		t.Error("others see it")
	}
	if err := b.RevokeToken(ctx("vic"), k.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("others revoke it: %v", err)
	}
	role := Viewer
	if _, err := b.UpdateUser(nil, "olga", &role, nil); err != nil {
		t.Fatal(err)
	}
	b.want(403, b.ask("POST", "/api/v1/macs/flush", "{}", "token="+text))
	b.now = b.now.Add(time.Hour)
	b.want(401, b.ask("GET", "/api/v1/macs", "", "token="+text))
}

func TestStreamsEndWithTheirRight(t *testing.T) {
	b := newBench(t)
	value := b.logIn("vic")
	started, ended := make(chan struct{}), make(chan struct{})
	guard := b.Guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	}))
	r := httptest.NewRequest("GET", "https://gw.example/api/v1/events", nil)
	r.AddCookie(&http.Cookie{Name: Cookie, Value: value})
	go guard.ServeHTTP(httptest.NewRecorder(), r)
	<-started
	b.recheck()
	select {
	case <-ended:
		t.Fatal("ended for no reason")
	default:
	}
	disabled := true
	if _, err := b.UpdateUser(nil, "vic", nil, &disabled); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func TestAuditHasValuesAndNoSecrets(t *testing.T) {
	b := newBench(t)
	value := b.logIn("ann")
	b.want(200, b.ask("PUT", "/api/v1/segments/office/gate", `{"mode":"passive"}`, "cookie="+value))
	b.want(200, b.ask("POST", "/api/v1/users", `{"name":"x","password":"a very secret thing","list":[{"client_secret":"hide me"}]}`, "cookie="+value))
	b.want(403, b.ask("DELETE", "/api/v1/users/ann", "", "cookie="+b.logIn("vic")))
	text, _ := json.MarshalIndent(b.audit.list, "", "  ")
	for _, secret := range []string{goodPassword, "a very secret thing", "hide me", value} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the log holds %q", secret)
		}
	}
	golden(t, "audit.json", text)
}

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v\ngot %s\ngo test ./web/access -update writes it", path, err, got)
	}
}

func TestProblems(t *testing.T) {
	b := newBench(t)
	vic := "cookie=" + b.logIn("vic")
	text, _, err := b.CreateToken(withCaller(t.Context(), Caller{Name: "unix:root", Role: Admin, By: BySocket}), NewToken{Role: Viewer, Prefix: "/api/v1/macs"})
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	show := func(what string, w *httptest.ResponseRecorder) {
		h := w.Header()
		fmt.Fprintf(&all, "# %s\n%d %s\n", what, w.Code, h.Get("Content-Type"))
		for _, name := range []string{"WWW-Authenticate", "Retry-After", "Cache-Control", "Content-Security-Policy", "X-Request-Id"} {
			if v := h.Get(name); v != "" {
				fmt.Fprintf(&all, "%s: %s\n", name, v)
			}
		}
		fmt.Fprintf(&all, "%s\n", w.Body)
	}
	show("nobody", b.ask("GET", "/api/v1/status", ""))
	show("a viewer acts", b.ask("POST", "/api/v1/macs/flush", "{}", vic))
	show("a viewer somewhere unknown", b.ask("GET", "/api/v1/whatever", "", vic))
	show("a token elsewhere", b.ask("GET", "/api/v1/peers", "", "token="+text))
	show("a token that is none", b.ask("GET", "/api/v1/peers", "", "token=dbt-api-x"))
	show("cross-site", b.ask("POST", "/api/v1/macs/flush", "{}", vic, "Sec-Fetch-Site: cross-site"))
	show("a path with dots", b.ask("GET", "/api/v1/status/../users", "", vic))
	show("wrong password", b.ask("POST", "/api/v1/login", `{"name":"ann"}`))
	for range perAddress.burst {
		b.ask("POST", "/api/v1/login", `{"name":"ann"}`)
	}
	show("too many tries", b.ask("POST", "/api/v1/login", `{"name":"ann"}`))
	golden(t, "problems.txt", all.Bytes())
}

func FuzzCookie(f *testing.F) {
	for _, s := range []string{"", strings.Repeat("A", 43), strings.Repeat("A", 42) + "B", strings.Repeat("A", 44), "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := parseCookie(s); ok && (len(s) != 43 || strings.ContainsAny(s, "\r\n=;, ")) {
			t.Errorf("%q is accepted", s)
		}
	})
}

func TestUserSessionsAreBounded(t *testing.T) {
	s := newSessions()
	for i := range 3 * maxUserSessions {
		at := day.Add(time.Duration(i) * time.Second)
		s.begin(session{user: "ann", began: at, seen: at})
	}
	if n := len(s.list(day.Add(time.Minute))); n != maxUserSessions {
		t.Errorf("%d sessions", n)
	}
}

func TestBodyIsStillWhole(t *testing.T) {
	b := newBench(t)
	var got int
	guard := b.Guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got = int(n)
	}))
	r := httptest.NewRequest("POST", "https://gw.example/api/v1/macs/flush", strings.NewReader(strings.Repeat("x", 3*maxValue)))
	r.AddCookie(&http.Cookie{Name: Cookie, Value: b.logIn("ann")})
	guard.ServeHTTP(httptest.NewRecorder(), r)
	if got != 3*maxValue {
		t.Errorf("%d bytes arrive", got)
	}
}
