// Package dns answers for the names of allocations: forward in a zone of their own, backward in the in-addr.arpa and
// ip6.arpa zones of their subnets (RFC 1035, RFC 3596). It holds no names: it asks for them at every query and tells
// them with a lifetime of seconds, so that what is gone is soon gone everywhere. Questions about other zones are
// refused, or passed on to resolvers if there are any.
package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Names is what the zone is answered from.
type Names interface {
	// Addrs are the addresses of a name of the zone: in lower case, without the zone, "" for the zone itself. A name
	// exists also without addresses, and when a longer one that ends in it does (RFC 8020).
	Addrs(name string) (addrs []netip.Addr, exists bool)
	// Names are the names of an address of a subnet, relative to the zone; those that end in a dot are complete.
	Names(addr netip.Addr) []string
	// Serial grows with every change.
	Serial() uint32
}

// Config is what a server answers for.
type Config struct {
	Zone    string         // such as "guests.example"
	Subnets []netip.Prefix // whose addresses are answered backward
	Self    []netip.Addr   // where this server is reached: the addresses of ns.ZONE
	TTL     time.Duration  // of every answer; default DefaultTTL
	// Upstream are resolvers for all other zones, tried in order; with none, questions about them are refused.
	Upstream []netip.AddrPort
	Patience time.Duration // for one resolver; default 2 s
}

// DefaultTTL is how long answers may be kept. A peer that is gone takes its names along within that.
const DefaultTTL = 5 * time.Second

func (c *Config) complete() (err error) {
	if c.Zone, err = Normalise(c.Zone); err != nil {
		return fmt.Errorf("zone: %w", err)
	}
	for _, p := range c.Subnets {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Bits() == 0 {
			return fmt.Errorf("subnet %s: want a prefix without host bits", p)
		}
	}
	for _, u := range c.Upstream {
		if !u.IsValid() || u.Addr().IsUnspecified() || u.Port() == 0 {
			return fmt.Errorf("upstream %s: want an address and a port", u)
		}
	}
	if c.TTL == 0 {
		c.TTL = DefaultTTL
	}
	if c.Patience == 0 {
		c.Patience = 2 * time.Second
	}
	if c.TTL < time.Second || c.TTL > 24*time.Hour || c.Patience < 0 {
		return fmt.Errorf("lifetime of answers %s: want a second to a day", c.TTL)
	}
	return nil
}

// ErrName is the condition behind every refused name.
var ErrName = errors.New("a name has labels of 1 to 63 letters, digits or '-', not at their ends, and 253 characters in all")

// Normalise checks a host name (RFC 1123 §2.1) and gives the form in which names are compared: lower case, without a
// dot at the end.
func Normalise(s string) (string, error) {
	n := strings.ToLower(strings.TrimSuffix(s, "."))
	if n == "" || len(n) > 253 {
		return "", fmt.Errorf("name %q has %d characters: %w", s, len(n), ErrName)
	}
	for label := range strings.SplitSeq(n, ".") {
		if !hostLabel(label) {
			return "", fmt.Errorf("name %q: label %q: %w", s, label, ErrName)
		}
	}
	return n, nil
}

func hostLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
