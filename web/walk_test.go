package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// The tests here walk the whole OpenAPI document: an operation that is added is tried with every kind of bad input without being named.

type walked struct {
	id, method, path string // path with its parameters filled in
	template         string
	body             *schema // of JSON; nil: it takes none
	raw              bool    // it takes a file
	query            []parameter
	headers          []string
	codes            map[string]bool
}

// walk reads the document of a node whose admin g is.
func walk(t *testing.T, g *gate) (all []walked) {
	t.Helper()
	var doc document
	g.ask("", "GET", "/openapi.json", "", 200, &doc)
	for path, methods := range doc.Paths {
		for method, o := range methods {
			w := walked{id: o.OperationID, method: strings.ToUpper(method), template: path, path: strings.TrimPrefix(path, "/api/v1"), codes: map[string]bool{}}
			for _, p := range o.Parameters {
				switch p.In {
				case "path":
					w.path = strings.ReplaceAll(w.path, "{"+p.Name+"}", map[bool]string{true: "ann", false: "1"}[p.Name == "name"])
				case "query":
					w.query = append(w.query, p)
				case "header":
					w.headers = append(w.headers, p.Name)
				}
			}
			for kind, c := range o.RequestBody.Content {
				if kind != "application/json" {
					w.raw = true
					continue
				}
				s := c.Schema
				if s.Ref != "" {
					s = doc.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
				}
				w.body = s
			}
			for code := range o.Responses {
				w.codes[code] = true
			}
			all = append(all, w)
		}
	}
	if len(all) < 90 {
		t.Fatalf("the document has %d operations", len(all))
	}
	slices.SortFunc(all, func(a, b walked) int { return strings.Compare(a.id, b.id) })
	return all
}

// wrongFor is a value that a property of it does not take; empty when it takes any.
func wrongFor(s *schema) string {
	switch {
	case s.Ref != "":
		return `"x"`
	case strings.Contains(fmt.Sprint(s.Type), "string"):
		return `{"a":1}`
	case s.Type != nil:
		return `"x"`
	}
	return ""
}

// refused sends a request and demands a problem document that somebody can do something with.
func (g *gate) refused(w *walked, about, query, body, ifMatch string, want ...int) string {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), w.method, g.url+"/api/v1"+w.path+query, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if ifMatch != "" {
		r.Header.Set("If-Match", ifMatch)
	}
	if g.cookie != "" {
		r.AddCookie(&http.Cookie{Name: access.Cookie, Value: g.cookie})
	}
	answer, err := g.http.Do(r)
	if err != nil {
		g.t.Errorf("%s, %s: %v", w.id, about, err)
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	var p struct {
		Status        int
		Title, Detail string
	}
	if !slices.Contains(want, answer.StatusCode) {
		g.t.Errorf("%s %s, %s: %s %.300s, want %v", w.method, w.path, about, answer.Status, text, want)
	} else if err := json.Unmarshal(text, &p); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" || p.Status != answer.StatusCode || p.Title == "" || len(p.Detail) < 20 {
		g.t.Errorf("%s %s, %s: no problem that says what to do: %s %.300s", w.method, w.path, about, answer.Header.Get("Content-Type"), text)
	}
	return string(text)
}

// admin is a gate whose first user has logged in, with the node behind it.
func admin(t *testing.T) (*gate, *webtest.Node) {
	t.Helper()
	n := webtest.New()
	g := newGateOf(t, n, time.Now)
	g.ask("", "POST", "/first-run", fmt.Sprintf(`{"code":%q,"name":"ann","password":%q}`, g.code, goodPassword), 204, nil)
	return g, n
}

// doors need nobody to be known, and answer for themselves (TestBadInputAtTheEntrance); the first one would end the session.
var doors = []string{"log-in", "log-out", "first-run"}

func TestNoOperationTakesWrongTypes(t *testing.T) {
	g, n := admin(t)
	for _, w := range walk(t, g) {
		if slices.Contains(doors, w.id) {
			continue
		}
		if w.body != nil {
			for name, s := range w.body.Properties {
				if wrong := wrongFor(s); wrong != "" {
					text := g.refused(&w, name+" "+wrong, "", fmt.Sprintf(`{%q:%s}`, name, wrong), "*", 400, 422)
					if !strings.Contains(text, `"body.`+name) {
						t.Errorf("%s: the problem does not name body.%s: %s", w.id, name, text)
					}
				}
			}
			for _, body := range []string{`[]`, `7`, `"x"`, `{`, "\x00", `{"a":1}{"b":2}`} {
				g.refused(&w, "body "+body, "", body, "*", 400, 422)
			}
		}
		for _, p := range w.query {
			if kind := fmt.Sprint(p.Schema.Type); kind == "integer" || kind == "boolean" || kind == "number" {
				if text := g.refused(&w, p.Name+"=x", "?"+p.Name+"=x", "", "*", 400, 422); !strings.Contains(text, p.Name) {
					t.Errorf("%s: the problem does not name %s: %s", w.id, p.Name, text)
				}
			}
		}
	}
	if asked := n.Asked(); len(asked) > 0 {
		t.Errorf("done nevertheless: %q", asked)
	}
}

func TestNoOperationTakesUnknownFields(t *testing.T) {
	g, n := admin(t)
	tried := 0
	for _, w := range walk(t, g) {
		if w.body == nil || slices.Contains(doors, w.id) {
			continue
		}
		tried++
		if text := g.refused(&w, "an unknown field", "", `{"colour":"red"}`, "*", 422); !strings.Contains(text, "colour") {
			t.Errorf("%s does not name it: %s", w.id, text)
		}
	}
	if asked := n.Asked(); len(asked) > 0 || tried < 25 {
		t.Errorf("%d tried, done nevertheless: %q", tried, asked)
	}
}

