package topology

import (
	"slices"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// hopCost, in µs, is added to the metric of every link: a relayed frame crosses one more user space, which wakes up in
// a fraction of a millisecond at best, so a detour has to gain more than that.
const hopCost = 1000

// graph is the undirected graph of the links on which both ends agree, with peers numbered in the order of
// their ids. Peers with the same records have the same graph, down to the order of its edges.
type graph struct {
	ids   []drawbridge.PeerID
	edges [][]edge // by peer; ascending by to
}

type edge struct {
	to     int32
	mtu    uint16
	weight uint64 // µs
}

func newGraph(records []wire.Record) graph {
	g := graph{make([]drawbridge.PeerID, len(records)), make([][]edge, len(records))}
	for i := range records {
		g.ids[i] = records[i].ID
	}
	for i := range records {
		for _, l := range records[i].Links {
			if e, ok := g.agree(records, i, l); ok {
				g.edges[i] = append(g.edges[i], e)
			}
		}
	}
	return g
}

// agree returns the edge for link l of peer i, when the peer at its other end claims it too. The worse of
// what the two say counts.
func (g *graph) agree(records []wire.Record, i int, l wire.Link) (edge, bool) {
	j, ok := g.index(l.Peer)
	if !ok || records[i].Gone || records[j].Gone {
		return edge{}, false
	}
	k, ok := findLink(records[j].Links, g.ids[i])
	if !ok {
		return edge{}, false
	}
	back := records[j].Links[k]
	return edge{int32(j), min(l.MTU, back.MTU), uint64(max(l.Metric, back.Metric)) + hopCost}, true
}

func (g *graph) index(id drawbridge.PeerID) (int, bool) { return slices.BinarySearch(g.ids, id) }

func (g *graph) equal(o *graph) bool {
	return slices.Equal(g.ids, o.ids) && slices.EqualFunc(g.edges, o.edges, slices.Equal[[]edge])
}

// far is the distance of what cannot be reached.
const far = 1<<64 - 1

// tree holds the distances, in µs, of all peers from one of them: Dijkstra's algorithm (1959) with a binary
// heap. Its buffers are used again for the next root.
type tree struct {
	*graph
	distance []uint64
	heap     []uint64 // distance<<16 | number: at most 2^16 peers with links of less than 2^32 µs, so 48 bits do
}

func (t *tree) grow(root int) {
	t.distance = t.distance[:0]
	for range t.ids {
		t.distance = append(t.distance, far)
	}
	t.distance[root] = 0
	t.heap = append(t.heap[:0], uint64(root))
	for len(t.heap) > 0 {
		top := t.pop()
		at, d := int(top&0xffff), top>>16
		if d > t.distance[at] {
			continue // an earlier, longer way
		}
		for _, e := range t.edges[at] {
			if n := d + e.weight; n < t.distance[e.to] {
				t.distance[e.to] = n
				t.push(n<<16 | uint64(e.to))
			}
		}
	}
}

// parent is the edge from i towards the root. Of several shortest ways it takes the one over the smallest
// id; that depends on nothing but the graph, and as every weight is positive it never leads back.
func (t *tree) parent(i int) (edge, bool) {
	if d := t.distance[i]; d != 0 && d != far {
		for _, e := range t.edges[i] {
			if t.distance[e.to]+e.weight == d {
				return e, true
			}
		}
	}
	return edge{}, false
}

func (t *tree) push(x uint64) {
	h := append(t.heap, x)
	for i := len(h) - 1; i > 0 && h[(i-1)/2] > h[i]; i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
	t.heap = h
}

func (t *tree) pop() uint64 {
	h := t.heap
	top, last := h[0], len(h)-1
	h[0], h = h[last], h[:last]
	for i := 0; 2*i+1 < len(h); {
		c := 2*i + 1
		if c+1 < len(h) && h[c+1] < h[c] {
			c++
		}
		if h[i] <= h[c] {
			break
		}
		h[i], h[c], i = h[c], h[i], c
	}
	t.heap = h
	return top
}
