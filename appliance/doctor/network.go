package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

func judgeNodeFile(f *Facts) []Result {
	switch n := f.NodeFile; {
	case n.Missing:
		return []Result{wrong(n.Path, "there is no node file", "write one with drawbridge init (a new network) or drawbridge join (an existing one), or name it with --config")}
	case n.Error != "":
		return []Result{wrong(n.Path, n.Error, "correct it; docs/reference/node-file.md has every key")}
	case len(f.Ports) == 0:
		return []Result{advice(n.Path, "it has neither [[segment]] nor [[guest]]: this peer only relays and votes", "add a port, unless this host is a witness")}
	default:
		return []Result{fine(n.Path, drawbridge.Counted(len(f.Ports), "port"))}
	}
}

// iface finds an interface by name.
func (f *Facts) iface(name string) *Interface {
	for i := range f.Interfaces {
		if f.Interfaces[i].Name == name {
			return &f.Interfaces[i]
		}
	}
	return nil
}

// base is the wire that an interface ends on: what all VLAN devices below it stand on.
func (f *Facts) base(name string) string {
	for range 8 { // deeper than anybody stacks them
		i := f.iface(name)
		if i == nil || i.Parent == "" {
			break
		}
		name = i.Parent
	}
	return name
}

func judgeInterfaces(f *Facts) (all []Result) {
	for _, p := range f.Ports {
		if p.Bridge != "" {
			if b := f.iface(p.Bridge); b == nil || b.Kind != "bridge" {
				all = append(all, wrong(p.Bridge, "there is no such bridge for "+p.Interface, "make it (ip link add "+p.Bridge+" type bridge; ip link set "+p.Bridge+" up), or take bridge out of the node file"))
			} else if !b.Up {
				all = append(all, wrong(p.Bridge, "the bridge is down", "ip link set "+p.Bridge+" up"))
			}
		}
		if !p.TAP {
			all = append(all, f.judgeInterface(p))
		}
	}
	return all
}

func (f *Facts) judgeInterface(p Port) Result {
	i := f.iface(p.Interface)
	switch {
	case i == nil:
		return wrong(p.Interface, "there is no such interface; the host has "+strings.Join(f.names(), ", "), "correct interface in the node file, or load the card's driver")
	case !i.Up:
		return wrong(p.Interface, "it is down", "ip link set "+p.Interface+" up, and see what took it down")
	case !i.Carrier:
		return wrong(p.Interface, "it has no carrier", "plug in the cable, and see whether the switch port is enabled")
	default:
		return fine(p.Interface, fmt.Sprintf("up, with carrier, MTU %d, %s", i.MTU, i.MAC))
	}
}

func (f *Facts) names() (all []string) {
	for _, i := range f.Interfaces {
		all = append(all, i.Name)
	}
	return all
}

// joined are the ports whose wire is a member of the bridge.
func (f *Facts) joined(bridge string) (segments, guests []Port) {
	for _, p := range f.Ports {
		switch {
		case p.Segment != "" && f.holds(bridge, p):
			segments = append(segments, p)
		case p.Segment == "" && (p.Bridge == bridge || p.Interface == bridge || f.member(p.Interface, bridge)):
			guests = append(guests, p)
		}
	}
	return segments, guests
}

func (f *Facts) member(name, bridge string) bool {
	i := f.iface(name)
	return i != nil && i.Master == bridge
}

// holds reports whether a bridge has a member on the wire and VLAN of a segment port.
func (f *Facts) holds(bridge string, p Port) bool {
	return slices.ContainsFunc(f.Interfaces, func(i Interface) bool {
		if i.Master != bridge || f.base(i.Name) != f.base(p.Interface) {
			return false
		}
		// A member without a tag carries every VLAN, and a port without one takes every tag.
		return i.VLAN == 0 || p.VLAN == 0 || i.VLAN == p.VLAN
	})
}

