package web

import (
	"fmt"
	"net/netip"
)

// AddressFilter chooses among the addresses that are not free. What is left out chooses all.
type AddressFilter struct {
	Subnet string `query:"subnet" doc:"Only addresses of this prefix"`
	Use    string `query:"use" doc:"Only those that are not free for this reason"`
	Page
}

// parsed is what the filter keeps.
func (f *AddressFilter) parsed() (keep func(Address) bool, err error) {
	var within netip.Prefix
	if f.Subnet != "" {
		if within, err = netip.ParsePrefix(f.Subnet); err != nil {
			return nil, fmt.Errorf("%w: subnet: %w", ErrInvalid, err)
		}
	}
	return func(a Address) bool {
		at, _ := netip.ParseAddr(a.Address)
		return (!within.IsValid() || within.Contains(at)) && is(f.Use, a.Use)
	}, nil
}

// byAddress is the order of addresses. Who lends one and who has it stand at one place.
var byAddress = order[Address]{
	place: func(a Address) string { return a.Address },
	check: func(place string) error {
		_, err := netip.ParseAddr(place)
		return err
	},
	compare: func(a, b string) int {
		x, _ := netip.ParseAddr(a) // what is none is the zero Addr, before all
		y, _ := netip.ParseAddr(b)
		return x.Compare(y)
	},
	texts: func(a Address) []string { return []string{a.Address, a.Owner, a.Host, a.MAC, a.Port, a.At, a.Peer} },
}
