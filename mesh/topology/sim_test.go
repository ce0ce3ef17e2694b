package topology

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// seeds is how many networks a simulation tries: a look under the race detector, enough for a commit, or all
// that can be had in some minutes.
func seeds() uint64 {
	switch {
	case os.Getenv("DRAWBRIDGE_LONG") == "1":
		return 1000
	case testing.Short():
		return 5
	}
	return 30
}

// randomNetwork is a connected network of n peers, with about six links each.
func randomNetwork(seed uint64, n int) *network {
	w := newNetwork(seed, n)
	for i := 1; i < n; i++ {
		w.link(w.randomPair(w.ids[i], w.ids[w.rng.IntN(i)]))
	}
	for range min(2*n, n*(n-1)/4) {
		if a, b := w.randomPeer(), w.randomPeer(); a != b {
			w.link(w.randomPair(a, b))
		}
	}
	return w
}

func (w *network) randomPeer() drawbridge.PeerID { return w.ids[w.rng.IntN(len(w.ids))] }

func (w *network) randomPair(a, b drawbridge.PeerID) (pair, *weights) {
	return pairOf(a, b), &weights{w.rng.Uint32N(30_000), uint16(1300 + w.rng.IntN(200))}
}

// trouble is what happens in one tick of a bad time: crashes and restarts, links that come, go and change,
// and partitions.
func (w *network) trouble() {
	switch id := w.randomPeer(); {
	case w.rng.IntN(15) == 0:
		w.restart(id, drawbridge.PeerUID(w.rng.Uint64()))
	case w.rng.IntN(60) == 0 && w.peers[id].alive:
		w.crash(id)
	case w.rng.IntN(60) == 0:
		w.partition()
	case w.rng.IntN(60) == 0:
		w.heal()
	case w.rng.IntN(10) == 0:
		pairs := w.pairsOf(id)
		w.link(w.randomPair(pairs[0].a, pairs[0].b))
	case w.rng.IntN(10) == 0:
		p := w.pairsOf(id)[0]
		w.setCut(!w.cut[p], p)
	}
}

// partition cuts all links between two random sets of peers.
func (w *network) partition() {
	side := map[drawbridge.PeerID]bool{}
	for _, id := range w.ids {
		side[id] = w.rng.IntN(2) == 0
	}
	w.setCut(true, w.pairsThat(func(p pair) bool { return side[p.a] != side[p.b] })...)
}

func (w *network) heal() { w.setCut(false, w.pairsThat(func(p pair) bool { return w.cut[p] })...) }

// graphFault compares the graphs of all peers; equal graphs mean equal trees.
func (w *network) graphFault() error {
	for _, part := range w.parts() {
		first := w.peers[part[0]]
		for _, id := range part {
			if p := w.peers[id]; p.Changes() == 0 || first.Changes() == 0 || !p.graph.equal(&first.graph) {
				return fmt.Errorf("%v and %v have different graphs", id, part[0])
			}
		}
	}
	return nil
}

// simulate lets a network of 100 peers have a bad time, and then waits for it to converge.
func simulate(seed uint64, without int) (ticks int, err error) {
	w := randomNetwork(seed, 100)
	w.loss, w.withoutRule[without] = 0.2, true
	for range 250 {
		w.step()
		w.trouble()
	}
	w.heal()
	for _, id := range w.ids {
		if !w.peers[id].alive {
			w.restart(id, drawbridge.PeerUID(w.rng.Uint64()))
		}
	}
	ticks, ok := w.settle(2000)
	switch {
	case !ok:
		return ticks, fmt.Errorf("seed %d has not converged: %w", seed, w.fault())
	case w.clones > 0:
		return ticks, fmt.Errorf("seed %d: %d clones reported where there are none", seed, w.clones)
	case seed%10 == 0:
		err = w.routeFault()
	default:
		err = w.graphFault()
	}
	if err != nil {
		err = fmt.Errorf("seed %d: %w", seed, err)
	}
	return ticks, err
}

