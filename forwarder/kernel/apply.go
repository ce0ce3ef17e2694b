package kernel

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/drawbridge-net/drawbridge"
)

// step is one write to a map. A value of nil removes the key; in an array, which has all keys, the value is zero.
type step struct {
	table      string
	key, value any
}

// steps leads from one state of the maps to another, with the fewest writes, so that no mixture on the way floods
// further than either: trees are cut first and grow last, and what may no longer send is gone before others may.
func steps(from, to rows) (s []step) {
	for origin, old := range from.tree {
		if kept := old.and(to.tree[origin]); kept != old {
			s = append(s, step{mapTree, origin, kept})
		}
	}
	s = append(s, removed(mapNeighbours, from.neighbours, to.neighbours)...)
	s = append(s, removed(mapSegments, from.gateways, to.gateways)...)
	for short := range from.peers {
		if _, ok := to.peers[short]; !ok {
			s = append(s, step{mapPeers, short, peer{}})
		}
	}
	s = append(s, silenced(from, to)...)
	s = append(s, changed(mapPeers, from.peers, to.peers)...)
	s = append(s, changed(mapNeighbours, from.neighbours, to.neighbours)...)
	s = append(s, changed(mapSegments, from.gateways, to.gateways)...)
	for origin, c := range to.tree {
		if from.tree[origin].and(c) != c {
			s = append(s, step{mapTree, origin, c})
		}
	}
	return s
}

// silenced is the peers that may not send any more.
func silenced(from, to rows) (s []step) {
	for short, p := range to.peers {
		if from.peers[short].Flags&^p.Flags&flagMaySend != 0 {
			s = append(s, step{mapPeers, short, p})
		}
	}
	return s
}

func removed[K, V comparable](table string, from, to map[K]V) (s []step) {
	for k := range from {
		if _, ok := to[k]; !ok {
			s = append(s, step{table, k, nil})
		}
	}
	return s
}

func changed[K, V comparable](table string, from, to map[K]V) (s []step) {
	for k, v := range to {
		if old, ok := from[k]; !ok || old != v {
			s = append(s, step{table, k, v})
		}
	}
	return s
}

// and is the neighbours that both lists have, in order.
func (c children) and(d children) (both children) {
	for _, s := range c.Child[:c.N] {
		if slices.Contains(d.Child[:d.N], s) {
			both.Child[both.N] = s
			both.N++
		}
	}
	return both
}

// Apply makes the kernel's maps those of t, which it takes over. Floods meanwhile reach fewer rather than more.
func (e *Engine) Apply(t Table) error {
	if err := t.check(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now, err := e.rows()
	if err != nil {
		return err
	}
	for _, s := range steps(now, t.rows()) {
		if err := e.take(s); err != nil {
			return fmt.Errorf("map %s, %v: %w", s.table, s.key, err)
		}
	}
	return nil
}

func (e *Engine) take(s step) error {
	switch {
	case s.table == mapSegments:
		gateway, _ := s.value.(uint32)
		return e.changeSegment(drawbridge.SegmentID(s.key.(uint32)), func(g *segment) { g.Gateway = gateway })
	case s.value == nil:
		return absent(e.maps[s.table].Delete(s.key))
	}
	return e.maps[s.table].Put(s.key, s.value)
}

// rows is what the maps hold: of the last Apply, or of an earlier process.
func (e *Engine) rows() (r rows, err error) {
	r = newRows()
	err = errors.Join(
		read(e.maps[mapPeers], r.peers), read(e.maps[mapNeighbours], r.neighbours), read(e.maps[mapTree], r.tree),
	)
	segments := map[uint32]segment{}
	err = errors.Join(err, read(e.maps[mapSegments], segments))
	for id, s := range segments {
		if s.Gateway != 0 {
			r.gateways[id] = s.Gateway
		}
	}
	maps.DeleteFunc(r.peers, func(_ uint32, p peer) bool { return p == peer{} })
	maps.DeleteFunc(r.tree, func(_ uint32, c children) bool { return c.N == 0 })
	return r, err
}

// batch is how many rows are read by one system call.
const batch = 512

// read copies a map that nobody else writes.
func read[K comparable, V any](m *ebpf.Map, into map[K]V) error {
	var cursor ebpf.MapBatchCursor
	keys, values := make([]K, batch), make([]V, batch)
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			into[keys[i]] = values[i]
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", m, err)
		}
	}
}
