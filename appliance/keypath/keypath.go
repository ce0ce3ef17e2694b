// Package keypath has the dotted paths of keys in configuration texts, such as segment[1].vlan: where they stand, and which
// one somebody meant who misspelt one. Tables of a list and elements of a value count from 1, as people do.
package keypath

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Position is where something stands in a text. Lines and columns count from 1.
type Position struct{ Line, Column int }

// Join is the path of a key in a table; the table "" is the text itself.
func Join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// Parent is the path of what a key or an element is in.
func Parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

var number = regexp.MustCompile(`\[[0-9]+\]`)

// Plain leaves the numbers out: segment[].vlan.
func Plain(path string) string { return number.ReplaceAllString(path, "[]") }

// Meant says which of the known keys, as Plain has them, somebody may have meant by a key of a table that is none of them, or which
// there are.
func Meant(known []string, table, key string) string {
	table = Plain(table)
	names := map[string]bool{}
	for _, rest := range known {
		if table != "" {
			var in bool
			if rest, in = strings.CutPrefix(rest, table+"."); !in {
				continue
			}
		}
		first, _, _ := strings.Cut(rest, ".")
		names[strings.TrimSuffix(first, "[]")] = true
	}
	all := slices.Sorted(maps.Keys(names))
	for _, n := range all {
		if alike(n, key) {
			return fmt.Sprintf("do you mean %s?", n)
		}
	}
	return "known here: " + strings.Join(all, ", ")
}

// alike reports whether two keys differ by case, dashes or one letter.
func alike(a, b string) bool {
	fold := strings.NewReplacer("-", "", "_", "")
	a, b = fold.Replace(strings.ToLower(a)), fold.Replace(strings.ToLower(b))
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return max(len(a), len(b))-head-tail <= 1
}

// InTOML says where keys, tables and elements stand in a text that is known to be valid TOML.
func InTOML(text []byte) map[string]Position {
	s := survey{at: map[string]Position{}, tables: map[string]int{}}
	s.Reset(text)
	table := ""
	for s.NextExpression() {
		e := s.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = s.header(e)
			s.at[table] = s.start(e)
		case unstable.KeyValue:
			s.pair(table, e)
		}
	}
	return s.at
}

// survey walks a syntax tree.
type survey struct {
	unstable.Parser
	at     map[string]Position
	tables map[string]int // how many of each list of tables have begun
}

// header is the path of a table's header: on the way, the last of each list is meant.
func (s *survey) header(e *unstable.Node) (path string) {
	for it := e.Key(); it.Next(); {
		path = Join(path, string(it.Node().Data))
		if it.IsLast() && e.Kind == unstable.ArrayTable {
			s.tables[path]++
		}
		if n := s.tables[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n)
		}
	}
	return path
}

// start is where the key of e begins.
func (s *survey) start(e *unstable.Node) Position {
	it := e.Key()
	it.Next()
	return s.place(it.Node().Raw)
}

func (s *survey) place(r unstable.Range) Position {
	at := s.Shape(r).Start
	return Position{at.Line, at.Column}
}

func (s *survey) pair(table string, e *unstable.Node) {
	name := table
	for it := e.Key(); it.Next(); {
		name = Join(name, string(it.Node().Data))
	}
	s.at[name] = s.start(e)
	s.value(name, e.Value())
}

// value notes what is inside of a value: the pairs of an inline table, the elements of a list.
func (s *survey) value(name string, v *unstable.Node) {
	for it, i := v.Children(), 1; it.Next(); {
		switch n := it.Node(); {
		case n.Kind == unstable.Comment:
		case v.Kind == unstable.InlineTable:
			s.pair(name, n)
		default:
			element := fmt.Sprintf("%s[%d]", name, i)
			s.at[element] = s.at[name]
			if n.Raw.Length > 0 {
				s.at[element] = s.place(n.Raw)
			}
			s.value(element, n)
			i++
		}
	}
}
