package appliance

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/ipam/dhcp"
)

// guests is DHCP on this peer's guest ports.
type guests struct {
	server *dhcp.Server

	mu    sync.Mutex // guards what follows
	seen  map[string]dhcp.Client
	bound map[string]dhcp.Link
}

// maxGuests bounds what is remembered of those who asked, for people to read: hardware addresses can be made up.
const maxGuests = 16384

func (n *Node) openGuests() {
	n.addresses.guests.seen, n.addresses.guests.bound = map[string]dhcp.Client{}, map[string]dhcp.Link{}
	n.addresses.guests.server = dhcp.New(dhcp.Config{Leases: leases{n}, Inject: n.injectGuest, Log: n.log})
}

// serveGuests answers guests until ctx ends.
func (n *Node) serveGuests(ctx context.Context) { _ = n.addresses.guests.server.Run(ctx) }

// injectGuest sends an answer to the guest behind a port.
func (n *Node) injectGuest(name string, f drawbridge.Frame) {
	for _, p := range n.ports {
		if p.guest == nil || p.name() != name {
			continue
		}
		p.mu.Lock()
		a := p.attached
		p.mu.Unlock()
		if a != nil {
			a.Inject([]drawbridge.Packet{{Frame: f}})
		}
	}
}

// serve takes a frame from a guest port that is for the DHCP server, or for the one that knows names.
func (p *port) serve(f *drawbridge.Packet) bool {
	return p.node.addresses.guests.server.Take(*f, p.name()) || p.node.addresses.names.take(f.Frame, p)
}

// bindGuests serves the guest ports whose overlay has a subnet in the configuration in force.
func (n *Node) bindGuests() {
	g := &n.addresses.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	d := n.network.inForce()
	n.addresses.names.configure(d)
	for _, p := range n.ports {
		if p.guest == nil {
			continue
		}
		link := linkOf(d, p.guest.VNI)
		if old, is := g.bound[p.name()]; reflect.DeepEqual(old, link) && is == (link != dhcp.Link{}) {
			continue
		}
		if link == (dhcp.Link{}) {
			g.server.Unbind(p.name())
			delete(g.bound, p.name())
			continue
		}
		g.bound[p.name()] = link
		if err := g.server.Bind(p.name(), link); err != nil {
			n.log.Error("guests get no addresses", "port", p.name(), "err", err)
		}
	}
}

// linkOf is what guests of an overlay are served: its first subnet of each version.
func linkOf(d *netconfig.Document, vni drawbridge.VNI) (l dhcp.Link) {
	for _, s := range d.Subnets {
		o, ok := d.Overlay(s.Overlay)
		prefix, err := netip.ParsePrefix(s.CIDR)
		if !ok || err != nil || o.VNI != vni {
			continue
		}
		switch {
		case prefix.Addr().Is4() && l.Four == nil:
			l.Four = four(s, prefix, o)
		case prefix.Addr().Is6() && l.Six == nil:
			l.Six = six(s, prefix, o)
		default:
			continue
		}
		l.MAC = dhcpMAC(vni)
	}
	return l
}

// dhcpMAC is the same on every peer, so that a guest that moves goes on with the peer it has moved to.
func dhcpMAC(vni drawbridge.VNI) (m drawbridge.MAC) {
	m[0], m[1], m[2] = 0x02, 0xdb, 0x53
	m[3], m[4], m[5] = byte(vni>>16), byte(vni>>8), byte(vni)
	return m
}

func four(s netconfig.Subnet, prefix netip.Prefix, o netconfig.Overlay) *dhcp.Subnet4 {
	f := &dhcp.Subnet4{
		Prefix: prefix, Server: serverOf(s), DNS: addrs(s.DNS, netip.Addr.Is4), Lease: leaseOf(s), Authoritative: true,
		NTP: addrs(option(s, 42), netip.Addr.Is4), Domain: strings.Join(option(s, 15), ""), Search: option(s, 119), MTU: uint16(o.MTU),
	}
	if r, err := netip.ParseAddr(s.Router); err == nil {
		f.Routers = []netip.Addr{r}
	}
	return f
}

func six(s netconfig.Subnet, prefix netip.Prefix, o netconfig.Overlay) *dhcp.Subnet6 {
	f := &dhcp.Subnet6{Prefix: prefix, DNS: addrs(s.DNS, netip.Addr.Is6), Search: option(s, 119), MTU: uint16(o.MTU), Lease: leaseOf(s)}
	if r, err := netip.ParseAddr(s.Router); err == nil && r.IsLinkLocalUnicast() {
		f.Router = r
	}
	return f
}

// option is the words of a DHCP option of the configuration: 15 (domain), 42 (time servers), 51 (lease in seconds) and
// 119 (search list) are understood; the others are what the server says itself.
func option(s netconfig.Subnet, code int) []string {
	for _, o := range s.Options {
		if o.Code == code {
			return strings.FieldsFunc(o.Value, func(r rune) bool { return r == ' ' || r == ',' })
		}
	}
	return nil
}

// leaseOf is the lease that the configuration says, 0 for the default.
func leaseOf(s netconfig.Subnet) time.Duration {
	seconds, _ := strconv.ParseUint(strings.Join(option(s, 51), ""), 10, 32)
	return time.Duration(seconds) * time.Second
}

func addrs(texts []string, of func(netip.Addr) bool) (out []netip.Addr) {
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil && of(a) {
			out = append(out, a)
		}
	}
	return out
}

// noteGuest remembers who asked, for people.
func (n *Node) noteGuest(c dhcp.Client) {
	g := &n.addresses.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.seen[c.Key]; !known && len(g.seen) >= maxGuests {
		clear(g.seen)
	}
	g.seen[c.Key] = c
}

// guest is what is known of an owner that asked by DHCP.
func (n *Node) guest(owner string) (dhcp.Client, bool) {
	g := &n.addresses.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.seen[owner]
	return c, ok
}

// macOf is the hardware address of an owner that asked by DHCP; false when it is not known.
func (n *Node) macOf(owner string) (m drawbridge.MAC, known bool) {
	if text, ok := strings.CutPrefix(owner, "mac:"); ok {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != len(m) {
			return m, false
		}
		return drawbridge.MAC(b), true
	}
	c, ok := n.guest(owner)
	return c.MAC, ok
}

// isGuest reports whether a station asked for an address here.
func (n *Node) isGuest(m drawbridge.MAC) bool {
	g := &n.addresses.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.seen {
		if c.MAC == m {
			return true
		}
	}
	return false
}

// foreignAnswer reports whether a frame is an answer of somebody else's DHCP server or router, which must not cross.
func (n *Node) foreignAnswer(vni drawbridge.VNI, f drawbridge.Frame) bool {
	return mayHide(f) && dhcp.Foreign(f) && !n.overlayAllows(vni)
}

// overlayAllows is what the configuration says of foreign answers on an overlay.
func (n *Node) overlayAllows(vni drawbridge.VNI) bool {
	for _, o := range n.network.inForce().Overlays {
		if o.VNI == vni {
			return o.ForeignDHCP
		}
	}
	return false
}

// mayHide spares the rest of the look at what is most of all traffic: TCP over IPv4 without tags.
func mayHide(f drawbridge.Frame) bool {
	const ipv4, tcp, protocol = 0x0800, 6, 14 + 9
	return len(f) <= protocol || binary.BigEndian.Uint16(f[12:]) != ipv4 || f[protocol] != tcp
}
