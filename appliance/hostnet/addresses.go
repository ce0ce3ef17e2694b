package hostnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// Own is an address of this host, and the hardware address that answers for it.
type Own struct {
	Addr netip.Addr
	MAC  drawbridge.MAC
}

// Addresses are those that this host has on a VLAN of an interface, 0 for the untagged one: on the interface itself or on the
// bridge that it is a port of, or on VLAN devices over it. An address that is still being looked for on the wire is none.
func Addresses(name string, vlan uint16) (all []Own, err error) {
	base, err := find(name)
	if err != nil {
		return nil, err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		if !standsOn(l, base, vlan) || len(l.Attrs().HardwareAddr) != len(drawbridge.MAC{}) {
			continue
		}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("interface %s: list addresses: %w", l.Attrs().Name, err)
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
				all = append(all, Own{ip.Unmap(), drawbridge.MAC(l.Attrs().HardwareAddr)})
			}
		}
	}
	return all, nil
}

// standsOn reports whether what an interface sends leaves by base on the VLAN.
func standsOn(l, base netlink.Link, vlan uint16) bool {
	at, is := base.Attrs(), l.Attrs()
	if vlan == 0 {
		return is.Index == at.Index || at.MasterIndex != 0 && is.Index == at.MasterIndex
	}
	v, ok := l.(*netlink.Vlan)
	return ok && is.ParentIndex == at.Index && v.VlanId == int(vlan)
}
