package lease

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

const (
	slots    = 5 // peers of the simulation
	gateways = 3 // the first of them are candidates
)

// Troubles that can happen in real life.
const (
	linkChanges = iota
	partitionHeals
	peerCutOff
	processStops
	clockRate
	processDies
	machineDies
	processStarts
	yields
	candidacy
	reconfigures
	raftLags
	troubles
)

// gateSim is a gate: it obeys its deadline on the clock of its machine whatever the process does.
type gateSim struct {
	epoch drawbridge.Epoch
	until Instant // machine's clock
	shut  int64   // true time; -1 while not shut by hand
}

// slot is one peer: a machine with a clock and gates, and perhaps a running process.
type slot struct {
	id         drawbridge.PeerID
	node       *Node
	least      uint32 // no configuration below it is given to this run
	at, clock  int64  // true time and clock when the rate changed last
	ppm        int64
	busy       int64 // the process is stopped until then
	wake       int64 // its next tick
	raftLag    int64 // configurations reach it this much later
	gates      [4]gateSim
	candidates [4]bool
}

func (s *slot) now(t int64) Instant {
	return Instant(s.clock + (t - s.at) + (t-s.at)*s.ppm/1e6)
}

func (s *slot) setRate(t, ppm int64) { s.clock, s.at, s.ppm = int64(s.now(t)), t, ppm }

// event is something that happens to a slot: a message, a configuration, output to be carried out late, or a tick.
type event struct {
	at     int64
	order  uint64
	to     int
	run    *Node // nil or the run that it is meant for
	from   drawbridge.PeerID
	msg    *Message
	config *Config
	late   *Output
	asker  drawbridge.PeerID
	stamp  Instant
}

// world is a simulation: true time, which no node sees, and everything that may go wrong.
type world struct {
	rnd      *rand.Rand
	pool     []int // slots in use
	t        int64
	order    uint64
	events   []event // heap by at, order
	slots    [slots]slot
	segments int
	rules    rules
	drift    int64 // true bound of clock rates, ppm
	calm     bool
	loss     [slots][slots]float64
	slow     float64 // probability of a long delay
	config   Config
	phase    int
	next     []drawbridge.PeerID
	nextTime Timing
	last     [4]drawbridge.Epoch
	pace     int64 // longest time between troubles
	mix      []int // which troubles, by weight: schedules with one favourite go deeper
	steps    int
	tenures  int
	shuts    int
	bad      string
}

func newWorld(seed uint64, broken rules) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 1)), rules: broken}
	w.segments = 1 + w.rnd.IntN(4)
	w.drift = []int64{5000, 5000, 50000}[w.rnd.IntN(3)]
	w.pace = []int64{40e6, 100e6, 300e6}[w.rnd.IntN(3)]
	for kind := range troubles {
		for range []int{0, 1, 1, 1, 6}[w.rnd.IntN(5)] {
			w.mix = append(w.mix, kind)
		}
	}
	w.slow = []float64{0, 0.01, 0.1}[w.rnd.IntN(3)]
	w.pool = [][]int{{0, 1, 3}, {0, 1, 2, 3, 4}}[w.rnd.IntN(2)]
	for i := range w.slots {
		w.slots[i].id = drawbridge.PeerID(i + 1)
	}
	g := w.timing()
	w.config = Config{Generation: 1, Floor: 1, Sets: [][]drawbridge.PeerID{w.subset()}, Timing: g, Longest: g.Term}
	for _, i := range w.pool {
		w.boot(i)
		w.start(i)
	}
	return w
}

func (w *world) timing() Timing {
	g := []Timing{Default, Fast}[w.rnd.IntN(2)]
	g.Drift = int(w.drift)
	if w.rnd.IntN(2) == 0 {
		g.Step = 0
	}
	return g
}

// subset draws two or more of the peers; all, half of the time.
func (w *world) subset() (set []drawbridge.PeerID) {
	n := 2 + w.rnd.IntN(len(w.pool)-1)
	if w.rnd.IntN(2) == 0 {
		n = len(w.pool)
	}
	for _, i := range w.rnd.Perm(len(w.pool))[:n] {
		set = append(set, w.slots[w.pool[i]].id)
	}
	return set
}

func (w *world) ppm() int64 { return []int64{-w.drift + 10, w.drift - 10, 0}[w.rnd.IntN(3)] }

// boot gives a machine a clock that begins anew and shut gates.
func (w *world) boot(i int) {
	s := &w.slots[i]
	s.at, s.clock, s.ppm = w.t, w.rnd.Int64N(1e9), w.ppm()
	for k := range s.gates {
		s.gates[k] = gateSim{shut: w.t}
	}
}

