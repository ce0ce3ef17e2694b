package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// End is one end of a wire.
type End struct {
	In   *Namespace
	Name string         // of the interface, at most 15 bytes
	MAC  drawbridge.MAC // zero: the kernel draws one
	MTU  int            // bytes; zero: 1500
}

func (e End) attrs() netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name, a.MTU = e.Name, e.mtu()
	a.Namespace = netlink.NsFd(int(e.In.handle))
	a.HardwareAddr = e.mac()
	return a
}

func (e End) mtu() int {
	if e.MTU == 0 {
		return 1500
	}
	return e.MTU
}

func (e End) mac() net.HardwareAddr {
	if e.MAC == (drawbridge.MAC{}) {
		return nil
	}
	return e.MAC[:]
}

// Wire joins two namespaces (or one with itself) by a veth pair, both ends up.
func Wire(a, b End) error {
	v := netlink.NewVeth(a.attrs())
	v.PeerName, v.PeerHardwareAddr, v.PeerMTU = b.Name, b.mac(), uint32(b.mtu())
	v.PeerNamespace = netlink.NsFd(int(b.In.handle))
	if err := a.In.links.LinkAdd(v); err != nil {
		return fmt.Errorf("wire %s:%s to %s:%s: %w", a.In.name, a.Name, b.In.name, b.Name, err)
	}
	if err := a.In.Up(a.Name); err != nil {
		return err
	}
	return b.In.Up(b.Name)
}

// Bridge makes a switch: no spanning tree, no multicast snooping, so that it floods what it does not know, at once.
func (n *Namespace) Bridge(name string) error {
	a := netlink.NewLinkAttrs()
	a.Name = name
	off := false
	if err := n.links.LinkAdd(&netlink.Bridge{LinkAttrs: a, MulticastSnooping: &off}); err != nil {
		return fmt.Errorf("bridge %s:%s: %w", n.name, name, err)
	}
	if err := n.Sysctl("ipv6/conf/"+name+"/disable_ipv6", "1"); err != nil && !noIPv6() {
		return err
	}
	return n.Up(name)
}

// Attach makes an interface a port of a bridge. The port says nothing of its own: IPv6 is off on it.
func (n *Namespace) Attach(port, bridge string) error {
	p, err := n.link(port)
	if err != nil {
		return err
	}
	b, err := n.link(bridge)
	if err != nil {
		return err
	}
	if err := n.links.LinkSetMaster(p, b); err != nil {
		return fmt.Errorf("attach %s:%s to %s: %w", n.name, port, bridge, err)
	}
	return n.Silence(port)
}

// Silence keeps the kernel from sending anything of its own on an interface (router solicitations, MLD reports), which
// would be traffic that no test asked for.
func (n *Namespace) Silence(name string) error {
	if noIPv6() {
		return nil
	}
	return n.Sysctl("ipv6/conf/"+name+"/disable_ipv6", "1")
}

// Address gives an interface an address, usable at once: duplicate address detection would take a second.
func (n *Namespace) Address(name string, addr netip.Prefix) error {
	l, err := n.link(name)
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: ipNet(addr)}
	if addr.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := n.links.AddrAdd(l, a); err != nil {
		return fmt.Errorf("address %v on %s:%s: %w", addr, n.name, name, err)
	}
	return nil
}

// Route sends dst by way of a neighbour.
func (n *Namespace) Route(dst netip.Prefix, via netip.Addr) error {
	if err := n.links.RouteAdd(&netlink.Route{Dst: ipNet(dst), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("route %v via %v in %s: %w", dst, via, n.name, err)
	}
	return nil
}

// Up switches an interface on.
func (n *Namespace) Up(name string) error { return n.set(name, "up", n.links.LinkSetUp) }

// Down switches an interface off; the far end of a wire loses its carrier.
func (n *Namespace) Down(name string) error { return n.set(name, "down", n.links.LinkSetDown) }

func (n *Namespace) set(name, what string, do func(netlink.Link) error) error {
	l, err := n.link(name)
	if err != nil {
		return err
	}
	if err := do(l); err != nil {
		return fmt.Errorf("%s:%s %s: %w", n.name, name, what, err)
	}
	return nil
}

// Remove takes an interface away; of a wire, both ends.
func (n *Namespace) Remove(name string) error { return n.set(name, "remove", n.links.LinkDel) }

// MTU sets the largest packet of an interface, in bytes.
func (n *Namespace) MTU(name string, mtu int) error {
	return n.set(name, fmt.Sprintf("mtu %d", mtu), func(l netlink.Link) error { return n.links.LinkSetMTU(l, mtu) })
}

// MACOf is the hardware address of an interface.
func (n *Namespace) MACOf(name string) (m drawbridge.MAC, err error) {
	l, err := n.link(name)
	if err != nil {
		return m, err
	}
	if len(l.Attrs().HardwareAddr) != len(m) {
		return m, fmt.Errorf("%s:%s has no Ethernet address", n.name, name)
	}
	return drawbridge.MAC(l.Attrs().HardwareAddr), nil
}

// IndexOf is the number of an interface, for sockets.
func (n *Namespace) IndexOf(name string) (int, error) {
	l, err := n.link(name)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Index, nil
}

// link finds an interface, and says which there are when it is missing.
func (n *Namespace) link(name string) (netlink.Link, error) {
	l, err := n.links.LinkByName(name)
	if err == nil {
		return l, nil
	}
	all, _ := n.links.LinkList() // only for the text of the error
	var have []string
	for _, l := range all {
		have = append(have, l.Attrs().Name)
	}
	return nil, fmt.Errorf("interface %s in %s (which has %s): %w", name, n.name, strings.Join(have, " "), err)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

var everywhere = netip.MustParsePrefix("0.0.0.0/0")

func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// LoopbackUp switches lo on in the network namespace of the calling process, where a program that made one for itself
// finds it off.
func LoopbackUp() error {
	l, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

// Received is how many frames an interface has received.
func (n *Namespace) Received(name string) (uint64, error) {
	l, err := n.link(name)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Statistics.RxPackets, nil
}

// Wired names the interfaces that are ends of a wire.
func (n *Namespace) Wired() (names []string, err error) {
	all, err := n.links.LinkList()
	for _, l := range all {
		if l.Type() == "veth" {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, err
}

// Has reports whether an interface has an address.
func (n *Namespace) Has(name string, addr netip.Addr) (bool, error) {
	l, err := n.link(name)
	if err != nil {
		return false, err
	}
	all, err := n.links.AddrList(l, netlink.FAMILY_ALL)
	return slices.ContainsFunc(all, func(a netlink.Addr) bool { return a.IP.Equal(addr.AsSlice()) }), err
}

// Forget takes an address off an interface, if it has it.
func (n *Namespace) Forget(name string, addr netip.Prefix) error {
	has, err := n.Has(name, addr.Addr())
	if err != nil || !has {
		return err
	}
	l, err := n.link(name)
	if err != nil {
		return err
	}
	return n.links.AddrDel(l, &netlink.Addr{IPNet: ipNet(addr)})
}
