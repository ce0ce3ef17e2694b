package forwarder

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestEveryReasonIsDocumented compares the names with the table of docs/protocol/forwarding.md.
func TestEveryReasonIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/protocol/forwarding.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## Drops\n(.*?)\n## `).FindSubmatch(doc)
	if section == nil {
		t.Fatal("the document has no section about drops")
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(section[1], -1) {
		documented = append(documented, string(m[1]))
	}
	if got := reasonNames[:]; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(documented))) {
		t.Errorf("documented are %v, counted are %v", documented, got)
	}
	for _, m := range regexp.MustCompile("\\[`([a-z_]+)`").FindAllSubmatch(doc, -1) {
		if !slices.Contains(documented, string(m[1])) {
			t.Errorf("%s is used and not in the table", m[1])
		}
	}
}

func TestDropsAreAddedByName(t *testing.T) {
	var d drops
	for r := range reasons {
		d.add(r, int(r))
	}
	all := map[string]uint64{"echo": 100}
	d.counts(all)
	want := map[string]uint64{"echo": 100}
	for r, name := range reasonNames {
		if r > 0 {
			want[name] += uint64(r)
		}
	}
	if !maps.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
}
