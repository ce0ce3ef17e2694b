package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// plan is a topology with every name, number and address filled in. The same topology and lab name give the same
// plan, so that only the topology has to be remembered.
type plan struct {
	lab   string
	topo  *Topology
	plugs []plug // of nodes into the underlay, and of routers into their outside
	hosts []station
}

// plug is one interface in the underlay.
type plug struct {
	owner  string // node or router
	medium string // switch or router it is plugged into, or the name of a wire
	wire   int    // index of the wire; -1: medium is a switch or router
	iface  string // in the owner's namespace
	port   string // in the medium's namespace; empty for wires
	addr   netip.Prefix
	mac    drawbridge.MAC
	via    netip.Addr // router to the rest of the underlay; invalid: none
	loss   float64
}

// station is a host with its addresses.
type station struct {
	Host
	addrs []netip.Prefix
	mac   drawbridge.MAC
}

// Numbers within subnets, and what hardware addresses say about their owner in the fourth byte.
const (
	firstStation   = 10  // the first node of a switch, the first host of a subnet
	firstRouter    = 200 // the first router's own address
	firstTranslate = firstRouter + maxRouters
	insideRouter   = 1 // a router on its inside

	macNode, macRouter, macHost = 0, 1, 2
)

// wires get 198.18.N.0/30 (RFC 2544: for tests between two devices).
func wireAddr(wire, end int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(wire), byte(end + 1)}), 30)
}

// number is the n-th address of a subnet, with its mask. In IPv6 it is the one that is written like the decimal
// number, so that 10.42.0.12 and fd42::12 are the same host.
func number(subnet netip.Prefix, n int) netip.Prefix {
	b := subnet.Masked().Addr().AsSlice()
	if subnet.Addr().Is6() {
		b[len(b)-2] += byte(n / 100)
		n = n/10%10<<4 | n%10
	}
	b[len(b)-1] += byte(n)
	a, _ := netip.AddrFromSlice(b) // as long as it was
	return netip.PrefixFrom(a, subnet.Bits())
}

// macOf is a locally administered address (IEEE 802 §8.2) that tells people what it belongs to.
func macOf(kind byte, n int) (m drawbridge.MAC) {
	m = drawbridge.MAC{0x02, 0xdb, 0, kind}
	binary.BigEndian.PutUint16(m[4:], uint16(n+1))
	return m
}

func newPlan(lab string, t *Topology) *plan {
	p := &plan{lab: lab, topo: t}
	for i, r := range t.Routers {
		out, _ := t.switchNamed(r.Outside)
		p.plugs = append(p.plugs, plug{
			owner: r.Name, medium: r.Outside, wire: -1, iface: outsideInterface, port: r.Name,
			addr: number(out.Subnet, firstRouter+i), mac: macOf(macRouter, i), loss: out.Loss,
		})
	}
	taken := map[string]int{} // addresses given out, by medium
	for _, n := range t.Nodes {
		for _, medium := range n.Underlay {
			p.plugs = append(p.plugs, p.plugOf(n.Name, medium, taken[medium]))
			taken[medium]++
		}
	}
	for i, w := range t.Wires {
		for end, name := range w.Ends {
			p.plugs = append(p.plugs, plug{
				owner: name, medium: w.Ends[0] + "-" + w.Ends[1], wire: i, iface: "to-" + w.Ends[1-end],
				addr: wireAddr(i, end), mac: macOf(macNode, len(p.plugs)), loss: w.Loss,
			})
		}
	}
	for i, h := range t.Hosts {
		s := station{Host: h, mac: macOf(macHost, i)}
		for _, subnet := range t.Subnets {
			s.addrs = append(s.addrs, number(subnet, firstStation+i))
		}
		p.hosts = append(p.hosts, s)
	}
	return p
}

func (p *plan) plugOf(node, medium string, taken int) plug {
	g := plug{owner: node, medium: medium, wire: -1, iface: "eth-" + medium, port: node, mac: macOf(macNode, len(p.plugs))}
	if r, ok := p.topo.router(medium); ok {
		g.addr, g.via = number(r.Inside, firstStation+taken), number(r.Inside, insideRouter).Addr()
		return g
	}
	s, _ := p.topo.switchNamed(medium) // check saw to it
	g.addr, g.loss = number(s.Subnet, firstStation+taken), s.Loss
	return g
}

// space is the name of the namespace of a node, host, switch or router.
func (p *plan) space(name string) string { return p.lab + "-" + name }

// names are all that have a namespace.
func (p *plan) names() (names []string) {
	for _, s := range p.topo.Switches {
		names = append(names, s.Name)
	}
	for _, r := range p.topo.Routers {
		names = append(names, r.Name)
	}
	for _, n := range p.topo.Nodes {
		names = append(names, n.Name)
	}
	for _, h := range p.topo.Hosts {
		names = append(names, h.Name)
	}
	return names
}

// spaces are all namespaces of the lab.
func (p *plan) spaces() (spaces []string) {
	for _, name := range p.names() {
		spaces = append(spaces, p.space(name))
	}
	return spaces
}

// plugsOf are the underlay interfaces of a node or router.
func (p *plan) plugsOf(owner string) (plugs []plug) {
	for _, g := range p.plugs {
		if g.owner == owner {
			plugs = append(plugs, g)
		}
	}
	return plugs
}

// translation is the address of a router that its insides appear as.
func (p *plan) translation(router string) netip.Addr {
	i := slices.IndexFunc(p.topo.Routers, func(r Router) bool { return r.Name == router })
	out, _ := p.topo.switchNamed(p.topo.Routers[i].Outside)
	return number(out.Subnet, firstTranslate+i).Addr()
}

// port is where peers listen, for control and data.
const port = 6630

// callable are the addresses at which others may call a node.
func (p *plan) callable(node string) (addrs []string) {
	for _, g := range p.plugsOf(node) {
		if !g.via.IsValid() {
			addrs = append(addrs, netip.AddrPortFrom(g.addr.Addr(), port).String())
		}
	}
	return addrs
}

// reaches are the media whose stations a node can call: what it is plugged into, and what its routers are.
func (p *plan) reaches(node string) (media []string) {
	for _, g := range p.plugsOf(node) {
		media = append(media, g.medium)
		if r, ok := p.topo.router(g.medium); ok {
			media = append(media, r.Outside)
		}
	}
	return media
}

// neighbours are the addresses of other nodes that a node can call.
func (p *plan) neighbours(node string) (addrs []string) {
	media := p.reaches(node)
	for _, g := range p.plugs {
		_, isNode := p.topo.node(g.owner)
		if isNode && g.owner != node && !g.via.IsValid() && slices.Contains(media, g.medium) {
			addrs = append(addrs, netip.AddrPortFrom(g.addr.Addr(), port).String())
		}
	}
	return addrs
}

// calls reports whether a node can call another without the help of a third.
func (p *plan) calls(node, other string) bool {
	media := p.reaches(node)
	return slices.ContainsFunc(p.plugsOf(other), func(g plug) bool { return !g.via.IsValid() && slices.Contains(media, g.medium) })
}

// Names of interfaces; topology names hold 10 bytes.
const (
	bridge           = "br0" // of a switch or a router's inside
	hostInterface    = "eth0"
	outsideInterface = "out" // of a router
)

func segmentInterface(segment string) string { return "seg-" + segment }
func guestInterface(host string) string      { return "port-" + host }
func segmentPort(node string, i int) string  { return fmt.Sprintf("%s.s%d", node, i) }
func (p *plan) stationsAt(at string) (s []station) {
	for _, h := range p.hosts {
		if h.At == at {
			s = append(s, h)
		}
	}
	return s
}
