package web_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web/webtest"
)

var update = flag.Bool("update", false, "write the reference of the API")

// The parts of the OpenAPI document that the reference is made of.
type (
	schema struct {
		Ref         string             `json:"$ref"`
		Type        any                `json:"type"`
		Format      string             `json:"format"`
		Description string             `json:"description"`
		Enum        []any              `json:"enum"`
		Items       *schema            `json:"items"`
		Properties  map[string]*schema `json:"properties"`
		Required    []string           `json:"required"`
		Additional  any                `json:"additionalProperties"`
	}
	media     struct{ Schema *schema }
	parameter struct {
		Name, In, Description string
		Required              bool
		Schema                *schema
	}
	operation struct {
		OperationID string
		Summary     string
		Parameters  []parameter
		RequestBody struct{ Content map[string]media }
		Responses   map[string]struct{ Content map[string]media }
	}
	document struct {
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]*schema }
	}
)

const apiIntro = `# API

HTTP on the unix socket ` + "`/run/drawbridge/drawbridge.sock`" + `, for root and members of the group ` + "`drawbridge`" + `:

    curl --unix-socket /run/drawbridge/drawbridge.sock http://drawbridge/api/v1/status

With ` + "`console`" + ` in the node file the same is there over HTTPS, for users who log in (` + "`POST /api/v1/login`" + `, a session
cookie) and programs with an API token (` + "`Authorization: Bearer dbt-api-…`" + `, made by ` + "`drawbridge users token create`" + `).
[Who may do what](roles.md).

The OpenAPI 3.1 document is at ` + "`/api/v1/openapi.json`" + `; this page is made from it (` + "`go test ./web -update`" + `), and a
test fails when it is out of date. Fields are added, never changed; clients ignore what they do not know. Lists
are never null. Times are RFC 3339 in UTC, lengths of time say their unit in the name.

**Errors** are problem details (RFC 9457, ` + "`application/problem+json`" + `); ` + "`detail`" + ` says what is wrong and what to do.

**Changes**: a GET that lists ` + "`text/event-stream`" + ` answers with server-sent events when ` + "`Accept`" + ` asks for them, or
` + "`watch=true`" + `: event ` + "`change`" + ` with the whole answer, now and whenever it has changed. ` + "`/api/v1/events`" + ` streams what
happened, and goes on after the id in ` + "`Last-Event-ID`" + `; event ` + "`missed`" + ` comes first when some are no longer kept.

**Pages**: lists that grow (peers, ports, tokens, alerts, operations, drills, events, macs, addresses) answer with everything unless
` + "`limit`" + ` is given. Then the header ` + "`Link: <…>; rel=\"next\"`" + ` (RFC 8288) has the address of the next page, filter included; without it the page is
the last one. The place in ` + "`after`" + ` is one in the order of the list: rows that come and go meanwhile neither hide nor repeat others.

**Asking again**: every change takes a header ` + "`Idempotency-Key`" + `, 1 to 128 visible characters that the client chooses anew for every change.
Who did not hear the answer asks again with the same key: the change is made once, and its answer is the first one's, status and body, with
` + "`Idempotent-Replayed: true`" + `; what takes its time is the same operation. While the first is being carried out, the answer is 409; a key that was
used for another request, by the same caller, is 422. Refusals are not kept, as they changed nothing: the same key may be tried again. A peer keeps
keys in memory, per caller, for an hour (1,000 in all, 100 of one caller); changes of the network configuration keep theirs with the
configuration, whichever peer is asked. Log in, log out and backups take none.

**Monitoring**: ` + "`/healthz`" + ` is 200 while the daemon answers. ` + "`/readyz`" + ` is 200 when the peer does everything that its
node file asks for, and 503 with the reasons otherwise. ` + "`/metrics`" + ` is for Prometheus; the names are below, beside the usual go_ and process_ ones.
`

func apiReference(doc document, metrics string) string {
	var b bytes.Buffer
	b.WriteString(apiIntro + "\n## Operations\n")
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			describeOperation(&b, strings.ToUpper(method)+" "+path, doc.Paths[path][method])
		}
	}
	b.WriteString("\n## Types\n")
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		describeType(&b, name, doc.Components.Schemas[name])
	}
	b.WriteString("\n## Metrics\n\n| name | |\n|---|---|\n")
	for _, line := range regexp.MustCompile(`(?m)^# HELP (drawbridge_\S+) (.*)$`).FindAllStringSubmatch(metrics, -1) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", line[1], line[2])
	}
	return b.String()
}

func describeOperation(b *bytes.Buffer, title string, op operation) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s.\n", title, op.Summary)
	for _, body := range op.RequestBody.Content {
		fmt.Fprintf(b, "\nTakes %s.\n", body.Schema.words())
	}
	var answers []string
	for _, code := range slices.Sorted(maps.Keys(op.Responses)) {
		kinds := slices.Sorted(maps.Keys(op.Responses[code].Content))
		for _, kind := range kinds {
			if code < "300" {
				answers = append(answers, fmt.Sprintf("%s %s (`%s`)", code, op.Responses[code].Content[kind].Schema.words(), kind))
			}
		}
		switch {
		case code == "default":
			answers = append(answers, "problems otherwise")
		case code >= "300":
			answers = append(answers, code)
		case len(kinds) == 0:
			answers = append(answers, code+" without a body")
		}
	}
	fmt.Fprintf(b, "\nAnswers %s.\n", strings.Join(answers, "; "))
	if len(op.Parameters) > 0 {
		b.WriteString("\n| parameter | in | type | |\n|---|---|---|---|\n")
	}
	for _, p := range op.Parameters {
		name := "`" + p.Name + "`"
		if p.Required {
			name += ", required"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, p.In, p.Schema.words(), p.Description)
	}
}

func describeType(b *bytes.Buffer, name string, s *schema) {
	fmt.Fprintf(b, "\n### %s\n\n| field | type | |\n|---|---|---|\n", name)
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		f := s.Properties[field]
		note := ""
		if !slices.Contains(s.Required, field) {
			note = ", may be missing"
		}
		fmt.Fprintf(b, "| `%s` | %s%s | %s |\n", field, f.words(), note, f.Description)
	}
}

// words names a type.
func (s *schema) words() string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case s.Items != nil:
		return "list of " + s.Items.words()
	case len(s.Enum) > 0:
		var words []string
		for _, w := range s.Enum {
			words = append(words, fmt.Sprintf("`%v`", w))
		}
		return strings.Join(words, ", ")
	case s.Format == "date-time":
		return "time"
	}
	if types, ok := s.Type.([]any); ok {
		return fmt.Sprintf("%v or %v", types[0], types[1])
	}
	if s.Additional != nil && s.Additional != false {
		return "object of numbers"
	}
	if s.Type == nil {
		return "anything"
	}
	return fmt.Sprint(s.Type)
}

func TestReference(t *testing.T) {
	const path = "../docs/reference/api.md"
	url := serve(t, webtest.New())
	_, text := call(t, http.MethodGet, url+"/api/v1/openapi.json", "", "")
	_, metrics := call(t, http.MethodGet, url+"/metrics", "", "")
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	want := apiReference(doc, metrics)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is out of date; go test ./web -update writes it (%v)", path, err)
	}
}
