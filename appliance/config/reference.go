package config

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// Reference is docs/reference/node-file.md, made from the table of keys.
func Reference() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Node file\n\n"+
		"`%s` ([TOML 1.0](https://toml.io/en/v1.0.0)) says what is true of one host. `drawbridge init` and\n"+
		"`drawbridge join` write it once, commented, and never touch it again. Another place: `--config` or the\n"+
		"environment variable `DRAWBRIDGE_CONFIG`. `drawbridge run` reads it at the start, and again when it is told to\n"+
		"(`systemctl reload drawbridge`, or SIGHUP): %s count at once then, everything else at the next start.\n"+
		"A file with an error changes nothing.\n\n"+
		"The file is strict: an unknown key or a value that is not allowed is refused with file, line and column,\n"+
		"and everything that is wrong is reported at once. An address without a port gets %s.\n", DefaultPath, "`"+strings.Join(live, "` and `")+"`", DefaultPort)
	table := "-"
	for _, k := range Keys {
		section, name := "", k.Name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			section, name = name[:i], name[i+1:]
		}
		if section != table {
			table = section
			fmt.Fprintf(&b, "\n%s\n\n| key | wants | default | |\n|---|---|---|---|\n", heading(section))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, k.Allowed, code(cmp.Or(k.Default, "-")), k.Text)
	}
	fmt.Fprintf(&b, "\nTwo ports never share a wire: an interface and VLAN, or a TAP, may be named once.\n\n"+
		"## Example\n\n```toml\n%s```\n", example)
	return b.Bytes()
}

func heading(section string) string {
	switch {
	case section == "":
		return "## At the top"
	case strings.HasSuffix(section, "[]"):
		return "## `[[" + strings.TrimSuffix(section, "[]") + "]]`, any number of them"
	default:
		return "## `[" + section + "]`"
	}
}

func code(s string) string {
	if s == "-" {
		return "none"
	}
	return "`" + s + "`"
}

// example is a gateway with one VLAN and room for containers.
const example = `name = "a"
join = ["192.0.2.2:6630"]

[[segment]]
name = "office"
interface = "eth1"
vlan = 42

[[guest]]
tap = "tap0"
bridge = "br0"
`
