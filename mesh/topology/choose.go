package topology

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// FullMesh is the number of peers up to which everybody has a link to everybody: 66 links, with a heartbeat
// each, and every frame arrives in one hop.
const FullMesh = 12

// fewest is how many links at least are drawn regardless of distance, and how many unreachable peers are
// called beside the others. Two random links drawn by every peer make a connected graph with high probability
// (Fenner and Frieze 1982, k-out graphs); the near links alone would fall apart into sites.
const fewest = 2

// Choose returns the peers, by id, that this peer should have a link to, or go on calling until it has one.
// Up to FullMesh peers, or when limit suffices, these are all. Above that they are limit of the reachable:
// a quarter drawn evenly, so that the network stays in one piece and few hops wide, the rest with
// probability ~ 1/d² (Kleinberg 2000: the exponent with which local choices give short ways in the plane),
// where d is the round-trip time as rtt knows it, or as the routes say. Choices last while their peers can
// be reached. A few unreachable peers are drawn anew at every call, which ends partitions.
func (t *Topology) Choose(rng *rand.Rand, rtt func(drawbridge.PeerID) (time.Duration, bool), limit int) []drawbridge.PeerID {
	reachable, lost := t.candidates()
	if n := len(reachable) + len(lost); n < FullMesh || n <= limit {
		t.choose(reachable)
		return sorted(append(reachable, lost...))
	}
	t.drop(reachable)
	pool := reachable
	if len(t.chosen) > limit {
		pool = t.kept()
		clear(t.chosen)
	}
	t.fill(rng, pool, t.distances(pool, rtt), limit)
	rng.Shuffle(len(lost), func(i, j int) { lost[i], lost[j] = lost[j], lost[i] })
	calls := min(len(lost), max(fewest, limit-len(t.chosen)))
	return sorted(append(t.kept(), lost[:calls]...))
}

// candidates are the peers that are there and can be called, or have called: those that frames reach, and
// those that they do not.
func (t *Topology) candidates() (reachable, lost []drawbridge.PeerID) {
	links := t.Self().Links
	for _, r := range t.records {
		_, linked := findLink(links, r.ID)
		switch {
		case r.ID == t.id || r.Gone || len(r.Endpoints) == 0 && !linked:
		case t.Reachable(r.ID):
			reachable = append(reachable, r.ID)
		default:
			lost = append(lost, r.ID)
		}
	}
	return reachable, lost
}

// choose makes exactly these the choices, none of them for the long way.
func (t *Topology) choose(ids []drawbridge.PeerID) {
	clear(t.chosen)
	for _, id := range ids {
		t.chosen[id] = false
	}
}

// drop ends the choices that are not among ids.
func (t *Topology) drop(ids []drawbridge.PeerID) {
	for id := range t.chosen {
		if _, ok := slices.BinarySearch(ids, id); !ok {
			delete(t.chosen, id)
		}
	}
}

// fill draws from pool until limit peers are chosen: the long ones that are missing, then near ones.
func (t *Topology) fill(rng *rand.Rand, pool []drawbridge.PeerID, distance []float64, limit int) {
	even := draw(rng, pool, func(int) float64 { return 1 })
	near := draw(rng, pool, func(i int) float64 { return 1 / (distance[i] * distance[i]) })
	long := 0
	for _, isLong := range t.chosen {
		if isLong {
			long++
		}
	}
	t.take(even, min(max(fewest, limit/4)-long, limit-len(t.chosen)), true)
	t.take(near, limit-len(t.chosen), false)
}

// take chooses the first n of ids that are not chosen yet.
func (t *Topology) take(ids []drawbridge.PeerID, n int, long bool) {
	for _, id := range ids {
		if _, ok := t.chosen[id]; !ok && n > 0 {
			t.chosen[id] = long
			n--
		}
	}
}

func (t *Topology) kept() (ids []drawbridge.PeerID) {
	for id := range t.chosen {
		ids = append(ids, id)
	}
	return sorted(ids)
}

// distances are the round-trip times to ids, in µs, never below the grain. An unknown one counts as the
// largest that is known: links are for what is certainly near.
func (t *Topology) distances(ids []drawbridge.PeerID, rtt func(drawbridge.PeerID) (time.Duration, bool)) []float64 {
	distance, largest := make([]float64, len(ids)), float64(metricGrain)
	for i, id := range ids {
		d := float64(t.Routes().Distance[id])
		if measured, ok := rtt(id); ok {
			d = float64(measured.Microseconds())
		}
		distance[i], largest = d, max(largest, d)
	}
	for i, d := range distance {
		if d == 0 {
			distance[i] = largest
		}
		distance[i] = max(distance[i], metricGrain)
	}
	return distance
}

// draw returns pool in random order, each next one drawn with a probability in proportion to its weight
// (Efraimidis and Spirakis 2006, with exponential keys).
func draw(rng *rand.Rand, pool []drawbridge.PeerID, weight func(int) float64) []drawbridge.PeerID {
	type keyed struct {
		id  drawbridge.PeerID
		key float64
	}
	keys := make([]keyed, len(pool))
	for i, id := range pool {
		keys[i] = keyed{id, rng.ExpFloat64() / weight(i)}
	}
	slices.SortFunc(keys, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	out := make([]drawbridge.PeerID, len(keys))
	for i, k := range keys {
		out[i] = k.id
	}
	return out
}

func sorted(ids []drawbridge.PeerID) []drawbridge.PeerID {
	slices.Sort(ids)
	return ids
}