func TestNoOperationTakesHugeBodies(t *testing.T) {
	g, n := admin(t)
	huge := strings.Repeat(" ", 20<<20)
	for _, w := range walk(t, g) {
		if w.body != nil && !slices.Contains(doors, w.id) || w.raw && w.id != "upload-update" && w.id != "upload-rollout" { // these go to the disk as they come, and are bounded there
			g.refused(&w, "20 MiB", "", huge, "*", 413)
		}
	}
	if asked := n.Asked(); len(asked) > 0 {
		t.Errorf("done nevertheless: %q", asked)
	}
}

func TestNoChangeIsBasedOnWhatIsNotThere(t *testing.T) {
	g, n := admin(t)
	n.Change(func(v *webtest.Values) { v.Failure = fmt.Errorf("%w: version 3 is in force", web.ErrStale) })
	tried := 0
	for _, w := range walk(t, g) {
		if !slices.Contains(w.headers, "If-Match") || w.method == http.MethodGet {
			continue
		}
		tried++
		g.refused(&w, "If-Match of long ago", "", minimal[w.id], `"99"`, 412)
		g.refused(&w, "If-Match that is none", "", minimal[w.id], `"x"`, 412, 422)
	}
	if tried < 7 {
		t.Errorf("%d operations take If-Match", tried)
	}
}

// minimal are bodies of the conditional operations, which could be carried out were they based on what there is.
var minimal = map[string]string{
	"add-user": `{"name":"bob","role":"viewer","password":"` + goodPassword + `"}`, "change-user": `{"disabled":false}`,
	"set-password": `{"password":"` + goodPassword + ` more"}`,
	"set-oidc":     `{"name":"x","issuer":"https://id.example","client_id":"c","redirect_url":"https://gw/api/v1/oidc/callback","role_claim":"g","roles":{"noc":"viewer"}}`,
	"put-config":   `{"document":{"format":1}}`, "import-config": `format = 1`, "rollback-config": `{"to":1}`,
}

func TestEveryOperationAsksWho(t *testing.T) {
	g, n := admin(t)
	all := walk(t, g)
	for _, u := range []string{"viewer", "operator"} {
		g.ask("", "POST", "/users", fmt.Sprintf(`{"name":%q,"role":%q,"password":%q}`, u, u, goodPassword), 201, nil)
	}
	callers := map[access.Role]string{access.Nobody: ""}
	for _, u := range []access.Role{access.Viewer, access.Operator} {
		g.cookie = ""
		g.ask("", "POST", "/login", fmt.Sprintf(`{"name":%q,"password":%q}`, u, goodPassword), 204, nil)
		callers[u] = g.cookie
	}
	for role, cookie := range callers {
		g.cookie = cookie
		for _, w := range all {
			least := access.LeastRole(w.method, w.template)
			switch {
			case role.Includes(least) || least == access.Nobody:
			case role == access.Nobody:
				g.refused(&w, "nobody", "", "", "", 401)
			default:
				g.refused(&w, string(role), "", "", "", 403)
			}
		}
	}
	if asked := n.Asked(); len(asked) > 0 {
		t.Errorf("done nevertheless: %q", asked)
	}
}

func TestExpiredSessionsAreNobodys(t *testing.T) {
	n := webtest.New()
	var later atomic.Int64
	g := newGateOf(t, n, func() time.Time { return time.Now().Add(time.Duration(later.Load())) })
	g.ask("", "POST", "/first-run", fmt.Sprintf(`{"code":%q,"name":"ann","password":%q}`, g.code, goodPassword), 204, nil)
	all := walk(t, g)
	later.Store(int64(25 * time.Hour))
	for _, w := range all {
		if access.LeastRole(w.method, w.template) != access.Nobody {
			g.refused(&w, "a session of yesterday", "", "", "", 401)
		}
	}
	if asked := n.Asked(); len(asked) > 0 {
		t.Errorf("done nevertheless: %q", asked)
	}
}

// A peer in a minority can decide nothing: it says so, as what it is, and what it says for people.
func TestWithoutALeader(t *testing.T) {
	n := webtest.New()
	url := serve(t, n)
	doc := describe(t, url)
	n.Change(func(v *webtest.Values) {
		v.Failure = fmt.Errorf("%w: no leader, 1 of 3 voters answers: drawbridge voters names them", web.ErrUnavailable)
	})
	tried := 0
	for _, methods := range doc.Paths {
		for method, op := range methods {
			r, ok := requests[op.OperationID]
			if !ok || method == "get" {
				continue
			}
			tried++
			before := len(n.Asked())
			answer, text := call(t, strings.ToUpper(method), url+"/api/v1"+r.path, "application/json", r.body)
			if answer.StatusCode != 503 || answer.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(text, "drawbridge voters") {
				t.Errorf("%s: %s %s", op.OperationID, answer.Status, text)
			}
			if _, documented := op.Responses["503"]; !documented && op.Responses["default"].Content == nil {
				t.Errorf("%s answers 503, which the document does not have", op.OperationID)
			}
			if asked := len(n.Asked()) - before; asked > 1 {
				t.Errorf("%s was asked for %d times", op.OperationID, asked)
			}
		}
	}
	if tried < 30 {
		t.Errorf("%d changes", tried)
	}
}
