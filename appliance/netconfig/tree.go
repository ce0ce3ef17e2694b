package netconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

// tree is a document before anybody knows what it means: string, int64, float64, bool, nil, []any, map[string]any.
type tree struct {
	root map[string]any
	at   map[string]keypath.Position // by path; elements of lists count from 1, as people do
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
	t := new(tree)
	if err := toml.Unmarshal(text, &t.root); err != nil {
		p := &Problem{Line: 1, Column: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			p.Line, p.Column = bad.Position()
			p.Key = strings.Join(bad.Key(), ".")
		}
		return nil, p
	}
	t.at = keypath.InTOML(text)
	return t, nil
}

// jsonReader reads JSON and notes where everything stands. encoding/json alone lets a key stand twice.
type jsonReader struct {
	*json.Decoder
	text []byte
	at   map[string]keypath.Position
}

func readJSON(text []byte) (*tree, *Problem) {
	r := jsonReader{json.NewDecoder(bytes.NewReader(text)), text, map[string]keypath.Position{}}
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
		p.Line, p.Column = at.Line, at.Column
	}
	return nil, p
}

// here is where the next token begins.
func (r *jsonReader) here() keypath.Position {
	offset := min(int(r.InputOffset()), len(r.text))
	for offset < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[offset]) >= 0 {
		offset++
	}
	before := r.text[:offset]
	return keypath.Position{Line: bytes.Count(before, []byte{'\n'}) + 1, Column: offset - bytes.LastIndexByte(before, '\n')}
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
		name := keypath.Join(path, key)
		if _, twice := o[key]; twice {
			return nil, &Problem{Line: at.Line, Column: at.Column, Key: name, Text: "stands there twice"}
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
