package hostnet

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dumps is how often a list of interfaces is asked for when it changes while the kernel writes it, as when a host
// starts. Each takes well below a millisecond.
const dumps = 10

// List is every interface, in the order of their indices.
func List() ([]Interface, error) {
	for range dumps {
		all, err := dump()
		if err == nil {
			return all, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
	}
	return nil, fmt.Errorf("list interfaces: changed %d times while it was read", dumps)
}

func dump() ([]Interface, error) {
	q := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	q.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	messages, err := q.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, err
	}
	all := make([]Interface, 0, len(messages))
	for _, m := range messages {
		i, err := parseLink(m)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Interface) int { return a.Index - b.Index })
	return all, nil
}

// errShort is a message of the kernel that ends too early.
var errShort = errors.New("the kernel's message about an interface is cut off")

// parseLink reads a message about an interface (rtnetlink(7)). The library leaves out how often the carrier was lost, and panics
// where an attribute says that it is longer than what is left.
func parseLink(m []byte) (i Interface, err error) {
	if len(m) < unix.SizeofIfInfomsg {
		return Interface{}, errShort
	}
	defer func() {
		if r := recover(); r != nil {
			i, err = Interface{}, fmt.Errorf("%w: %v", errShort, r)
		}
	}()
	l, err := netlink.LinkDeserialize(nil, m)
	if err != nil {
		return Interface{}, fmt.Errorf("the kernel's message about an interface: %w", err)
	}
	i = describe(l)
	attributes, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
	if err != nil {
		return Interface{}, fmt.Errorf("the kernel's message about interface %s: %w", i.Name, err)
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.IFLA_CARRIER_DOWN_COUNT && len(a.Value) >= 4 {
			i.Losses = nl.NativeEndian().Uint32(a.Value)
		}
	}
	return i, nil
}
