package web_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web/webtest"
)

const (
	rulesFile     = "../systemd/monitoring/drawbridge.rules.yml"
	dashboardFile = "../systemd/monitoring/grafana-dashboard.json"
)

// exported are the labels of every metric that a peer has, by name: the documents' own words, and those that a scrape adds.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	_, text := call(t, http.MethodGet, serve(t, webtest.New())+"/metrics", "", "")
	all := map[string][]string{"up": {"job", "instance"}}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(text, -1) {
		all[line[1]] = []string{"job", "instance"}
	}
	for _, line := range regexp.MustCompile(`(?m)^([a-z_]+)\{([^}]*)\} `).FindAllStringSubmatch(text, -1) {
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(line[2], -1) {
			all[line[1]] = append(all[line[1]], label[1])
		}
	}
	return all
}

var (
	ofMetric   = regexp.MustCompile(`\b(up|(?:drawbridge|process|go)_[a-z_]+)\b(?:\{([^}]*)\})?`)
	ofMatcher  = regexp.MustCompile(`([a-z_]+)(?:=~|!=|!~|=)"`)
	ofGrouping = regexp.MustCompile(`\bby \(([a-z_, ]+)\)`)
)

// checkQuery looks that a query names metrics and labels that there are.
func checkQuery(t *testing.T, all map[string][]string, query string) {
	t.Helper()
	var labels []string
	found := ofMetric.FindAllStringSubmatch(query, -1)
	if len(found) == 0 {
		t.Errorf("no metric in %s", query)
	}
	for _, m := range found {
		known, ok := all[m[1]]
		if !ok {
			t.Errorf("no peer exports %s, in %s", m[1], query)
		}
		labels = append(labels, known...)
		for _, l := range ofMatcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(known, l[1]) {
				t.Errorf("%s has no label %s, in %s", m[1], l[1], query)
			}
		}
	}
	for _, by := range ofGrouping.FindAllStringSubmatch(query, -1) {
		for _, l := range strings.Split(by[1], ", ") {
			if !slices.Contains(labels, l) {
				t.Errorf("nothing has the label %s, in %s", l, query)
			}
		}
	}
}

func TestRulesNameWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/how-to/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	all := exported(t)
	queries := regexp.MustCompile(`(?m)^        expr: '(.*)'$`).FindAllStringSubmatch(string(text), -1)
	names := regexp.MustCompile(`(?m)^      - alert: (\S+)$`).FindAllStringSubmatch(string(text), -1)
	if len(queries) == 0 || len(queries) != len(names) {
		t.Fatalf("%d queries of %d rules", len(queries), len(names))
	}
	for _, q := range queries {
		checkQuery(t, all, q[1])
	}
	for _, n := range names {
		if !strings.Contains(string(page), "\n### "+n[1]+"\n") || !strings.Contains(string(text), "/docs/how-to/alerts.md#"+strings.ToLower(n[1])+"\n") {
			t.Errorf("docs/how-to/alerts.md does not say what to do about %s", n[1])
		}
	}
	checkConditions(t, string(text))
	if promtool, err := exec.LookPath("promtool"); err == nil {
		if out, err := exec.Command(promtool, "check", "rules", rulesFile).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

// checkConditions looks that the conditions which rules wait for are those that the appliance makes.
func checkConditions(t *testing.T, rules string) {
	t.Helper()
	source, err := os.ReadFile("../appliance/conditions.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`condition=~?"([a-z_|]+)"`).FindAllStringSubmatch(rules, -1) {
		for _, name := range strings.Split(m[1], "|") {
			if !strings.Contains(string(source), `, "`+name+`", `) && !strings.Contains(string(source), `(severity, "`+name+`", `) {
				t.Errorf("no condition is called %s", name)
			}
		}
	}
}

func TestTheDashboardNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
		Templating  struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all, ids := exported(t), map[int]bool{}
	for _, p := range board.Panels {
		if len(p.Targets) == 0 || ids[p.ID] {
			t.Errorf("panel %d %s: %d queries, or its number twice", p.ID, p.Title, len(p.Targets))
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			checkQuery(t, all, q.Expr)
		}
	}
	for _, a := range board.Annotations.List {
		checkQuery(t, all, a.Expr)
	}
	for _, v := range board.Templating.List {
		if v.Definition != "" {
			checkQuery(t, all, v.Definition)
		}
	}
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
}
