package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/drawbridge-net/drawbridge"
)

// Limits. Names become parts of interface names, which hold 15 bytes (IFNAMSIZ) and a prefix of ours.
const (
	maxName     = 10
	maxMTU      = 65535
	minMTU      = 576
	minIPv6     = 1280 // RFC 8200 §5
	maxVLAN     = 4094 // IEEE 802.1Q
	maxAttached = 180  // nodes, and hosts: .10 to .189 of their subnet
	maxWires    = 256  // 198.18.0.0/30 to 198.18.255.0/30
	maxRouters  = 20   // .200 to .219 are their own addresses, .220 to .239 what they translate to
)

func (c *checker) topology(t *Topology) {
	c.oneOf("", 0, "log_level", t.LogLevel, "debug", "info", "warn", "error")
	if err := drawbridge.CheckName(t.Network); err != nil {
		c.refuse("", 0, "network", "%v", err)
	}
	c.mtu("mtu", t.MTU, minIPv6)
	c.mtu("underlay_mtu", t.UnderlayMTU, minMTU)
	c.subnets(t)
	c.names(t)
	for i, s := range t.Switches {
		c.underlaySubnet("switch", i, "subnet", s.Subnet)
		c.loss("switch", i, s.Loss)
	}
	for i, r := range t.Routers {
		c.router(t, i, r)
	}
	if len(t.Routers) > maxRouters {
		c.refuse("router", maxRouters, "name", "more than %d routers", maxRouters)
	}
	if len(t.Wires) > maxWires {
		c.refuse("wire", maxWires, "ends", "more than %d wires", maxWires)
	}
	for i, w := range t.Wires {
		c.wire(t, i, w)
	}
	for i, n := range t.Nodes {
		c.node(t, i, n)
	}
	c.hosts(t)
	c.founder(t)
}

func (c *checker) mtu(key string, mtu, least int) {
	if mtu < least || mtu > maxMTU {
		c.refuse("", 0, key, "%d is not from %d to %d bytes", mtu, least, maxMTU)
	}
}

func (c *checker) loss(table string, i int, loss float64) {
	if loss < 0 || loss > 1 {
		c.refuse(table, i, "loss", "%g is not a share from 0 to 1", loss)
	}
}

func (c *checker) subnets(t *Topology) {
	four, six := 0, 0
	for _, p := range t.Subnets {
		switch {
		case p.Addr().Is4() && p.Bits() <= 24:
			four++
		case p.Addr().Is6() && p.Bits() <= 112:
			six++
		default:
			c.refuse("", 0, "subnets", "%v is too small: hosts are numbered from %d to %d", p, firstStation, firstStation+maxAttached-1)
		}
	}
	if four > 1 || six > 1 || four+six == 0 {
		c.refuse("", 0, "subnets", "wants one IPv4 subnet, one IPv6 subnet, or one of each")
	}
}

// names refuses names that cannot be part of an interface's, and two things of one name.
func (c *checker) names(t *Topology) {
	seen := map[string]string{}
	name := func(table string, i int, name string) {
		if err := drawbridge.CheckName(name); err != nil || len(name) > maxName {
			c.refuse(table, i, "name", "%q: want 1 to %d of a-z, 0-9, '-', '_', beginning with a letter or digit", name, maxName)
			return
		}
		if first := seen[name]; first != "" {
			c.refuse(table, i, "name", "%q is the name of %s already", name, first)
			return
		}
		seen[name] = fmt.Sprintf("%s[%d]", table, i+1)
	}
	for i, s := range t.Switches {
		name("switch", i, s.Name)
	}
	for i, r := range t.Routers {
		name("router", i, r.Name)
	}
	for i, n := range t.Nodes {
		name("node", i, n.Name)
	}
	for i, h := range t.Hosts {
		name("host", i, h.Name)
	}
}

func (c *checker) underlaySubnet(table string, i int, key string, p netip.Prefix) {
	if p.IsValid() && (!p.Addr().Is4() || p.Bits() > 24) {
		c.refuse(table, i, key, "%v is not an IPv4 subnet of 24 bits or fewer", p)
	}
}

func (c *checker) router(t *Topology, i int, r Router) {
	c.oneOf("router", i, "mapping", r.Mapping, MappingIndependent, MappingSymmetric)
	c.underlaySwitch(t, "router", i, "outside", r.Outside)
	if !r.Inside.IsValid() {
		c.refuse("router", i, "inside", "wants an IPv4 subnet such as 192.168.1.0/24")
	}
	c.underlaySubnet("router", i, "inside", r.Inside)
}

