package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// serve starts the API of a node and returns its address.
func serve(t *testing.T, n web.Node) string {
	t.Helper()
	s := httptest.NewServer(web.New(n, slog.New(slog.DiscardHandler)))
	t.Cleanup(s.Close)
	return s.URL
}

// call sends one request and returns the answer, whole.
func call(t *testing.T, method, url, accept, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("If-Match", "*") // changes of the configuration want one
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

// operations is what the document says, as far as tests ask.
type openapi struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID, Summary string
		Responses            map[string]struct {
			Content map[string]any
		}
	}
}

func describe(t *testing.T, url string) (doc openapi) {
	t.Helper()
	_, text := call(t, http.MethodGet, url+"/api/v1/openapi.json", "*/*", "")
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// requests has one good request per operation; a new operation without one fails the test.
var requests = map[string]struct{ path, body string }{
	"get-version": {"/version", ""}, "get-status": {"/status", ""}, "get-peers": {"/peers", ""}, "get-links": {"/links", ""},
	"get-routes": {"/routes", ""}, "get-macs": {"/macs?vni=1&find=0&limit=10", ""}, "get-mac-story": {"/macs/02-00-00-00-00-01/story", ""}, "get-ports": {"/ports", ""}, "get-segments": {"/segments", ""}, "get-voters": {"/voters", ""}, "get-loops": {"/loops", ""},
	"get-subnets": {"/ipam/subnets", ""}, "get-addresses": {"/ipam/addresses?everywhere=true", ""}, "get-address": {"/ipam/addresses/10.43.0.17", ""},
	"allocate-address": {"/ipam/allocate", `{"owner":"printer"}`}, "release-address": {"/ipam/release", `{"address":"10.43.0.17"}`},
	"export-addresses": {"/ipam/export", ""}, "import-addresses": {"/ipam/import", "address,owner\n10.43.0.17,printer\n"},
	"donate-addresses": {"/ipam/donate", `{"to":"b","count":1}`},
	"get-inheritance":  {"/ipam/inheritance/z", ""}, "forget-addresses": {"/ipam/forget", `{"peer":"z"}`},
	"suggest-subnet": {"/ipam/suggestion?candidate=10.43.0.0/16&candidate=10.44.0.0/16", ""},
	"get-events":     {"/events", ""}, "get-tokens": {"/tokens", ""},
	"create-token": {"/tokens", `{"roles":["voter"],"ttl_s":60}`}, "revoke-token": {"/tokens/0102030405", ""},
	"forget-peer": {"/peers/z", ""}, "flush-macs": {"/macs/flush", `{"mac":"02-00-00-00-00-01"}`},
	"clear-port":  {"/ports/tap0/clear", `{"by":"ann"}`},
	"get-capture": {"/capture?port=tap0", ""}, "get-diag": {"/diag", ""},
	"get-config": {"/config", ""}, "get-config-versions": {"/config/versions", ""}, "get-config-version": {"/config/versions/2", ""},
	"diff-config": {"/config/diff?from=1&to=2", ""}, "export-config": {"/config/export?form=toml", ""}, "get-config-applied": {"/config/versions/3/applied?wait_s=1", ""},
	"check-config": {"/config/check", `{"text":"format = 1"}`}, "put-config": {"/config", `{"document":{"format":1}}`},
	"import-config": {"/config/import", "format = 1"}, "rollback-config": {"/config/rollback", `{"to":1}`}, "confirm-config": {"/config/versions/3/confirm", `{}`},
	"get-segment-mode": {"/segments/office/mode", ""}, "set-segment-mode": {"/segments/office/mode", `{"mode":"passive"}`},
	"get-segment-gate": {"/segments/office/gate", ""}, "set-segment-gate": {"/segments/office/gate", `{"open":false}`},
	"switchover": {"/segments/office/switchover", `{"to":"b"}`}, "drill": {"/segments/office/drill", `{}`},
	"maintenance": {"/peers/a/maintenance", `{"on":true}`}, "flush-everywhere": {"/flush", `{"peer":"x"}`},
	"get-operations": {"/operations", ""}, "get-operation": {"/operations/00000000000000a1", ""},
	"get-alerts": {"/alerts", ""}, "get-alert-sinks": {"/alerts/sinks", ""}, "test-alert-sink": {"/alerts/sinks/ops/test", `{"by":"alice"}`},
	"acknowledge-alert": {"/alerts/peer_unreachable.z/acknowledge", `{"comment":"Bob drives there"}`}, "unacknowledge-alert": {"/alerts/peer_unreachable.z/acknowledge", ""},
	"get-rollout": {"/rollout", ""}, "start-rollout": {"/rollout", `{"peers":["a","b"]}`}, "upload-rollout": {"/rollout/bundle?peer=a&peer=b&want=1.3.0", "a bundle"}, "resume-rollout": {"/rollout/resume", `{"by":"ann"}`},
	"abort-rollout": {"/rollout/abort", `{}`}, "get-rollouts": {"/rollouts", ""}, "create-backup": {"/backup", `{"passphrase":"a long passphrase"}`}, "restart": {"/restart", `{}`},
	"get-update": {"/update", ""}, "upload-update": {"/update/bundle?older=true", "a bundle"}, "fetch-update": {"/update/fetch", `{"url":"https://x.example/b"}`},
	"rollback-update": {"/update/rollback", `{}`}, "restart-machine": {"/update/restart", `{}`}, "factory-reset": {"/factory-reset", `{"confirm":"a"}`},
	"get-disks": {"/disks", ""}, "install-to-disk": {"/disks/install", `{"disk":"sdb","confirm":"sdb"}`},
	"get-drills": {"/drills", ""}, "get-takeovers": {"/takeovers", ""},
}

func TestEveryOperationIsReachable(t *testing.T) {
	url := serve(t, webtest.New())
	doc := describe(t, url)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	seen := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if entrance[op.OperationID] {
				continue // TestEntrance asks
			}
			r, ok := requests[op.OperationID]
			seen[op.OperationID] = true
			if !ok || op.OperationID == "get-capture" { // has no end; TestCapture asks
				if !ok {
					t.Errorf("no request for %s %s (%s)", method, path, op.OperationID)
				}
				continue
			}
			answer, text := call(t, strings.ToUpper(method), url+"/api/v1"+r.path, "application/json", r.body)
			if answer.StatusCode >= 300 {
				t.Errorf("%s: %s %s", op.OperationID, answer.Status, text)
			}
			said, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
			documented := op.Responses[fmt.Sprint(answer.StatusCode)]
			if _, ok := documented.Content[said]; !ok && text != "" {
				t.Errorf("%s answers %d %s, which the document does not have", op.OperationID, answer.StatusCode, said)
			}
			if strings.Contains(text, "null") && op.OperationID != "get-segments" {
				t.Errorf("%s answers null somewhere: %s", op.OperationID, text)
			}
		}
	}
	for id := range requests {
		if !seen[id] {
			t.Errorf("%s is not in the document", id)
		}
	}
}

