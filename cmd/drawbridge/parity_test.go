package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// without says why something that the console does needs no command.
const without = "– "

// commandFor is what does the same as a request of the console. It names every request that the console makes, and no other.
var commandFor = map[string]string{
	"GET /access-tokens": "users token list", "POST /access-tokens": "users token create", "DELETE /access-tokens/{id}": "users token revoke",
	"GET /account": "users list", "PUT /account/password": "users passwd", "POST /account/totp": "users totp", "PUT /account/totp": "users totp", "POST /account/totp/end": "users totp",
	"GET /alerts": "alerts", "GET /alerts/sinks": "alerts sinks", "POST /alerts/sinks/{name}/test": "alerts test",
	"POST /alerts/{id}/acknowledge": "alerts ack", "DELETE /alerts/{id}/acknowledge": "alerts unack",
	"GET /audit": "audit", "POST /backup": "backup create", "GET /capture": "capture",
	"GET /certificate": "certificate", "PUT /certificate": "certificate set", "PUT /certificate/acme": "certificate acme", "POST /certificate/renew": "certificate renew",
	"GET /config": "config show", "PUT /config": "config apply", "POST /config/check": "config check", "GET /config/diff": "config diff", "GET /config/export": "config export",
	"POST /config/rollback": "config rollback", "GET /config/versions": "config log", "GET /config/versions/{n}/applied": "config wait", "POST /config/versions/{n}/confirm": "config confirm",
	"GET /diag": "diag", "GET /disks": "install", "POST /disks/install": "install", "GET /drills": "drill list", "GET /events": "events", "POST /factory-reset": "factory-reset",
	"POST /first-run": "users add", "GET /ipam/addresses": "ipam list", "GET /ipam/addresses/{address}": "ipam why", "POST /ipam/allocate": "ipam allocate", "POST /ipam/import": "ipam import",
	"POST /ipam/release": "ipam release", "GET /ipam/subnets": "ipam show", "GET /links": "peers links",
	"POST /login": without + "the socket knows who asks", "POST /logout": without + "the socket knows who asks", "GET /session": without + "the socket knows who asks",
	"GET /loops": "loops", "GET /macs": "macs", "POST /macs/flush": "macs flush", "GET /macs/{mac}/story": "macs story",
	"GET /oidc": "users issuer show", "GET /oidc/start": without + "for browsers", "PUT /oidc": "users issuer set", "DELETE /oidc": "users issuer remove", "GET /operations": "operations",
	"GET /peers": "peers", "DELETE /peers/{name}": "peers forget", "POST /peers/{name}/maintenance": "maintenance on", "GET /ports": "ports", "POST /ports/{name}/clear": "ports clear",
	"POST /restart": "restart", "GET /rollouts": "rollout status", "POST /rollout": "rollout start", "POST /rollout/bundle": "rollout start", "POST /rollout/abort": "rollout abort", "POST /rollout/resume": "rollout resume",
	"GET /routes": "routes", "GET /segments": "segments", "POST /segments/{segment}/drill": "drill", "POST /segments/{segment}/switchover": "switchover",
	"GET /sessions": "users sessions", "DELETE /sessions/{id}": "users sessions end", "POST /sessions/end-others": "users sessions end", "GET /status": "status", "GET /takeovers": "status",
	"GET /tokens": "token list", "POST /tokens": "token create", "DELETE /tokens/{id}": "token revoke",
	"GET /update": "update status", "POST /update/bundle": "update", "POST /update/fetch": "update", "POST /update/restart": "restart", "POST /update/rollback": "update rollback",
	"GET /users": "users list", "POST /users": "users add", "PATCH /users/{name}": "users role", "DELETE /users/{name}": "users remove", "PUT /users/{name}/password": "users passwd",
	"POST /users/{name}/totp": "users totp", "PUT /users/{name}/totp": "users totp", "DELETE /users/{name}/totp": "users totp", "GET /version": "version", "GET /voters": "voters",
}

// How the console's sources name a request: a change by method and path, what is read by its path alone.
var (
	changes = regexp.MustCompile(`"((?:POST|PUT|PATCH|DELETE) /[^"]*)"`)
	readers = regexp.MustCompile(`\b(?:read|readText|readNamed|useFeed|download|address|stream)\("(/[^"]*)"`)
	heading = regexp.MustCompile("(?m)^### `([A-Z]+) /api/v1(/[^`]*)`\n\n([^\n]*)\\.$")
)

// requests are those that the console makes.
func requests(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("../../web/console/src", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "api.gen.ts" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range changes.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
		for _, m := range readers.FindAllStringSubmatch(string(text), -1) {
			found["GET "+m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

const parityIntro = `# What the console does, by the API and the command line

Made from the console's sources (` + "`go test ./cmd/drawbridge -update`" + `): every request that they make is one of the documented [API](api.md), and there is a
[command](cli.md) that does the same. ` + "`drawbridge`" + ` stands before each.

| | API | command |
|---|---|---|
`

// TestTheConsoleHasNoSecrets: whatever somebody can do in the console, a script can do, too.
func TestTheConsoleHasNoSecrets(t *testing.T) {
	api, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	summaries := map[string]string{}
	for _, m := range heading.FindAllStringSubmatch(string(api), -1) {
		summaries[m[1]+" "+m[2]] = m[3]
	}
	root := newTool(nil, nil, nil).root()
	var b strings.Builder
	b.WriteString(parityIntro)
	made := requests(t)
	for _, r := range made {
		line, ok := commandFor[r]
		if !ok || summaries[r] == "" {
			t.Errorf("the console asks for %s: in the API it is %q, by a command %q", r, summaries[r], line)
		}
		if why, none := strings.CutPrefix(line, without); none {
			line = why
		} else if c, _, err := root.Find(strings.Fields(line)); err != nil || c.CommandPath() != "drawbridge "+line {
			t.Errorf("%s: there is no command %q", r, line)
		} else {
			line = "`" + line + "`"
		}
		method, path, _ := strings.Cut(r, " ")
		fmt.Fprintf(&b, "| %s | `%s /api/v1%s` | %s |\n", summaries[r], method, path, line)
	}
	for r := range commandFor {
		if !slices.Contains(made, r) {
			t.Errorf("the console does not ask for %s", r)
		}
	}
	const path = "../../docs/reference/console.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("%s is out of date; go test ./cmd/drawbridge -update writes it (%v)", path, err)
	}
}
