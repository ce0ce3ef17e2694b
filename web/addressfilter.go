package web

import (
	"fmt"
	"net/netip"
	"strings"
)

// AddressFilter chooses among the addresses that are not free. What is left out chooses all.
type AddressFilter struct {
	Subnet string `query:"subnet" doc:"Only addresses of this prefix"`
	Use    string `query:"use" doc:"Only those that are not free for this reason"`
	Find   string `query:"find" maxLength:"255" doc:"Only those with this text in address, owner, host, hardware address or port"`
	After  string `query:"after" doc:"Only those behind this address, for the next page"`
	Limit  int    `query:"limit" minimum:"0" maximum:"100000" doc:"The most that are answered; 0: all"`
}

// parsed is what the filter leaves of a list in order.
func (f AddressFilter) parsed() (keep func([]Address) []Address, err error) {
	var within netip.Prefix
	var after netip.Addr
	if f.Subnet != "" {
		if within, err = netip.ParsePrefix(f.Subnet); err != nil {
			return nil, fmt.Errorf("subnet: %w", err)
		}
	}
	if f.After != "" {
		if after, err = netip.ParseAddr(f.After); err != nil {
			return nil, fmt.Errorf("after: %w", err)
		}
	}
	find := strings.ToLower(f.Find)
	return func(all []Address) (out []Address) {
		for _, a := range all {
			if f.Limit > 0 && len(out) >= f.Limit && out[len(out)-1].Address != a.Address {
				break // who lends an address and who has it stay on one page
			}
			at, _ := netip.ParseAddr(a.Address)
			if (!within.IsValid() || within.Contains(at)) && (f.Use == "" || f.Use == a.Use) && (!after.IsValid() || at.Compare(after) > 0) && a.has(find) {
				out = append(out, a)
			}
		}
		return out
	}, nil
}

// has reports whether a text, in small letters, stands somewhere in a.
func (a Address) has(text string) bool {
	return strings.Contains(strings.ToLower(strings.Join([]string{a.Address, a.Owner, a.Host, a.MAC, a.Port, a.At, a.Peer}, "\n")), text)
}
