package netconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// position is where something stands in a text. Lines and columns count from 1.
type position struct{ line, column int }

// tree is a document before anybody knows what it means: string, int64, float64, bool, nil, []any, map[string]any.
type tree struct {
	root map[string]any
	at   map[string]position // by path; elements of lists count from 1, as people do
}

// maxDepth bounds how deep a document may be nested: what reads it recurses.
const maxDepth = 32

// readTree reads a text in either form: JSON begins with a brace, TOML never does.
func readTree(text []byte) (*tree, *Problem) {
	if len(text) > MaxSize {
		return nil, &Problem{Line: 1, Column: 1, Text: fmt.Sprintf("the document has %d bytes, at most %d fit", len(text), MaxSize)}
	}
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return readJSON(text)
	}
	return readTOML(text)
}

func readTOML(text []byte) (*tree, *Problem) {
	t := &tree{at: map[string]position{}}
	if err := toml.Unmarshal(text, &t.root); err != nil {
		p := &Problem{Line: 1, Column: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			p.Line, p.Column = bad.Position()
			p.Key = strings.Join(bad.Key(), ".")
		}
		return nil, p
	}
	s := survey{at: t.at, tables: map[string]int{}}
	s.Reset(text)
	s.walk()
	return t, nil
}

// survey walks the syntax tree of a TOML text that is known to be valid.
type survey struct {
	unstable.Parser
	at     map[string]position
	tables map[string]int // how many of each list of tables have begun
}

func (s *survey) walk() {
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
}

// header is the path of a table's header: on the way, the last of each list is meant.
func (s *survey) header(e *unstable.Node) (path string) {
	for it := e.Key(); it.Next(); {
		path = join(path, string(it.Node().Data))
		if it.IsLast() && e.Kind == unstable.ArrayTable {
			s.tables[path]++
		}
		if n := s.tables[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n)
		}
	}
	return path
}

func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// start is where the key of e begins.
func (s *survey) start(e *unstable.Node) position {
	it := e.Key()
	it.Next()
	return s.place(it.Node().Raw)
}

func (s *survey) place(r unstable.Range) position {
	at := s.Shape(r).Start
	return position{at.Line, at.Column}
}

func (s *survey) pair(table string, e *unstable.Node) {
	name := table
	for it := e.Key(); it.Next(); {
		name = join(name, string(it.Node().Data))
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

// jsonReader reads JSON and notes where everything stands. encoding/json alone lets a key stand twice.
type jsonReader struct {
	*json.Decoder
	text []byte
	at   map[string]position
}

func readJSON(text []byte) (*tree, *Problem) {
	r := jsonReader{json.NewDecoder(bytes.NewReader(text)), text, map[string]position{}}
	r.UseNumber()
	v, err := r.value("", 0)
	if err == nil {
		if _, end := r.Token(); end != io.EOF {
			err = &Problem{Text: "something follows the document"}
		}
	}
	var p *Problem
	switch root, isObject := v.(map[string]any); {
	case errors.As(err, &p):
	case err != nil:
		p = &Problem{Text: err.Error()}
	case !isObject:
		p = &Problem{Text: "want an object"}
	default:
		return &tree{root, r.at}, nil
	}
	if p.Line == 0 {
		at := r.here()
		p.Line, p.Column = at.line, at.column
	}
	return nil, p
}

// here is where the next token begins.
func (r *jsonReader) here() position {
	offset := min(int(r.InputOffset()), len(r.text))
	for offset < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[offset]) >= 0 {
		offset++
	}
	before := r.text[:offset]
	return position{bytes.Count(before, []byte{'\n'}) + 1, offset - bytes.LastIndexByte(before, '\n')}
}

func (r *jsonReader) value(path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, &Problem{Key: path, Text: "nested too deep"}
	}
	token, err := r.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return r.object(path, depth)
		}
		return r.list(path, depth)
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		return v.Float64()
	}
	return token, nil
}

func (r *jsonReader) object(path string, depth int) (any, error) {
	o := map[string]any{}
	for r.More() {
		at := r.here()
		token, err := r.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string) // the decoder lets nothing else be a key
		name := join(path, key)
		if _, twice := o[key]; twice {
			return nil, &Problem{Line: at.line, Column: at.column, Key: name, Text: "stands there twice"}
		}
		r.at[name] = at
		if o[key], err = r.value(name, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := r.Token()
	return o, err
}

func (r *jsonReader) list(path string, depth int) (any, error) {
	list := []any{}
	for r.More() {
		name := fmt.Sprintf("%s[%d]", path, len(list)+1)
		r.at[name] = r.here()
		v, err := r.value(name, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.Token()
	return list, err
}
