package topology

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// pair is an undirected link of a test network.
type pair struct{ a, b drawbridge.PeerID }

type weights struct {
	metric uint32
	mtu    uint16
}

// recordsOf builds the records of peers 1 to n that agree on these links.
func recordsOf(n int, links map[pair]weights) []wire.Record {
	records := make([]wire.Record, n)
	for i := range records {
		records[i] = wire.Record{ID: drawbridge.PeerID(i + 1), UID: 1, Version: 1}
	}
	for p, w := range links {
		records[p.a-1].Links = append(records[p.a-1].Links, wire.Link{Peer: p.b, Metric: w.metric, MTU: w.mtu})
		records[p.b-1].Links = append(records[p.b-1].Links, wire.Link{Peer: p.a, Metric: w.metric, MTU: w.mtu})
	}
	for i := range records {
		records[i] = wire.Canonical(records[i])
	}
	return records
}

// topologiesOf gives every peer all records.
func topologiesOf(records []wire.Record) map[drawbridge.PeerID]*Topology {
	peers := map[drawbridge.PeerID]*Topology{}
	for _, r := range records {
		peers[r.ID] = New(r)
		peers[r.ID].Merge(records)
	}
	return peers
}

// routeFault walks the routes of all peers and tells what is wrong: a flood that does not reach each
// reachable peer exactly once, or a way that does not lead to its destination.
func routeFault(peers map[drawbridge.PeerID]*Topology) error {
	for origin, t := range peers {
		got := map[drawbridge.PeerID]int{}
		flood(peers, origin, origin, got)
		for id := range peers {
			want := 0
			if t.Reachable(id) {
				want = 1
			}
			if got[id] != want {
				return fmt.Errorf("a flood from %v reached %v %d times, want %d", origin, id, got[id], want)
			}
		}
		for dest := range t.Routes().Next {
			if err := wayFault(peers, origin, dest); err != nil {
				return err
			}
		}
	}
	return nil
}

func flood(peers map[drawbridge.PeerID]*Topology, origin, at drawbridge.PeerID, got map[drawbridge.PeerID]int) {
	if got[at]++; got[at] > 1 {
		return
	}
	for _, child := range peers[at].Routes().Children[origin] {
		flood(peers, origin, child, got)
	}
}

// wayFault follows Next from one peer to another, and checks that PathMTU and Distance hold for that way.
func wayFault(peers map[drawbridge.PeerID]*Topology, from, dest drawbridge.PeerID) error {
	mtu, distance, at := 1<<16, uint64(0), from
	for hops := 0; at != dest; hops++ {
		next, ok := peers[at].Routes().Next[dest]
		if !ok || hops > len(peers) {
			return fmt.Errorf("the way from %v to %v ends at %v after %d hops", from, dest, at, hops)
		}
		g := &peers[at].graph
		i, _ := g.index(at)
		for _, e := range g.edges[i] {
			if g.ids[e.to] == next {
				mtu, distance = min(mtu, int(e.mtu)), distance+e.weight
			}
		}
		at = next
	}
	r := peers[from].Routes()
	if r.PathMTU[dest] != mtu || r.Distance[dest] != distance {
		return fmt.Errorf("%v to %v: path MTU %d and distance %d, the way has %d and %d",
			from, dest, r.PathMTU[dest], r.Distance[dest], mtu, distance)
	}
	return nil
}

// floyd is the reference: all distances by Floyd and Warshall's algorithm.
func floyd(n int, links map[pair]weights) [][]uint64 {
	d := make([][]uint64, n)
	for i := range d {
		d[i] = slices.Repeat([]uint64{far / 4}, n)
		d[i][i] = 0
	}
	for p, w := range links {
		d[p.a-1][p.b-1], d[p.b-1][p.a-1] = uint64(w.metric)+hopCost, uint64(w.metric)+hopCost
	}
	for k := range n {
		for i := range n {
			for j := range n {
				d[i][j] = min(d[i][j], d[i][k]+d[k][j])
			}
		}
	}
	return d
}

func anyLinks(t *rapid.T, n int) map[pair]weights {
	links := map[pair]weights{}
	for range rapid.IntRange(0, 3*n).Draw(t, "links") {
		a := drawbridge.PeerID(rapid.IntRange(1, n).Draw(t, "a"))
		b := drawbridge.PeerID(rapid.IntRange(1, n).Draw(t, "b"))
		if a != b { // few different metrics, so that many ways are equally long
			links[pair{min(a, b), max(a, b)}] = weights{uint32(rapid.IntRange(0, 3).Draw(t, "metric")) * 100, uint16(rapid.IntRange(1300, 1305).Draw(t, "mtu"))}
		}
	}
	return links
}

