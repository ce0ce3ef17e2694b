package ipam

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEntriesAreAMap compares entries with a map, for numbers that are dense and numbers that are not.
func TestEntriesAreAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s, want := newEntries(), map[uint64]*Entry{}
	for i := range 20_000 {
		at := rnd.Uint64N(300)
		if i%2 == 0 {
			at = rnd.Uint64N(100) << 30
		}
		if rnd.IntN(3) == 0 {
			s.remove(at)
			delete(want, at)
		} else {
			e := &Entry{Offset: at}
			s.put(e)
			want[at] = e
		}
		if s.at(at) != want[at] || s.len() != len(want) {
			t.Fatalf("step %d, offset %d: %v of %d, want %v of %d", i, at, s.at(at), s.len(), want[at], len(want))
		}
	}
	first, last, n, within := uint64(70), uint64(70+1<<35), 0, 0
	for e := range s.all() {
		if n++; want[e.Offset] != e {
			t.Errorf("%d is another", e.Offset)
		}
		if e.Offset >= first && e.Offset <= last {
			within++
		}
	}
	few := slices.Collect(s.of(70, 200))
	if n != len(want) || len(slices.Collect(s.of(first, last))) != within || !slices.IsSortedFunc(few, func(a, b *Entry) int { return int(a.Offset) - int(b.Offset) }) {
		t.Errorf("%d of %d, %d within, %v", n, len(want), within, few)
	}
	for at := range want {
		s.remove(at)
	}
	if len(s.pages) != 0 {
		t.Errorf("%d pages are left", len(s.pages))
	}
}
