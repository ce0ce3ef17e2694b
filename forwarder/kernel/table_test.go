package kernel

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

func neighbour(s Short) Peer {
	return Peer{MaySend: true, Remote: netip.AddrFrom4([4]byte{192, 0, 2, byte(s)}), Via: s, Parent: s, MTU: 1450}
}

func TestTablesThatContradictThemselvesAreRefused(t *testing.T) {
	far := neighbour(2)
	far.Segment = 9
	for why, table := range map[string]Table{
		"short id 0":              {Peers: map[Short]Peer{0: {Local: true}}},
		"short id of 13 bits":     {Peers: map[Short]Peer{4096: {Local: true}}},
		"no address":              {Peers: map[Short]Peer{2: {Via: 2, Parent: 2}}},
		"next hop unknown":        {Peers: map[Short]Peer{3: far}},
		"address of no next hop":  {Peers: map[Short]Peer{2: neighbour(2), 3: {Remote: netip.IPv6Loopback(), Via: 2, Parent: 2}}},
		"child unknown":           {Peers: map[Short]Peer{1: {Local: true}}, Children: map[Short][]Short{1: {2}}},
		"child no neighbour":      {Peers: map[Short]Peer{2: neighbour(2), 3: far}, Children: map[Short][]Short{2: {3}}},
		"child twice":             {Peers: map[Short]Peer{1: {Local: true}, 2: neighbour(2)}, Children: map[Short][]Short{1: {2, 2}}},
		"tree of nobody":          {Peers: map[Short]Peer{2: neighbour(2)}, Children: map[Short][]Short{1: {2}}},
		"gateway of another":      {Peers: map[Short]Peer{2: neighbour(2), 3: far}, Gateways: map[drawbridge.SegmentID]Short{8: 3}},
		"here and apart":          {Peers: map[Short]Peer{1: {Local: true, Apart: true}}},
		"whole and apart":         {Peers: map[Short]Peer{2: {Whole: true, Apart: true}}},
		"child apart":             {Peers: map[Short]Peer{1: {Local: true}, 2: {Apart: true, Via: 2}}, Children: map[Short][]Short{1: {2}}},
		"next hop apart":          {Peers: map[Short]Peer{2: {Apart: true, Via: 2}, 3: far}},
		"gateway that is unknown": {Gateways: map[drawbridge.SegmentID]Short{8: 3}},
	} {
		if table.check() == nil {
			t.Errorf("%s: accepted", why)
		}
	}
	good := Table{Peers: map[Short]Peer{1: {Local: true}, 2: neighbour(2), 3: far}, Children: map[Short][]Short{1: {2}}, Gateways: map[drawbridge.SegmentID]Short{9: 3}}
	must(t, good.check())
	good.Peers[2] = Peer{Whole: true, MaySend: true, Remote: good.Peers[2].Remote, Via: 2, Parent: 2, MTU: 1450}
	good.Peers[4] = Peer{Apart: true, MaySend: true, Segment: 10, Epoch: 5}
	good.Gateways[10] = 4
	must(t, good.check())
	if got := good.rows().table(); !reflect.DeepEqual(got, good) {
		t.Errorf("%+v came back as %+v", good, got)
	}
	if row := good.rows().peers[4]; row != (peer{Flags: flagMaySend, Segment: 10, Epoch: 5}) {
		t.Errorf("who is apart is %+v for the programs", row)
	}
}

// random is a table of a few peers.
func random(r *rand.Rand) rows {
	t := Table{Peers: map[Short]Peer{1: {Local: true, MaySend: true}}, Children: map[Short][]Short{}, Gateways: map[drawbridge.SegmentID]Short{}}
	for s := Short(2); s < 6; s++ {
		if r.IntN(3) > 0 {
			t.Peers[s] = neighbour(s)
			t.Children[1] = append(t.Children[1], s)
		}
	}
	for s := range maps.Clone(t.Peers) {
		p := t.Peers[s]
		p.Segment, p.MaySend = drawbridge.SegmentID(s), r.IntN(2) > 0
		t.Peers[s+10] = p
		if p.MaySend {
			t.Gateways[p.Segment] = s + 10
		}
	}
	return t.rows()
}

// play does to rows what Apply does to maps.
func play(r rows, s step) {
	switch key, _ := s.key.(uint32); {
	case s.table == mapPeers:
		if r.peers[key] = s.value.(peer); r.peers[key] == (peer{}) {
			delete(r.peers, key)
		}
	case s.table == mapTree:
		if r.tree[key] = s.value.(children); r.tree[key].N == 0 {
			delete(r.tree, key)
		}
	case s.table == mapNeighbours && s.value == nil:
		delete(r.neighbours, s.key.(address))
	case s.table == mapNeighbours:
		r.neighbours[s.key.(address)] = s.value.(uint32)
	case s.value == nil:
		delete(r.gateways, key)
	default:
		r.gateways[key] = s.value.(uint32)
	}
}

func TestStepsLeadToTheTableWithoutFloodingFurtherOnTheWay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		from, to := random(r), random(r)
		now := rows{maps.Clone(from.peers), maps.Clone(from.neighbours), maps.Clone(from.gateways), maps.Clone(from.tree)}
		for _, s := range steps(from, to) {
			play(now, s)
			wander(t, from, now, to)
		}
		if got, want := fmt.Sprint(now), fmt.Sprint(to); got != want {
			t.Fatalf("the steps lead to\n%s, want\n%s", got, want)
		}
		if s := steps(to, to); len(s) != 0 {
			t.Fatalf("%d steps for nothing: %v", len(s), s)
		}
	}
}

// wander fails if a mixture has a child that neither table had, or lets a gateway send beside its successor.
func wander(t *testing.T, from, now, to rows) {
	t.Helper()
	for origin, c := range now.tree {
		a, b := from.tree[origin], to.tree[origin]
		for _, s := range c.Child[:c.N] {
			if !slices.Contains(a.Child[:a.N], s) && !slices.Contains(b.Child[:b.N], s) {
				t.Fatalf("tree of %d has %d, which neither table had", origin, s)
			}
		}
	}
	for id, p := range now.peers {
		q, was := to.peers[id], from.peers[id].Flags&flagMaySend != 0
		if p.Segment == 0 || was || p.Flags&flagMaySend == 0 || q.Flags&flagMaySend == 0 {
			continue
		}
		for other, o := range now.peers { // id has begun to send: all that must stop have stopped
			if o.Flags&flagMaySend != 0 && to.peers[other].Flags&flagMaySend == 0 {
				t.Fatalf("%d may send while %d still may", id, other)
			}
		}
	}
}

func TestPortsAreListedOnce(t *testing.T) {
	var l ports
	must(t, l.add(port{1, 0}), l.add(port{2, 7}), l.add(port{1, 8}))
	if l.N != 2 || l.Port[0] != (port{1, 8}) {
		t.Errorf("%d ports, the first %v", l.N, l.Port[0])
	}
	if p, ok := l.remove(1); !ok || p.Segment != 8 || l.N != 1 || l.Port[0] != (port{2, 7}) || l.Port[1] != (port{}) {
		t.Errorf("removed %v, left %v", p, l.Port[:2])
	}
	for i := range maxPorts {
		_ = l.add(port{uint32(10 + i), 0})
	}
	if l.add(port{99, 0}) == nil {
		t.Error("more ports than there is room for")
	}
}
