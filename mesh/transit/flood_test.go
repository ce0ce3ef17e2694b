package transit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"

	"pgregory.net/rapid"
)

// TestFloodWindowAgainstASet compares the window with a plain set of numbers, across the wrap of 32 bits.
func TestFloodWindowAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o floodsOf
		seen := map[int64]bool{}
		base := int64(rapid.SampledFrom([]uint32{0, 1, 5000, 1<<31 - 3, 1<<32 - 9000, 1<<32 - 1}).Draw(t, "base"))
		at, top := base, base
		for i := range rapid.IntRange(1, 300).Draw(t, "n") {
			step := rapid.OneOf(rapid.Int64Range(-100, 100), rapid.Int64Range(-8256, -8128), rapid.Int64Range(-20000, 40000), rapid.Int64Range(1<<20, 1<<30)).Draw(t, "step")
			at = max(at+step, top-1<<31+1) // beyond that a number is ahead (RFC 1982)
			if at-top >= 1<<31 {
				at = top + 1<<31 - 1
			}
			want := !seen[at] && (i == 0 || at > top-floodWindow)
			if got := o.first(uint32(at), time.Second); got != want {
				t.Fatalf("number %d with top %d: %v, want %v", at, top, got, want)
			}
			if i == 0 {
				top = at
			}
			if want {
				seen[at] = true
				top = max(top, at)
			}
		}
	})
}

// TestFloodWindowForgetsNothingInsideIt sends every number in order and repeats each as late as it may come,
// over the end of the bitmap and of 32 bits.
func TestFloodWindowForgetsNothingInsideIt(t *testing.T) {
	var o floodsOf
	first := ^uint32(0) - 3*floodWindow
	for i := range uint32(6 * floodWindow) {
		c := first + i
		if !o.first(c, 0) {
			t.Fatalf("number %d refused", c)
		}
		for _, back := range []uint32{0, 1, 63, 64, floodWindow - 64, floodWindow - 1, floodWindow, floodWindow + 100} {
			if i >= back && o.first(c-back, 0) {
				t.Fatalf("number %d taken again when %d was the newest", c-back, c)
			}
		}
	}
}

// TestARestartedOriginIsHeard begins again below, as an origin whose clock went back does: not while the
// old numbers are fresh, but after two silent seconds. An origin whose clock goes on is heard at once.
func TestARestartedOriginIsHeard(t *testing.T) {
	var f floods
	now := time.Minute
	for i := range uint32(100) {
		if !f.first(1, 1_000_000+i, now) {
			t.Fatal("refused")
		}
	}
	if f.first(1, 10, now+time.Second) {
		t.Error("an old number was taken while the new ones were fresh")
	}
	if !f.first(1, 10, now+forgetAfter+1) {
		t.Error("the restarted origin is not heard")
	}
	if f.first(1, 10, now+forgetAfter+2) {
		t.Error("twice")
	}
	if f.first(1, 1_000_050, now+forgetAfter+3) != true {
		t.Error("its clock was put right, and it is not heard")
	}
	if !f.first(2, 10, now) {
		t.Error("one origin stands in the way of another")
	}
}

// TestFloodNumbersSurviveARestart wants the first number of a later run above those of an earlier one that
// flooded 60 a millisecond.
func TestFloodNumbersSurviveARestart(t *testing.T) {
	a := newStill(t, 1)
	began := a.flooded.Load()
	first := uint32(a.start.UnixMilli() * 64)
	if began != first {
		t.Errorf("numbers begin at %d, want %d", began, first)
	}
	if later := uint32(a.start.Add(time.Minute).UnixMilli() * 64); int32(later-(began+60*60_000)) <= 0 {
		t.Error("a run of a minute reaches numbers of the next")
	}
}

// TestFloodOriginsAreBounded limits what a member can make us remember, and never forgets one that floods.
func TestFloodOriginsAreBounded(t *testing.T) {
	n := newStill(t, 1)
	now := 2 * forgetAfter
	n.floods.first(5, 1, now)
	n.SetRoutes(&Routes{})
	if n.floods.first(5, 1, now) {
		t.Error("an origin that the routes do not know for a moment is forgotten")
	}
	for i := range drawbridge.PeerID(2 * maxOrigins) {
		n.floods.first(i+100, 1, now)
	}
	if len(n.floods.of) > maxOrigins {
		t.Errorf("%d origins are remembered", len(n.floods.of))
	}
	if n.floods.first(5, 1, now) {
		t.Error("made-up origins drove out one that floods")
	}
	if !n.floods.first(7, 1, now+forgetAfter+1) {
		t.Error("no room for a new origin when the others are silent")
	}
}

// star is a plane with links to peers 2 to 5.
func star(t *testing.T, r *Routes) *still {
	n := newStill(t, 1)
	for id := range drawbridge.PeerID(4) {
		n.neighbour(id+2, uint32(id+2))
	}
	if r != nil {
		n.SetRoutes(r)
	}
	return n
}

func targets(all []datagram) (ids []drawbridge.PeerID) {
	for _, d := range all {
		ids = append(ids, d.to)
	}
	slices.Sort(ids)
	return ids
}

