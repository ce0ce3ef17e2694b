package wireguard

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeOrigin marks our routes (rtnetlink(7), rtm_protocol): "w"; numbers above RTPROT_STATIC are for whoever wants one.
const routeOrigin = 0x77

// Left reports whether the network namespace of the calling thread has a device of this package, whichever process made it.
func Left() bool {
	link, err := netlink.LinkByName(Name)
	return err == nil && link.Type() == "wireguard"
}

// Clean removes the device and its routes from the network namespace of the calling thread, whichever process made them: a daemon that runs
// is cut off. It reports whether there was one.
func Clean() (removed bool, err error) {
	if Left() {
		if err := netlink.LinkDel(&netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: Name}}); err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("remove WireGuard device %s: %w", Name, err)
		}
		removed = true
	}
	ours := &netlink.Route{Protocol: routeOrigin}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, ours, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return removed, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil || !r.Dst.IP.IsLinkLocalUnicast() {
			continue // another's
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return removed, fmt.Errorf("remove route %s: %w", r.Dst, err)
		}
	}
	return removed, nil
}
