package hostnet

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Where the gate's program stands among the filters of an interface: before all others, under a handle of
// its own, so that it replaces the one that a killed predecessor left.
const (
	gatePriority = 1
	gateHandle   = 0x6462
)

// Hook prepares an interface for programs to be attached to what enters and leaves it. The kernel drops what is being sent through an
// interface while this is done, for some milliseconds; it is left where it is, and when it is there nothing is lost.
func Hook(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return hook(l)
}

func hook(l netlink.Link) error {
	q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscAdd(q); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("interface %s: add the clsact hook: %w", l.Attrs().Name, err)
	}
	return nil
}

// GuardEgress attaches a traffic-control program (direct action) to what leaves an interface. It stays until
// release is called or the interface goes, also when this process dies.
func GuardEgress(name string, program int) (release func() error, err error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := hook(l); err != nil {
		return nil, err
	}
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: gateHandle, Priority: gatePriority, Protocol: unix.ETH_P_ALL,
		},
		Fd: program, Name: "drawbridge-gate", DirectAction: true,
	}
	if err := netlink.FilterReplace(f); err != nil {
		return nil, fmt.Errorf("interface %s: attach the gate: %w", name, err)
	}
	return func() error {
		if err := netlink.FilterDel(f); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("interface %s: detach the gate: %w", name, err)
		}
		return nil
	}, nil
}
