package lab

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestBuiltInTopologiesParse(t *testing.T) {
	if got := strings.Join(BuiltIn(), " "); got != "default line mesh nat ring star trunk" {
		t.Errorf("built in are %s", got)
	}
	for _, name := range BuiltIn() {
		top, text, err := Load(name)
		if err != nil || len(text) == 0 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, n := range top.Nodes {
			if len(newPlan("lab", top).plugsOf(n.Name)) == 0 {
				t.Errorf("%s: node %s has no underlay", name, n.Name)
			}
		}
	}
	if _, _, err := Load("nonsense"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "default, line") {
		t.Errorf("error is %v", err)
	}
}

// small is a topology that is right; tests put something wrong into it.
const small = `
[[switch]]
name = "net"
subnet = "192.0.2.0/24"

[[switch]]
name = "vlan"

[[router]]
name = "r"
outside = "net"
inside = "192.168.1.0/24"

[[node]]
name = "w"
roles = ["voter"]
underlay = ["net"]

[[node]]
name = "g"
roles = ["gateway"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }]

[[wire]]
ends = ["w", "g"]

[[host]]
name = "h"
at = "vlan"
`

func TestMistakesAreRefusedWithTheirLine(t *testing.T) {
	if _, err := Parse("t.toml", []byte(small)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ was, is, want string }{
		{`at = "vlan"`, `where = "vlan"`, "t.toml:30:1: unknown key host.where; allowed are name, at, vni"},
		{`switch = "vlan" }`, `switch = "vlan", tag = 5 }`, "t.toml:23:48: unknown key node.tag; allowed are name, roles, underlay, segment (of name, switch, vlan, vni, mode)"},
		{"\n[[switch]]\nname = \"net\"", "\ncolour = 1\n[[switch]]\nname = \"net\"", "t.toml:2:1: unknown key colour; allowed are network, subnets"},
		{"\n[[switch]]\nname = \"net\"", "\nmtu = \"big\"\n[[switch]]\nname = \"net\"", "t.toml:2:7:"},
		{"\n[[switch]]\nname = \"net\"", "\nmtu = 100\n[[switch]]\nname = \"net\"", "t.toml:2: mtu: 100 is not from 1280 to 65535 bytes"},
		{"\n[[switch]]\nname = \"net\"", "\nsubnets = [\"10.0.0.0/30\"]\n[[switch]]\nname = \"net\"", "t.toml:2: subnets: 10.0.0.0/30 is too small"},
		{"\n[[switch]]\nname = \"net\"", "\nlog_level = \"loud\"\n[[switch]]\nname = \"net\"", `t.toml:2: log_level: "loud" is not one of debug, info, warn, error`},
		{`subnet = "192.0.2.0/24"`, `subnet = "2001:db8::/64"`, "t.toml:4: switch[1].subnet: 2001:db8::/64 is not an IPv4 subnet"},
		{`subnet = "192.0.2.0/24"`, "subnet = \"192.0.2.0/24\"\nloss = 2", "t.toml:5: switch[1].loss: 2 is not a share from 0 to 1"},
		{`name = "h"`, `name = "w"`, `t.toml:29: host[1].name: "w" is the name of node[1] already`},
		{`name = "h"`, `name = "much-too-long"`, `t.toml:29: host[1].name: "much-too-long": want 1 to 10 of a-z`},
		{`at = "vlan"`, `at = "net"`, `t.toml:30: host[1].at: "net" is neither a node nor a switch without subnet`},
		{`outside = "net"`, `outside = "vlan"`, `t.toml:11: router[1].outside: "vlan" is not a switch with a subnet`},
		{`inside = "192.168.1.0/24"`, "inside = \"192.168.1.0/24\"\nmapping = \"odd\"", `t.toml:13: router[1].mapping: "odd" is not one of independent, symmetric`},
		{`roles = ["gateway"]`, `roles = ["king"]`, `t.toml:21: node[2].roles: "king" is not one of voter, gateway`},
		{`roles = ["gateway"]`, `roles = []`, `t.toml:21: node[2].roles: a node with a segment has the role "gateway"`},
		{`roles = ["voter"]`, `roles = []`, `t.toml:16: node[1].roles: wants one node with the role "voter"`},
		{"underlay = [\"net\"]\n\n", "underlay = [\"net\", \"net\", \"moon\"]\n\n", `t.toml:17: node[1].underlay: "moon" is not a switch with a subnet`},
		{`switch = "vlan" }`, `switch = "net" }`, `t.toml:23: node[2].segment: "net" is not a switch without subnet`},
		{`switch = "vlan" }`, `switch = "vlan", vlan = 5000 }`, "vlan 5000 is not from 0 to 4094"},
		{`switch = "vlan" }`, `switch = "vlan", mode = "maybe" }`, `"maybe" is not one of auto, passive, active-manual`},
		{`{ name = "office"`, `{ name = "w"`, `"w" is the name of a node too`},
		{`ends = ["w", "g"]`, `ends = ["w", "w"]`, `t.toml:26: wire[1].ends: both ends are "w"`},
		{`ends = ["w", "g"]`, `ends = ["w", "q"]`, `"q" is not a node; those are w, g`},
		{`ends = ["w", "g"]`, "ends = [\"w\", \"g\"]\n[[wire]]\nends = [\"g\", \"w\"]", `t.toml:28: wire[2].ends: there is a wire between g and w already`},
		{"[[wire]]\nends = [\"w\", \"g\"]", "", ""},
	} {
		text := strings.Replace(small, c.was, c.is, 1)
		if text == small {
			t.Fatalf("%q is not in the file", c.was)
		}
		_, err := Parse("t.toml", []byte(text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s:\n got %v\nwant %s", c.is, err, c.want)
		}
	}
	if _, err := Parse("t.toml", nil); err == nil || !strings.Contains(err.Error(), "wants one [[node]] or more") {
		t.Errorf("empty file: %v", err)
	}
	behind := "[[switch]]\nname=\"net\"\nsubnet=\"192.0.2.0/24\"\n[[router]]\nname=\"r\"\noutside=\"net\"\ninside=\"192.168.1.0/24\"\n[[node]]\nname=\"w\"\nroles=[\"voter\"]\nunderlay=[\"r\"]\n"
	if _, err := Parse("t.toml", []byte(behind)); err == nil || !strings.Contains(err.Error(), "the others cannot call it") {
		t.Errorf("founder behind a router: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("[[node]]\nname = 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		top, err := Parse("t.toml", text)
		if err != nil {
			return
		}
		p := newPlan("lab", top) // must cope with whatever was accepted
		for _, n := range top.Nodes {
			p.nodeFile(n, nodeDir("/run"))
			p.presences(n.Name)
		}
	})
}

func TestNodeFilesSayWhereOthersAre(t *testing.T) {
	top, _, err := Load("nat")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlan("lab", top)
	x, _ := top.node("x")
	want := `name = "x"
state_dir = "/run/lab/x/state"
socket = "/run/lab/x/drawbridge.sock"
listen = ["0.0.0.0:6630"]
advertise = []
join = ["192.0.2.10:6630", "192.0.2.11:6630"]

[log]
level = "info"
format = "text"

[[guest]]
interface = "port-x1"
vni = 1
`
	if got := p.nodeFile(*x, "/run/lab/x"); got != want {
		t.Errorf("x:\n%s", got)
	}
	top, _, err = Load("trunk")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := top.node("a")
	got := newPlan("lab", top).nodeFile(*a, "/run/lab/a")
	for _, want := range []string{
		`advertise = ["192.0.2.14:6630"]`,
		"[[segment]]\nname = \"office\"\ninterface = \"seg-office\"\nvlan = 42\nvni = 1\nmode = \"auto\"\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("a has no\n%s\nbut\n%s", want, got)
		}
	}
}

func TestNeighboursAreThoseThatCanBeCalled(t *testing.T) {
	for topology, want := range map[string]string{
		"line": "w: 198.18.0.2 x: 198.18.0.1 198.18.1.2 y: 198.18.1.1 198.18.2.2 z: 198.18.2.1",
		"nat":  "w: 192.0.2.11 x: 192.0.2.10 192.0.2.11 y: 192.0.2.10 192.0.2.11 a: 192.0.2.10",
	} {
		top, _, err := Load(topology)
		if err != nil {
			t.Fatal(err)
		}
		p := newPlan("lab", top)
		var got []string
		for _, n := range top.Nodes {
			got = append(got, n.Name+":")
			for _, a := range p.neighbours(n.Name) {
				got = append(got, netip.MustParseAddrPort(a).Addr().String())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", topology, got)
		}
	}
}

func TestNumbersReadAlikeInBothFamilies(t *testing.T) {
	for n, want := range map[int]string{10: "fd42::10", 99: "fd42::99", 123: "fd42::123", 189: "fd42::189"} {
		if got := number(netip.MustParsePrefix("fd42::/64"), n).Addr().String(); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}
