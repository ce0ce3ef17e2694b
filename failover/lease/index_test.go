package lease

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// TestAnIndexKeepsRowsInOrder, whatever was looked for before.
func TestAnIndexKeepsRowsInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var x index
	known := map[drawbridge.SegmentID]bool{}
	for range 20000 {
		segment := drawbridge.SegmentID(rnd.IntN(200))
		if n := len(x.segments); n > 0 && rnd.IntN(2) == 0 { // as in a round
			segment = x.segments[(x.last+rnd.IntN(2))%n]
		}
		row, ok := x.find(segment)
		if ok != known[segment] || ok && x.segments[row] != segment {
			t.Fatalf("segment %d: row %d, %v; want %v, among %d", segment, row, ok, known[segment], x.segments)
		}
		if !ok && rnd.IntN(3) == 0 {
			x.insert(row, segment)
			known[segment] = true
		}
	}
	if len(known) != 200 || !slices.IsSorted(x.segments) {
		t.Errorf("%d rows, in this order: %d", len(known), x.segments)
	}
}
