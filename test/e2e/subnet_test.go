package e2e

import (
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
)

// withSubnet puts another prefix into the configuration of the tests; empty: none.
func withSubnet(cidr string) string {
	head, tail, _ := strings.Cut(addressed, "[[subnet]]\n")
	if cidr == "" {
		return head
	}
	_, tail, _ = strings.Cut(tail, "\n")
	return head + "[[subnet]]\ncidr = \"" + cidr + "\"\n" + tail
}

// TestSubnetsAtRunTime: a subnet grows under its guests, does not shrink, and goes when nobody uses it.
func TestSubnetsAtRunTime(t *testing.T) {
	b := addressedLab(t, "w", "x")
	put := func(text string) error {
		_, err := b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: text})
		return err
	}
	g := b.dhcpGuest(t, "x1")
	had := g.next(t, "bound")
	for cidr, why := range map[string]string{
		"10.43.0.0/25": "does not shrink", "10.43.0.7/24": "bits below its length", "192.0.2.0/24": "by which the mesh reaches peer", "192.0.0.0/16": "overlaps 192.0.2.",
	} {
		text := strings.ReplaceAll(withSubnet(cidr), "router = \"10.43.0.1\"\n", "")
		if err := put(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s is put: %v, want %q", cidr, err, why)
		}
	}
	must(t, put(withSubnet("10.43.0.0/23")))
	eventually(t, reachLimit, "the subnet has grown", func() bool {
		all, err := b.api("x").Subnets(within(t, reachLimit))
		return err == nil && len(all) == 1 && all[0].Subnet == "10.43.0.0/23" && all[0].Free > 0
	})
	a, err := b.api("x").AllocateAddress(within(t, reachLimit), web.AddressRequest{Owner: "nas", Address: "10.43.1.200"})
	must(t, err)
	if row := b.addresses(t, "w")[had]; row.At != "x" {
		t.Errorf("%s of the guest is %+v", had, row)
	}
	if got := b.run(t, "w", "ipam", "suggest", "192.0.2.128/25", "10.43.0.0/16", "10.99.0.0/16"); !strings.HasSuffix(got, "10.99.0.0/16\n") || strings.Count(got, "overlaps") != 2 {
		t.Errorf("suggested: %s", got)
	}

	must(t, put(withSubnet("")))
	eventually(t, reachLimit, "the subnet is closed", func() bool {
		late, err := b.api("w").AllocateAddress(within(t, reachLimit), web.AddressRequest{Owner: "late", Subnet: "10.43.0.0/23"})
		if err == nil { // not yet
			must(t, b.api("w").ReleaseAddress(within(t, reachLimit), late.Address))
		}
		return err != nil && strings.Contains(err.Error(), "not in the network configuration any more")
	})
	must(t, b.api("x").ReleaseAddress(within(t, reachLimit), had))
	must(t, b.api("x").ReleaseAddress(within(t, reachLimit), a.Address))
	gone := func(node string) func() bool {
		return func() bool {
			all, err := b.api(node).Subnets(within(t, reachLimit))
			return err == nil && len(all) == 0
		}
	}
	for _, node := range []string{"w", "x", "y", "z", "a", "b"} {
		eventually(t, reachLimit, "the subnet is gone at "+node, gone(node))
	}
	v, err := b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: withSubnet("10.43.0.0/24")})
	must(t, err)
	applied, err := b.api("x").ConfigApplied(within(t, reachLimit), v.Version, reachLimit/2)
	if err != nil || !applied.Complete {
		t.Fatalf("version %d is not in force everywhere: %+v, %v", v.Version, applied, err)
	}
	early, err := b.api("x").AllocateAddress(within(t, reachLimit), web.AddressRequest{Owner: "early"})
	must(t, err) // the voters have divided it by then, or the peer waits for them
	must(t, b.api("x").ReleaseAddress(within(t, reachLimit), early.Address))
	for _, node := range []string{"w", "x"} {
		eventually(t, reachLimit, node+" gives addresses of a new subnet", func() bool { return b.able(t, node) })
	}
}
