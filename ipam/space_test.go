package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestTreeAgainstMap(t *testing.T) {
	for _, width := range []int{2, 6, 7, 12, 13} {
		rnd := rand.New(rand.NewPCG(1, uint64(width)))
		tr, want := newTree(width), map[uint64]bool{}
		for range 300 {
			a, b := rnd.Uint64()&lowBits(width), rnd.Uint64()&lowBits(width)
			if rnd.IntN(2) == 0 {
				b = min(a+uint64(rnd.IntN(3)), lowBits(width))
			}
			a, b = min(a, b), max(a, b)
			in := rnd.IntN(3) > 0
			if in {
				tr.set(a, b)
			} else {
				tr.clear(a, b)
			}
			for x := a; x <= b; x++ {
				want[x] = in
			}
			compareTree(t, tr, want, width)
		}
	}
}

func compareTree(t *testing.T, tr *tree, want map[uint64]bool, width int) {
	t.Helper()
	least, found := uint64(0), false
	for x := range lowBits(width) + 1 {
		if tr.has(x) != want[x] {
			t.Fatalf("width %d: has(%d) = %v", width, x, tr.has(x))
		}
		if !want[x] && !found {
			least, found = x, true
		}
	}
	if got, ok := tr.outside(); ok != found || got != least && ok {
		t.Fatalf("width %d: outside %d, %v, want %d, %v", width, got, ok, least, found)
	}
}

func TestTreeOf64Bits(t *testing.T) {
	tr := newTree(64)
	tr.set(0, ^uint64(0)-1)
	if x, ok := tr.outside(); !ok || x != ^uint64(0) {
		t.Fatalf("outside %d, %v", x, ok)
	}
	tr.set(^uint64(0), ^uint64(0))
	if _, ok := tr.outside(); ok {
		t.Fatal("a full tree has room")
	}
	tr.clear(5, 5)
	if x, ok := tr.outside(); !ok || x != 5 {
		t.Fatalf("outside %d, %v", x, ok)
	}
}

func subnet(t testing.TB, prefix string, reserved ...Range) Subnet {
	t.Helper()
	s, err := NewShape(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return Subnet{s, reserved}
}

func TestSpaceGivesEachFreeAddressOnce(t *testing.T) {
	a := netip.MustParseAddr
	p := NewSpace(subnet(t, "10.1.0.0/24", Range{a("10.1.0.1"), a("10.1.0.9"), "gateways"}, Range{a("10.1.0.5"), a("10.1.0.20"), "VLAN's DHCP"}))
	for i := range p.Blocks() {
		p.hold(i)
	}
	if p.free != 256-2-20 {
		t.Fatalf("%d free, want 234", p.free)
	}
	seen := map[uint64]bool{}
	for i := range 234 {
		at, ok := p.pick("x")
		if !ok || seen[at] || at <= 20 || at == 255 {
			t.Fatalf("pick %d: %d, %v", i, at, ok)
		}
		seen[at] = true
		p.put(Entry{Use: Mine, Offset: at, Owner: fmt.Sprint(i)})
	}
	if _, ok := p.pick("x"); ok || p.free != 0 || p.freeBlocks() != 0 {
		t.Fatalf("something is left: %d", p.free)
	}
	p.remove(99, true)
	if at, ok := p.pick("78"); !ok || at != 99 || p.free != 1 {
		t.Fatalf("owner gets %d, %v again, want 99", at, ok)
	}
	p.drop(6)
	if _, ok := p.pick("x"); ok || p.free != 0 {
		t.Fatal("an address of a block that was given away is free")
	}
	p.hold(6)
	if at, ok := p.pick("x"); !ok || at != 99 {
		t.Fatalf("%d, %v", at, ok)
	}
}

func TestSpaceExpires(t *testing.T) {
	p := NewSpace(subnet(t, "10.1.0.0/24"))
	p.hold(0)
	for i, until := range []Instant{30, 10, 20, 0} {
		p.put(Entry{Use: Mine, Offset: uint64(i + 1), Owner: fmt.Sprint(i), Until: until})
	}
	p.put(Entry{Use: Mine, Offset: 2, Owner: "1", Until: 25})
	var got []uint64
	for e, ok := p.expired(25); ok; e, ok = p.expired(25) {
		got = append(got, e.Offset)
		p.remove(e.Offset, true)
	}
	if fmt.Sprint(got) != "[3 2]" {
		t.Errorf("expired %v, want [3 2]", got)
	}
}

func TestSubnetErrors(t *testing.T) {
	p := netip.MustParsePrefix
	for _, bad := range []string{"10.1.0.1/24", "10.0.0.0/7", "10.1.0.0/31", "fd00::/63", "fd00::1/64", "224.0.0.0/8", "127.0.0.0/8"} {
		if _, err := NewShape(p(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for prefix, blocks := range map[string]int{"10.1.0.0/24": 16, "10.1.0.0/16": 1024, "10.0.0.0/8": 1024, "fd00::/64": 1024, "10.1.0.0/30": 2} {
		if s, err := NewShape(p(prefix)); err != nil || s.Blocks() != blocks {
			t.Errorf("%s: %d blocks, %v, want %d", prefix, s.Blocks(), err, blocks)
		}
	}
	a, b := subnet(t, "10.1.0.0/24"), subnet(t, "10.1.0.0/16")
	if err := CheckSubnets([]Subnet{a, b}, nil); err == nil {
		t.Error("overlapping subnets are taken")
	}
	if err := CheckSubnets([]Subnet{a}, []netip.Prefix{p("10.1.0.0/28"), p("0.0.0.0/0")}); err == nil {
		t.Error("a subnet that contains the underlay is taken")
	}
	if err := CheckSubnets([]Subnet{a}, []netip.Prefix{p("192.168.0.0/16"), p("0.0.0.0/0")}); err != nil {
		t.Error(err)
	}
	grown := Subnet{Shape: Shape{p("10.1.0.0/23"), a.BlockBits}}
	used := func(netip.Prefix) bool { return true }
	if err := CheckChange([]Subnet{a}, []Subnet{grown}, used); err != nil {
		t.Error(err)
	}
	if err := CheckChange([]Subnet{grown}, []Subnet{a}, used); err == nil {
		t.Error("a used subnet shrinks")
	}
	if got, err := Fallback([]netip.Prefix{p("10.1.0.0/24"), p("10.2.0.0/24")}, []netip.Prefix{p("10.1.0.0/16")}); err != nil || got != p("10.2.0.0/24") {
		t.Errorf("fall-back %v, %v", got, err)
	}
}
