package hostnet

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/drawbridge-net/drawbridge/test/netlab"
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
		read func(io.Reader) []Reach
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

func FuzzReached(f *testing.F) {
	f.Add(aRoutes4)
	f.Add(aRoutes6)
	f.Add(aNeighbours)
	f.Fuzz(func(t *testing.T, text string) {
		for _, read := range []func(io.Reader) []Reach{routes4, routes6, neighbours4} {
			for _, s := range read(strings.NewReader(text)) {
				if !s.Prefix.IsValid() || s.Prefix.Bits() == 0 || s.Prefix != s.Prefix.Masked() {
					t.Fatalf("%+v", s)
				}
			}
		}
	})
}

func TestWhatAHostReaches(t *testing.T) {
	inside(t, func(*netlab.Namespace) {
		eth, err := netlink.LinkByName("eth0")
		addr, err2 := netlink.ParseAddr("192.0.2.1/24")
		if err = errors.Join(err, err2, SetUp("eth0"), SetUp("far0")); err != nil {
			t.Error(err)
			return
		}
		somebody := netlink.Neigh{
			LinkIndex: eth.Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT, IP: []byte{192, 0, 2, 9}, HardwareAddr: []byte{2, 0, 0, 0, 0, 9},
		}
		if err := errors.Join(netlink.AddrAdd(eth, addr), netlink.NeighAdd(&somebody)); err != nil {
			t.Error(err)
			return
		}
		all := Reached()
		for _, want := range []Reach{{netip.MustParsePrefix("192.0.2.0/24"), Route, "eth0"}, {netip.MustParsePrefix("192.0.2.9/32"), Neighbour, "eth0"}} {
			if !slices.Contains(all, want) {
				t.Errorf("%v is not among %v", want, all)
			}
		}
		for _, r := range all {
			if r.On != "eth0" && r.On != "lo" && r.On != "far0" && r.On != "br0" {
				t.Errorf("%v is of another namespace", r)
			}
		}
	})
}
