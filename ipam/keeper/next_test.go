package keeper

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
)

func everybody(drawbridge.PeerID) bool { return true }
func nobody(drawbridge.PeerID) bool    { return false }

// decided is decisions with these members and a world that wants these subnets.
func decided(t *testing.T, members []drawbridge.PeerID, prefixes ...string) (ipam.Decided, World) {
	t.Helper()
	w := World{Removed: nobody, Reachable: everybody}
	var d ipam.Decided
	for _, m := range members {
		var err error
		if d, _, err = Admit(d, ipam.Holder{Peer: m, Life: 7}, "", w); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range prefixes {
		w.Subnets = append(w.Subnets, ipam.Subnet{Shape: ipam.Shape{Prefix: netip.MustParsePrefix(p)}})
	}
	return d, w
}

func TestASubnetIsSeededOnceForThoseThatCanBeHeard(t *testing.T) {
	d, w := decided(t, []drawbridge.PeerID{1, 2, 3}, "10.43.0.0/24")
	w.Reachable = func(p drawbridge.PeerID) bool { return p != 2 }
	next, ok, err := Next(d, w)
	if !ok || err != nil || next.Number != d.Number+1 {
		t.Fatal(next, ok, err)
	}
	if s := next.Grounds[0].Seeds; len(s) != 1 || len(s[0].Founders) != 2 || s[0].Number != next.Number {
		t.Errorf("seeds: %+v", s)
	}
	if _, ok, err := Next(next, w); ok || err != nil {
		t.Errorf("seeded again: %v, %v", ok, err)
	}
}

func TestASubnetWithoutMembersIsSeededLater(t *testing.T) {
	d, w := decided(t, nil, "10.43.0.0/24")
	d, ok, err := Next(d, w)
	if !ok || err != nil || len(d.Grounds[0].Seeds) != 0 {
		t.Fatal(d, ok, err)
	}
	if d, _, err = Admit(d, ipam.Holder{Peer: 1, Life: 7}, "a", w); err != nil {
		t.Fatal(err)
	}
	if d, ok, err = Next(d, w); !ok || err != nil || len(d.Grounds[0].Seeds) != 1 {
		t.Error(d, ok, err)
	}
}

// TestAGrownSubnetKeepsWhatWasSeeded: a second seeding of the same space would give addresses twice.
func TestAGrownSubnetKeepsWhatWasSeeded(t *testing.T) {
	d, w := decided(t, []drawbridge.PeerID{1}, "10.43.2.0/24")
	d, _, _ = Next(d, w)
	w.Subnets[0].Prefix = netip.MustParsePrefix("10.43.0.0/22")
	d, ok, err := Next(d, w)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	var parts []string
	for _, s := range d.Grounds[0].Seeds {
		parts = append(parts, s.Part.String())
	}
	if want := []string{"10.43.2.0/24", "10.43.0.0/23", "10.43.3.0/24"}; !slices.Equal(parts, want) {
		t.Errorf("parts %v, want %v", parts, want)
	}
	w.Subnets[0].Prefix = netip.MustParsePrefix("10.43.2.0/25")
	if _, ok, err := Next(d, w); ok || err == nil {
		t.Errorf("it shrank: %v, %v", ok, err)
	}
	if w.Subnets = nil; true {
		if _, ok, err := Next(d, w); ok || err != nil {
			t.Errorf("it went: %v, %v", ok, err)
		}
	}
}

func TestWhoIsRemovedFromTheNetworkHasAnHeir(t *testing.T) {
	d, w := decided(t, []drawbridge.PeerID{1, 2, 3}, "10.43.0.0/24")
	d, _, _ = Next(d, w)
	w.Removed = func(p drawbridge.PeerID) bool { return p == 1 }
	w.Reachable = func(p drawbridge.PeerID) bool { return p == 3 }
	d, ok, err := Next(d, w)
	if !ok || err != nil || d.Members[0].Removed != d.Number || d.Members[0].Heir != 3 {
		t.Errorf("%+v, %v, %v", d.Members, ok, err)
	}
	if _, ok, err := Admit(d, ipam.Holder{Peer: 1, Life: 8}, "a", w); ok || err == nil {
		t.Errorf("it came back: %v, %v", ok, err)
	}
	if d, ok, err = Remove(d, 2, w); !ok || err != nil || d.Members[1].Heir != 3 {
		t.Errorf("lost state file: %+v, %v, %v", d.Members, ok, err)
	}
	if _, ok, err := Admit(d, ipam.Holder{Peer: 2, Life: 8}, "b", w); !ok || err != nil {
		t.Errorf("under a new life: %v, %v", ok, err)
	}
	if _, ok, err := Admit(d, ipam.Holder{Peer: 3, Life: 8}, "c", w); ok || err == nil {
		t.Errorf("a second life beside a living one: %v, %v", ok, err)
	}
}

// TestASubnetGoesWhenNobodyUsesIt: it is closed first, and opened again if it comes back before it has gone.
func TestASubnetGoesWhenNobodyUsesIt(t *testing.T) {
	d, w := decided(t, []drawbridge.PeerID{1}, "10.43.0.0/24")
	d, _, _ = Next(d, w)
	all := w.Subnets
	w.Subnets = nil
	if _, ok, err := Next(d, w); ok || err != nil {
		t.Errorf("an old configuration closes it: %v, %v", ok, err)
	}
	w.Current = true
	d, ok, err := Next(d, w)
	if !ok || err != nil || !d.Grounds[0].Closed {
		t.Fatal(d, ok, err)
	}
	w.Unused = func(_ netip.Prefix, decision uint32) bool { return decision > d.Number }
	if _, ok, err = Next(d, w); ok || err != nil {
		t.Errorf("it goes while somebody may use it: %v, %v", ok, err)
	}
	w.Subnets = all
	open, ok, err := Next(d, w)
	if !ok || err != nil || open.Grounds[0].Closed || len(open.Grounds[0].Seeds) != 1 {
		t.Errorf("it came back: %+v, %v, %v", open, ok, err)
	}
	w.Subnets, w.Unused = nil, func(_ netip.Prefix, decision uint32) bool { return decision == d.Number }
	gone, ok, err := Next(d, w)
	if !ok || err != nil || len(gone.Grounds) != 0 {
		t.Fatal(gone, ok, err)
	}
	w.Subnets = all
	again, ok, err := Next(gone, w)
	if !ok || err != nil || again.Grounds[0].Seeds[0].Number != again.Number {
		t.Errorf("seeded again: %+v, %v, %v", again, ok, err)
	}
}
