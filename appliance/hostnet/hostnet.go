// Package hostnet is what a node asks of its host's network: which interfaces there are and how they stand, what is reached by them,
// a TAP device, a bridge port, an MTU. It works in the network namespace of the calling thread. Every error names the interface, and
// one that is missing names those that exist, because the name came from an operator's file.
package hostnet

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// Interface is what the kernel says of one interface.
type Interface struct {
	Name        string
	Index       int
	MAC         drawbridge.MAC // zero when it has none, as a tunnel or the loopback
	MTU         int            // bytes of payload, VLAN tag not counted
	Up          bool           // switched on by the administrator
	Carrier     bool           // Up, and the far end is there
	Promiscuous bool           // somebody asked for it, by whatever means
	Kind        string         // "veth", "tun", "bridge", "device" for hardware, …
	Master      int            // index of the bridge it is a port of; 0: none
	Queues      int            // transmit queues
	// Losses is how often the carrier went since the interface was made, modulo 2^32. Only List and Watch tell.
	Losses uint32
}

// Interrupted reports whether the interface was without a carrier at some time since it stood as last, although it may
// have one at both ends of that time.
func (i Interface) Interrupted(last Interface) bool {
	return i.Index != last.Index || i.Losses != last.Losses || !last.Carrier
}

// ErrNoInterface is the condition behind every missing interface.
var ErrNoInterface = errors.New("no such interface")

// Find looks an interface up by name.
func Find(name string) (Interface, error) {
	l, err := find(name)
	if err != nil {
		return Interface{}, err
	}
	return describe(l), nil
}

// FindIndex looks an interface up by index.
func FindIndex(index int) (Interface, error) {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return Interface{}, missing(fmt.Sprintf("with index %d", index), err)
	}
	return describe(l), nil
}

func find(name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, missing(name, err)
	}
	return l, nil
}

// missing is the error for an interface that was not found; what names it.
func missing(what string, err error) error {
	if !errors.As(err, new(netlink.LinkNotFoundError)) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("interface %s: %w", what, err)
	}
	all, listErr := List()
	if listErr != nil {
		return fmt.Errorf("interface %s: %w", what, ErrNoInterface)
	}
	have := make([]string, 0, len(all))
	for _, i := range all {
		have = append(have, i.Name)
	}
	return fmt.Errorf("interface %s: %w; this host has %s", what, ErrNoInterface, strings.Join(have, ", "))
}

func describe(l netlink.Link) Interface {
	a := l.Attrs()
	i := Interface{
		Name: a.Name, Index: a.Index, MTU: a.MTU, Kind: l.Type(), Master: a.MasterIndex, Queues: a.NumTxQueues,
		Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0 && a.RawFlags&unix.IFF_UP != 0,
		Promiscuous: a.Promisc > 0,
	}
	if len(a.HardwareAddr) == len(i.MAC) {
		i.MAC = drawbridge.MAC(a.HardwareAddr)
	}
	return i
}

// SetUp switches an interface on.
func SetUp(name string) error { return set(name, "switch on", netlink.LinkSetUp) }

// SetDown switches an interface off.
func SetDown(name string) error { return set(name, "switch off", netlink.LinkSetDown) }

// SetPromiscuous makes an interface take frames that are not for it, until it is switched back. A packet socket that
// asks for the same (PACKET_ADD_MEMBERSHIP) is better where there is one: it ends with the process.
func SetPromiscuous(name string, on bool) error {
	if on {
		return set(name, "set promiscuous", netlink.SetPromiscOn)
	}
	return set(name, "set promiscuous", netlink.SetPromiscOff)
}

// SetMTU sets the largest packet, in bytes.
func SetMTU(name string, mtu int) error {
	return set(name, fmt.Sprintf("set MTU %d", mtu), func(l netlink.Link) error { return netlink.LinkSetMTU(l, mtu) })
}

// Enslave makes an interface a port of a bridge.
func Enslave(name, bridge string) error {
	b, err := find(bridge)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if b.Type() != "bridge" {
		return fmt.Errorf("interface %s is a %s, not a bridge", bridge, b.Type())
	}
	return set(name, "add to bridge "+bridge, func(l netlink.Link) error { return netlink.LinkSetMaster(l, b) })
}

// Release takes an interface out of its bridge.
func Release(name string) error { return set(name, "take out of its bridge", netlink.LinkSetNoMaster) }

func set(name, what string, do func(netlink.Link) error) error {
	l, err := find(name)
	if err != nil {
		return err
	}
	err = do(l)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("interface %s: %s: %w (needs CAP_NET_ADMIN)", name, what, err)
	}
	if err != nil {
		return fmt.Errorf("interface %s: %s: %w", name, what, err)
	}
	return nil
}
