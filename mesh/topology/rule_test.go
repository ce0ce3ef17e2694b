package topology

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// The hosts of the published failure.
const host1, desktop, host3 drawbridge.PeerID = 1, 2, 3

// publishedFailure restarts desktop while the gossip of host3 is paused, and lets 5,000 ticks pass.
func publishedFailure(w *network) {
	for _, p := range []pair{{host1, desktop}, {host1, host3}, {desktop, host3}} {
		w.link(p, &weights{1000, 1400})
	}
	w.settle(1000)
	for i := range 20 { // desktop's first run has seen changes
		w.link(pair{host1, desktop}, &weights{1000 * uint32(1+i%2), 1400})
	}
	w.settle(1000)
	w.paused[host3] = true
	w.restart(desktop, 1)
	w.run(5000)
}

func TestPublishedFailure(t *testing.T) {
	for _, c := range []struct {
		name          string
		old           bool
		without       int
		drops         bool // links are dropped again and again
		host1Current  bool // host1 knows desktop's new run while host3 is paused
		host3Recovers bool // and host3 does when it is not any more
	}{
		{name: "old rule", old: true, drops: true, host3Recovers: true},
		{name: "the rule", host1Current: true, host3Recovers: true},
		{name: "without rule 3", without: 3},
		{name: "without rule 5", without: 5, host1Current: false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newNetwork(1, 0)
			w.old, w.withoutRule[c.without] = c.old, true
			for id := host1; id <= host3; id++ {
				w.add(id, 1<<40)
			}
			publishedFailure(w)
			t.Logf("%d links dropped while paused", w.drops)
			if c.drops != (w.drops > 1000) || !c.drops && w.drops > 0 {
				t.Errorf("%d links were dropped", w.drops)
			}
			if r, _ := w.peers[host1].Get(desktop); (r.UID == 1) != c.host1Current {
				t.Errorf("host1 holds %v of desktop while host3 is paused", r.Entry())
			}
			w.paused[host3] = false
			ticks, ok := w.settle(1000)
			t.Logf("converged %v, %d ticks after resuming", ok, ticks)
			if ok != c.host3Recovers {
				t.Errorf("converged: %v, %v", ok, w.fault())
			}
		})
	}
}

func TestRestartFiftyTimesUnderDelay(t *testing.T) {
	for seed := range uint64(5) {
		w := newNetwork(seed, 8)
		w.delay, w.loss = 25, 0.1
		for a := range w.ids {
			for b := range a {
				w.link(pairOf(w.ids[a], w.ids[b]), &weights{uint32(1000 * (a + b)), 1400})
			}
		}
		w.settle(1000)
		for range 50 {
			w.restart(3, drawbridge.PeerUID(w.rng.Uint64()))
			w.run(w.rng.IntN(40))
			w.link(pair{1, 3}, &weights{w.rng.Uint32N(50_000), 1400})
		}
		ticks, ok := w.settle(1000)
		if !ok || w.clones != 0 {
			t.Errorf("seed %d: %d clones reported, %v after %d ticks", seed, w.clones, w.fault(), ticks)
		}
	}
}

func TestCloneIsReportedWhenItAnswers(t *testing.T) {
	a, b := New(wire.Record{ID: 1, UID: 10}), New(wire.Record{ID: 1, UID: 20, StartedAt: 7, Software: "the other"})
	var m Merged
	for range 2 {
		m = b.Merge([]wire.Record{a.Self()})
		if m.Clone != nil {
			break
		}
		if m = a.Merge([]wire.Record{b.Self()}); m.Clone != nil {
			break
		}
	}
	if m.Clone == nil || !m.SelfBumped || m.Clone.Times != 2 {
		t.Fatalf("got %+v, want a clone at the second override", m)
	}
}

func TestCloneWithTheSameRunIsReportedAtOnce(t *testing.T) {
	a := New(wire.Record{ID: 1, UID: 10})
	snapshot := a.Self()
	snapshot.Version += 3
	if m := a.Merge([]wire.Record{snapshot}); m.Clone == nil || m.Clone.Other.UID != 10 || !m.SelfBumped {
		t.Errorf("got %+v, want a clone: nobody else writes for this run", m)
	}
}

func TestEarlierRunHeardInPiecesIsNoClone(t *testing.T) {
	now := New(wire.Record{ID: 1, UID: 10})
	bumps := 0
	for version := uint64(1); version < overrideGap; version = version*3 + 1 {
		m := now.Merge([]wire.Record{{ID: 1, UID: 99, Version: version}})
		if m.Clone != nil {
			t.Fatalf("version %d of an earlier run was taken for a clone", version)
		}
		if m.SelfBumped {
			bumps++
		}
	}
	if own := now.Self(); bumps != 1 || own.UID != 10 || own.Version < overrideGap {
		t.Errorf("bumped %d times to %v, want once", bumps, own.Entry())
	}
}

func TestVersionsThatWouldRunOutAreNotBelieved(t *testing.T) {
	a := New(wire.Record{ID: 1, UID: 10})
	m := a.Merge([]wire.Record{{ID: 1, UID: 9, Version: maxVersion + 1}, {ID: 2, UID: 9, Version: maxVersion + 1}})
	if m.SelfBumped || m.News != nil || a.Self().Version != 1 {
		t.Errorf("got %+v", m)
	}
}

