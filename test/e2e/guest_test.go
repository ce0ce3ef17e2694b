package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// TestGuestsCabledToTheVLAN joins the network of a peer's guests to the VLAN by a cable, with a bridge in the guest: a
// loop through the overlay. The guest port is blocked, nothing circles, and everybody else goes on.
func TestGuestsCabledToTheVLAN(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	b.gateways(t)
	switches := b.Status().Switches
	sw := switches[slices.IndexFunc(switches, func(s lab.SwitchStatus) bool { return s.Name == "vlan" })]
	vlan, err := netlab.Open(sw.Netns)
	must(t, err)
	defer vlan.Close()
	guest, err := netlab.Open(b.host("w1").Netns)
	must(t, err)
	defer guest.Close()
	must(t, guest.Bridge("br0"), guest.Attach(b.host("w1").Interface, "br0"))
	must(t, netlab.Wire(netlab.End{In: guest, Name: "cable"}, netlab.End{In: vlan, Name: "stray"}))
	defer func() { _ = vlan.Remove("stray") }()
	must(t, guest.Attach("cable", "br0"), vlan.Attach("stray", sw.Bridge))

	eventually(t, reachLimit, "the guest port is blocked", func() bool {
		ports, err := b.api("w").Ports(within(t, reachLimit))
		must(t, err)
		return ports[0].Gate == web.GateShut && len(ports[0].Problems) > 0 && strings.Contains(ports[0].Problems[0].Summary, "guest_on_segment")
	})
	before := b.host1Frames(t)
	<-time.After(quiet)
	if n := b.host1Frames(t) - before; n > 1000 {
		t.Errorf("%d frames came to host1 within %v of quiet: they circle", n, quiet)
	}
}

// host1Frames is how many frames host1 has received.
func (b *bed) host1Frames(t *testing.T) uint64 {
	t.Helper()
	h := b.host("host1")
	ns, err := netlab.Open(h.Netns)
	must(t, err)
	defer ns.Close()
	n, err := ns.Received(h.Interface)
	must(t, err)
	return n
}
