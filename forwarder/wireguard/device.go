package wireguard

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/drawbridge-net/drawbridge"
)

// Name is the device's.
const Name = "dbwg"

// keepalive has both ends shake hands at once, and again when the keys of a session are old, whether frames cross or not: so a handshake that
// is missing means a way that is blocked.
const keepalive = 10 * time.Second

// lastMetric is of the routes that catch what is for a peer while the device is away; the device's own come before.
const lastMetric = 1<<32 - 1

// Device is the WireGuard device of this process. It is for one goroutine.
type Device struct {
	links  *netlink.Handle
	client *wgctrl.Client
	link   netlink.Link
	self   drawbridge.PeerID
	public Key
	plan   Plan
}

// Open makes the device, with a key that is drawn here and kept by the kernel alone, in the network namespace of the calling thread. One that an
// earlier process left is removed. The error wraps ErrNotSupported when the kernel has no WireGuard.
func Open(self drawbridge.PeerID) (d *Device, err error) {
	if _, err := Clean(); err != nil {
		return nil, err
	}
	d = &Device{self: self}
	if err := d.open(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) open() (err error) {
	if d.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = Name, leastMTU
	switch err := d.links.LinkAdd(&netlink.Wireguard{LinkAttrs: attrs}); {
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w (CONFIG_WIREGUARD)", ErrNotSupported)
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("interface %s is in the way, and is not WireGuard: remove it", Name)
	case err != nil:
		return fmt.Errorf("add WireGuard device %s: %w", Name, err)
	}
	if d.link, err = d.links.LinkByName(Name); err != nil {
		return fmt.Errorf("WireGuard device %s: %w", Name, err)
	}
	if d.client, err = wgctrl.New(); err != nil {
		return fmt.Errorf("WireGuard's netlink family: %w", err)
	}
	return d.begin()
}

// begin gives the device key, port and address.
func (d *Device) begin() error {
	private, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		return err
	}
	d.public = private.PublicKey()
	port := Port
	if err := d.client.ConfigureDevice(Name, wgtypes.Config{PrivateKey: &private, ListenPort: &port, ReplacePeers: true}); err != nil {
		return fmt.Errorf("configure WireGuard device %s: %w", Name, err)
	}
	addr := &netlink.Addr{IPNet: host(d.self), Flags: unix.IFA_F_NODAD}
	if err := d.links.AddrAdd(d.link, addr); err != nil {
		return fmt.Errorf("interface %s: add address %s (is IPv6 switched off here?): %w", Name, addr.IPNet, err)
	}
	if err := d.links.LinkSetUp(d.link); err != nil {
		return fmt.Errorf("interface %s: set up (is UDP port %d taken?): %w", Name, Port, err)
	}
	return nil
}

// host is a peer's inner address, and nothing else.
func host(id drawbridge.PeerID) *net.IPNet {
	return &net.IPNet{IP: Inner(id).AsSlice(), Mask: net.CIDRMask(128, 128)}
}

// Key is the device's public key.
func (d *Device) Key() Key { return d.public }

// Set brings the device in step with a plan.
func (d *Device) Set(p Plan) error {
	if link, err := d.links.LinkByName(Name); err != nil || link.Attrs().Index != d.link.Attrs().Index || link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("somebody took interface %s down or away", Name)
	}
	if reflect.DeepEqual(p, d.plan) {
		return nil
	}
	if p.MTU != d.plan.MTU {
		if err := d.links.LinkSetMTU(d.link, p.MTU); err != nil {
			return fmt.Errorf("interface %s: MTU %d: %w", Name, p.MTU, err)
		}
	}
	for _, s := range d.plan.steps(p) {
		if err := d.take(s); err != nil {
			return err
		}
	}
	d.plan = p
	return nil
}

func (d *Device) take(s step) error {
	every := keepalive
	c := wgtypes.PeerConfig{PublicKey: s.peer.Key, Remove: s.remove, UpdateOnly: s.remove}
	if !s.remove {
		c.Endpoint = &net.UDPAddr{IP: s.peer.Endpoint.AsSlice(), Port: Port}
		c.PersistentKeepaliveInterval, c.ReplaceAllowedIPs = &every, true
		c.AllowedIPs = []net.IPNet{*host(s.peer.ID)}
		for _, r := range d.routes(s.peer.ID) {
			if err := d.links.RouteReplace(r); err != nil {
				return fmt.Errorf("route to %s: %w", s.peer.Name, err)
			}
		}
	}
	if err := d.client.ConfigureDevice(Name, wgtypes.Config{Peers: []wgtypes.PeerConfig{c}}); err != nil {
		return fmt.Errorf("interface %s: peer %s: %w", Name, s.peer.Name, err)
	}
	return nil
}

// routes are the way to a peer: the device, and when somebody takes that away nothing. Else its frames would leave by whatever interface has
// link-local addresses, in clear text.
func (d *Device) routes(id drawbridge.PeerID) []*netlink.Route {
	return []*netlink.Route{
		{Dst: host(id), Type: unix.RTN_BLACKHOLE, Priority: lastMetric, Protocol: routeOrigin, Family: netlink.FAMILY_V6},
		{Dst: host(id), LinkIndex: d.link.Attrs().Index, Protocol: routeOrigin, Family: netlink.FAMILY_V6},
	}
}

// Handshakes are when peers of the plan last proved that they hold their keys; zero: never.
func (d *Device) Handshakes() (map[drawbridge.PeerID]time.Time, error) {
	state, err := d.client.Device(Name)
	if err != nil {
		return nil, fmt.Errorf("read WireGuard device %s: %w", Name, err)
	}
	last := map[Key]time.Time{}
	for _, p := range state.Peers {
		last[p.PublicKey] = p.LastHandshakeTime
	}
	all := map[drawbridge.PeerID]time.Time{}
	for _, p := range d.plan.Peers {
		all[p.ID] = last[p.Key]
	}
	return all, nil
}

// Close removes the device; the kernel forgets its key.
func (d *Device) Close() error {
	var err error
	if d.client != nil {
		err = d.client.Close()
	}
	if d.links != nil {
		d.links.Close()
	}
	_, e := Clean()
	return errors.Join(err, e)
}
