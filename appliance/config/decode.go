package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
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
type places map[string]keypath.Position

// decode fills c from text and reports where everything stands. Syntax and types are checked by then.
func decode(path string, text []byte, c *Config) (places, error) {
	if err := toml.NewDecoder(bytes.NewReader(text)).Decode(c); err != nil {
		return nil, refusal(path, err)
	}
	return keypath.InTOML(text), nil
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

// unknown reports every key that the node file does not have, spelt exactly: go-toml alone would let
// State_Dir pass for state_dir.
func (p places) unknown() (problems []Problem) {
	for name := range p {
		if known(name) {
			continue
		}
		if parent := keypath.Parent(name); parent != "" && !known(parent) {
			continue // the table is reported already
		}
		problems = append(problems, Problem{Key: name, Text: "unknown key; " + meant(name)})
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
		for name := q.Key; name != ""; name = keypath.Parent(name) {
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