func TestRoutesAreShortestAndConsistentAtAllPeers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "peers")
		links := anyLinks(t, n)
		peers := topologiesOf(recordsOf(n, links))
		if err := routeFault(peers); err != nil {
			t.Fatal(err)
		}
		for i, row := range floyd(n, links) {
			for j, want := range row {
				got, ok := peers[drawbridge.PeerID(i+1)].Routes().Distance[drawbridge.PeerID(j+1)]
				if i != j && (ok != (want < far/4) || ok && got != want) {
					t.Fatalf("from %d to %d: %d (%v), want %d", i+1, j+1, got, ok, want)
				}
			}
		}
	})
}

func TestRoutesDoNotDependOnTheOrderOfHearing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := recordsOf(8, anyLinks(t, 8))
		a, b := New(records[0]), New(records[0])
		a.Merge(records)
		b.Merge(rapid.Permutation(records).Draw(t, "order"))
		ra, rb := a.Routes(), b.Routes()
		if !maps.Equal(ra.Next, rb.Next) || !maps.Equal(ra.PathMTU, rb.PathMTU) || !maps.EqualFunc(ra.Children, rb.Children, slices.Equal[[]drawbridge.PeerID]) {
			t.Fatalf("%+v differs from %+v", ra, rb)
		}
	})
}

func TestLinkCountsOnlyWhenBothEndsClaimIt(t *testing.T) {
	records := recordsOf(2, map[pair]weights{{1, 2}: {100, 1400}})
	peer := New(records[0])
	one := records[1]
	one.Links = nil
	peer.Merge([]wire.Record{one})
	if peer.Reachable(2) {
		t.Error("reachable although the far end does not claim the link")
	}
	records[1].Version = 2
	records[1].Links[0] = wire.Link{Peer: 1, Metric: 900, MTU: 1300}
	before := peer.Changes()
	peer.Merge(records[1:])
	if r := peer.Routes(); !peer.Reachable(2) || r.PathMTU[2] != 1300 || r.Distance[2] != 900+hopCost {
		t.Errorf("got %+v, want the worse of both ends: MTU 1300, metric 900", r)
	}
	if peer.Changes() != before+1 {
		t.Errorf("the graph changed %d times, want once", peer.Changes()-before)
	}
	records[1].Version, records[1].Gone = 3, true
	peer.Merge(records[1:])
	if _, known := peer.Get(2); peer.Reachable(2) || !known {
		t.Error("a peer that left is known, and not reachable")
	}
}

func TestRoutesAreKeptUntilTheGraphChanges(t *testing.T) {
	records := recordsOf(3, map[pair]weights{{1, 2}: {100, 1400}, {2, 3}: {100, 1400}})
	peer := New(records[0])
	peer.Merge(records)
	peer.Routes()
	kept, changes := peer.routes, peer.Changes()
	peer.SetPorts([]wire.Port{{Kind: wire.PortGuest, Name: "web"}})
	records[2].Version, records[2].Software = 2, "newer"
	peer.Merge(records)
	if peer.Routes(); peer.routes != kept || peer.Changes() != changes {
		t.Error("computed again although no link changed")
	}
	records[2].Version, records[2].Links = 3, append(records[2].Links, wire.Link{Peer: 4})
	peer.Merge(records)
	if peer.Routes(); peer.routes != kept || peer.Changes() != changes {
		t.Error("computed again for a link that only one end claims")
	}
	peer.SetLinks(nil)
	if r := peer.Routes(); len(r.Next) != 0 || peer.Changes() != changes+1 {
		t.Errorf("after the last link went: %+v", r)
	}
	if children, ok := peer.Routes().Children[1]; !ok || len(children) != 0 {
		t.Error("the own id is not among the origins")
	}
}

// meshOf is a network of n peers; each has about degree links, or all of them when degree is 0.
func meshOf(n, degree int) []wire.Record {
	rng, links := rand.New(rand.NewPCG(1, 2)), map[pair]weights{}
	for a := 1; a <= n; a++ {
		for b := a + 1; b <= n; b++ {
			if degree == 0 || rng.IntN(n) < degree || b == a+1 {
				links[pair{drawbridge.PeerID(a), drawbridge.PeerID(b)}] = weights{rng.Uint32N(20_000), 1400}
			}
		}
	}
	return recordsOf(n, links)
}

func BenchmarkRoutes(b *testing.B) {
	for _, c := range []struct{ n, degree int }{{12, 0}, {100, 8}, {100, 0}, {1000, 8}} {
		b.Run(fmt.Sprintf("peers=%d/degree=%d", c.n, c.degree), func(b *testing.B) {
			records := meshOf(c.n, c.degree)
			t := New(records[0])
			t.Merge(records)
			b.ReportAllocs()
			for b.Loop() {
				t.stale, t.graph = true, graph{}
				if len(t.Routes().Next) != c.n-1 {
					b.Fatal("not all peers are reachable")
				}
			}
		})
	}
}

func BenchmarkMergeNews(b *testing.B) {
	records := meshOf(100, 8)
	t := New(records[0])
	t.Merge(records)
	r := records[50:51]
	b.ReportAllocs()
	for b.Loop() {
		r[0].Version++
		t.Merge(r)
	}
}