func judgeBridges(f *Facts) (all []Result) {
	for _, b := range f.Interfaces {
		if b.Kind != "bridge" && b.Kind != "openvswitch" {
			continue
		}
		segments, guests := f.joined(b.Name)
		switch {
		case len(segments) > 0 && len(guests) > 0:
			all = append(all, wrong(b.Name, fmt.Sprintf("the bridge holds segment port %s and guest port %s: frames would go in a circle past the gate", segments[0].Name, guests[0].Name),
				"take one of the two out (ip link set "+guests[0].Interface+" nomaster): the mesh joins them already"))
		case len(segments) > 1:
			all = append(all, wrong(b.Name, fmt.Sprintf("the bridge holds segment ports %s and %s: their VLANs are one wire", segments[0].Name, segments[1].Name), "take one of them out of the bridge"))
		case len(segments) == 1:
			all = append(all, advice(b.Name, "segment port "+segments[0].Name+" is a member of this bridge: the host's bridge and the gateway both forward its frames", "give the gateway an interface of its own, outside of bridges"))
		default:
			all = append(all, f.judgeUplinkBridge(b.Name, guests))
		}
	}
	if len(all) == 0 {
		all = append(all, fine("", "there is no bridge on this host"))
	}
	return all
}

// judgeUplinkBridge looks whether guests share a bridge with the underlay.
func (f *Facts) judgeUplinkBridge(bridge string, guests []Port) Result {
	for _, u := range f.Uplinks {
		if u.Interface != "" && len(guests) > 0 && (u.Interface == bridge || f.member(f.base(u.Interface), bridge)) {
			return advice(bridge, "guest port "+guests[0].Name+" shares this bridge with the way to other peers ("+u.To+"): two peers that do so on one LAN make a loop",
				"give guests a bridge of their own, unless this LAN is to be part of the overlay and no other peer's guests are on it")
		}
	}
	return fine(bridge, "holds at most one side of a gateway")
}

func judgeOffloads(f *Facts) (all []Result) {
	seen := map[string]bool{}
	for _, p := range f.Ports {
		name := f.base(p.Interface)
		i := f.iface(name)
		if i == nil || p.TAP || seen[name] {
			continue
		}
		seen[name] = true
		switch {
		case slices.Contains(i.Features, "rx-lro"):
			all = append(all, wrong(name, "large receive offload is on: the card joins frames of others, and what is forwarded is not what was sent", "ethtool -K "+name+" lro off, and make that permanent (a .link file with LargeReceiveOffload=no)"))
		case slices.Contains(i.Features, "rx-gro-hw"):
			all = append(all, advice(name, "the card itself joins frames (GRO in hardware); some cards do so without saying where they were joined", "ethtool -K "+name+" rx-gro-hw off if guests see broken or slow TCP"))
		default:
			all = append(all, fine(name, "frames arrive as they were sent"))
		}
	}
	return all
}

// What a frame of the overlay takes of the underlay's IP packet: Ethernet header of the guest's frame, our headers at
// their most (docs/protocol/data.md, "Path MTU"), UDP, IP.
const (
	frameHeader = 14
	sealed      = 58
	underIPv4   = 20 + 8
	underIPv6   = 40 + 8

	leastMTU = 1280 // of the underlay; what is taken to pass everywhere
	hostMTU  = 1500 // what stations use unless they are told otherwise
)

// crossing is the largest IP packet that crosses an uplink in one datagram.
func (u Uplink) crossing() int {
	under := underIPv4
	if u.IPv6 {
		under = underIPv6
	}
	return u.MTU - under - sealed - frameHeader
}

func judgeMTU(f *Facts) (all []Result) {
	least, seen := 0, map[Uplink]bool{}
	for _, u := range f.Uplinks {
		way := Uplink{Interface: u.Interface, MTU: u.MTU, IPv6: u.IPv6, Error: u.Error}
		if u.Interface != "" && seen[way] {
			continue // one of many peers behind it speaks for all
		}
		seen[way] = true
		switch {
		case u.Interface == "":
			all = append(all, wrong(u.To, "no route: "+u.Error, "give the host a route to that peer, or correct join in the node file"))
			continue
		case u.MTU < leastMTU:
			all = append(all, wrong(u.Interface, fmt.Sprintf("MTU %d on the way to %s", u.MTU, u.To), fmt.Sprintf("the mesh needs IP packets of %d octets: ip link set %s mtu 1500", leastMTU, u.Interface)))
		default:
			all = append(all, fine(u.Interface, fmt.Sprintf("MTU %d on the way to %s: packets of %d octets cross whole", u.MTU, u.To, u.crossing())))
		}
		if least == 0 || u.crossing() < least {
			least = u.crossing()
		}
	}
	if least <= 0 {
		return append(all, unknown("", "the way to other peers is not known yet: join names none", "look again when the peer has joined"))
	}
	for _, p := range f.Ports {
		if i := f.iface(p.Interface); i != nil && i.MTU > least {
			all = append(all, pieces(p, i.MTU, least))
		}
	}
	return all
}

