package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// underlay is a graph with its shortest ways, made as package topology makes them: a tree for each root.
type underlay struct {
	links map[drawbridge.PeerID][]drawbridge.PeerID
	up    map[drawbridge.PeerID]map[drawbridge.PeerID]drawbridge.PeerID // root, peer: next towards the root
}

func newUnderlay(rng *rand.Rand, n int) underlay {
	u := underlay{map[drawbridge.PeerID][]drawbridge.PeerID{}, map[drawbridge.PeerID]map[drawbridge.PeerID]drawbridge.PeerID{}}
	join := func(a, b drawbridge.PeerID) {
		if a != b && !slices.Contains(u.links[a], b) {
			u.links[a], u.links[b] = append(u.links[a], b), append(u.links[b], a)
		}
	}
	for i := 2; i <= n; i++ {
		join(drawbridge.PeerID(i), drawbridge.PeerID(1+rng.IntN(i-1)))
	}
	for range rng.IntN(n) {
		join(drawbridge.PeerID(1+rng.IntN(n)), drawbridge.PeerID(1+rng.IntN(n)))
	}
	for root := range u.links {
		up := map[drawbridge.PeerID]drawbridge.PeerID{root: 0}
		for queue := []drawbridge.PeerID{root}; len(queue) > 0; queue = queue[1:] {
			for _, next := range u.links[queue[0]] {
				if _, seen := up[next]; !seen {
					up[next] = queue[0]
					queue = append(queue, next)
				}
			}
		}
		u.up[root] = up
	}
	return u
}

func address(id drawbridge.PeerID) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(id)}) }

func (u underlay) view(self drawbridge.PeerID) View {
	v := View{
		Self: self, Next: map[drawbridge.PeerID]drawbridge.PeerID{}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{},
		Remote: map[drawbridge.PeerID]netip.Addr{}, Segments: map[drawbridge.SegmentID]Gateway{9: {Peer: 2, Epoch: 5}},
	}
	for root, up := range u.up {
		if root != self {
			v.Next[root] = up[self]
		}
		for _, n := range u.links[self] {
			if up[n] == self {
				v.Children[root] = append(v.Children[root], n)
			}
		}
	}
	for _, n := range u.links[self] {
		v.Remote[n] = address(n)
	}
	return v
}

// TestFloodsReachEverybodyOnce follows floods and unicast from every origin through the tables of all peers.
func TestFloodsReachEverybodyOnce(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 2 + rng.IntN(12)
		u := newUnderlay(rng, n)
		var d Decisions
		for i := 1; i <= n; i++ {
			d.Attachments = append(d.Attachments, Attachment{drawbridge.PeerID(i), 0, kernel.Short(i)})
		}
		d.Attachments = append(d.Attachments, Attachment{1, 9, 101}, Attachment{2, 9, 102}, Attachment{1, 10, 103})
		tables := map[kernel.Short]kernel.Table{}
		for i := 1; i <= n; i++ {
			tables[kernel.Short(i)] = d.Table(u.view(drawbridge.PeerID(i)))
		}
		for i, table := range tables {
			if _, ok := table.Peers[103]; ok {
				t.Fatalf("seed %d: peer %d has an attachment of another overlay", seed, i)
			}
			if table.Gateways[9] != 102 || table.Peers[101].MaySend || !table.Peers[102].MaySend || table.Peers[102].Epoch != 5 {
				t.Fatalf("seed %d: peer %d believes %+v", seed, i, table)
			}
		}
		for i := 1; i <= n; i++ {
			follow(t, fmt.Sprintf("seed %d", seed), tables, kernel.Short(i), kernel.Short(i), n)
		}
		follow(t, fmt.Sprintf("seed %d, segment", seed), tables, 102, 2, n)
	}
}

// follow floods a frame of an origin that is at a peer, and sends one to each of the others.
func follow(t *testing.T, what string, tables map[kernel.Short]kernel.Table, origin, at kernel.Short, n int) {
	t.Helper()
	got := map[kernel.Short]int{}
	for queue := []kernel.Short{at}; len(queue) > 0; queue = queue[1:] {
		for _, c := range tables[queue[0]].Children[origin] {
			if p := tables[c].Peers[origin]; p.Local || p.Parent != queue[0] {
				t.Fatalf("%s: a flood of %d: %d takes none from %d", what, origin, c, queue[0])
			}
			if got[c]++; got[c] > 1 {
				t.Fatalf("%s: a flood of %d comes to %d twice", what, origin, c)
			}
			queue = append(queue, c)
		}
	}
	if len(got) != n-1 {
		t.Fatalf("%s: a flood of %d reaches %v, want %d", what, origin, got, n-1)
	}
	for to := kernel.Short(1); int(to) <= n; to++ {
		hops := 0
		for here := at; here != to; here = tables[here].Peers[to].Via {
			if hops++; hops > n {
				t.Fatalf("%s: from %d to %d it goes round", what, at, to)
			}
		}
	}
}

func TestWhatCannotBeReachedIsLeftOut(t *testing.T) {
	d := Decisions{Attachments: []Attachment{{1, 0, 1}, {2, 0, 2}, {3, 0, 3}, {4, 0, 4}}}
	table := d.Table(View{
		Self: 1, Next: map[drawbridge.PeerID]drawbridge.PeerID{2: 2, 3: 2, 4: 4},
		Children: map[drawbridge.PeerID][]drawbridge.PeerID{1: {2, 4}},
		Remote:   map[drawbridge.PeerID]netip.Addr{2: address(2), 4: {}}, MTU: map[drawbridge.PeerID]int{2: 1390},
	})
	if len(table.Peers) != 3 || table.Peers[3].Via != 2 || !slices.Equal(table.Children[1], []kernel.Short{2}) {
		t.Errorf("%+v", table)
	}
	if table.Peers[2].MTU != 1390 || table.Peers[3].MTU != fallbackMTU || table.Peers[1].MTU != 1390 || !table.Peers[1].Local {
		t.Errorf("%+v", table.Peers)
	}
}

// TestProtectionTakesRoom: what protects the underlay is off every size, measured or not.
func TestProtectionTakesRoom(t *testing.T) {
	v := View{MTU: map[drawbridge.PeerID]int{2: 1414}, Less: 30}
	if v.fits(2) != 1384 || v.fits(3) != fallbackMTU-30 {
		t.Errorf("%d and %d octets", v.fits(2), v.fits(3))
	}
}
