package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Load reads a topology: a built-in one by its name, else a file.
func Load(nameOrFile string) (*Topology, []byte, error) {
	text, ok := BuiltInText(nameOrFile)
	if !ok {
		var err error
		if text, err = os.ReadFile(nameOrFile); errors.Is(err, os.ErrNotExist) {
			return nil, nil, fmt.Errorf("topology %q is neither a file nor one of %s: %w", nameOrFile, strings.Join(BuiltIn(), ", "), err)
		} else if err != nil {
			return nil, nil, fmt.Errorf("topology: %w", err)
		}
	}
	t, err := Parse(nameOrFile, text)
	return t, text, err
}

// Parse reads the text of a topology file; file is its name for errors. An unknown key, a wrong type or a value that
// makes no sense is refused with its line and what is allowed.
func Parse(file string, text []byte) (*Topology, error) {
	t := defaults()
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return nil, decodeError(file, err)
	}
	t.complete()
	c := checker{file: file, text: text}
	c.topology(&t)
	if err := errors.Join(c.problems...); err != nil {
		return nil, err
	}
	return &t, nil
}

func (t *Topology) complete() {
	for i := range t.Routers {
		if t.Routers[i].Mapping == "" {
			t.Routers[i].Mapping = MappingIndependent
		}
	}
	for i := range t.Nodes {
		for j := range t.Nodes[i].Segments {
			s := &t.Nodes[i].Segments[j]
			s.VNI = max(s.VNI, 1)
			if s.Mode == "" {
				s.Mode = "auto"
			}
		}
	}
	for i := range t.Hosts {
		t.Hosts[i].VNI = max(t.Hosts[i].VNI, 1)
	}
}

// keys are what each table may hold, for the error about an unknown one.
var keys = map[string]string{
	"":             "network, subnets, mtu, underlay_mtu, offload, log_level, [[switch]], [[router]], [[wire]], [[node]], [[host]]",
	"switch":       "name, subnet, loss",
	"router":       "name, outside, inside, mapping",
	"wire":         "ends, loss",
	"node":         "name, roles, underlay, segment (of name, switch, vlan, vni, mode)", // inline tables do not say so
	"node.segment": "name, switch, vlan, vni, mode",
	"host":         "name, at, vni",
}

func decodeError(file string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var all []error
		for _, e := range unknown.Errors {
			line, column := e.Position()
			all = append(all, fmt.Errorf("%s:%d:%d: unknown key %s; allowed are %s", file, line, column,
				strings.Join(e.Key(), "."), keys[tableOf(e.Key())]))
		}
		return errors.Join(all...)
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return fmt.Errorf("%s:%d:%d: %s", file, line, column, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", file, err)
}

// tableOf is the table that a key was looked for in.
func tableOf(key []string) string {
	for n := len(key) - 1; n > 0; n-- {
		if table := strings.Join(key[:n], "."); keys[table] != "" {
			return table
		}
	}
	return ""
}

// checker collects what is wrong with values, each with the line that it stands in.
type checker struct {
	file     string
	text     []byte
	problems []error
}

// refuse says that key of the i-th table is wrong; table "" is the top of the file.
func (c *checker) refuse(table string, i int, key, format string, args ...any) {
	where := key
	if table != "" {
		where = fmt.Sprintf("%s[%d].%s", table, i+1, key)
	}
	c.problems = append(c.problems, fmt.Errorf("%s:%d: %s: %s", c.file, c.line(table, i, key), where, fmt.Sprintf(format, args...)))
}

// line finds where a key stands: the table's header when the key does not stand at all. The text is valid TOML.
func (c *checker) line(table string, i int, key string) int {
	at, found, count := "", 1, -1
	for n, line := range bytes.Split(c.text, []byte("\n")) {
		word := strings.TrimSpace(string(line))
		if name, isHeader := strings.CutPrefix(word, "[["); isHeader {
			name, _, _ = strings.Cut(name, "]]")
			if at = strings.TrimSpace(name); at == table {
				count++
			}
			if at == table && count == i {
				found = n + 1
			}
			continue
		}
		name, _, isPair := strings.Cut(word, "=")
		if isPair && at == table && (table == "" || count == i) && strings.TrimSpace(name) == key {
			return n + 1
		}
	}
	return found
}

// oneOf refuses a value that is not among those allowed.
func (c *checker) oneOf(table string, i int, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.refuse(table, i, key, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}
