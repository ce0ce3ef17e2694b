package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Clean removes what engines have left in the network namespace of the calling thread, whichever process made it: programs
// on all interfaces, the VXLAN devices they stand on, and all pins below the folder. It answers what it removed, in words. For when
// no daemon runs: one that does is cut off.
func Clean(pins string) (removed []string, err error) {
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	defer links.Close()
	all, err := links.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var errs []error
	for _, link := range all {
		done, err := cleanLink(links, link)
		removed, errs = append(removed, done...), append(errs, err)
	}
	if _, err := os.Stat(pins); err == nil {
		if err := os.RemoveAll(pins); err != nil {
			errs = append(errs, fmt.Errorf("remove pins: %w", err))
		} else {
			removed = append(removed, "pins in "+pins)
		}
	}
	return removed, errors.Join(errs...)
}

// Left lists the interfaces in the network namespace of the calling thread that have programs of an engine, tunnels among them.
func Left() (names []string, err error) {
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	defer links.Close()
	all, err := links.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range all {
		if len(ours(links, link)) > 0 {
			names = append(names, link.Attrs().Name)
		}
	}
	return names, nil
}

// CleanInterface removes what an engine has left at one interface, the interface itself if it is a tunnel.
func CleanInterface(name string) error {
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer links.Close()
	link, err := links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	_, err = cleanLink(links, link)
	return err
}

// ours are the engines' programs at an interface.
func ours(links *netlink.Handle, link netlink.Link) (filters []netlink.Filter) {
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		all, _ := links.FilterList(link, parent) // an error: no clsact
		for _, f := range all {
			if b, ok := f.(*netlink.BpfFilter); ok && f.Attrs().Priority == filterPriority && strings.HasPrefix(b.Name, filterName) {
				filters = append(filters, f)
			}
		}
	}
	return filters
}

// cleanLink takes our programs off an interface, and the interface away if it is a tunnel of ours.
func cleanLink(links *netlink.Handle, link netlink.Link) (removed []string, err error) {
	name, filters := link.Attrs().Name, ours(links, link)
	if _, tunnel := link.(*netlink.Vxlan); tunnel && len(filters) > 0 {
		if err := links.LinkDel(link); err != nil {
			return nil, fmt.Errorf("remove %s: %w", name, err)
		}
		return []string{"tunnel " + name}, nil
	}
	var errs []error
	for _, f := range filters {
		if err := gone(links.FilterDel(f)); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: %w", name, err))
			continue
		}
		removed = append(removed, "program on "+name)
	}
	return removed, errors.Join(errs...)
}
