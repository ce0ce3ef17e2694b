package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/drawbridge-net/drawbridge"
)

// Values are what init and join know when they write the first node file. Zero: the default.
type Values struct {
	Name      drawbridge.PeerName
	StateDir  string
	Socket    string
	Listen    []string
	Advertise []string // nil: found out; empty: outbound only
	Join      []string
}

// Write writes a commented node file, unless there is one: what an operator wrote is never touched.
func Write(path string, v Values) (wrote bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("node file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("node file: %w", err)
	}
	_, err = f.Write(Template(v))
	if err := cmp.Or(err, f.Sync(), f.Close()); err != nil {
		return false, errors.Join(fmt.Errorf("node file: %w", err), os.Remove(path))
	}
	return true, nil
}

// examples stand behind commented keys that have no default.
var examples = map[string]string{
	"name": `"a"`, "advertise": `["192.0.2.1:6630"]`, "join": `["192.0.2.2:6630", "gw.example.net:6630"]`,
	"console":        `"0.0.0.0:8630"`,
	"segment[].name": `"office"`, "segment[].interface": `"eth1"`, "segment[].vlan": "42",
	"guest[].tap": `"tap0"`, "guest[].bridge": `"br0"`,
}

// Template is the node file with every key in it: set where v says something, commented out elsewhere.
func Template(v Values) []byte {
	var b bytes.Buffer
	b.WriteString("# What is true of this host only. Everything else is configuration of the network.\n" +
		"# Commented keys show their default or an example. A key that is misspelt is refused.\n" +
		"# Reference: docs/reference/node-file.md\n")
	table := ""
	for _, k := range Keys {
		section, name := "", k.Name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			section, name = name[:i], name[i+1:]
		}
		if section != table {
			table = section
			b.WriteString("\n" + header(section) + "\n")
		} else if section == "" {
			b.WriteString("\n")
		}
		v.write(&b, k, name)
	}
	return b.Bytes()
}

// header opens a table; those of arrays are commented because each one is a port.
func header(section string) string {
	if name, ok := strings.CutSuffix(section, "[]"); ok {
		return "#[[" + name + "]]"
	}
	return "[" + section + "]"
}

func (v Values) write(b *bytes.Buffer, k Key, name string) {
	if set := v.toml(k.Name); set != "" {
		fmt.Fprintf(b, "# %s\n%s = %s\n", k.Text, name, set)
		return
	}
	shown := cmp.Or(examples[k.Name], k.Default)
	if k.Name == "guest[].interface" {
		fmt.Fprintf(b, "# %s\n# interface = \"veth0\"\n", k.Text)
		return
	}
	fmt.Fprintf(b, "# %s\n#%s = %s\n", k.Text, name, shown)
}

// toml is the value of a key as TOML; empty when v leaves it to the default.
func (v Values) toml(key string) string {
	text, list := "", []string(nil)
	switch key {
	case "name":
		text = string(v.Name)
	case "state_dir":
		text = v.StateDir
	case "socket":
		text = v.Socket
	case "listen":
		list = v.Listen
	case "advertise":
		list = v.Advertise
	case "join":
		list = v.Join
	}
	if list != nil {
		var quoted []string
		for _, a := range list {
			quoted = append(quoted, quote(a))
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	if text == "" {
		return ""
	}
	return quote(text)
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
