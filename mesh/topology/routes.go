package topology

import "github.com/drawbridge-net/drawbridge"

// Routes say where frames go next, as transit.Routes does. They are not to be changed.
//
// For every peer there is one tree, the shortest ways to it, the same at all peers that have the same
// records. Frames to the peer climb its tree, and frames from the peer to everybody descend it.
type Routes struct {
	Next     map[drawbridge.PeerID]drawbridge.PeerID   // destination to adjacent peer; absent: unreachable
	Children map[drawbridge.PeerID][]drawbridge.PeerID // origin of a flood, the own id too, to the adjacent peers it is passed to
	PathMTU  map[drawbridge.PeerID]int                 // smallest MTU of the links to the destination
	Distance map[drawbridge.PeerID]uint64              // to the destination, µs of round trip and hops
	Path     map[drawbridge.PeerID][]drawbridge.PeerID // every peer on the way, the destination last
}

// Changes counts the changes of the graph. Whoever saw it move a moment ago sets transit.Routes.Flux: other
// peers may still have the trees of before.
func (t *Topology) Changes() uint64 {
	t.refresh()
	return t.changes
}

// Reachable reports whether links lead to a peer, or it is this one.
func (t *Topology) Reachable(id drawbridge.PeerID) bool {
	_, ok := t.Routes().Next[id]
	return ok || id == t.id
}

// Routes returns the routes that follow from the records. It computes them when the graph has changed.
func (t *Topology) Routes() Routes {
	t.refresh()
	if t.routes == nil {
		t.routes = t.graph.routes(t.id)
	}
	return *t.routes
}

func (t *Topology) refresh() {
	if !t.stale {
		return
	}
	t.stale = false
	if g := newGraph(t.records); !g.equal(&t.graph) {
		t.graph, t.routes = g, nil
		t.changes++
	}
}

func (g *graph) routes(self drawbridge.PeerID) *Routes {
	r := &Routes{
		Next:     make(map[drawbridge.PeerID]drawbridge.PeerID, len(g.ids)),
		Children: make(map[drawbridge.PeerID][]drawbridge.PeerID, len(g.ids)),
		PathMTU:  make(map[drawbridge.PeerID]int, len(g.ids)),
		Distance: make(map[drawbridge.PeerID]uint64, len(g.ids)),
		Path:     make(map[drawbridge.PeerID][]drawbridge.PeerID, len(g.ids)),
	}
	own, _ := g.index(self)
	t := tree{graph: g}
	for root := range g.ids {
		if t.grow(root); t.distance[own] != far {
			r.add(&t, root, own)
		}
	}
	return r
}

// add enters what the tree of one root means for peer own.
func (r *Routes) add(t *tree, root, own int) {
	id := t.ids[root]
	if up, ok := t.parent(own); ok {
		r.Next[id] = t.ids[up.to]
		r.PathMTU[id] = t.mtu(own)
		r.Distance[id] = t.distance[own]
		r.Path[id] = t.path(own)
	}
	var children []drawbridge.PeerID
	for _, e := range t.edges[own] {
		if up, ok := t.parent(int(e.to)); ok && int(up.to) == own {
			children = append(children, t.ids[e.to])
		}
	}
	r.Children[id] = children
}

// path lists the peers from peer i, which is left out, to the root.
func (t *tree) path(i int) (hops []drawbridge.PeerID) {
	for up, ok := t.parent(i); ok; up, ok = t.parent(int(up.to)) {
		hops = append(hops, t.ids[up.to])
	}
	return hops
}

// mtu is the smallest MTU between peer i and the root.
func (t *tree) mtu(i int) int {
	m := 1<<16 - 1
	for up, ok := t.parent(i); ok; up, ok = t.parent(int(up.to)) {
		m = min(m, int(up.mtu))
	}
	return m
}
