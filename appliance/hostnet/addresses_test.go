package hostnet

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// TestAddressesAreThoseOfTheVLAN: of the interface and its bridge untagged, of VLAN devices with their tag, and no others.
func TestAddressesAreThoseOfTheVLAN(t *testing.T) {
	inside(t, func(*netlab.Namespace) {
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Error(err)
			return
		}
		tagged := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "eth0.42", ParentIndex: eth.Attrs().Index}, VlanId: 42}
		addrs := map[string]string{"br0": "192.0.2.1/24", "eth0": "192.0.2.2/24", "far0": "203.0.113.1/24"}
		want := map[uint16][]string{0: {"192.0.2.1", "192.0.2.2"}, 43: nil}
		if err := netlink.LinkAdd(tagged); err == nil {
			addrs["eth0.42"], want[42] = "198.51.100.1/24", []string{"198.51.100.1"}
		} else if !errors.Is(err, unix.EOPNOTSUPP) { // a kernel without VLAN devices
			t.Error(err)
		}
		err = errors.Join(Enslave("eth0", "br0"), SetUp("eth0"))
		for name, a := range addrs {
			l, e := netlink.LinkByName(name)
			addr, e2 := netlink.ParseAddr(a)
			if err = errors.Join(err, e, e2); err == nil {
				err = netlink.AddrAdd(l, addr)
			}
		}
		if err != nil {
			t.Error(err)
			return
		}
		for vlan, want := range want {
			all, err := Addresses("eth0", vlan)
			var got []string
			for _, o := range all {
				if o.Addr.Is4() {
					got = append(got, o.Addr.String())
				}
				if o.Addr == netip.MustParseAddr("192.0.2.2") && o.MAC != mac {
					t.Errorf("%v answers for %v", o.MAC, o.Addr)
				}
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("VLAN %d: %v, %v, want %v", vlan, got, err, want)
			}
		}
	})
}
