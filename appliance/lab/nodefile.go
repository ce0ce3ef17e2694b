package lab

import (
	"fmt"
	"strings"
)

// nodeFile is the configuration file of a node, as an operator would write it.
func (p *plan) nodeFile(n Node, d nodeDir) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("name = %q", n.Name)
	line("state_dir = %q", d.state())
	line("socket = %q", d.socket())
	line("listen = [%q]", fmt.Sprintf("0.0.0.0:%d", port))
	line("advertise = %s", tomlList(p.callable(n.Name)))
	line("join = %s", tomlList(p.neighbours(n.Name)))
	line("")
	line("[log]")
	line("level = %q", p.topo.LogLevel)
	line("format = %q", "text")
	for _, s := range n.Segments {
		line("")
		line("[[segment]]")
		line("name = %q", s.Name)
		line("interface = %q", segmentInterface(s.Name))
		line("vlan = %d", s.VLAN)
		line("vni = %d", s.VNI)
		line("mode = %q", s.Mode)
	}
	for _, h := range p.stationsAt(n.Name) {
		line("")
		line("[[guest]]")
		line("interface = %q", guestInterface(h.Name))
		line("vni = %d", h.VNI)
	}
	return b.String()
}

func tomlList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
