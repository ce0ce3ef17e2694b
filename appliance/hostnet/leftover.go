package hostnet

import (
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// gateName is how the kernel lists the filter of GuardEgress, with what it adds to the name.
const gateName = "drawbridge-gate"

// Guarded lists the interfaces at which a gate's program stands, whoever put it there.
func Guarded() ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var names []string
	for _, l := range links {
		if len(gatesOf(l)) > 0 {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// Unguard takes a gate's program off an interface, for when the daemon that put it there is gone. The hook stays: others
// may use it.
func Unguard(name string) error {
	l, err := find(name)
	if err != nil {
		return err
	}
	for _, f := range gatesOf(l) {
		if err := netlink.FilterDel(f); err != nil {
			return fmt.Errorf("interface %s: detach the gate: %w", name, err)
		}
	}
	return nil
}

// gatesOf is empty for an interface without the hook.
func gatesOf(l netlink.Link) (gates []netlink.Filter) {
	all, _ := netlink.FilterList(l, netlink.HANDLE_MIN_EGRESS)
	for _, f := range all {
		if b, ok := f.(*netlink.BpfFilter); ok && strings.HasPrefix(b.Name, gateName) {
			gates = append(gates, f)
		}
	}
	return gates
}
