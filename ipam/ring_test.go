package ipam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/quick"

	"github.com/drawbridge-net/drawbridge"
)

func holder(n int) Holder { return Holder{drawbridge.PeerID(n), uint32(n)} }

// randomRing has small numbers, so that registers clash.
func randomRing(rnd *rand.Rand, s Shape) *Ring {
	r := NewRing(s)
	for i := range r.regs {
		r.regs[i] = Register{Generation(rnd.IntN(4)), holder(rnd.IntN(4)), holder(rnd.IntN(3))}
	}
	return r
}

func joined(a, b *Ring) *Ring {
	c := a.Clone()
	c.join(b)
	return c
}

func TestJoinIsASemilattice(t *testing.T) {
	s := subnet(t, "10.1.0.0/24").Shape
	law := func(seed uint64) bool {
		rnd := rand.New(rand.NewPCG(seed, 0))
		a, b, c := randomRing(rnd, s), randomRing(rnd, s), randomRing(rnd, s)
		return joined(a, b).Equal(joined(b, a)) && joined(a, joined(b, c)).Equal(joined(joined(a, b), c)) && joined(a, a).Equal(a)
	}
	if err := quick.Check(law, nil); err != nil {
		t.Error(err)
	}
}

func TestMergeRefusesTwoOwnersOfOneGeneration(t *testing.T) {
	s := subnet(t, "10.1.0.0/24").Shape
	a, b := NewRing(s), NewRing(s)
	a.regs[3] = Register{7, holder(1), holder(9)}
	b.regs[3] = Register{7, holder(2), holder(9)}
	b.regs[2] = Register{8, holder(2), holder(9)}
	before := a.Clone()
	_, err := a.Merge(b)
	var clash *Clash
	if !errors.As(err, &clash) || clash.Have.Owner != holder(1) || clash.Told.Owner != holder(2) || !errors.Is(err, ErrConflict) {
		t.Errorf("merged: %v", err)
	}
	if !a.Equal(before) {
		t.Error("a refused merge changed something")
	}
	b.regs[3].Gen = 9
	if changed, err := a.Merge(b); err != nil || fmt.Sprint(changed) != "[2 3]" {
		t.Errorf("%v, %v", changed, err)
	}
}

func TestSharesAreCIDRs(t *testing.T) {
	g := Ground{Subnet: subnet(t, "10.1.0.0/24")}
	g.Seeds = []Seed{{g.Prefix, 1, []Holder{holder(1), holder(2), holder(3)}}}
	got := fmt.Sprint(g.initial().Shares())
	want := "[{10.1.0.0/26 00000001/00000001} {10.1.0.64/27 00000001/00000001} {10.1.0.96/27 00000002/00000002} " +
		"{10.1.0.128/27 00000002/00000002} {10.1.0.160/28 00000002/00000002} {10.1.0.176/28 00000003/00000003} {10.1.0.192/26 00000003/00000003}]"
	if got != want {
		t.Errorf("shares\n%s, want\n%s", got, want)
	}
}

func TestRegrownKeepsWhatIsKnown(t *testing.T) {
	small := Ground{Subnet: subnet(t, "10.1.1.0/24")}
	small.Seeds = []Seed{{small.Prefix, 1, []Holder{holder(1)}}}
	r := small.initial()
	r.regs[5] = Register{MakeGeneration(1, 4), holder(2), holder(1)}
	big := Ground{Subnet: Subnet{Shape: Shape{netip.MustParsePrefix("10.1.0.0/23"), small.BlockBits}}}
	big.Seeds = append(small.Seeds, Seed{netip.MustParsePrefix("10.1.0.0/24"), 2, []Holder{holder(3)}})
	out, err := r.regrown(big.initial())
	if err != nil || out.At(21) != r.regs[5] || out.At(16).Owner != holder(1) || out.At(0).Owner != holder(3) {
		t.Errorf("%+v, %v", out, err)
	}
}
