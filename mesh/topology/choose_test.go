package topology

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// sites places peers 1 to n in five sites, 20 ms apart and 1 ms wide, and measures round trips between them.
type sites struct{ x, y []float64 }

func newSites(rng *rand.Rand, n int) *sites {
	s := &sites{}
	for i := range n {
		angle := 2 * math.Pi * float64(i%5) / 5
		s.x = append(s.x, 20*math.Cos(angle)+rng.Float64())
		s.y = append(s.y, 20*math.Sin(angle)+rng.Float64())
	}
	return s
}

func (s *sites) rtt(a, b drawbridge.PeerID) time.Duration {
	return time.Duration(math.Hypot(s.x[a-1]-s.x[b-1], s.y[a-1]-s.y[b-1]) * float64(time.Millisecond))
}

func (s *sites) from(a drawbridge.PeerID) func(drawbridge.PeerID) (time.Duration, bool) {
	return func(b drawbridge.PeerID) (time.Duration, bool) { return s.rtt(a, b), true }
}

// chain is a network in which everybody can be called and is reached along one chain.
func chain(n int) []wire.Record {
	links := map[pair]weights{}
	for i := 1; i < n; i++ {
		links[pair{drawbridge.PeerID(i), drawbridge.PeerID(i + 1)}] = weights{1000, 1400}
	}
	records := recordsOf(n, links)
	for i := range records {
		records[i].Endpoints = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 8042)}
	}
	return records
}

// TestChoicesConnectTheNetwork: the links that everybody chooses, without those by which they came to know
// each other, keep the network in one piece; most are near.
func TestChoicesConnectTheNetwork(t *testing.T) {
	const n, limit, networks = 100, 8, 6
	near, all, hops := 0, 0, 0
	for seed := range uint64(networks) {
		rng := rand.New(rand.NewPCG(seed, 7))
		where, links := newSites(rng, n), map[pair]weights{}
		knowing := topologiesOf(chain(n))
		for id := drawbridge.PeerID(1); id <= n; id++ {
			chosen := knowing[id].Choose(rng, where.from(id), limit)
			if len(chosen) != limit || slices.Contains(chosen, id) || !slices.IsSorted(chosen) {
				t.Fatalf("%v chose %v", id, chosen)
			}
			for _, other := range chosen {
				rtt := where.rtt(id, other)
				links[pairOf(id, other)] = weights{uint32(rtt.Microseconds()), 1400}
				if all++; rtt < 2*time.Millisecond {
					near++
				}
			}
		}
		peers := topologiesOf(recordsOf(n, links))
		if got := len(peers[1].Routes().Next); got != n-1 {
			t.Errorf("seed %d: %d peers are reachable, want %d", seed, got, n-1)
		}
		for id := range peers[1].Routes().Next {
			for at := drawbridge.PeerID(1); at != id; at = peers[at].Routes().Next[id] {
				hops++
			}
		}
	}
	t.Logf("%.0f %% of the choices are within the own site, where 19 %% of the peers are; %.1f hops on average", 100*float64(near)/float64(all), float64(hops)/(networks*(n-1)))
	if share := float64(near) / float64(all); share < 0.7 || share > 0.9 {
		t.Errorf("%.2f of the choices are near, want 3/4, and 19 %% of the rest", share)
	}
}

func TestFullMeshOfTwelve(t *testing.T) {
	peers := topologiesOf(chain(FullMesh))
	if got := peers[3].Choose(rand.New(rand.NewPCG(1, 1)), unknown, 4); len(got) != FullMesh-1 {
		t.Errorf("chose %v, want everybody", got)
	}
	peers = topologiesOf(chain(20))
	if got := peers[3].Choose(rand.New(rand.NewPCG(1, 1)), unknown, 19); len(got) != 19 {
		t.Errorf("chose %v, want everybody: the limit suffices", got)
	}
}

func unknown(drawbridge.PeerID) (time.Duration, bool) { return 0, false }

func TestChoicesLast(t *testing.T) {
	const limit = 8
	rng := rand.New(rand.NewPCG(1, 2))
	records := chain(100)
	peer := New(records[0])
	peer.Merge(records[:FullMesh])
	everybody := peer.Choose(rng, unknown, limit)
	peer.Merge(records)
	first := peer.Choose(rng, unknown, limit)
	for _, id := range first {
		if !slices.Contains(everybody, id) {
			t.Errorf("%v was new, and was chosen instead of a neighbour", id)
		}
	}
	for range 20 {
		if again := peer.Choose(rng, unknown, limit); !slices.Equal(again, first) {
			t.Fatalf("chose %v, and then %v", first, again)
		}
	}
	gone := records[len(records)-1]
	gone.ID, gone.Version, gone.Gone = first[limit-1], 2, true
	peer.Merge([]wire.Record{gone})
	peer.Merge(bypass(records, gone.ID))
	after := peer.Choose(rng, unknown, limit)
	same := 0
	for _, id := range after {
		if slices.Contains(first, id) {
			same++
		}
	}
	if same != limit-1 || len(after) != limit || slices.Contains(after, gone.ID) {
		t.Errorf("%v left: chose %v, then %v", gone.ID, first, after)
	}
}

// bypass joins the ends of a chain from which a peer is missing.
func bypass(records []wire.Record, missing drawbridge.PeerID) []wire.Record {
	a, b := records[missing-2], records[missing]
	a.Version, b.Version = 2, 2
	a.Links = append(slices.Clone(a.Links), wire.Link{Peer: b.ID, Metric: 1000, MTU: 1400})
	b.Links = append(slices.Clone(b.Links), wire.Link{Peer: a.ID, Metric: 1000, MTU: 1400})
	return []wire.Record{wire.Canonical(a), wire.Canonical(b)}
}

func TestPeersThatCannotBeCalledAreNotChosen(t *testing.T) {
	records := chain(30)
	for i := range records[:20] {
		records[i].Endpoints = nil
	}
	peer := New(records[4])
	peer.Merge(records)
	chosen := peer.Choose(rand.New(rand.NewPCG(1, 1)), unknown, 100)
	for id := drawbridge.PeerID(1); id <= 30; id++ {
		linked, callable := id == 4 || id == 6, id > 20
		if got := slices.Contains(chosen, id); got != (linked || callable) {
			t.Errorf("%v chosen: %v; linked %v, callable %v", id, got, linked, callable)
		}
	}
}

func TestLostPeersAreCalledInTurn(t *testing.T) {
	records := chain(60)
	records[29].Links = records[29].Links[:1] // 30 does not claim 31: a partition
	peer := New(records[0])
	peer.Merge(records)
	rng, called := rand.New(rand.NewPCG(1, 1)), map[drawbridge.PeerID]bool{}
	for range 200 {
		lost := 0
		for _, id := range peer.Choose(rng, unknown, 8) {
			if id > 30 {
				lost++
				called[id] = true
			}
		}
		if lost != fewest {
			t.Fatalf("%d lost peers are called, want %d", lost, fewest)
		}
	}
	if len(called) != 30 {
		t.Errorf("%d of 30 lost peers were called in 200 turns", len(called))
	}
	alone := New(records[0])
	lonely := chain(60)
	for i := range lonely {
		lonely[i].Links = nil
	}
	alone.Merge(lonely[1:])
	alone.SetLinks(nil)
	if got := alone.Choose(rng, unknown, 8); len(got) != 8 {
		t.Errorf("a peer without links calls %v, want 8", got)
	}
}
