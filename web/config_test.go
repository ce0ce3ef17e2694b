package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// ask sends a request with headers, and returns status, ETag and body.
func ask(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

func TestChangesOfTheConfiguration(t *testing.T) {
	n := webtest.New()
	url := serve(t, n) + "/api/v1/config"
	for _, c := range []struct {
		method, path, body, match string
		failure                   error
		want                      int
		says                      string
	}{
		{"GET", "", "", "", nil, 200, `"version":3`},
		{"PUT", "", `{"text":"x = 1"}`, "", nil, 428, "GET /api/v1/config"},
		{"PUT", "", `{"text":"x = 1"}`, `"abc"`, nil, 412, "GET /api/v1/config"},
		{"PUT", "", `{"text":"x = 1"}`, `"2"`, fmt.Errorf("%w: the newest is 3 by ann at noon", web.ErrStale), 412, "3 by ann at noon"},
		{"PUT", "", `{"text":"x = 1"}`, `"3"`, fmt.Errorf("%w: version 3 waits", web.ErrConflict), 409, "waits"},
		{"PUT", "", `{"text":"x = 1"}`, `"3"`, fmt.Errorf("%w: no majority", web.ErrUnavailable), 503, "majority"},
		{"PUT", "", `{"text":"x","document":{}}`, `"3"`, nil, 422, "one of document and text"},
		{"PUT", "", `{}`, `"3"`, nil, 422, "one of document and text"},
		{"PUT", "", `{"text":"x","confirm_s":-1}`, `"3"`, nil, 422, "confirm_s"},
		{"PUT", "", `{"colour":"red"}`, `"3"`, nil, 422, "colour"},
		{"PUT", "", `{"text":"x"}`, `"3"`, web.InvalidConfig{{Line: 3, Column: 7, Setting: "overlay[1].vni", Text: "no"}, {Text: "also"}}, 422, `"location":"overlay[1].vni:3:7"`},
		{"POST", "/import", "format = 1", "*", nil, 200, `"version":3`},
		{"POST", "/import?confirm_s=86401", "format = 1", "*", nil, 422, "confirm_s"},
		{"POST", "/rollback", `{"to":0}`, "*", nil, 422, "to"},
		{"POST", "/rollback", `{"to":1,"confirm_s":-1}`, "*", nil, 422, "confirm_s"},
		{"POST", "/versions/x/confirm", `{}`, "", nil, 422, "n"},
		{"GET", "/versions/9", "", "", fmt.Errorf("version 9 %w", web.ErrNotFound), 404, "version 9"},
		{"GET", "/versions/3/applied?wait_s=601", "", "", nil, 422, "wait_s"},
		{"GET", "/export?form=xml", "", "", nil, 422, "form"},
	} {
		n.Change(func(v *webtest.Values) { v.Failure = c.failure })
		headers := []string{"Content-Type", "application/json"}
		if strings.HasPrefix(c.path, "/import") {
			headers[1] = "text/plain"
		}
		if c.match != "" {
			headers = append(headers, "If-Match", c.match)
		}
		answer, text := ask(t, c.method, url+c.path, c.body, headers...)
		if answer.StatusCode != c.want || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: %s %s", c.method, c.path, answer.Status, text)
		}
		if c.want == 200 && answer.Header.Get("ETag") != `"3"` {
			t.Errorf("%s %s: ETag %s", c.method, c.path, answer.Header.Get("ETag"))
		}
	}
}

func TestAChangeArrivesWhole(t *testing.T) {
	n := webtest.New()
	url := serve(t, n) + "/api/v1/config"
	ask(t, "PUT", url, `{"document":{"format":1},"comment":"why","by":"ann","confirm_s":60}`, "If-Match", `"3"`, "Idempotency-Key", "k", "Content-Type", "application/json")
	ask(t, "POST", url+"/import?confirm_s=90&by=ann", "format = 1", "If-Match", `*`, "Content-Type", "text/plain")
	ask(t, "POST", url+"/rollback", `{"to":2,"by":"bob"}`, "If-Match", `*`, "Content-Type", "application/json")
	ask(t, "POST", url+"/rollback", `{"to":2,"by":"bob","confirm_s":30}`, "If-Match", `*`, "Content-Type", "application/json")
	have := strings.Join(n.Asked(), "\n")
	want := strings.Join([]string{
		`change 3 any=false to {"format":1} within 1m0s because "why" by ann, key "k"`,
		`change 0 any=true to format = 1 within 1m30s because "" by ann, key ""`,
		`rollback 0 any=true to 2 within 0s because "" by bob, key ""`,
		`rollback 0 any=true to 2 within 30s because "" by bob, key ""`,
	}, "\n")
	if have != want {
		t.Errorf("asked for\n%s\nwant\n%s", have, want)
	}
}

// TestTheBarrierAnswersWhenAllHaveApplied: at once when they have, as soon as they have, or when the time is over.
func TestTheBarrierAnswersWhenAllHaveApplied(t *testing.T) {
	n := webtest.New()
	n.Change(func(v *webtest.Values) { v.Silent = "z" })
	url := serve(t, n) + "/api/v1/config/versions/3/applied"
	applied := func(query string) (a web.ConfigApplied) {
		_, text := ask(t, "GET", url+query, "")
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if applied("").Complete || applied("?wait_s=0.1").Complete {
		t.Error("not all have applied it")
	}
	done := make(chan web.ConfigApplied)
	go func() { done <- applied("?wait_s=600") }()
	n.Change(func(v *webtest.Values) { v.Silent = "" })
	select {
	case a := <-done:
		if !a.Complete || a.Version != 3 {
			t.Errorf("%+v", a)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still waiting")
	}
}
