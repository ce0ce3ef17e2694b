package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Clean removes what engines have left in the network namespace of the calling thread, whichever process made it: programs
// on all interfaces, the VXLAN devices they stand on, and this namespace's pins below the folder, with those that nobody can adopt any
// more. It answers what it removed, in words. For when no daemon runs: one that does is cut off.
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
	unpinned, err := Unpin(pins)
	return append(removed, unpinned...), errors.Join(append(errs, err)...)
}

// Unpin removes what LeftPins lists. For a namespace that is about to go: nobody would find its folder any more.
func Unpin(root string) (removed []string, err error) {
	folders, err := LeftPins(root)
	errs := []error{err}
	for _, folder := range folders {
		if err := os.RemoveAll(folder); err != nil {
			errs = append(errs, fmt.Errorf("remove pins: %w", err))
			continue
		}
		removed = append(removed, "pins in "+folder)
	}
	return removed, errors.Join(errs...)
}

// orphaned is for how long an engine was not renewed before anybody may remove its pins, from any namespace: that of a test is
// gone, and no engine is adopted after some seconds. Whoever was paused for so long loses an adoption by it and nothing else.
const orphaned = time.Hour

// LeftPins lists the folders of pins below root that are for whoever cleans in the network namespace of the calling thread: its own, and
// other namespaces' that are orphaned. Another's are left alone.
func LeftPins(root string) (folders []string, err error) {
	here, err := Namespace()
	if err != nil {
		return nil, err
	}
	all, _ := filepath.Glob(filepath.Join(root, "*")) // the pattern is good
	for _, folder := range all {
		if filepath.Base(folder) == here || abandoned(folder) {
			folders = append(folders, folder)
		}
	}
	return folders, nil
}

// abandoned reports whether no engine of a namespace was renewed for long. One that cannot be read is not ours.
func abandoned(folder string) bool {
	all, _ := filepath.Glob(filepath.Join(folder, "*", "*", mapLife)) // the pattern is good
	for _, path := range all {
		m, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			return false
		}
		left, err := lives(m)
		if err = errors.Join(err, m.Close()); err != nil || left > -orphaned {
			return false
		}
	}
	return len(all) > 0
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
