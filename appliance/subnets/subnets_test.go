package subnets

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/ipam/keeper"
	"github.com/drawbridge-net/drawbridge/web"
)

func TestWhatStandsAgainstASubnet(t *testing.T) {
	around := []Nearby{
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

// TestSubnetsOfADocument: those that are given from are not looked for at the peers again, and each other one is, once.
func TestSubnetsOfADocument(t *testing.T) {
	decided := ipam.Decided{Grounds: []ipam.Ground{{Subnet: ipam.Subnet{Shape: ipam.Shape{Prefix: netip.MustParsePrefix("10.43.0.0/24")}}}}}
	asked := 0
	around := func() []Nearby {
		asked++
		return []Nearby{{netip.MustParsePrefix("10.0.0.0/8"), "route", "eth0", "y"}}
	}
	document := func(cidrs ...string) (all []netconfig.Subnet) {
		for _, c := range cidrs {
			all = append(all, netconfig.Subnet{CIDR: c})
		}
		return all
	}
	if err := Check(document("10.43.0.0/24", "nonsense"), decided, around); err != nil || asked != 0 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	err := Check(document("10.43.0.0/24", "10.43.0.0/24", "10.43.0.0/25", "10.44.0.0/24", "192.0.2.0/24"), decided, around)
	var problems web.InvalidConfig
	if !errors.As(err, &problems) || asked != 1 {
		t.Fatalf("asked %d times: %v", asked, err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Setting+" "+p.Text[:min(len(p.Text), 50)])
	}
	want := []string{
		"subnet[3].cidr 10.43.0.0/25 overlaps 10.43.0.0/24 of subnet[1]", "subnet[3].cidr 10.43.0.0/25 is less than 10.43.0.0/24, of which a",
		"subnet[3].cidr 10.43.0.0/25 overlaps 10.0.0.0/8, a route on eth0 ", "subnet[4].cidr 10.44.0.0/24 overlaps 10.0.0.0/8, a route on eth0 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestASubnetIsSuggested(t *testing.T) {
	around := []Nearby{{netip.MustParsePrefix("10.43.0.0/18"), "route", "wg0", "y"}}
	own := []netip.Prefix{netip.MustParsePrefix("10.87.4.0/24")}
	s, err := Suggest(nil, own, around)
	if err != nil || s.Subnet != "10.187.0.0/16" || len(s.Refused) != 2 || s.Refused[1].Why != "overlaps 10.87.4.0/24, a subnet of the network already" {
		t.Errorf("%+v: %v", s, err)
	}
	if _, err := Suggest([]string{"10.43.0.0/16"}, own, around); !errors.Is(err, web.ErrConflict) {
		t.Errorf("none is free: %v", err)
	}
	if _, err := Suggest([]string{"10.43"}, own, around); !errors.Is(err, web.ErrInvalid) {
		t.Errorf("a candidate that is none: %v", err)
	}
}

// TestWhatASubnetMayBecome: from 10.43.0.0/24, of which addresses are given.
func TestWhatASubnetMayBecome(t *testing.T) {
	w := keeper.World{
		Subnets: []ipam.Subnet{{Shape: ipam.Shape{Prefix: netip.MustParsePrefix("10.43.0.0/24")}}},
		Removed: func(drawbridge.PeerID) bool { return false }, Reachable: func(drawbridge.PeerID) bool { return true },
	}
	d, _, err := keeper.Next(ipam.Decided{}, w)
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
