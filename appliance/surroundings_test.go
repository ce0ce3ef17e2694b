package appliance

import (
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
	addresskeeper "github.com/drawbridge-net/drawbridge/ipam/keeper"
)

// Tables of a Linux 6.1 host.
const (
	aRoutes4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" +
		"wg0\t00002B0A\t00000000\t0001\t0\t0\t0\t00C0FFFF\t0\t0\t0\n"
	aRoutes6 = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n" +
		"fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0\n"
	aNeighbours = "IP address       HW type     Flags       HW address            Mask     Device\n" +
		"192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n" +
		"192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0\n"
)

func TestRoutesAndNeighboursAreRead(t *testing.T) {
	for _, c := range []struct {
		read func(io.Reader) []nearby
		text string
		want []string
	}{
		{routes4, aRoutes4, []string{"192.0.2.0/24 eth0", "10.43.0.0/18 wg0"}},
		{routes6, aRoutes6, []string{"fd00::/64 eth0"}},
		{neighbours4, aNeighbours, []string{"192.0.2.1/32 eth0"}},
	} {
		var got []string
		for _, s := range c.read(strings.NewReader(c.text)) {
			got = append(got, s.Prefix.String()+" "+s.On)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

func FuzzSurroundings(f *testing.F) {
	f.Add(aRoutes4)
	f.Add(aRoutes6)
	f.Add(aNeighbours)
	f.Fuzz(func(t *testing.T, text string) {
		for _, read := range []func(io.Reader) []nearby{routes4, routes6, neighbours4} {
			for _, s := range read(strings.NewReader(text)) {
				if !s.Prefix.IsValid() || s.Prefix.Bits() == 0 || s.Prefix != s.Prefix.Masked() {
					t.Fatalf("%+v", s)
				}
			}
		}
	})
}

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
