package access

import (
	"net/http"
	"path"
	"strings"
)

// Rule says who may do something: a method on a path and everything below it. The longest path wins.
type Rule struct {
	Method string // GET includes HEAD and OPTIONS; "*": every method
	Prefix string
	Least  Role
}

// Rules are the API's. What they do not mention is for admins. Paths of which a caller sees or changes
// only what is theirs are open to viewers, and their handlers see to the rest.
var Rules = []Rule{
	// The console's files say nothing about the network, and must come before log in.
	{http.MethodGet, "/", Nobody},
	{http.MethodGet, "/healthz", Nobody},
	{http.MethodGet, "/readyz", Nobody},
	{http.MethodGet, "/metrics", Viewer},
	{"*", "/api", Admin},
	{"*", "/debug", Admin},
	{http.MethodGet, "/api/v1/diag", Admin}, // names and addresses of everything, and what every goroutine does

	// The way in.
	{http.MethodGet, "/api/v1/session", Nobody},
	{http.MethodPost, "/api/v1/login", Nobody},
	{http.MethodPost, "/api/v1/logout", Nobody},
	{http.MethodPost, "/api/v1/first-run", Nobody},
	{http.MethodGet, "/api/v1/oidc/start", Nobody},
	{http.MethodGet, oidcCallback, Nobody},

	// One's own.
	{"*", "/api/v1/account", Viewer},
	{"*", "/api/v1/sessions", Viewer},
	{"*", "/api/v1/access-tokens", Viewer},
	{http.MethodGet, "/api/v1/certificate", Viewer},

	// Reading the network.
	{http.MethodGet, "/api/v1/openapi.json", Viewer},
	{http.MethodGet, "/api/v1/openapi.yaml", Viewer},
	{http.MethodGet, "/api/v1/openapi-3.0.json", Viewer},
	{http.MethodGet, "/api/v1/openapi-3.0.yaml", Viewer},
	{http.MethodGet, "/api/v1/version", Viewer},
	{http.MethodGet, "/api/v1/status", Viewer},
	{http.MethodGet, "/api/v1/peers", Viewer},
	{http.MethodGet, "/api/v1/links", Viewer},
	{http.MethodGet, "/api/v1/routes", Viewer},
	{http.MethodGet, "/api/v1/macs", Viewer},
	{http.MethodGet, "/api/v1/ports", Viewer},
	{http.MethodGet, "/api/v1/segments", Viewer},
	{http.MethodGet, "/api/v1/voters", Viewer},
	{http.MethodGet, "/api/v1/loops", Viewer},
	{http.MethodGet, "/api/v1/events", Viewer},
	{http.MethodGet, "/api/v1/alerts", Viewer},
	{http.MethodPost, "/api/v1/alerts", Operator}, // acknowledging, and testing a sink
	{http.MethodDelete, "/api/v1/alerts", Operator},
	{http.MethodGet, "/api/v1/operations", Viewer},
	{http.MethodGet, "/api/v1/drills", Viewer},
	{http.MethodGet, "/api/v1/rollout", Viewer},
	{http.MethodGet, "/api/v1/update", Viewer},
	{http.MethodGet, "/api/v1/disks", Admin}, // what is on the disks of the machine
	{http.MethodPost, "/api/v1/disks", Admin},
	{http.MethodPost, "/api/v1/factory-reset", Admin},
	{http.MethodGet, "/api/v1/rollouts", Viewer},
	{http.MethodGet, "/api/v1/takeovers", Viewer},
	{http.MethodGet, "/api/v1/ipam", Viewer},
	{http.MethodPost, "/api/v1/ipam", Operator},
	{http.MethodPost, "/api/v1/ipam/forget", Admin},
	{http.MethodGet, "/api/v1/config", Operator}, // may name networks and people
	{http.MethodGet, "/api/v1/config/export", Admin},
	{http.MethodPost, "/api/v1/config/check", Operator},
	{http.MethodGet, "/api/v1/tokens", Operator},

	// Running the network.
	{http.MethodPost, "/api/v1/macs", Operator},
	{http.MethodPost, "/api/v1/ports", Operator}, // clearing one that ALONE blocked
	{http.MethodPost, "/api/v1/flush", Operator},
	{http.MethodPost, "/api/v1/peers", Operator}, // maintenance; removing one is DELETE
	{"*", "/api/v1/capture", Operator},           // shows everybody's traffic
	{"*", "/api/v1/captures", Operator},
	{http.MethodPost, "/api/v1/segments", Operator},
	{http.MethodPut, "/api/v1/segments", Operator},
	{http.MethodPatch, "/api/v1/segments", Operator},
}

// plainMethod is a method as rules have it.
func plainMethod(method string) string {
	if method == http.MethodHead || method == http.MethodOptions {
		return http.MethodGet
	}
	return method
}

// least is who may: of all rules for the path, the longest one for the method.
func least(rules []Rule, method, p string) Role {
	role, length := Admin, -1
	for _, r := range rules {
		fits := (r.Method == "*" || r.Method == plainMethod(method)) && below(r.Prefix, p)
		if fits && len(r.Prefix) > length {
			role, length = r.Least, len(r.Prefix)
		}
	}
	return role
}

// LeastRole is what the API's rules ask for.
func LeastRole(method, p string) Role { return least(Rules, method, p) }

// plainPath refuses paths of which the guard and the router behind it could think differently.
func plainPath(p string) bool {
	return strings.HasPrefix(p, "/") && (path.Clean(p) == p || path.Clean(p)+"/" == p) && !strings.ContainsAny(p, "\\\x00")
}

// changes reports whether a method does more than read.
func changes(method string) bool { return plainMethod(method) != http.MethodGet }