// start begins a run: it shuts the gates that the last one left open, and has a new generation committed.
func (w *world) start(i int) {
	s := &w.slots[i]
	for k := range s.gates {
		if s.gates[k].shut < 0 {
			s.gates[k].shut = w.t
		}
	}
	s.node = NewNode(s.id, s.now(w.t), w.rnd.Uint64())
	s.node.voter.rules, s.node.holder.rules = w.rules, w.rules
	s.busy, s.raftLag = w.t, 0
	w.commit(w.config)
	s.least = w.config.Generation
	s.candidates = [4]bool{}
	if i < gateways {
		for k := range w.segments {
			w.candidate(i, k, true)
		}
	}
	w.arm(i)
}

func (w *world) candidate(i, k int, wanted bool) {
	s := &w.slots[i]
	s.candidates[k] = wanted
	w.do(i, func(now Instant, n *Node, out *Output) {
		n.SetCandidate(now, drawbridge.SegmentID(k+1), w.rnd.IntN(3), wanted, out)
	})
}

// commit gives c the next generation and sends it to everybody.
func (w *world) commit(c Config) {
	c.Generation = w.config.Generation + 1
	w.config = c
	for i := range w.slots {
		w.push(event{at: w.t + w.rnd.Int64N(5e6) + w.slots[i].raftLag, to: i, config: &c})
	}
}

func (w *world) push(e event) {
	w.order++
	e.order = w.order
	w.events = append(w.events, e)
	for i := len(w.events) - 1; i > 0; {
		up := (i - 1) / 2
		if !w.events[i].before(&w.events[up]) {
			break
		}
		w.events[i], w.events[up] = w.events[up], w.events[i]
		i = up
	}
}

func (w *world) pop() event {
	top, n := w.events[0], len(w.events)-1
	w.events[0] = w.events[n]
	w.events[n] = event{}
	w.events = w.events[:n]
	for i := 0; ; {
		least := i
		for k := 2*i + 1; k <= 2*i+2 && k < n; k++ {
			if w.events[k].before(&w.events[least]) {
				least = k
			}
		}
		if least == i {
			return top
		}
		w.events[i], w.events[least] = w.events[least], w.events[i]
		i = least
	}
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.order < o.order }

// run handles events until the given true time.
func (w *world) run(until int64) {
	for w.bad == "" && len(w.events) > 0 && w.events[0].at <= until {
		e := w.pop()
		w.t = e.at
		w.handle(e)
	}
	w.t = max(w.t, until)
}

func (w *world) handle(e event) {
	s := &w.slots[e.to]
	if s.node == nil || e.run != nil && e.run != s.node {
		return
	}
	if w.t < s.busy && e.late == nil { // the process is stopped: it finds everything when it goes on
		e.at = s.busy
		w.push(e)
		return
	}
	w.steps++
	switch {
	case e.late != nil:
		w.carry(e.to, e.late, e.asker, e.stamp)
	case e.msg != nil:
		w.step(e.to, e.from, e.msg.Stamp, func(now Instant, n *Node, out *Output) { n.Receive(now, e.from, e.msg, out) })
	case e.config != nil:
		if e.config.Generation >= s.least {
			w.do(e.to, func(now Instant, n *Node, out *Output) {
				if err := n.SetConfig(now, *e.config, out); err != nil {
					w.fail("configuration: %v", err)
				}
			})
		}
	case e.at == s.wake:
		w.do(e.to, func(now Instant, n *Node, out *Output) { n.Tick(now, out) })
	}
}

func (w *world) do(i int, f func(Instant, *Node, *Output)) { w.step(i, 0, 0, f) }

// step lets a node think; sometimes the process is stopped between thinking and acting.
func (w *world) step(i int, asker drawbridge.PeerID, stamp Instant, f func(Instant, *Node, *Output)) {
	s := &w.slots[i]
	out := &Output{}
	f(s.now(w.t), s.node, out)
	if !w.calm && w.rnd.IntN(300) == 0 {
		s.busy = w.t + 1 + w.rnd.Int64N(int64(w.config.Term))
		w.push(event{at: s.busy, to: i, run: s.node, late: out, asker: asker, stamp: stamp})
		return
	}
	w.carry(i, out, asker, stamp)
}

func (w *world) carry(i int, out *Output, asker drawbridge.PeerID, stamp Instant) {
	s := &w.slots[i]
	for _, a := range out.Actions {
		switch a.Do {
		case Open:
			w.open(i, a)
		case Shut:
			if g := &s.gates[a.Segment-1]; g.shut < 0 {
				g.shut = w.t
			}
			w.shuts++
		}
	}
	s.node.WasShut(s.now(w.t))
	w.sendAll(i, out, asker, stamp)
	w.arm(i)
}

