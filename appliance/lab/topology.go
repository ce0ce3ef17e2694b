package lab

import (
	"embed"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/drawbridge-net/drawbridge"
)

// Topology is what a topology file says.
type Topology struct {
	Network     string         `toml:"network"`      // name of the Drawbridge network; default "lab"
	Subnets     []netip.Prefix `toml:"subnets"`      // of all hosts; default 10.42.0.0/24 and fd42::/64
	MTU         int            `toml:"mtu"`          // of hosts, in bytes; default 1400
	UnderlayMTU int            `toml:"underlay_mtu"` // between nodes, in bytes; default 1500
	Offload     bool           `toml:"offload"`      // wires carry super-frames (GSO); default true
	LogLevel    string         `toml:"log_level"`    // of the daemons; default "info"

	Switches []Switch `toml:"switch"`
	Routers  []Router `toml:"router"`
	Wires    []Wire   `toml:"wire"`
	Nodes    []Node   `toml:"node"`
	Hosts    []Host   `toml:"host"`
}

// Switch is a layer-2 network. One with a subnet carries the underlay, one without is a VLAN.
type Switch struct {
	Name   string       `toml:"name"`
	Subnet netip.Prefix `toml:"subnet"` // IPv4
	Loss   float64      `toml:"loss"`   // share of frames lost towards each node, 0 to 1
}

// Router translates the addresses of the nodes behind it.
type Router struct {
	Name    string       `toml:"name"`
	Outside string       `toml:"outside"` // switch
	Inside  netip.Prefix `toml:"inside"`  // IPv4
	Mapping string       `toml:"mapping"` // MappingIndependent or MappingSymmetric
}

// Wire joins two nodes directly.
type Wire struct {
	Ends [2]string `toml:"ends"`
	Loss float64   `toml:"loss"` // share of frames lost in each direction, 0 to 1
}

// Node is a peer: it runs the daemon.
type Node struct {
	Name     string    `toml:"name"`
	Roles    []string  `toml:"roles"`    // "voter", "gateway"
	Underlay []string  `toml:"underlay"` // switches and routers it is plugged into; wires name their ends themselves
	Segments []Segment `toml:"segment"`
}

// Segment is a gateway's attachment to a VLAN.
type Segment struct {
	Name   string         `toml:"name"`
	Switch string         `toml:"switch"`
	VLAN   uint16         `toml:"vlan"` // the switch port is a trunk and this the tag; 0: untagged
	VNI    drawbridge.VNI `toml:"vni"`  // default 1
	Mode   string         `toml:"mode"` // "auto", "passive" or "active-manual"; default "auto"
}

// Host is a computer that knows nothing of Drawbridge: a guest of a node, or one on a VLAN.
type Host struct {
	Name string         `toml:"name"`
	At   string         `toml:"at"`  // node or switch
	VNI  drawbridge.VNI `toml:"vni"` // of a guest; default 1
}

// Values of words in topology files.
const (
	MappingIndependent = "independent" // one outside port for everything an inside port sends (RFC 4787 §4.1)
	MappingSymmetric   = "symmetric"   // another outside port for every destination

	roleVoter, roleGateway = "voter", "gateway"
)

func defaults() Topology {
	return Topology{
		Network: "lab", MTU: 1400, UnderlayMTU: 1500, Offload: true, LogLevel: "info",
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/24"), netip.MustParsePrefix("fd42::/64")},
	}
}

//go:embed topologies/*.toml
var builtIn embed.FS

// BuiltIn are the names of the topologies that need no file.
func BuiltIn() (names []string) {
	files, _ := builtIn.ReadDir("topologies") // embedded: it is there
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".toml"))
	}
	return names
}

// BuiltInText is the file of a built-in topology.
func BuiltInText(name string) (text []byte, ok bool) {
	if !slices.Contains(BuiltIn(), name) {
		return nil, false
	}
	text, err := builtIn.ReadFile(path.Join("topologies", name+".toml"))
	return text, err == nil
}

// node finds a node by name.
func (t *Topology) node(name string) (*Node, bool) {
	i := slices.IndexFunc(t.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t.Nodes[i], true
}

func (t *Topology) switchNamed(name string) (*Switch, bool) {
	i := slices.IndexFunc(t.Switches, func(s Switch) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t.Switches[i], true
}

func (n *Node) segment(name string) (*Segment, bool) {
	i := slices.IndexFunc(n.Segments, func(s Segment) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &n.Segments[i], true
}

func (n *Node) has(role string) bool { return slices.Contains(n.Roles, role) }

func (t *Topology) router(name string) (*Router, bool) {
	i := slices.IndexFunc(t.Routers, func(r Router) bool { return r.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t.Routers[i], true
}

// founder is the node that begins the network: the first voter.
func (t *Topology) founder() *Node {
	i := slices.IndexFunc(t.Nodes, func(n Node) bool { return n.has(roleVoter) })
	if i < 0 {
		return nil
	}
	return &t.Nodes[i]
}

// translated reports whether a node is plugged into routers only, so that others cannot call it.
func (t *Topology) translated(n *Node) bool {
	for _, u := range n.Underlay {
		if _, ok := t.router(u); !ok {
			return false
		}
	}
	for _, w := range t.Wires {
		if slices.Contains(w.Ends[:], n.Name) {
			return false
		}
	}
	return len(n.Underlay) > 0
}
