package transit

import (
	"bytes"
	"slices"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"

	"pgregory.net/rapid"
)

// fragmentsFrom seals frames of n octets from a, in fragments.
func fragmentsFrom(a *still, n int) (all [][]byte) {
	a.s.Send(&drawbridge.Header{Dest: 2, VNI: 5}, &drawbridge.Packet{Frame: frameOf(n)})
	for _, d := range a.sealed() {
		all = append(all, d.data)
	}
	return all
}

// hearAt feeds one batch at a time.
func (n *still) hearAt(now time.Duration, all ...[]byte) []got {
	n.r.now = now
	for _, d := range all {
		n.r.datagram(bytes.Clone(d), -1)
	}
	return n.finish()
}

// TestFragmentsInAnyOrder gives the pieces of several frames in any order and batches: each comes once,
// as it was, and never with a piece of another.
func TestFragmentsInAnyOrder(t *testing.T) {
	a, b := pairOfStills(t)
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1500, 60000), 1, 4).Draw(t, "frames")
		var all [][]byte
		for _, n := range sizes {
			all = append(all, fragmentsFrom(a, n)...)
		}
		if rapid.Bool().Draw(t, "shuffled") {
			all = rapid.Permutation(all).Draw(t, "order")
		}
		now, came := b.now(), map[int]int{}
		for len(all) > 0 {
			n := rapid.IntRange(1, len(all)).Draw(t, "batch")
			for _, g := range b.hearAt(now, all[:n]...) {
				came[len(g.packet.Frame)]++
				if !bytes.Equal(g.packet.Frame, frameOf(len(g.packet.Frame))) {
					t.Fatalf("a frame of %d bytes is not what was sent", len(g.packet.Frame))
				}
			}
			all = all[n:]
		}
		for _, n := range sizes {
			came[n]--
		}
		for n, times := range came {
			if times != 0 {
				t.Fatalf("frame of %d bytes: %d too many", n, times)
			}
		}
		if len(b.r.pieces.waiting) != 0 {
			t.Fatal("something waits")
		}
	})
}

// TestFragmentsTimeOut loses a piece: the rest waits for 200 ms, and is counted when it goes.
func TestFragmentsTimeOut(t *testing.T) {
	a, b := pairOfStills(t)
	lost, next := fragmentsFrom(a, 4000), fragmentsFrom(a, 4000)
	now := time.Minute
	b.hearAt(now, lost[0])
	b.hearAt(now+fragmentsFor, next[0])
	if n := len(b.r.pieces.waiting); n != 2 || len(b.Drops()) != 0 {
		t.Fatalf("%d frames wait, dropped %v", n, b.Drops())
	}
	b.hearAt(now+fragmentsFor+1, fragmentsFrom(a, 4000)[0])
	if n := len(b.r.pieces.waiting); n != 2 {
		t.Errorf("%d frames wait", n)
	}
	wantDrops(t, b, nil, map[string]uint64{"fragments_lost": 1})
	if got := b.hearAt(now+fragmentsFor+2, lost[1:]...); len(got) != 0 {
		t.Error("a frame came together from pieces that were forgotten")
	}
	if got := b.hearAt(now+2*fragmentsFor, next[1:]...); len(got) != 1 {
		t.Errorf("one that is in time did not come: %v", b.Drops())
	}
}

// TestALateFragmentDoesNotComplete hears the last piece when the others are too old, without anything
// between that would have cleared them away.
func TestALateFragmentDoesNotComplete(t *testing.T) {
	a, b := pairOfStills(t)
	all := fragmentsFrom(a, 2000)
	b.hearAt(time.Minute, all[0])
	if got := b.hearAt(time.Minute+fragmentsFor+1, all[1]); len(got) != 0 {
		t.Error("it came together after its time")
	}
}

// TestFragmentsAreBounded begins many frames and ends none: the newest 64 are kept.
func TestFragmentsAreBounded(t *testing.T) {
	a, b := pairOfStills(t)
	var ends [][]byte
	for i := range 3 * maxWaiting {
		all := fragmentsFrom(a, 60000)
		ends = append(ends, all[len(all)-1])
		b.hearAt(time.Minute+time.Duration(i)*time.Microsecond, all[:len(all)-1]...)
	}
	held := 0
	for _, w := range b.r.pieces.waiting {
		held += w.size
	}
	if n := len(b.r.pieces.waiting); n != maxWaiting || held > 4<<20 {
		t.Errorf("%d frames wait with %d bytes", n, held)
	}
	came := 0
	slices.Reverse(ends) // the end of a forgotten frame waits too, and drives out another
	for _, d := range ends {
		came += len(b.hearAt(time.Minute+time.Millisecond, d))
	}
	if came != maxWaiting {
		t.Errorf("%d frames were completed", came)
	}
}

// TestPiecesThatContradict changes what a frame's pieces say of it: total, and more octets than a frame has.
func TestPiecesThatContradict(t *testing.T) {
	n := newStill(t, 1)
	l := n.neighbour(2, 7)
	piece := func(index, total uint8, size int) []byte {
		m := meta{flags: flagPiece, hops: 9, origin: 2, seq: 100 + uint32(index), index: index, total: total}
		return n.seal(l, kindFrame, m.append(make([]byte, size)))
	}
	n.hear(piece(0, 3, 1000))
	n.hear(piece(1, 4, 1000))
	wantDrops(t, n, nil, map[string]uint64{"malformed": 1})
	if len(n.r.pieces.waiting) != 0 {
		t.Error("a frame that contradicts itself waits")
	}
	n.hear(piece(2, 65, 100))
	wantDrops(t, n, nil, map[string]uint64{"malformed": 2})
	n.hear(piece(0, 2, 60000))
	if got := n.hear(piece(1, 2, 60000)); len(got) != 0 {
		t.Error("120,000 octets were delivered")
	}
	wantDrops(t, n, nil, map[string]uint64{"malformed": 3})
}

// TestTooManyFragments wants a frame refused that would need more than 64.
func TestTooManyFragments(t *testing.T) {
	a, b := pairOfStills(t)
	a.links[2].max.Store(500)
	if all := fragmentsFrom(a, 64*400); len(all) == 0 || len(b.hear(all...)) != 1 {
		t.Error("64 fragments do not arrive")
	}
	if all := fragmentsFrom(a, 64*500); len(all) != 0 {
		t.Errorf("%d fragments", len(all))
	}
	wantDrops(t, a, nil, map[string]uint64{"too_big": 1})
}

// TestASuperFrameInFragments sends what cannot be sliced: a UDP segment longer than a datagram.
func TestASuperFrameInFragments(t *testing.T) {
	a, b := pairOfStills(t)
	for _, s := range []superFrame{{udp: true, payload: 40000, mss: 2000}, {udp: true, v6: true, tags: 2, payload: 9000, mss: 8000}} {
		p := s.packet()
		a.s.Send(&drawbridge.Header{Dest: 2}, &p)
		var all [][]byte
		for _, d := range a.sealed() {
			all = append(all, d.data)
		}
		got := b.hear(all...)
		if len(got) != 1 {
			t.Fatalf("%s: %d frames, dropped %v", s, len(got), b.Drops())
		}
		if _, _, wrong := s.check(&got[0].packet); wrong != nil {
			t.Errorf("%s: %v", s, wrong)
		}
	}
}
