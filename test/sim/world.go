// Package sim is the whole failover in simulated time: gateways, a witness and guests' peers, each made of the real
// state machines of lease, ALONE and topology and of a model of gate, switch and mesh around them, on simulated machines,
// switches and links that fail by schedule. One goroutine, one seed, no clock: what went wrong once goes wrong again.
// How to use it and what it cannot see: docs/how-to/simulate.md.
package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

const (
	ms          = int64(time.Millisecond)
	second      = int64(time.Second)
	maxPeers    = 8
	maxStations = 32
	maxSegments = 2
)

// Plan is the network to be simulated.
type Plan struct {
	Gateways int
	Guests   int // peers with guests
	Segments int
	Shared   bool // two segments are in one overlay
	Drift    int64
	Pace     int64 // ns between two probes of a flow
	Without  Rules
	Policy   alone.Policy // without a majority
	Pair     bool         // the two gateways are all voters
	Timing   lease.Timing // zero: lease.Default
}

// Rules that a run is without. All of them break a driver or the model, none the state machines: what a machine
// believes is then not true.
type Rules struct {
	StampOfRequest bool // answers are stamped on arrival, so that a lease counts from the answer
	RestartRule    bool // a run begins as if it had been there for long
	ShutFirst      bool // the gate is shut some milliseconds after it was reported shut
	Fence          bool // tenures of others shut no gate, and peers follow any
	SplitHorizon   bool
	Echo           bool // copies are believed and written
	Veto           bool // the gate does not ask ALONE
	Promise        bool // a gateway that takes a segment forgets what it promised a moment ago
	Recusal        bool // a gateway is as good as any that left the segment to another one a moment ago
	Births         bool // a run takes part in generations from before it began
	LateBound      bool // frames of the tenure before pass for ever
	LateOrder      bool // frames of any tenure before may be late, of anybody
	LateAlone      bool // floods may be late, too
	OnePromise     bool // what a voter has promised to somebody else keeps it from nothing
	HailOrder      bool // a peer follows the first frame of a gateway, whatever it knows of later ones
	List           bool // a taker forwards whatever it has kept, also what the giver had forwarded
	Patience       bool // nobody is told that leases last for longer than by default
	Arrival        bool // a flood that waited in a socket is written, whoever was the gateway when it came
	HailGate       bool // a gateway sends its first frame when it has the lease, whatever keeps its gate shut
}

// world is one simulation.
type world struct {
	plan  Plan
	rnd   *rand.Rand
	queue queue
	now   int64
	steps int

	nodes    []*node
	links    [maxPeers][maxPeers]link
	segments []*segment
	lans     []*lan // of guests
	stations []*station
	macs     mac
	flows    []*flow

	raft raft

	violations  []string
	journal     []string // what happened, for the trace
	verbose     bool
	excuse      excuse
	copies      int // most that any frame was written to segments
	duplicates  int
	loops       int
	late        int // frames that were let in under the tenure before
	tenures     int
	alarms      []alarm
	signals     map[string]int
	overlapping bool  // several faults at once
	quickUntil  int64 // probes are frequent until then
}

// segment is a VLAN: two switches with a trunk, so that it can be split.
type segment struct {
	id    drawbridge.SegmentID
	vni   drawbridge.VNI
	near  *ethernet // gateways of even index, and the host
	far   *ethernet // the others
	trunk *jack
	patch *jack // to another segment's near switch
	host  *station

	passed   drawbridge.Epoch // highest tenure under which a frame passed a gate
	passedBy *node
	newest   drawbridge.Epoch // highest tenure that ever began
	opened   drawbridge.Epoch // highest under which a gate was ever open
}

// lan is what is behind a guest port.
type lan struct {
	*ethernet
	port  *port
	patch *jack // to the VLAN
	guest *station
}

// NewWorld builds a network that has just been switched on.
func newWorld(seed uint64, p Plan) *world {
	w := &world{plan: p, rnd: rand.New(rand.NewPCG(seed, 7)), signals: map[string]int{}}
	for i := range w.plan.Segments {
		s := &segment{id: drawbridge.SegmentID(i + 1), vni: drawbridge.VNI(i + 1), near: w.newSwitch(), far: w.newSwitch()}
		if p.Shared {
			s.vni = 1
		}
		s.trunk = cable(s.near, s.far)
		s.trunk.setDown(false)
		s.host = w.newStation(fmt.Sprintf("host%d", i+1), s.near)
		w.segments = append(w.segments, s)
	}
	if len(w.segments) > 1 {
		w.segments[0].patch = cable(w.segments[0].near, w.segments[1].near)
	}
	if w.plan.Timing == (lease.Timing{}) {
		w.plan.Timing = lease.Default
	}
	w.raft.config = lease.Config{Generation: 1, Floor: 1, Timing: w.plan.Timing, Longest: w.plan.Timing.Term}
	names := []string{"A", "B", "C"}[:p.Gateways]
	names = append(names, "W", "P", "Q", "R")[:p.Gateways+1+p.Guests]
	for i, name := range names {
		n := w.newNode(i, name)
		if i < p.Gateways || i == p.Gateways && !p.Pair {
			w.raft.config.Sets = append(w.raft.config.Sets, nil)[:1]
			w.raft.config.Sets[0] = append(w.raft.config.Sets[0], n.id)
		}
	}
	w.layLinks()
	for _, n := range w.nodes {
		n.clock.value = 1e9 + w.rnd.Int64N(5e9)
		n.clock.ppm = w.someRate()
		n.start()
	}
	w.newFlows()
	return w
}

// someRate is one of the bounds, mostly, because what can go wrong goes wrong there.
func (w *world) someRate() int64 {
	return []int64{-w.plan.Drift, w.plan.Drift, 0}[w.rnd.IntN(3)]
}

// at plans something.
func (w *world) at(t int64, do func()) { w.queue.push(max(t, w.now), do) }

func (w *world) after(d int64, do func()) { w.queue.push(w.now+d, do) }

// run lets time pass, until something is violated.
func (w *world) run(d int64) {
	until := w.now + d
	for len(w.queue.list) > 0 && w.queue.list[0].at <= until && len(w.violations) == 0 {
		m := w.queue.pop()
		w.now = m.at
		w.steps++
		m.do()
	}
	if len(w.violations) == 0 {
		w.now = until
	}
}

// note writes into the journal.
func (w *world) note(format string, args ...any) {
	if w.verbose {
		w.journal = append(w.journal, fmt.Sprintf("%12.3fms  ", float64(w.now)/1e6)+fmt.Sprintf(format, args...))
	}
}

// signal counts something by which a part of the system noticed a fault.
func (w *world) signal(n *node, what string) {
	w.signals[n.name+" "+what]++
	w.note("%s: %s", n.name, what)
}

// violated ends the run.
func (w *world) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.note("VIOLATED %s", text)
	w.violations = append(w.violations, fmt.Sprintf("at %.3f ms: %s", float64(w.now)/1e6, text))
}

// term is how long leases last, as far as the drivers are told.
func (w *world) term() time.Duration {
	if w.plan.Without.Patience {
		return lease.Default.Term
	}
	return w.raft.config.Term
}

// patience is one of the drivers' times in a network of this term.
func (w *world) patience(usual time.Duration) time.Duration {
	return failover.Patience(usual, w.term())
}

// timersOfALONE go with the lease's.
var timersOfALONE = alone.Default
