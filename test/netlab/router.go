package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// natInterface is the TUN device on which a router hands us what is to be translated, and natTable the routing table
// that sends it there.
const (
	natInterface = "nat0"
	natTable     = 100
)

// Serve translates between two interfaces of the namespace that the calling thread is in, until ctx ends. The kernel
// routes what comes in by inside, and what is for the outside address, to a TUN device, and routes the translation
// from there; it also answers ARP for the outside address, which must not be set on any interface. Kernels have NAT of
// their own, but none in which both kinds of mapping can be had.
func (n *NAT) Serve(ctx context.Context, inside, outside string) error {
	tun, err := openTUN()
	if err != nil {
		return fmt.Errorf("nat: %w", err)
	}
	defer context.AfterFunc(ctx, func() { tun.Close() })()
	defer tun.Close()
	if err := n.divert(inside, outside); err != nil {
		return fmt.Errorf("nat: %w", err)
	}
	b := make([]byte, 1<<16)
	for {
		size, err := tun.Read(b)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("nat: %w", err)
		}
		if n.Translate(b[:size], time.Now()) != nil {
			continue // dropped, as routers do
		}
		if _, err := tun.Write(b[:size]); err != nil && ctx.Err() == nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("nat: %w", err)
		}
	}
}

func openTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	r, err := unix.NewIfreq(natInterface)
	if err == nil {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", natInterface, err)
	}
	return os.NewFile(uintptr(fd), natInterface), nil
}

// divert makes the kernel send packets our way.
func (n *NAT) divert(inside, outside string) error {
	l, err := netlink.LinkByName(natInterface)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return err
	}
	for key, value := range map[string]string{
		"conf/all/rp_filter": "0", "conf/" + natInterface + "/rp_filter": "0",
		"ip_forward": "1", "conf/" + outside + "/proxy_arp": "1", "neigh/" + outside + "/proxy_delay": "0",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+key, []byte(value), 0); err != nil {
			return err
		}
	}
	index := l.Attrs().Index
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: ipNet(hostPrefix(n.Outside))}); err != nil {
		return fmt.Errorf("route %v: %w", n.Outside, err)
	}
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: ipNet(everywhere), Table: natTable}); err != nil {
		return fmt.Errorf("route of the inside: %w", err)
	}
	rule := netlink.NewRule()
	rule.IifName, rule.Table, rule.Priority, rule.Family = inside, natTable, natTable, unix.AF_INET
	if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rule for %s: %w", inside, err)
	}
	return nil
}