// TestSimConverges: 100 peers under 20 % loss, crashes, restarts, changes and partitions. When these end,
// everybody knows the newest record of everybody, and the routes lead everywhere.
func TestSimConverges(t *testing.T) {
	ticks := make([]int, seeds())
	forEachSeed(seeds(), func(seed uint64) {
		var err error
		if ticks[seed], err = simulate(seed, 0); err != nil {
			t.Error(err)
		}
	})
	slices.Sort(ticks)
	n := len(ticks)
	t.Logf("%d networks of 100 peers converged within %d ticks (median), %d (95 %%), %d (all); anti-entropy every 30", n, ticks[n/2], ticks[n*95/100], ticks[n-1])
}

// TestSimNoticesMissingRules: the same simulation fails when a rule is missing.
func TestSimNoticesMissingRules(t *testing.T) {
	for _, rule := range []int{3, 5} {
		if _, err := simulate(0, rule); err == nil {
			t.Errorf("converged without rule %d", rule)
		}
	}
}

// forEachSeed calls f for seeds 0 to n-1, on all processors.
func forEachSeed(n uint64, f func(seed uint64)) {
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1) - 1; seed < n; seed = next.Add(1) - 1 {
				f(seed)
			}
		})
	}
	workers.Wait()
}

// TestSimAgreement prints how long it takes until all have heard of one change of a link, and what it costs.
func TestSimAgreement(t *testing.T) {
	changes := 50
	if testing.Short() {
		changes = 10
	}
	t.Log("peers  loss  ticks until all agree: median  95 %  messages per change and peer")
	for _, n := range []int{10, 30, 100} {
		for _, loss := range []float64{0, 0.2} {
			w := randomNetwork(7, n)
			w.loss = loss
			w.settle(2000)
			ticks, messages := []int{}, 0
			for range changes {
				w.run(w.rng.IntN(30))
				before := w.sent
				pairs := w.pairsThat(w.up)
				p := pairs[w.rng.IntN(len(pairs))]
				w.link(w.randomPair(p.a, p.b))
				took, ok := w.settle(1000)
				if !ok {
					t.Fatal(w.fault())
				}
				ticks, messages = append(ticks, took), messages+w.sent-before
			}
			slices.Sort(ticks)
			t.Logf("%5d %4.0f%% %31d %6d %29.1f", n, 100*loss, ticks[changes/2], ticks[changes*95/100], float64(messages)/float64(changes*n))
		}
	}
}

// TestLinksComeAndGoInAnyOrder: whatever happens to the links of a small network, after it everybody agrees.
func TestLinksComeAndGoInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newNetwork(rapid.Uint64().Draw(t, "seed"), 6)
		w.loss = 0.2
		for range rapid.IntRange(1, 30).Draw(t, "changes") {
			a, b := w.ids[rapid.IntRange(0, 5).Draw(t, "a")], w.ids[rapid.IntRange(0, 5).Draw(t, "b")]
			switch what := rapid.IntRange(0, 3).Draw(t, "what"); {
			case a == b:
				w.restart(a, drawbridge.PeerUID(w.rng.Uint64()))
			case what == 0:
				w.link(pairOf(a, b), nil)
			default:
				w.link(w.randomPair(a, b))
			}
			w.run(rapid.IntRange(0, 5).Draw(t, "ticks"))
		}
		if _, ok := w.settle(1000); !ok {
			t.Fatal(w.fault())
		}
		if err := w.routeFault(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLeaving: a peer that leaves is known as gone everywhere, and as present when it has come back.
func TestLeaving(t *testing.T) {
	w := randomNetwork(3, 10)
	w.settle(1000)
	w.peers[4].Leave()
	w.gossip(4, 0, []wire.Record{w.peers[4].Self()})
	if _, ok := w.settle(1000); !ok {
		t.Fatal(w.fault())
	}
	if r, _ := w.peers[1].Get(4); !r.Gone || w.peers[1].Reachable(4) {
		t.Errorf("after leaving: %+v", r)
	}
	w.restart(4, 5)
	if _, ok := w.settle(1000); !ok {
		t.Fatal(w.fault())
	}
	if r, _ := w.peers[1].Get(4); r.Gone || !w.peers[1].Reachable(4) {
		t.Errorf("after coming back: %+v", r)
	}
}
