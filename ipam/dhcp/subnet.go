package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Route is a way that clients are told of (RFC 3442).
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Subnet4 is what clients of an IPv4 subnet are told.
type Subnet4 struct {
	Prefix netip.Prefix
	// Server is the address of the server in the subnet, reserved there. Every peer answers under it on its own
	// guest ports, with the same hardware address, so a guest that moves renews with the peer it has moved to.
	Server  netip.Addr
	Routers []netip.Addr
	DNS     []netip.Addr
	NTP     []netip.Addr
	Routes  []Route // beside the default route to the first of Routers
	Domain  string
	Search  []string
	MTU     uint16        // of the overlay; 0: clients are told none
	Lease   time.Duration // default DefaultLease
	Hold    time.Duration // for which an offer is kept for the client; default DefaultHold
	// Authoritative: no other server has clients in this subnet on guest ports, so a client without a lease is told
	// no at once, and does not have to wait until its address expires.
	Authoritative bool
	Relays        []netip.Addr // addresses of relay agents (giaddr) that are answered; all others are refused
}

// Subnet6 is what clients of an IPv6 subnet are told.
type Subnet6 struct {
	Prefix netip.Prefix
	DNS    []netip.Addr
	NTP    []netip.Addr
	Search []string
	MTU    uint16
	Lease  time.Duration // valid lifetime; the preferred one is 5/8 of it
	Hold   time.Duration
	// Router is the link-local address of the subnet's real router, in whose name a default route is advertised: DHCPv6
	// cannot name one, and an advertisement names only its sender. Zero: no default route is advertised.
	Router     netip.Addr
	Autonomous bool // clients may also make their own addresses (RFC 4862); off, as those would not be allocated
}

// Link is what a guest port is served: one subnet of each version, either may be missing.
type Link struct {
	MAC  drawbridge.MAC // of the server, the same on every peer
	Four *Subnet4
	Six  *Subnet6
}

// Defaults. A lease of twelve hours outlives a night's partition; the hold spans the retransmissions between an offer
// and its request (RFC 2131 §4.1: 4 + 8 + 16 s).
const (
	DefaultLease = 12 * time.Hour
	DefaultHold  = 30 * time.Second
	minLease     = time.Minute
)

func (l Link) complete() (*Link, error) {
	if l.MAC.Group() || l.MAC == (drawbridge.MAC{}) {
		return nil, fmt.Errorf("server hardware address %s: want that of one station", l.MAC)
	}
	var errs []error
	if l.Four != nil {
		s := *l.Four
		errs = append(errs, s.complete())
		l.Four = &s
	}
	if l.Six != nil {
		s := *l.Six
		errs = append(errs, s.complete())
		l.Six = &s
	}
	if l.Four == nil && l.Six == nil {
		errs = append(errs, errors.New("no subnet to serve"))
	}
	return &l, errors.Join(errs...)
}

func (s *Subnet4) complete() error {
	if !s.Prefix.IsValid() || !s.Prefix.Addr().Is4() || s.Prefix != s.Prefix.Masked() {
		return fmt.Errorf("subnet %s: want an IPv4 prefix without host bits", s.Prefix)
	}
	if !s.has(s.Server) {
		return fmt.Errorf("server address %s: want a host address of %s", s.Server, s.Prefix)
	}
	for _, a := range slices.Concat(s.Routers, s.DNS, s.NTP, s.Relays) {
		if !a.Is4() || a.IsUnspecified() {
			return fmt.Errorf("subnet %s: option address %s is not one of IPv4", s.Prefix, a)
		}
	}
	for _, r := range s.Routes {
		if !r.To.IsValid() || !r.To.Addr().Is4() || r.To != r.To.Masked() || !r.Via.Is4() {
			return fmt.Errorf("subnet %s: route %s via %s: want IPv4, without host bits", s.Prefix, r.To, r.Via)
		}
	}
	if s.MTU != 0 && s.MTU < 68 {
		return fmt.Errorf("subnet %s: MTU %d: RFC 2132 asks for at least 68", s.Prefix, s.MTU)
	}
	return completeTimes(s.Prefix, &s.Lease, &s.Hold)
}

func (s *Subnet6) complete() error {
	if !s.Prefix.IsValid() || !s.Prefix.Addr().Is6() || s.Prefix.Addr().Is4In6() || s.Prefix != s.Prefix.Masked() {
		return fmt.Errorf("subnet %s: want an IPv6 prefix without host bits", s.Prefix)
	}
	for _, a := range slices.Concat(s.DNS, s.NTP) {
		if !a.Is6() || a.Is4In6() || a.IsUnspecified() {
			return fmt.Errorf("subnet %s: option address %s is not one of IPv6", s.Prefix, a)
		}
	}
	if s.Router.IsValid() && (!s.Router.Is6() || !s.Router.IsLinkLocalUnicast()) {
		return fmt.Errorf("subnet %s: router %s: want its link-local address", s.Prefix, s.Router)
	}
	if s.MTU != 0 && s.MTU < 1280 {
		return fmt.Errorf("subnet %s: MTU %d: IPv6 asks for at least 1280", s.Prefix, s.MTU)
	}
	return completeTimes(s.Prefix, &s.Lease, &s.Hold)
}

func completeTimes(p netip.Prefix, lease, hold *time.Duration) error {
	if *lease == 0 {
		*lease = DefaultLease
	}
	if *hold == 0 {
		*hold = DefaultHold
	}
	if *lease < minLease || *lease > 1<<31*time.Second || *hold < 0 {
		return fmt.Errorf("subnet %s: lease %s, hold %s: want a lease of a minute to 68 years", p, *lease, *hold)
	}
	return nil
}

// has reports whether a is a host address of the subnet. In a /31 or /32 every address is (RFC 3021).
func (s *Subnet4) has(a netip.Addr) bool {
	return s.Prefix.Contains(a) && (s.Prefix.Bits() >= 31 || a != s.Prefix.Addr() && a != s.broadcast())
}

func (s *Subnet4) broadcast() netip.Addr {
	b := s.Prefix.Addr().As4()
	for i := s.Prefix.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// linkLocal is the server's own IPv6 address on the link (RFC 4291 appendix A).
func linkLocal(m drawbridge.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}
