// Package subnets says which subnets a network may have: apart from each other and from what its hosts reach already, and never less
// than what is given from.
package subnets

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/web"
)

// Nearby is address space that a peer's host reaches without the mesh: a subnet with the same addresses would be reached the
// wrong way there.
type Nearby struct {
	Prefix netip.Prefix `json:"prefix"`
	What   string       `json:"what"` // "route", "neighbour", OnMesh, inNetwork
	On     string       `json:"on"`   // the interface
	Peer   string       `json:"peer,omitempty"`
}

// What an address is that is not one of a host.
const (
	OnMesh    = "mesh"   // the mesh runs on it
	inNetwork = "subnet" // the network has the subnet already
)

func (s Nearby) String() string {
	switch s.What {
	case OnMesh:
		return fmt.Sprintf("%s, by which the mesh reaches peer %s", s.Prefix.Addr(), s.Peer)
	case inNetwork:
		return fmt.Sprintf("%s, a subnet of the network already", s.Prefix)
	}
	return fmt.Sprintf("%s, a %s on %s of peer %s", s.Prefix, s.What, s.On, s.Peer)
}

// Check reports what is wrong with the subnets of a document that only their network can know: one that shrinks while it is given
// from, and one that is in use on a peer's host already. Subnets that are given from are not looked at again; around is called when
// there are others.
func Check(all []netconfig.Subnet, decided ipam.Decided, around func() []Nearby) error {
	var near []Nearby
	var problems web.InvalidConfig
	for i, s := range all {
		p, err := netip.ParsePrefix(s.CIDR)
		if err != nil {
			continue // refused before
		}
		key := fmt.Sprintf("subnet[%d].cidr", i+1)
		if slices.ContainsFunc(all[:i], func(o netconfig.Subnet) bool { return o.CIDR == s.CIDR }) {
			continue // on another overlay as well; it is one space
		}
		for _, refused := range []error{ipam.CheckPrefix(p), crosses(all[:i], p), shrinks(decided, p)} {
			if refused != nil {
				problems = append(problems, web.ConfigProblem{Setting: key, Text: refused.Error()})
			}
		}
		if slices.ContainsFunc(decided.Grounds, func(g ipam.Ground) bool { return g.Prefix == p }) {
			continue
		}
		if near == nil {
			near = around()
		}
		if why := inUse(near, p); why != "" {
			problems = append(problems, web.ConfigProblem{Setting: key, Text: fmt.Sprintf("%s overlaps %s: choose another, for instance with drawbridge ipam suggest", p, why)})
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// crosses: addresses are unique in the whole network, so subnets of two overlays are the same or apart.
func crosses(others []netconfig.Subnet, p netip.Prefix) error {
	for i, o := range others {
		if q, err := netip.ParsePrefix(o.CIDR); err == nil && q != p && q.Overlaps(p) {
			return fmt.Errorf("%s overlaps %s of subnet[%d]", p, q, i+1)
		}
	}
	return nil
}

// shrinks: what is decided may grow, and nothing else.
func shrinks(d ipam.Decided, p netip.Prefix) error {
	for _, g := range d.Grounds {
		next := ipam.Subnet{Shape: ipam.Shape{Prefix: p, BlockBits: g.BlockBits}}
		if !g.Prefix.Overlaps(p) {
			continue
		}
		if err := ipam.CheckSubnets([]ipam.Subnet{next}, nil); err != nil {
			return fmt.Errorf("%s cannot grow so far from %s: %w", p, g.Prefix, err)
		}
		if ipam.CheckChange([]ipam.Subnet{g.Subnet}, []ipam.Subnet{next}, func(netip.Prefix) bool { return true }) != nil {
			return fmt.Errorf("%s is less than %s, of which addresses are given: a subnet grows, but does not shrink. Take it out of the configuration, wait until drawbridge ipam show has it no more, and add the smaller one then", p, g.Prefix)
		}
	}
	return nil
}

// inUse is the first of what is around that a subnet would cover or be covered by; default routes cover everything.
func inUse(around []Nearby, p netip.Prefix) string {
	for _, a := range around {
		if a.Prefix.Bits() > 0 && a.Prefix.Overlaps(p) {
			return a.String()
		}
	}
	return ""
}

// candidates for a subnet when none are named: private space (RFC 1918) that routers of homes and offices seldom have as it
// comes from the shop, and then some of the rest; a unique local prefix (RFC 4193) as the last.
var candidates = []string{
	"10.43.0.0/16", "10.87.0.0/16", "10.187.0.0/16", "172.29.0.0/16", "172.22.0.0/16", "192.168.187.0/24", "192.168.243.0/24", "fd4d:db53:7:1::/64",
}

// Suggest is the first of some candidates that a network with some subnets can have; without any named, of ours.
func Suggest(from []string, own []netip.Prefix, around []Nearby) (web.SubnetSuggestion, error) {
	if len(from) == 0 {
		from = candidates
	}
	around = slices.Clone(around)
	for _, p := range own {
		around = append(around, Nearby{Prefix: p, What: inNetwork})
	}
	var out web.SubnetSuggestion
	for _, text := range from {
		p, err := netip.ParsePrefix(text)
		if err == nil {
			err = ipam.CheckPrefix(p)
		}
		if err != nil {
			return out, fmt.Errorf("%w: candidate %q: %w", web.ErrInvalid, text, err)
		}
		if why := inUse(around, p); why != "" {
			out.Refused = append(out.Refused, web.RefusedSubnet{Subnet: text, Why: "overlaps " + why})
			continue
		}
		out.Subnet = p.String()
		return out, nil
	}
	var refused []error
	for _, r := range out.Refused {
		refused = append(refused, fmt.Errorf("%s %s", r.Subnet, r.Why))
	}
	return out, fmt.Errorf("%w: no candidate is free: %w", web.ErrConflict, errors.Join(refused...))
}