func TestErrorsAreProblems(t *testing.T) {
	n := webtest.New()
	url := serve(t, n)
	for _, c := range []struct {
		method, path, body string
		failure            error
		want               int
		says               string
	}{
		{"GET", "/nonsense", "", nil, 404, "openapi.json"},
		{"PUT", "/status", "", nil, 405, "GET"},
		{"GET", "/macs?vni=x", "", nil, 422, "vni"},
		{"GET", "/macs?mac=x", "", nil, 422, "six octets"},
		{"GET", "/macs?watch=true&mac=x", "", nil, 422, "six octets"},
		{"GET", "/capture", "", nil, 422, "port"},
		{"GET", "/capture?port=x&where=moon", "", nil, 422, "after-gate"},
		{"POST", "/tokens", "{", nil, 400, "nothing was done"},
		{"POST", "/tokens", "", nil, 400, "openapi.json"},
		{"POST", "/tokens", `{"by":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, "send less"},
		{"POST", "/tokens", `{"uses":-1}`, nil, 422, "uses"},
		{"POST", "/tokens", `{"uses":"one"}`, nil, 422, "nothing was done"},
		{"POST", "/tokens", `{"colour":"red"}`, nil, 422, "colour"},
		{"POST", "/macs/flush", `{"mac":"x"}`, nil, 422, "six octets"},
		{"POST", "/tokens", "{}", fmt.Errorf("%w: ask a voter: a, b", web.ErrConflict), 409, "ask a voter"},
		{"DELETE", "/peers/nobody", "", fmt.Errorf("peer nobody %w", web.ErrNotFound), 404, "nobody does not exist"},
		{"DELETE", "/tokens/1", "", fmt.Errorf("token 1: %w", web.ErrInvalid), 422, "token 1"},
		{"GET", "/tokens", "", fmt.Errorf("%w: no majority", web.ErrUnavailable), 503, "no majority"},
		{"GET", "/capture?port=x&segment=y", "", nil, 422, "one of them"},
		{"GET", "/capture?port=x", "", fmt.Errorf("port x %w", web.ErrNotFound), 404, "port x"},
		{"DELETE", "/peers/z", "", io.ErrUnexpectedEOF, 500, "unexpected EOF"},
	} {
		n.Change(func(v *webtest.Values) { v.Failure = c.failure })
		answer, text := call(t, c.method, url+"/api/v1"+c.path, "application/json", c.body)
		var p struct {
			Status int
			Title  string
		}
		err := json.Unmarshal([]byte(text), &p)
		if answer.StatusCode != c.want || answer.Header.Get("Content-Type") != "application/problem+json" || err != nil || p.Status != c.want || p.Title == "" || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: %s %s\n%s", c.method, c.path, answer.Status, answer.Header.Get("Content-Type"), text)
		}
	}
}

type panicking struct{ *webtest.Node }

func (panicking) Status() web.Status { panic("boom") }

func TestPanicEndsOneRequest(t *testing.T) {
	url := serve(t, panicking{webtest.New()})
	answer, text := call(t, http.MethodGet, url+"/api/v1/status", "", "")
	if answer.StatusCode != 500 || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %s", answer.Status, text)
	}
	if answer, _ := call(t, http.MethodGet, url+"/api/v1/peers", "", ""); answer.StatusCode != 200 {
		t.Errorf("after the panic: %s", answer.Status)
	}
}

func TestNilListsAreEmpty(t *testing.T) {
	n := webtest.New()
	n.Change(func(v *webtest.Values) {
		*v = webtest.Values{Peers: []web.Peer{{Name: "a"}}, Segments: []web.Segment{{Gateways: []web.Gateway{{}}}}}
	})
	url := serve(t, n)
	for _, name := range []string{"status", "peers", "links", "routes", "macs", "ports", "segments", "voters", "loops", "events", "tokens"} {
		_, text := call(t, http.MethodGet, url+"/api/v1/"+name, "", "")
		if strings.Contains(strings.ReplaceAll(text, `"active":null`, ""), "null") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestHealth(t *testing.T) {
	n := webtest.New()
	url := serve(t, n)
	if a, _ := call(t, "GET", url+"/healthz", "", ""); a.StatusCode != 200 {
		t.Errorf("healthz: %s", a.Status)
	}
	if a, text := call(t, "GET", url+"/readyz", "", ""); a.StatusCode != 200 || text != `{"ready":true,"reasons":[]}`+"\n" {
		t.Errorf("readyz: %s %s", a.Status, text)
	}
	n.Change(func(v *webtest.Values) { v.Ready = web.Readiness{Reasons: []string{"port eth1 is down"}} })
	if a, text := call(t, "GET", url+"/readyz", "", ""); a.StatusCode != 503 || !strings.Contains(text, "eth1 is down") {
		t.Errorf("readyz: %s %s", a.Status, text)
	}
}

func TestMetrics(t *testing.T) {
	url := serve(t, webtest.New())
	_, text := call(t, "GET", url+"/metrics", "", "")
	for _, want := range []string{
		`drawbridge_info{network="home",peer="a",version="1.2.3"} 1`,
		`drawbridge_dropped_frames_total{reason="no_route"} 1204`,
		`drawbridge_peers{state="direct"} 3`,
		`drawbridge_peer_reachable{peer="z"} 0`,
		`drawbridge_link_rtt_seconds{peer="b"} 0.00042`,
		`drawbridge_link_bytes_total{direction="rx",peer="b"} 1.3e+06`,
		`drawbridge_port_gate_open{port="eth1.42",segment="office"} 1`,
		`drawbridge_port_dropped_frames_total{port="eth1.42",reason="split_horizon"} 4`,
		`drawbridge_segment_gateway_active{peer="b",segment="office"} 0`,
		`drawbridge_mac_addresses{at="peer"} 1`,
		`drawbridge_ipam_free_addresses{pool="10.43.0.0/24"} 126`,
		`drawbridge_ipam_blocks{pool="10.43.0.0/24"} 8`,
		`drawbridge_ipam_exhaustion_seconds{pool="10.43.0.0/24"} 4096`,
		`drawbridge_ipam_refusals_total{reason="taken"} 1`,
		`drawbridge_ipam_donated_blocks_total{direction="tx"} 2`,
		"go_goroutines",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[web.Version](), reflect.TypeFor[web.Status](), reflect.TypeFor[web.Peer](), reflect.TypeFor[web.Link](), reflect.TypeFor[web.Routes](), reflect.TypeFor[web.Voters](),
		reflect.TypeFor[web.Route](), reflect.TypeFor[web.Tree](), reflect.TypeFor[web.MAC](), reflect.TypeFor[web.MACFilter](), reflect.TypeFor[web.Flush](),
		reflect.TypeFor[web.Port](), reflect.TypeFor[web.Segment](), reflect.TypeFor[web.Gateway](), reflect.TypeFor[web.Event](), reflect.TypeFor[web.Token](),
		reflect.TypeFor[web.NewToken](), reflect.TypeFor[web.TokenRequest](), reflect.TypeFor[web.CaptureRequest](), reflect.TypeFor[web.Readiness](), reflect.TypeFor[web.DataPath](),
		reflect.TypeFor[web.PeerCount](), reflect.TypeFor[web.Problem](), reflect.TypeFor[web.Traffic](), reflect.TypeFor[web.Network](), reflect.TypeFor[web.Flushed](),
	} {
		for f := range typ.Fields() {
			if !f.Anonymous && f.Tag.Get("doc") == "" {
				t.Errorf("%s.%s has no description", typ.Name(), f.Name)
			}
		}
	}
}

// events reads server-sent events of a running stream, one block at a time.
type events struct {
	lines *bufio.Scanner
}

func stream(t *testing.T, url, last string) *events {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", last)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if ct := answer.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("%s answers %s %s", url, answer.Status, ct)
	}
	return &events{bufio.NewScanner(answer.Body)}
}

// next is the next event that is not a comment, as its lines.
func (e *events) next(t *testing.T) (block []string) {
	t.Helper()
	for e.lines.Scan() {
		switch line := e.lines.Text(); {
		case line == "" && len(block) > 0:
			return block
		case line != "" && line[0] != ':':
			block = append(block, line)
		}
	}
	t.Fatalf("the stream ended: %v", e.lines.Err())
	return nil
}

func TestEventsReplay(t *testing.T) {
	n := webtest.New()
	url := serve(t, n) + "/api/v1/events"
	first := n.Happen(web.Event{Kind: "peer_up", Peer: "b", Level: web.LevelInfo, Text: "b is up"})
	second := n.Happen(web.Event{Kind: "peer_down", Peer: "b", Level: web.LevelWarn, Text: "b is down"})

	all := stream(t, url, "")
	for _, want := range []web.Event{first, second} {
		check(t, all.next(t), want)
	}
	again := stream(t, url, fmt.Sprint(first.ID))
	check(t, again.next(t), second)
	third := n.Happen(web.Event{Kind: "peer_up", Peer: "b", Level: web.LevelInfo, Text: "b is up"})
	check(t, again.next(t), third)
	check(t, all.next(t), third)

	_, text := call(t, "GET", url+"?after="+fmt.Sprint(second.ID), "application/json", "")
	var list []web.Event
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 || list[0] != third {
		t.Errorf("list: %s %v", text, err)
	}
}

func check(t *testing.T, block []string, want web.Event) {
	t.Helper()
	data, _ := json.Marshal(want)
	if s := strings.Join(block, "|"); s != fmt.Sprintf("id: %d|event: %s|data: %s", want.ID, want.Kind, data) {
		t.Errorf("got %s, want %s", s, data)
	}
}

func TestEventsSayWhatWasMissed(t *testing.T) {
	n := webtest.New()
	e := n.Happen(web.Event{Kind: "peer_up"})
	s := stream(t, serve(t, n)+"/api/v1/events", fmt.Sprint(e.ID-6))
	if got := strings.Join(s.next(t), "|"); got != `event: missed|data: {"missed":5}` {
		t.Errorf("got %s", got)
	}
	check(t, s.next(t), e)
}

func TestWatch(t *testing.T) {
	n := webtest.New()
	s := stream(t, serve(t, n)+"/api/v1/macs?peer=a", "")
	before := s.next(t)
	if before[0] != "event: change" || strings.Count(before[1], `"mac"`) != 1 {
		t.Errorf("got %v", before)
	}
	n.Change(func(v *webtest.Values) { v.MACs = nil })
	if after := s.next(t); after[1] != "data: []" {
		t.Errorf("got %v", after)
	}
}

func TestCapture(t *testing.T) {
	n := webtest.New()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", serve(t, n)+"/api/v1/capture?port=tap0&filter=arp", nil)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got := make([]byte, len(n.Values.Capture))
	if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != string(n.Values.Capture) || answer.Header.Get("Content-Type") != web.CaptureType {
		t.Errorf("%s %q %v", answer.Header.Get("Content-Type"), got, err)
	}
	if asked := n.Asked(); len(asked) != 1 || asked[0] != "capture {Port:tap0 Segment: Filter:arp Where:after-gate}" {
		t.Errorf("asked %v", asked)
	}
}

func TestJournalKeepsTheNewest(t *testing.T) {
	n := webtest.New()
	var last web.Event
	for range 5000 {
		last = n.Add(web.Event{Kind: "x"})
	}
	kept := n.After(0)
	if len(kept) != 4096 || kept[len(kept)-1].ID != last.ID || kept[0].ID != last.ID-4095 {
		t.Errorf("kept %d, from %d to %d, last is %d", len(kept), kept[0].ID, kept[len(kept)-1].ID, last.ID)
	}
}
