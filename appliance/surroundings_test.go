package appliance

import (
	"net/netip"
	"strings"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
	addresskeeper "github.com/drawbridge-net/drawbridge/ipam/keeper"
)

func TestWhatStandsAgainstASubnet(t *testing.T) {
	around := []nearby{
		{netip.MustParsePrefix("192.0.2.13/32"), "mesh", "", "x"},
		{netip.MustParsePrefix("10.43.0.0/18"), "route", "wg0", "y"},
		{netip.MustParsePrefix("0.0.0.0/0"), "route", "eth0", "y"},
	}
	for subnet, want := range map[string]string{
		"192.0.2.0/24": "192.0.2.13, by which the mesh reaches peer x", "10.43.9.0/24": "10.43.0.0/18, a route on wg0 of peer y",
		"10.0.0.0/8": "10.43.0.0/18, a route on wg0 of peer y", "10.44.0.0/16": "", "fd4d::/64": "",
	} {
		if got := inUse(around, netip.MustParsePrefix(subnet)); got != want {
			t.Errorf("%s: %q, want %q", subnet, got, want)
		}
	}
}

// TestWhatASubnetMayBecome: from 10.43.0.0/24, of which addresses are given.
func TestWhatASubnetMayBecome(t *testing.T) {
	w := addresskeeper.World{
		Subnets: []ipam.Subnet{{Shape: ipam.Shape{Prefix: netip.MustParsePrefix("10.43.0.0/24")}}},
		Removed: func(drawbridge.PeerID) bool { return false }, Reachable: func(drawbridge.PeerID) bool { return true },
	}
	d, _, err := addresskeeper.Next(ipam.Decided{}, w)
	if err != nil {
		t.Fatal(err)
	}
	for subnet, want := range map[string]string{
		"10.43.0.0/24": "", "10.43.0.0/23": "", "10.44.0.0/24": "", "10.43.0.0/25": "does not shrink", "10.43.0.128/25": "does not shrink", "10.0.0.0/8": "cannot grow so far",
	} {
		err := shrinks(d, netip.MustParsePrefix(subnet))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", subnet, err, want)
		}
	}
}
