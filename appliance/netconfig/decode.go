package netconfig

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

// Problem is one thing that is wrong with a document, and where. Lines and columns count from 1; 0: it has none,
// because it did not come as a text.
type Problem struct {
	File         string
	Line, Column int
	Key          string // in dotted form, such as segment[1].overlay; empty for a syntax error
	Text         string // what is wrong and what is allowed
}

// Error writes file:line:column: key: text, as far as there is any of it.
func (p *Problem) Error() string {
	text := p.Text
	if p.Key != "" {
		text = p.Key + ": " + text
	}
	if p.Line > 0 {
		text = fmt.Sprintf("%d:%d: %s", p.Line, p.Column, text)
		if p.File != "" {
			text = p.File + ":" + text
		}
	}
	return text
}

// Problems are all that is wrong with a document, in its order.
type Problems []Problem

// Error writes one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Parse reads what an operator wrote, in TOML or JSON, strictly, and checks it. The error is a Problems. file only
// names the text in them; it may be empty.
func Parse(file string, text []byte) (*Document, error) {
	d, r := read(file, text)
	r.report(r.unknown...)
	r.report(d.check()...)
	return d, r.err()
}

// Read reads a document that is in force, as another version of the software may have written it: keys that this one
// does not know are passed over when the document says that software of this form reads it right, and refused
// otherwise.
func Read(stored []byte) (*Document, error) {
	d, r := read("", stored)
	if d.Format > Format {
		r.report(Problem{Key: "format", Text: fmt.Sprintf("the document needs software that knows form %d, this one knows %d: update this peer", d.Format, Format)})
		r.report(r.unknown...)
	}
	if len(r.problems) == 0 {
		r.report(d.check()...)
	}
	return d, r.err()
}

// reader fills a Document from a tree.
type reader struct {
	file     string
	at       map[string]keypath.Position
	given    map[string]bool // paths that the text sets
	problems Problems
	unknown  Problems
}

// read does all but judge: unknown keys are listed apart, defaults are filled in.
func read(file string, text []byte) (*Document, *reader) {
	d, r := Default(), &reader{file: file, given: map[string]bool{}}
	d.Timers = Timers{}
	t, bad := readTree(text)
	if bad != nil {
		bad.File = file
		r.problems = Problems{*bad}
		return Default(), r
	}
	r.at = t.at
	r.table("", t.root, reflect.ValueOf(d).Elem())
	d.complete(r.given)
	return d, r
}

// report adds problems, each with its place.
func (r *reader) report(problems ...Problem) {
	for _, p := range problems {
		p.File = r.file
		for name := p.Key; name != "" && p.Line == 0; name = keypath.Parent(name) {
			if at, ok := r.at[name]; ok {
				p.Line, p.Column = at.Line, at.Column
			}
		}
		r.problems = append(r.problems, p)
	}
}

func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Key, b.Key))
	})
	return r.problems
}

// table fills a struct.
func (r *reader) table(path string, from map[string]any, into reflect.Value) {
	fields := map[string]reflect.Value{}
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = into.Field(i)
	}
	for key, v := range from {
		name := keypath.Join(path, key)
		f, known := fields[key]
		if !known {
			r.unknown = append(r.unknown, Problem{Key: name, Text: "unknown key; " + meant(path, key)})
			continue
		}
		r.given[name] = true
		r.set(name, v, f)
	}
}

// set fills one field, or notes that the value is of another kind.
func (r *reader) set(path string, v any, into reflect.Value) {
	if !r.fits(path, v, into) {
		r.report(Problem{Key: path, Text: shown(v) + " is not allowed: wants " + lookUp(path).wants()})
	}
}

// wants completes "wants": a key that only holds others is a table.
func (k Key) wants() string {
	if k.Text == "" {
		return "a table, or a list of them"
	}
	return k.Allowed
}

func (r *reader) fits(path string, v any, into reflect.Value) bool {
	if opaque, ok := into.Addr().Interface().(*json.RawMessage); ok {
		_, isObject := v.(map[string]any)
		raw, err := json.Marshal(v)
		*opaque = raw
		return isObject && err == nil
	}
	if text, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s, isText := v.(string)
		return isText && text.UnmarshalText([]byte(s)) == nil
	}
	switch into.Kind() {
	case reflect.Struct:
		m, ok := v.(map[string]any)
		if ok {
			r.table(path, m, into)
		}
		return ok
	case reflect.Slice:
		return r.list(path, v, into)
	}
	return scalar(v, into)
}

func (r *reader) list(path string, v any, into reflect.Value) bool {
	list, ok := v.([]any)
	into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
	for i, e := range list {
		r.set(fmt.Sprintf("%s[%d]", path, i+1), e, into.Index(i))
	}
	return ok
}

func scalar(v any, into reflect.Value) bool {
	switch v := v.(type) {
	case string:
		if into.Kind() == reflect.String {
			into.SetString(v)
			return true
		}
	case bool:
		if into.Kind() == reflect.Bool {
			into.SetBool(v)
			return true
		}
	case int64:
		if into.CanInt() && !into.OverflowInt(v) {
			into.SetInt(v)
			return true
		}
		if into.CanUint() && v >= 0 && !into.OverflowUint(uint64(v)) {
			into.SetUint(uint64(v))
			return true
		}
	}
	return false
}

// shown is a value as an error names it.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return fmt.Sprint(v)
	}
}

// complete fills in the defaults of what was not given.
func (d *Document) complete(given map[string]bool) {
	if !given["format"] {
		d.Format = Format
	}
	if d.Timers.Profile == "" && !given["timers.profile"] {
		d.Timers.Profile = ProfileDefault
	}
	if p, ok := profiles[d.Timers.Profile]; ok {
		if !given["timers.renew"] {
			d.Timers.Renew = p.Renew
		}
		if !given["timers.term"] {
			d.Timers.Term = p.Term
		}
	}
	for i := range d.Overlays {
		if !given[fmt.Sprintf("overlay[%d].storm_limit", i+1)] {
			d.Overlays[i].Storm = 20000
		}
		d.Overlays[i].Engine = cmp.Or(d.Overlays[i].Engine, EngineUser)
		d.Overlays[i].Underlay = cmp.Or(d.Overlays[i].Underlay, UnderlayUntrusted)
	}
	d.Alerts.complete()
	for i := range d.Segments {
		s := &d.Segments[i]
		s.complete()
		if key := fmt.Sprintf("segment[%d].hold_down", i+1); given[key] {
			continue
		}
		s.HoldDown = defaultHoldDown
	}
}