// TestFloodTakesTheTree passes a flood to the children of its origin's tree, to everybody when the topology
// moves or the datagram is marked, and never back.
func TestFloodTakesTheTree(t *testing.T) {
	type ids = []drawbridge.PeerID
	tree := map[drawbridge.PeerID][]drawbridge.PeerID{1: {2, 3}, 9: {3, 4}, 8: {2}}
	for name, tc := range map[string]struct {
		routes *Routes
		origin drawbridge.PeerID
		flags  uint8
		want   ids
		mark   bool
	}{
		"tree":            {&Routes{Children: tree}, 9, flagFlood, ids{3, 4}, false},
		"leaf":            {&Routes{Children: tree}, 7, flagFlood, nil, false},
		"child is whence": {&Routes{Children: tree}, 8, flagFlood, nil, false},
		"marked":          {&Routes{Children: tree}, 9, flagFlood | flagMark, ids{3, 4, 5}, true},
		"flux":            {&Routes{Children: tree, Flux: true}, 9, flagFlood, ids{3, 4, 5}, true},
		"nothing known":   {nil, 9, flagFlood, ids{3, 4, 5}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := star(t, tc.routes)
			m := meta{flags: tc.flags, hops: 9, origin: tc.origin, total: 1, seq: 44}
			d := n.seal(n.links[2], kindFrame, m.append(frameOf(60)))
			got := n.hear(d)
			if len(got) != 1 || got[0].header.Dest != 0 || got[0].header.Origin != tc.origin {
				t.Errorf("delivered %+v", got)
			}
			all := n.sealed()
			if ids := targets(all); !slices.Equal(ids, tc.want) {
				t.Errorf("passed to %v, want %v", ids, tc.want)
			}
			for _, d := range all {
				plain := n.r.open(nil, d.data, n.links[d.to].rx[0])
				var m meta
				rest, ok := m.parse(plain)
				if !ok || m.hops != 8 || (m.flags&flagMark != 0) != tc.mark || m.seq != 44 || m.origin != tc.origin || string(rest) != string(frameOf(60)) {
					t.Errorf("passed on as %v, %d hops left", &m, m.hops)
				}
			}
			again := n.seal(n.links[4], kindFrame, m.append(frameOf(60)))
			if got := n.hear(again); len(got) != 0 || len(n.sealed()) != 0 {
				t.Error("a copy by another way was taken")
			}
			if d := n.Drops(); d["duplicate"] != 1 {
				t.Errorf("drops %v", d)
			}
		})
	}
	for _, flux := range []bool{false, true} {
		n := star(t, &Routes{Children: tree, Flux: flux})
		n.s.Send(&drawbridge.Header{}, &drawbridge.Packet{Frame: frameOf(60)})
		want := map[bool]ids{false: {2, 3}, true: {2, 3, 4, 5}}[flux]
		if got := targets(n.sealed()); !slices.Equal(got, want) {
			t.Errorf("own flood with flux %v to %v, want %v", flux, got, want)
		}
	}
}

// TestHopLimit passes on what has hops left, by both ways that frames go on.
func TestHopLimit(t *testing.T) {
	for _, hops := range []uint8{0, 1, 2, 16} {
		for name, m := range map[string]meta{"flood": {flags: flagFlood}, "to one": {flags: flagDest, dest: 9}} {
			t.Run(fmt.Sprint(name, hops), func(t *testing.T) {
				n := star(t, &Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{9: 3}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{8: {3}}})
				m.hops, m.origin, m.total = hops, 8, 1
				got := n.hear(n.seal(n.links[2], kindFrame, m.append(frameOf(60))))
				if flood := m.flags&flagFlood != 0; flood != (len(got) == 1) {
					t.Errorf("delivered %d", len(got))
				}
				all, dropped := n.sealed(), n.Drops()["hop_limit"]
				if on := hops > 1; on != (len(all) == 1) || on != (dropped == 0) {
					t.Errorf("passed on %d, dropped %d", len(all), dropped)
				}
			})
		}
	}
}

// TestARelayThatCannot counts why it does not pass on.
func TestARelayThatCannot(t *testing.T) {
	n := star(t, &Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{9: 3, 10: 4, 11: 77}})
	n.links[3].path.Store(pathNone)
	n.links[4].max.Store(200)
	hear := func(dest drawbridge.PeerID, size int, reason string) {
		t.Helper()
		before := n.Drops()
		m := meta{flags: flagDest, dest: dest, hops: 9, origin: 8, total: 1}
		if got := n.hear(n.seal(n.links[2], kindFrame, m.append(frameOf(size)))); len(got) != 0 || len(n.sealed()) != 0 {
			t.Errorf("to %v: delivered or passed on", dest)
		}
		wantDrops(t, n, before, map[string]uint64{reason: 1})
	}
	hear(9, 60, "link_down")
	hear(10, 200, "too_big")
	hear(11, 60, "no_route")
	hear(12, 60, "no_route")
	hear(0, 60, "no_route")
}