func TestOwnVersionMovesOnlyOnChange(t *testing.T) {
	a := New(wire.Record{ID: 1, UID: 10})
	links := []wire.Link{{Peer: 3, Metric: 1000, MTU: 1400}, {Peer: 2, Metric: 4000, MTU: 1400}}
	for _, c := range []struct {
		name   string
		change func() bool
		want   bool
	}{
		{"links", func() bool { return a.SetLinks(links) }, true},
		{"the same links in another order", func() bool { slices.Reverse(links); return a.SetLinks(links) }, false},
		{"a quarter more, but less than the grain", func() bool { return a.setMetric(links, 3, 1200) }, false},
		{"more than the grain, but less than a quarter", func() bool { return a.setMetric(links, 2, 5000) }, false},
		{"both", func() bool { return a.setMetric(links, 3, 1300) }, true},
		{"back again, less than a quarter", func() bool { return a.setMetric(links, 3, 1000) }, false},
		{"ports", func() bool { return a.SetPorts([]wire.Port{{Kind: wire.PortGuest, Name: "web"}}) }, true},
		{"the same ports", func() bool { return a.SetPorts([]wire.Port{{Kind: wire.PortGuest, Name: "web", Reasons: []string{}}}) }, false},
		{"roles", func() bool { return a.SetRoles(2) }, true},
		{"no endpoints", func() bool { return a.SetEndpoints(nil) }, false},
		{"leaving", a.Leave, true},
		{"leaving again", a.Leave, false},
		{"links after leaving", func() bool { return a.SetLinks(links) }, false},
	} {
		before := a.Self().Version
		if got := c.change(); got != c.want || (a.Self().Version == before+1) != c.want {
			t.Errorf("%s: changed %v, version %d to %d", c.name, got, before, a.Self().Version)
		}
	}
	if own := a.Self(); !own.Gone || own.Links != nil || own.Ports != nil {
		t.Errorf("after leaving: %+v", own)
	}
}

func (t *Topology) setMetric(links []wire.Link, peer drawbridge.PeerID, metric uint32) bool {
	links[slices.IndexFunc(links, func(l wire.Link) bool { return l.Peer == peer })].Metric = metric
	return t.SetLinks(links)
}

func TestForgottenPeerStaysForgotten(t *testing.T) {
	records := recordsOf(3, map[pair]weights{{1, 2}: {100, 1400}, {2, 3}: {100, 1400}})
	a := New(records[0])
	a.Merge(records)
	if !a.Forget(2) || a.Forget(2) || a.Forget(1) {
		t.Error("forgot what it did not know, or itself")
	}
	records[1].Version = 9
	if m := a.Merge(records); m.News != nil || a.Reachable(2) || a.Reachable(3) {
		t.Errorf("heard of it again: %+v", m)
	}
	if _, want := a.Compare([]wire.DigestEntry{records[1].Entry()}); want != nil {
		t.Errorf("asks for %v", want)
	}
}

// anyRecords draws records of peers 2 to 5 as honest runs write them: what a record says follows from which
// run wrote it and its version.
func anyRecords(t *rapid.T, name string) []wire.Record {
	return rapid.SliceOf(rapid.Custom(func(t *rapid.T) wire.Record {
		r := wire.Record{
			ID: drawbridge.PeerID(rapid.IntRange(2, 5).Draw(t, "id")), UID: drawbridge.PeerUID(rapid.IntRange(1, 3).Draw(t, "uid")),
			Version: uint64(rapid.IntRange(1, 4).Draw(t, "version")),
		}
		r.Software = fmt.Sprint(r.Entry())
		rng := rand.New(rand.NewPCG(uint64(r.ID), uint64(r.UID)<<8|r.Version))
		for range rng.IntN(5) {
			r.Links = append(r.Links, wire.Link{Peer: drawbridge.PeerID(1 + rng.IntN(5)), Metric: 100, MTU: 1400})
		}
		return wire.Canonical(r)
	})).Draw(t, name)
}

func TestMergeIsCommutativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		heard := anyRecords(t, "records")
		other := rapid.Permutation(append(heard, heard...)).Draw(t, "other order, twice")
		a, b := New(wire.Record{ID: 1, UID: 1}), New(wire.Record{ID: 1, UID: 1})
		a.Merge(heard)
		for i := range other {
			b.Merge(other[i : i+1])
		}
		if !slices.Equal(a.Digest(), b.Digest()) || fmt.Sprint(a.Records()) != fmt.Sprint(b.Records()) {
			t.Fatalf("%v, in the other order %v", a.Records(), b.Records())
		}
		if m := a.Merge(heard); m.News != nil {
			t.Fatalf("heard before, and still news: %v", m.News)
		}
	})
}

func TestOneExchangeMakesTwoPeersEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := New(wire.Record{ID: 1, UID: 1}), New(wire.Record{ID: 6, UID: 1})
		a.Merge(anyRecords(t, "heard by a"))
		b.Merge(anyRecords(t, "heard by b"))
		send, want := b.Compare(a.Digest())
		for _, id := range want {
			r, ok := a.Get(id)
			if !ok {
				t.Fatalf("%v is wanted of a peer that does not have it", id)
			}
			b.Merge([]wire.Record{r})
		}
		a.Merge(send)
		if !slices.Equal(a.Digest(), b.Digest()) {
			t.Fatalf("%v against %v", a.Digest(), b.Digest())
		}
		if send, want := a.Compare(b.Digest()); send != nil || want != nil {
			t.Fatalf("equal, and still %v, %v", send, want)
		}
	})
}

func TestKnowledgeIsBounded(t *testing.T) {
	a := New(wire.Record{ID: 1, UID: 1})
	for id := drawbridge.PeerID(2); id <= wire.MaxDigest+10; id++ {
		a.Merge([]wire.Record{{ID: id, UID: 1, Version: 1}})
	}
	if got := len(a.Digest()); got != wire.MaxDigest {
		t.Errorf("%d records, want as many as a digest holds", got)
	}
	if m := a.Merge([]wire.Record{{ID: 2, UID: 1, Version: 2}}); len(m.News) != 1 {
		t.Error("a known peer's news was refused because the table is full")
	}
}