// sendAll batches by peer, as the driver does.
func (w *world) sendAll(i int, out *Output, asker drawbridge.PeerID, stamp Instant) {
	n := w.slots[i].node
	var batch [slots][]Entry
	for _, r := range out.Requests {
		batch[r.To-1] = append(batch[r.To-1], r.Entry)
	}
	for k, entries := range batch {
		if entries != nil {
			// The latest stamp that a correct driver could claim: the present. An earlier one would hide errors.
			w.send(i, k, &Message{Class: Request, Generation: n.Generation(), Floor: n.Floor(), Stamp: w.slots[i].now(w.t), Entries: entries})
		}
	}
	if len(out.Answers) > 0 {
		w.send(i, int(asker-1), &Message{Class: Answer, Generation: n.Generation(), Floor: n.Floor(), Stamp: stamp, Entries: out.Answers})
	}
}

func (w *world) send(from, to int, m *Message) {
	copies := 1
	if w.rnd.Float64() < w.loss[from][to] {
		copies = 0
	}
	if !w.calm && w.rnd.IntN(30) == 0 {
		copies++
	}
	for range copies {
		delay := 20e3 + w.rnd.Int64N(400e3)
		if !w.calm && w.rnd.Float64() < w.slow {
			delay = w.rnd.Int64N(100e6)
		}
		w.push(event{at: w.t + delay, to: to, from: w.slots[from].id, msg: m})
	}
}

// arm schedules the next tick of a node at its deadline, never early.
func (w *world) arm(i int) {
	s := &w.slots[i]
	deadline := s.node.Deadline()
	if deadline == Never {
		return
	}
	s.wake = w.t + 50e3 // due: a loop takes a while
	if wait := int64(deadline - s.now(w.t)); wait > 0 {
		s.wake = w.t + 1 + wait + wait*w.drift/1e6
	}
	w.push(event{at: s.wake, to: i, run: s.node})
}

// open is where the claim is tested: nobody else's frames may still come out, and epochs rise.
func (w *world) open(i int, a Action) {
	s, k := &w.slots[i], int(a.Segment)-1
	if s.now(w.t) >= a.Until {
		return // the gate refuses
	}
	for j := range w.slots {
		if j != i && w.emits(j, k) {
			w.fail("segment %d: %v opens under %v while %v still has %v open", k+1, s.id, a.Epoch, w.slots[j].id, w.slots[j].gates[k].epoch)
		}
	}
	if a.First && a.Epoch <= w.last[k] || a.Epoch < w.last[k] {
		w.fail("segment %d: %v opens under %v after %v", k+1, s.id, a.Epoch, w.last[k])
	}
	if a.First {
		w.tenures++
	}
	w.last[k] = a.Epoch
	s.gates[k] = gateSim{epoch: a.Epoch, until: a.Until, shut: -1}
}

// emits reports whether a frame of slot j may come out on segment k now: grace after the deadline or the shutting.
func (w *world) emits(j, k int) bool {
	s, g := &w.slots[j], &w.slots[j].gates[k]
	grace := Default.Grace
	if g.shut >= 0 && w.t >= g.shut+int64(grace) {
		return false
	}
	return g.epoch != 0 && s.now(w.t) < g.until.Add(grace)
}

func (w *world) fail(format string, args ...any) {
	if w.bad == "" {
		w.bad = fmt.Sprintf("at %v: ", time.Duration(w.t)) + fmt.Sprintf(format, args...)
	}
}

func (w *world) any() int { return w.pool[w.rnd.IntN(len(w.pool))] }

