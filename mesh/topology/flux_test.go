package topology

import (
	"sync"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// fluxTicks is how long after a change of its graph a peer mistrusts trees: gossip takes 8 ticks to reach
// everybody (TestSimAgreement), and a second change may follow.
const fluxTicks = 30

// scheme is a way to carry floods.
type scheme struct {
	name   string
	window bool // a peer takes a frame once, by (origin, sequence)
	flood  bool // a peer in flux sends to all neighbours
	sticks bool // and marks the frame, so that all others do so too
	always bool
}

var schemes = []scheme{
	{name: "tree only"},
	{name: "tree + window", window: true},
	{name: "+ flood in flux, each peer for itself", window: true, flood: true},
	{name: "+ flood in flux, mark sticks", window: true, flood: true, sticks: true},
	{name: "always flood + window", window: true, flood: true, always: true},
}

// plane is the data plane of a network under one scheme. A frame takes one tick over a link.
type plane struct {
	*network
	scheme
	changed map[drawbridge.PeerID]int // the tick in which a peer's graph changed
	flying  []copyOf
	frames  []map[drawbridge.PeerID]int // how often a frame was delivered, by peer
	sent    int
}

type copyOf struct {
	frame            int
	origin, from, to drawbridge.PeerID
	hops             int
	marked           bool
}

func (p *plane) emit(origin drawbridge.PeerID) {
	p.frames = append(p.frames, map[drawbridge.PeerID]int{})
	p.arrive(copyOf{frame: len(p.frames) - 1, origin: origin, from: origin, to: origin})
}

// arrive delivers a copy and passes it on; a hop limit of 16 ends loops.
func (p *plane) arrive(c copyOf) {
	got := p.frames[c.frame]
	if p.window && got[c.to] > 0 {
		return
	}
	if got[c.to]++; c.hops == 16 {
		return
	}
	flood := p.always || c.marked || p.flood && p.now-p.changed[c.to] < fluxTicks
	next := p.peers[c.to].Routes().Children[c.origin]
	if flood {
		next = p.neighbours(c.to)
	}
	for _, n := range next {
		if n != c.from && p.up(pairOf(c.to, n)) {
			p.sent++
			p.flying = append(p.flying, copyOf{c.frame, c.origin, c.to, n, c.hops + 1, flood && p.sticks})
		}
	}
}

// step moves every copy over its link, if that is still there.
func (p *plane) step() {
	flying := p.flying
	p.flying = nil
	for _, c := range flying {
		if p.up(pairOf(c.from, c.to)) {
			p.arrive(c)
		}
	}
}

// outcome counts the frames that some peer got twice, and those that some peer did not get.
func (p *plane) outcome() (duplicated, lost int) {
	for _, got := range p.frames {
		twice := false
		for _, n := range got {
			twice = twice || n > 1
		}
		if twice {
			duplicated++
		}
		if len(got) < len(p.ids) {
			lost++
		}
	}
	return duplicated, lost
}

// fluxRun sends frames from everywhere while links change, under all schemes at once.
type fluxRun struct {
	*network
	planes  []*plane
	changed map[drawbridge.PeerID]int
	seen    map[drawbridge.PeerID]uint64
}

func newFluxRun(seed uint64) *fluxRun {
	f := &fluxRun{network: randomNetwork(seed, 30), changed: map[drawbridge.PeerID]int{}, seen: map[drawbridge.PeerID]uint64{}}
	for _, s := range schemes {
		f.planes = append(f.planes, &plane{network: f.network, scheme: s, changed: f.changed})
	}
	f.settle(1000)
	f.tick(0)
	for id := range f.changed {
		f.changed[id] = -fluxTicks
	}
	return f
}

func (f *fluxRun) tick(frames int) {
	f.step()
	for _, id := range f.ids {
		if c := f.peers[id].Changes(); c != f.seen[id] {
			f.seen[id], f.changed[id] = c, f.now
		}
	}
	for range frames {
		origin := f.randomPeer()
		for _, p := range f.planes {
			p.emit(origin)
		}
	}
	for _, p := range f.planes {
		p.step()
	}
}

// change takes a link down, puts one up or alters a metric; the network stays in one piece.
func (f *fluxRun) change() {
	switch a, b := f.randomPeer(), f.randomPeer(); f.rng.IntN(3) {
	case 0:
		if a != b {
			f.link(f.randomPair(a, b))
		}
	case 1:
		p := f.pairsOf(a)[0]
		f.link(f.randomPair(p.a, p.b))
	default:
		pairs := f.pairsOf(a)
		p := pairs[f.rng.IntN(len(pairs))]
		weights := f.links[p]
		if f.link(p, nil); len(f.parts()) > 1 {
			f.link(p, &weights)
		}
	}
}

// tally is what became of the frames of one scheme.
type tally struct{ frames, duplicated, lost, sent int }

// fluxSum adds up what becomes of frames under each scheme, in a network for each seed.
func fluxSum(links int) []tally {
	var mu sync.Mutex
	sum := make([]tally, len(schemes))
	forEachSeed(seeds(), func(seed uint64) {
		f := newFluxRun(seed)
		f.run(links)
		mu.Lock()
		defer mu.Unlock()
		for i, p := range f.planes {
			duplicated, lost := p.outcome()
			sum[i] = tally{sum[i].frames + len(p.frames), sum[i].duplicated + duplicated, sum[i].lost + lost, sum[i].sent + p.sent}
		}
	})
	return sum
}

// run changes links five times, sends frames right after, and lets the network settle.
func (f *fluxRun) run(links int) {
	for range 5 {
		for range links {
			f.change()
		}
		for range 15 {
			f.tick(2)
		}
		for range 2 * fluxTicks {
			f.tick(0)
		}
	}
}

// TestSimFlux measures what happens to broadcasts while the peers do not yet agree on the trees. A link's
// ends notice at once here; what is sent into a dead link until they do is lost besides.
func TestSimFlux(t *testing.T) {
	t.Log("links  scheme                                     duplicated      lost  transmissions, of the ideal")
	for _, links := range []int{1, 4} {
		sum := fluxSum(links)
		lost := make([]float64, len(schemes))
		for i, s := range sum {
			lost[i] = float64(s.lost) / float64(s.frames)
			t.Logf("%5d  %-40s %9.2f %% %7.2f %% %8.1f", links, schemes[i].name, 100*float64(s.duplicated)/float64(s.frames), 100*lost[i], float64(s.sent)/float64(s.frames*29))
			if schemes[i].window && s.duplicated > 0 {
				t.Errorf("%d links, %s: %d duplicates", links, schemes[i].name, s.duplicated)
			}
		}
		trees, alone, sticky := lost[1], lost[2], lost[3]
		if sticky > 0.005 || sticky > trees/10 || sticky > alone {
			t.Errorf("%d links: %.2f %% lost with a mark that sticks, %.2f %% without, %.2f %% with trees only", links, 100*sticky, 100*alone, 100*trees)
		}
	}
}