func (c *checker) underlaySwitch(t *Topology, table string, i int, key, name string) {
	if s, ok := t.switchNamed(name); !ok || !s.Subnet.IsValid() {
		c.refuse(table, i, key, "%q is not a switch with a subnet", name)
	}
}

func (c *checker) wire(t *Topology, i int, w Wire) {
	c.loss("wire", i, w.Loss)
	for _, end := range w.Ends {
		if _, ok := t.node(end); !ok {
			c.refuse("wire", i, "ends", "%q is not a node; those are %s", end, nodeNames(t))
		}
	}
	if w.Ends[0] == w.Ends[1] {
		c.refuse("wire", i, "ends", "both ends are %q", w.Ends[0])
	}
	for _, other := range t.Wires[:i] {
		if other.Ends == w.Ends || other.Ends == [2]string{w.Ends[1], w.Ends[0]} {
			c.refuse("wire", i, "ends", "there is a wire between %s and %s already", w.Ends[0], w.Ends[1])
		}
	}
}

func nodeNames(t *Topology) string {
	var names []string
	for _, n := range t.Nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, ", ")
}

func (c *checker) node(t *Topology, i int, n Node) {
	for _, role := range n.Roles {
		c.oneOf("node", i, "roles", role, roleVoter, roleGateway)
	}
	seen := map[string]bool{}
	for _, u := range n.Underlay {
		if _, isRouter := t.router(u); !isRouter {
			c.underlaySwitch(t, "node", i, "underlay", u)
		}
		if seen[u] {
			c.refuse("node", i, "underlay", "%q stands there twice", u)
		}
		seen[u] = true
	}
	for j, s := range n.Segments {
		c.segment(t, i, s)
		if slices.ContainsFunc(n.Segments[:j], func(first Segment) bool { return first.Name == s.Name }) {
			c.refuse("node", i, "segment", "%q stands there twice", s.Name)
		}
	}
	if len(n.Segments) > 0 && !n.has(roleGateway) {
		c.refuse("node", i, "roles", "a node with a segment has the role %q", roleGateway)
	}
}

func (c *checker) segment(t *Topology, i int, s Segment) {
	if err := drawbridge.CheckName(s.Name); err != nil || len(s.Name) > maxName {
		c.refuse("node", i, "segment", "name %q: want 1 to %d of a-z, 0-9, '-', '_'", s.Name, maxName)
	}
	if sw, ok := t.switchNamed(s.Switch); !ok || sw.Subnet.IsValid() {
		c.refuse("node", i, "segment", "%q is not a switch without subnet", s.Switch)
	}
	if s.VLAN > maxVLAN {
		c.refuse("node", i, "segment", "vlan %d is not from 0 to %d", s.VLAN, maxVLAN)
	}
	if s.VNI > drawbridge.MaxVNI {
		c.refuse("node", i, "segment", "vni %d is not from 1 to %d", s.VNI, drawbridge.MaxVNI)
	}
	c.oneOf("node", i, "segment", s.Mode, "auto", "passive", "active-manual")
	if _, isNode := t.node(s.Name); isNode {
		c.refuse("node", i, "segment", "%q is the name of a node too; `lab cut` could not tell which is meant", s.Name)
	}
}

func (c *checker) hosts(t *Topology) {
	if len(t.Hosts) > maxAttached {
		c.refuse("host", maxAttached, "name", "more than %d hosts", maxAttached)
	}
	for i, h := range t.Hosts {
		sw, onSwitch := t.switchNamed(h.At)
		if _, onNode := t.node(h.At); !onNode && (!onSwitch || sw.Subnet.IsValid()) {
			c.refuse("host", i, "at", "%q is neither a node nor a switch without subnet", h.At)
		}
		if h.VNI > drawbridge.MaxVNI {
			c.refuse("host", i, "vni", "%d is not from 1 to %d", h.VNI, drawbridge.MaxVNI)
		}
	}
}

// founder wants a network that can begin: somebody has to hold its keys.
func (c *checker) founder(t *Topology) {
	if len(t.Nodes) == 0 {
		c.refuse("", 0, "node", "wants one [[node]] or more")
		return
	}
	if len(t.Nodes) > maxAttached {
		c.refuse("node", maxAttached, "name", "more than %d nodes", maxAttached)
	}
	if f := t.founder(); f == nil {
		c.refuse("node", 0, "roles", "wants one node with the role %q: the first of them founds the network", roleVoter)
	} else if t.translated(f) {
		c.refuse("", 0, "node", "%s founds the network (the first voter) and is behind a router: the others cannot call it", f.Name)
	}
}