func pieces(p Port, mtu, least int) Result {
	found := fmt.Sprintf("its frames may have %d octets of IP, of which %d cross the mesh whole; longer ones go in two pieces", mtu, least)
	return advice(p.Name, found, fmt.Sprintf("for full speed set MTU %d in guests, or raise the underlay's to %d", least, mtu+frameHeader+sealed+underIPv6))
}

func judgeManagers(f *Facts) (all []Result) {
	for _, p := range f.Ports {
		i := f.iface(p.Interface)
		if i == nil {
			continue
		}
		if len(i.Managers) == 0 {
			all = append(all, fine(p.Interface, "nobody else configures it"))
		}
		for _, m := range i.Managers {
			if m == NetworkManager {
				all = append(all, wrong(p.Interface, "NetworkManager manages it, and may take it down or ask for addresses on it",
					"add unmanaged-devices+=interface-name:"+p.Interface+" below [keyfile] in /etc/NetworkManager/conf.d/drawbridge-ports.conf, then nmcli general reload"))
			} else {
				all = append(all, advice(p.Interface, m+" configures it", "a .network file with [Match] Name="+p.Interface+" and [Link] Unmanaged=yes leaves it to the gateway"))
			}
		}
	}
	return all
}

func judgePorts(f *Facts) (all []Result) {
	for _, l := range f.Listen {
		switch {
		case f.Daemon.Running:
			all = append(all, fine(l.Address, "the daemon has it"))
		case l.TCP != "":
			all = append(all, wrong(l.Address, "TCP: "+l.TCP, portRemedy(l)))
		case l.UDP != "":
			all = append(all, wrong(l.Address, "UDP: "+l.UDP, portRemedy(l)))
		default:
			all = append(all, fine(l.Address, "free"))
		}
	}
	for _, k := range f.Daemon.Links {
		if k.Path == "udp" {
			all = append(all, fine("peer "+k.Peer, "reached by UDP"))
		} else {
			all = append(all, wrong("peer "+k.Peer, "UDP does not get through: the link goes by "+k.Path, "let UDP pass in both directions, here and there"))
		}
	}
	if !f.Daemon.Running {
		all = append(all, f.judgeJoin()...)
	}
	return all
}

func portRemedy(l Listen) string {
	a, err := netip.ParseAddrPort(l.Address)
	if err == nil && !a.Addr().IsUnspecified() && strings.Contains(l.TCP+l.UDP, "assign") {
		return "no interface has this address: correct listen in the node file"
	}
	return fmt.Sprintf("ss -tulpn | grep :%d names who has it; stop that, or change listen in the node file", l.Port)
}

func (f *Facts) judgeJoin() (all []Result) {
	for _, u := range f.Uplinks {
		switch {
		case !u.Asked:
		case u.TCP == "":
			all = append(all, fine(u.To, "somebody answers by TCP; UDP shows when the peer runs"))
		default:
			all = append(all, wrong(u.To, "nobody answers there: "+u.TCP, "see whether that peer runs, and let TCP and UDP of that port through every firewall on the way"))
		}
	}
	return all
}

func judgeFirewall(f *Facts) (all []Result) {
	if f.Firewall.Error != "" {
		return []Result{unknown(f.Firewall.Tool, f.Firewall.Error, asRoot)}
	}
	inbound := slices.ContainsFunc(f.Daemon.Links, func(l Link) bool { return !l.Dialled && l.Path == "udp" })
	for _, c := range f.Firewall.Chains {
		for _, l := range f.Listen {
			if !c.Drops || c.Opaque || inbound || c.lets(l.Port) {
				continue
			}
			all = append(all, wrong(c.Name, fmt.Sprintf("it drops what no rule lets in, and no rule lets UDP port %d in", l.Port),
				fmt.Sprintf("let UDP and TCP port %d in: nft insert rule %s udp dport %d accept, the same for tcp, and make it permanent", l.Port, c.Name, l.Port)))
		}
	}
	if len(all) == 0 {
		found := "lets the mesh's port in"
		if f.Firewall.Tool == "" {
			found = "neither nft nor iptables is installed"
		}
		all = append(all, fine(f.Firewall.Tool, found))
	}
	return all
}

func (c Chain) lets(port uint16) bool {
	return slices.ContainsFunc(c.Open, func(r PortRange) bool { return r.From <= port && port <= r.To })
}
