package netconfig

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

// Change is one setting that differs between two documents. Elements of lists are told by their name or prefix, not by
// their place. "" is a setting that is not there.
type Change struct {
	Path   string
	Before string
	After  string
}

// Diff lists what differs between two documents, in order of path. What users hold is secret and not shown,
// nor is what signs messages.
func Diff(a, b *Document) (all []Change) {
	before, after := flat(a), flat(b)
	paths := maps.Clone(before)
	maps.Copy(paths, after)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if before[path] == after[path] {
			continue
		}
		c := Change{path, before[path], after[path]}
		if path == "users" || strings.HasPrefix(path, "alerts.") && strings.HasSuffix(path, ".secret") {
			c.Before, c.After = hidden(c.Before), hidden(c.After)
		}
		all = append(all, c)
	}
	return all
}

func hidden(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("(%d bytes)", len(s))
}

// flat is a document as settings by path.
func flat(d *Document) map[string]string {
	lean := *d
	users := lean.Users
	lean.Users = nil
	all := map[string]string{}
	raw, err := lean.JSON()
	if err != nil {
		panic("netconfig: " + err.Error()) // nothing in it can fail
	}
	if t, bad := readJSON(raw); bad == nil { // it was written a moment ago
		flatten(all, "", t.root)
	}
	if len(users) > 0 {
		all["users"] = compactJSON(users)
	}
	return all
}

func compactJSON(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	out, _ := json.Marshal(v) // keys in order
	return string(out)
}

func flatten(all map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			flatten(all, keypath.Join(path, key), e)
		}
	case []any:
		if len(v) > 0 {
			if _, tables := v[0].(map[string]any); tables {
				for i, e := range v {
					flatten(all, fmt.Sprintf("%s[%s]", path, identity(e, i)), e)
				}
				return
			}
		}
		all[path] = listText(v)
	default:
		all[path] = shown(v)
	}
}

// identity is what an element of a list is known by.
func identity(e any, i int) string {
	m, _ := e.(map[string]any)
	for _, key := range []string{"name", "cidr", "code"} {
		if v, ok := m[key]; ok {
			return fmt.Sprint(v)
		}
	}
	return strconv.Itoa(i + 1)
}

func listText(list []any) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = shown(e)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// Text is Diff for people: one line a setting, grouped as it is.
func Text(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		switch {
		case c.Before == "":
			fmt.Fprintf(&b, "+ %s = %s\n", c.Path, c.After)
		case c.After == "":
			fmt.Fprintf(&b, "- %s = %s\n", c.Path, c.Before)
		default:
			fmt.Fprintf(&b, "~ %s: %s -> %s\n", c.Path, c.Before, c.After)
		}
	}
	return b.String()
}

// Unified compares two texts line by line, as diff -u does, with three lines around each change. Empty: they are equal.
func Unified(nameA, nameB, a, b string) string {
	script := edits(splitLines(a), splitLines(b))
	const around = 3
	var out strings.Builder
	for i := 0; i < len(script); {
		first := i
		for first < len(script) && script[first].op == ' ' {
			first++
		}
		if first == len(script) {
			break
		}
		begin, end := max(i, first-around), first
		for quiet := 0; end < len(script) && quiet <= 2*around; end++ {
			if script[end].op == ' ' {
				quiet++
			} else {
				quiet = 0
			}
		}
		for end > first && script[end-1].op == ' ' {
			end--
		}
		end = min(len(script), end+around)
		if out.Len() == 0 {
			fmt.Fprintf(&out, "--- %s\n+++ %s\n", nameA, nameB)
		}
		hunk(&out, script, begin, end)
		i = end
	}
	return out.String()
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// edit is one line of a comparison: kept, removed or added.
type edit struct {
	op   byte
	line string
}

func hunk(out *strings.Builder, script []edit, begin, end int) {
	lineA, lineB, countA, countB := 1, 1, 0, 0
	for i, e := range script[:end] {
		inA, inB := e.op != '+', e.op != '-'
		switch {
		case i < begin && inA && inB:
			lineA, lineB = lineA+1, lineB+1
		case i < begin && inA:
			lineA++
		case i < begin:
			lineB++
		case inA && inB:
			countA, countB = countA+1, countB+1
		case inA:
			countA++
		default:
			countB++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", extent(lineA, countA), extent(lineB, countB))
	for _, e := range script[begin:end] {
		fmt.Fprintf(out, "%c%s\n", e.op, e.line)
	}
}

// extent is the first line and how many; an empty one is named by the line before it.
func extent(line, count int) string {
	if count == 0 {
		line--
	}
	return fmt.Sprintf("%d,%d", line, count)
}

// maxTable bounds the work of a comparison; what is larger is shown as replaced.
const maxTable = 4 << 20

// edits finds a shortest script by the longest common subsequence of what is left between equal ends.
func edits(a, b []string) (script []edit) {
	var tail []edit
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		script = append(script, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, edit{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	slices.Reverse(tail)
	script = append(script, between(a, b)...)
	return append(script, tail...)
}

func between(a, b []string) (script []edit) {
	common := make([][]int32, len(a)+1) // common[i][j]: of a[i:] and b[j:]
	if len(a)*len(b) > maxTable {
		common = nil
	}
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0 && common != nil; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case common != nil && i < len(a) && j < len(b) && a[i] == b[j]:
			script = append(script, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common == nil || common[i+1][j] >= common[i][j+1]):
			script = append(script, edit{'-', a[i]})
			i++
		default:
			script = append(script, edit{'+', b[j]})
			j++
		}
	}
	return script
}