// trouble does one of them.
func (w *world) trouble() {
	i, j := w.any(), w.any()
	s := &w.slots[i]
	k := w.rnd.IntN(w.segments)
	switch w.mix[w.rnd.IntN(len(w.mix))] {
	case linkChanges: // links get worse or better
		w.loss[i][j] = []float64{0, 0.2, 1}[w.rnd.IntN(3)]
		if w.rnd.IntN(2) == 0 {
			w.loss[j][i] = w.loss[i][j]
		}
	case partitionHeals: // a partition heals
		w.loss = [slots][slots]float64{}
	case peerCutOff: // one peer is cut off, in one direction or both
		oneWay := w.rnd.IntN(2) == 0
		for j := range w.slots {
			w.loss[i][j] = 1
			if !oneWay {
				w.loss[j][i] = 1
			}
		}
	case processStops:
		s.busy = max(s.busy, w.t+w.rnd.Int64N(3*int64(w.config.Term)))
	case clockRate:
		s.setRate(w.t, w.ppm())
	case processDies: // the process dies; its gates stay as they are until they run out
		if s.node = nil; w.rnd.IntN(2) == 0 {
			w.start(i)
		}
	case machineDies: // the machine dies
		s.node = nil
		w.boot(i)
	case processStarts:
		if s.node == nil {
			w.start(i)
		}
	case yields:
		if s.node != nil && w.t >= s.busy {
			w.do(i, func(now Instant, n *Node, out *Output) {
				n.Yield(now, drawbridge.SegmentID(k+1), []drawbridge.PeerID{0, s.id, w.slots[j].id}[w.rnd.IntN(3)], out)
			})
		}
	case candidacy:
		if s.node != nil && i < gateways && w.t >= s.busy {
			w.candidate(i, k, w.rnd.IntN(3) > 0)
		}
	case reconfigures:
		w.reconfigure()
	case raftLags:
		s.raftLag = []int64{0, 1e9, 20e9}[w.rnd.IntN(3)]
	}
}

// reconfigure does the next of the three steps of docs/protocol/lease.md, if it may be done.
func (w *world) reconfigure() {
	c := w.config
	switch w.phase {
	case 0:
		w.next, w.nextTime = w.subset(), w.timing()
		c.Sets = [][]drawbridge.PeerID{w.next, c.Sets[0]}
		c.Timing, c.Longest = w.nextTime, max(c.Longest, w.nextTime.Term)
	case 1:
		c.Floor = c.Generation
	case 2:
		if !w.settled() {
			return
		}
		c.Sets, c.Longest = c.Sets[:1], c.Term
	}
	w.phase = (w.phase + 1) % 3
	w.commit(c)
}

// settled asks one random peer whether the old leases are over.
func (w *world) settled() bool {
	s := &w.slots[w.any()]
	if s.node == nil || w.t < s.busy {
		return false
	}
	return s.node.Retired(s.now(w.t), w.config.Sets[1], w.config.Floor)
}

// live ends all trouble and demands a holder for every segment, who stays.
func (w *world) live() {
	w.calm, w.loss = true, [slots][slots]float64{}
	for _, i := range w.pool {
		w.slots[i].raftLag = 0
		if w.slots[i].node == nil {
			w.start(i)
		}
	}
	w.run(w.t + 400e6) // what was stopped or delayed is over
	for _, i := range w.pool {
		for k := 0; k < w.segments && i < gateways; k++ {
			w.candidate(i, k, true)
		}
	}
	w.commit(w.config)
	w.run(w.t + 6*int64(w.config.Longest))
	shuts := w.shuts
	w.run(w.t + 300e6)
	for k := range w.segments {
		holders := 0
		for i := range w.slots {
			if g := &w.slots[i].gates[k]; g.epoch != 0 && g.shut < 0 && w.slots[i].now(w.t) < g.until {
				holders++
			}
		}
		if holders != 1 {
			w.fail("segment %d has %d holders although all trouble is over", k+1, holders)
		}
	}
	if w.shuts != shuts {
		w.fail("%d gates shut although all trouble is over", w.shuts-shuts)
	}
}

// simulate runs one schedule of n troubles, some more often than others, until something is violated.
func simulate(seed uint64, broken rules, n int, favourites ...int) *world {
	w := newWorld(seed, broken)
	for range 5 {
		w.mix = append(w.mix, favourites...)
	}
	for i := 0; i < n && w.bad == ""; i++ {
		w.run(w.t + w.rnd.Int64N(w.pace))
		w.trouble()
	}
	if w.bad == "" && broken == (rules{}) {
		w.live()
	}
	return w
}

// TestSim runs random schedules of loss, delay, duplication, reordering, drift, stops, restarts and reconfiguration. No
// two leases of a segment may overlap in true time, epochs must rise, and peace must bring a holder.
func TestSim(t *testing.T) {
	seeds := 40
	if os.Getenv("DRAWBRIDGE_LONG") != "" {
		seeds = 6000
	}
	steps, tenures := 0, 0
	for seed := range seeds {
		w := simulate(uint64(seed), rules{}, 150)
		steps, tenures = steps+w.steps, tenures+w.tenures
		if w.bad != "" {
			t.Fatalf("seed %d: %s", seed, w.bad)
		}
	}
	t.Logf("%d schedules, %d steps, %d tenures", seeds, steps, tenures)
	if tenures < seeds {
		t.Errorf("%d tenures in %d schedules test nothing", tenures, seeds)
	}
}
