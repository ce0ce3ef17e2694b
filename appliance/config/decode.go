package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Problem is one thing that is wrong with a node file, and where. Lines and columns count from 1.
type Problem struct {
	File         string
	Line, Column int
	Key          string // in dotted form, such as segment[1].vlan; empty for a syntax error
	Text         string // what is wrong and what is allowed
}

func (p *Problem) Error() string {
	where := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Key == "" {
		return where + p.Text
	}
	return where + p.Key + ": " + p.Text
}

// places says where keys and values stand in a node file, by dotted path. Tables and elements of an array
// count from 1, as people do.
type places map[string]unstable.Position

// decode fills c from text and reports where everything stands. Syntax and types are checked by then.
func decode(path string, text []byte, c *Config) (places, error) {
	if err := toml.NewDecoder(bytes.NewReader(text)).Decode(c); err != nil {
		return nil, refusal(path, err)
	}
	s := survey{text: text, at: places{}, tables: map[string]int{}}
	s.Reset(text)
	s.walk()
	return s.at, nil
}

// refusal makes a Problem of what go-toml says about syntax and types.
func refusal(path string, err error) error {
	var bad *toml.DecodeError
	if !errors.As(err, &bad) {
		return fmt.Errorf("%s: %w", path, err)
	}
	line, column := bad.Position()
	key := strings.Join(bad.Key(), ".")
	if k, ok := lookUp(key); ok {
		return &Problem{path, line, column, key, "wants " + k.Allowed}
	}
	return &Problem{path, line, column, key, strings.TrimPrefix(bad.Error(), "toml: ")}
}

// survey walks the syntax tree of a file that is known to be valid.
type survey struct {
	unstable.Parser
	text   []byte
	at     places
	tables map[string]int // how many of each array of tables have begun
}

func (s *survey) walk() {
	table := ""
	for s.NextExpression() {
		e := s.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = s.name("", e)
			if e.Kind == unstable.ArrayTable {
				s.tables[table]++
				table = fmt.Sprintf("%s[%d]", table, s.tables[table])
			}
			s.at[table] = s.start(e)
		case unstable.KeyValue:
			s.pair(table, e)
		}
	}
}

// name is the dotted path of the key of e within table.
func (s *survey) name(table string, e *unstable.Node) string {
	for it := e.Key(); it.Next(); {
		table = join(table, string(it.Node().Data))
	}
	return table
}

func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// start is where the key of e begins.
func (s *survey) start(e *unstable.Node) unstable.Position {
	it := e.Key()
	it.Next()
	return s.Shape(it.Node().Raw).Start
}

func (s *survey) pair(table string, e *unstable.Node) {
	name := s.name(table, e)
	s.at[name] = s.start(e)
	s.value(name, e.Value())
}

// value notes what is inside of a value: the pairs of an inline table, the elements of an array.
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
				s.at[element] = s.Shape(n.Raw).Start
			}
			s.value(element, n)
			i++
		}
	}
}

// unknown reports every key that the node file does not have, spelt exactly: go-toml alone would let
// State_Dir pass for state_dir.
func (p places) unknown() (problems []Problem) {
	for name := range p {
		if known(name) {
			continue
		}
		if parent := name[:max(strings.LastIndexAny(name, ".["), 0)]; parent != "" && !known(parent) {
			continue // the table is reported already
		}
		problems = append(problems, Problem{Key: name, Text: "unknown key; " + allowedAround(name)})
	}
	return problems
}

// has reports whether the file sets a key.
func (p places) has(name string) bool { _, ok := p[name]; return ok }

// locate gives problems their positions and joins them in the order of the file. A key that is missing is
// reported where its table begins.
func (p places) locate(path string, problems []Problem) error {
	for i := range problems {
		q := &problems[i]
		q.File, q.Line, q.Column = path, 1, 1
		for name := q.Key; name != ""; name = name[:max(strings.LastIndexAny(name, ".["), 0)] {
			if at, ok := p[name]; ok {
				q.Line, q.Column = at.Line, at.Column
				break
			}
		}
	}
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Key, b.Key))
	})
	var all []error
	for i := range problems {
		all = append(all, &problems[i])
	}
	return errors.Join(all...)
}

// allowedAround lists the keys that stand where name stands, nearest first when one is close.
func allowedAround(name string) string {
	table, key := "", name
	if i := strings.LastIndex(name, "."); i >= 0 {
		table, key = name[:i], name[i+1:]
	}
	names := map[string]bool{}
	for _, k := range Keys {
		if rest, ok := strings.CutPrefix(k.Name, plain(join(table, ""))); ok || table == "" {
			if table == "" {
				rest = k.Name
			}
			first, _, _ := strings.Cut(rest, ".")
			names[strings.TrimSuffix(first, "[]")] = true
		}
	}
	list := slices.Sorted(maps.Keys(names))
	for _, n := range list {
		if alike(n, key) {
			return fmt.Sprintf("do you mean %s?", n)
		}
	}
	return "known here: " + strings.Join(list, ", ")
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
