package appliance

import (
	"net/netip"
	"slices"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/ipam"
	addresskeeper "github.com/drawbridge-net/drawbridge/ipam/keeper"
)

// addressedDocument is a configuration with subnets on one of two overlays.
func addressedDocument(t *testing.T, subnet string) *netconfig.Document {
	t.Helper()
	d, err := netconfig.Parse("", []byte("[[overlay]]\nname='main'\nvni=7\nmtu=1300\n[[overlay]]\nname='other'\nvni=8\n[[subnet]]\noverlay='main'\n"+subnet))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestGuestsOfAnOverlayWithASubnetAreServed(t *testing.T) {
	d := addressedDocument(t, "cidr='10.43.0.0/24'\nrouter='10.43.0.254'\ndns=['192.0.2.53','2001:db8::53']\n[[subnet.option]]\ncode=51\nvalue='600'\n")
	l := linkOf(d, 7)
	if l.Four == nil || l.Four.Server.String() != "10.43.0.253" || l.Four.Lease.Seconds() != 600 || l.Four.MTU != 1300 || len(l.Four.DNS) != 1 {
		t.Errorf("served: %+v", l.Four)
	}
	if other := linkOf(d, 8); other.Four != nil || other.MAC != (drawbridge.MAC{}) {
		t.Errorf("an overlay without a subnet is served: %+v", other)
	}
}

// TestThePeersAddressIsNeverGiven, nor the one that it would be with another router.
func TestThePeersAddressIsNeverGiven(t *testing.T) {
	d := addressedDocument(t, "cidr='10.43.0.0/24'\nrouter='10.43.0.1'\nreserved=['10.43.0.2-10.43.0.9']\n")
	for _, text := range []string{"10.43.0.1", "10.43.0.5", "10.43.0.253", "10.43.0.254"} {
		if !keptBack(addressSpace(d)[0], text) {
			t.Errorf("%s may be given", text)
		}
	}
}

func keptBack(s ipam.Subnet, text string) bool {
	a := netip.MustParseAddr(text)
	return slices.ContainsFunc(s.Reserved, func(r ipam.Range) bool { return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0 })
}

// TestOverlaysWithOneSubnetAreOneSpace: what both keep back is kept back, and once that is decided nothing is decided again.
func TestOverlaysWithOneSubnetAreOneSpace(t *testing.T) {
	const second = "[[subnet]]\noverlay='other'\ncidr='10.43.0.0/24'\nrouter='10.43.0.9'\n"
	all := addressSpace(addressedDocument(t, "cidr='10.43.0.0/24'\nrouter='10.43.0.1'\n"+second))
	if len(all) != 1 || !keptBack(all[0], "10.43.0.1") || !keptBack(all[0], "10.43.0.9") {
		t.Errorf("the space of both: %+v", all)
	}
	anybody := func(drawbridge.PeerID) bool { return true }
	w := addresskeeper.World{Subnets: all, Removed: func(drawbridge.PeerID) bool { return false }, Reachable: anybody, Current: true}
	d, _, err := addresskeeper.Admit(ipam.Decided{}, ipam.Holder{Peer: 1, Life: 1}, "a", w)
	if err == nil {
		d, _, err = addresskeeper.Next(d, w)
	}
	if _, again, err2 := addresskeeper.Next(d, w); err != nil || err2 != nil || again {
		t.Errorf("decided once more: %v; %v, %v", again, err, err2)
	}
}

// BenchmarkFramesThatMayCross is what the guard costs most frames: TCP over IPv4.
func BenchmarkFramesThatMayCross(b *testing.B) {
	f := make(drawbridge.Frame, 1400)
	f[12], f[14], f[23] = 8, 0x45, 6
	for _, c := range []struct {
		name     string
		protocol byte
	}{{"tcp", 6}, {"udp", 17}} {
		b.Run(c.name, func(b *testing.B) {
			f[23] = c.protocol
			n := &Node{}
			b.ReportAllocs()
			for b.Loop() {
				if n.foreignAnswer(7, f) {
					b.Fatal("it may not cross")
				}
			}
		})
	}
}
