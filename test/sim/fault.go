package sim

import (
	"fmt"
	"slices"

	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// trouble is one kind of fault of random schedules.
type trouble struct {
	name   string
	weight int
	begin  func(w *world) (end func())
	// bound is the longest silence when it is the only fault and strikes where it hurts most; 0: none is promised.
	bound int64
}

// The bounds of the failure table: a takeover is a term and ten milliseconds, and two probes in between.
const (
	takeover = 50*ms + 4*ms // probes go every 2 ms
	planned  = 10*ms + 3*ms
	moved    = 3*ms + 2*ms // d, one and a half round trips; nobody waits for his rank
	unhurt   = 3 * ms
	rerouted = linkDead + 2*heartbeat + 150*ms
)

var troubles = []trouble{
	{"crash", 3, func(w *world) func() { n := w.someNode(); n.crash(true); return n.start }, takeover},
	{"kill", 3, func(w *world) func() { n := w.someGateway(); n.crash(false); return n.start }, takeover},
	{"restart", 2, func(w *world) func() {
		n := w.someNode()
		n.crash(false)
		w.after(w.rnd.Int64N(30*ms), n.start)
		return nil
	}, takeover + 25*ms}, // its new run has a generation decided and refuses to promise, in the middle of the takeover
	{"freeze", 3, func(w *world) func() { n := w.someGateway(); n.freeze(false); return n.thaw }, takeover},
	{"stop the daemon", 1, func(w *world) func() {
		n := w.someGateway()
		n.freeze(false, watching, capture, overlay, control)
		return n.thaw
	}, takeover},
	{"pause", 3, func(w *world) func() { n := w.someGateway(); n.freeze(true); return n.thaw }, takeover},
	{"cut one way", 3, func(w *world) func() {
		a, b := w.somePair()
		w.cut(a, b, true)
		return func() { w.cut(a, b, false) }
	}, rerouted},
	{"cut", 3, func(w *world) func() {
		a, b := w.somePair()
		w.cutBoth(a, b, true)
		return func() { w.cutBoth(a, b, false) }
	}, rerouted},
	{"cut off", 2, func(w *world) func() {
		n, out, in := w.someNode(), w.rnd.IntN(3) > 0, w.rnd.IntN(3) > 0
		w.isolate(n, out, in || !out, true)
		return func() { w.isolate(n, true, true, false) }
	}, 0},
	{"bad link", 2, func(w *world) func() {
		a, b := w.somePair()
		l := &w.links[a.index][b.index]
		l.loss, l.slow = 0.3*w.rnd.Float64(), 0.1
		return func() { l.loss, l.slow = 0, 0 }
	}, 0},
	{"slow network", 1, func(w *world) func() {
		for i := range w.links {
			for k := range w.links {
				w.links[i][k].slow = 0.3
			}
		}
		return func() { w.links = w.quickLinks() }
	}, 0},
	{"port cannot send", 2, func(w *world) func() {
		j := w.someGate().jack
		j.mute = true
		return func() { j.mute = false }
	}, 0},
	{"port cannot hear", 2, func(w *world) func() {
		j := w.someGate().jack
		j.deaf = true
		return func() { j.deaf = false }
	}, 0},
	{"carrier", 3, func(w *world) func() {
		p := w.someGate()
		p.setCarrier(false)
		return func() { p.setCarrier(true) }
	}, takeover},
	{"carrier flaps", 2, func(w *world) func() { w.someGate().flap(); return nil }, takeover},
	{"switch restarts", 1, func(w *world) func() { return w.restartSwitch(w.segments[w.rnd.IntN(len(w.segments))]) }, 0},
	{"clock rate", 2, func(w *world) func() { n := w.someNode(); n.clock.setRate(w.now, w.someRate()); return nil }, unhurt},
	{"wall clock", 1, func(w *world) func() { w.someNode().wall += w.rnd.Int64N(7200) - 3600; return nil }, unhurt},
	{"busy", 2, func(w *world) func() {
		n := w.someNode()
		w.busy(n, w.rnd.Int64N(2*lateFor))
		return func() { w.busy(n, 0) }
	}, unhurt + 2*lateFor},
	{"both forced open", 2, func(w *world) func() { return w.force(w.someGate().segment) }, 0},
	{"reflection", 1, func(w *world) func() {
		j := w.someGate().jack
		j.reflects = true
		return w.excuseWhile(func() { j.reflects = false })
	}, 0},
	{"split", 1, func(w *world) func() {
		j := w.segments[w.rnd.IntN(len(w.segments))].trunk
		j.setDown(true)
		return func() { j.setDown(false) }
	}, 0},
	{"segments cabled together", 1, func(w *world) func() { return w.patch(w.segments[0].patch) }, 0},
	{"guests cabled to the VLAN", 1, func(w *world) func() { return w.patch(w.lans[w.rnd.IntN(len(w.lans))].patch) }, 0},
	{"witness", 1, func(w *world) func() { n := w.witness(); n.crash(true); return n.start }, unhurt},
	{"quorum", 1, func(w *world) func() {
		a, b := w.nodes[1], w.witness()
		a.crash(true)
		b.crash(true)
		return func() { a.start(); b.start() }
	}, 0},
	{"voters", 1, func(w *world) func() { w.changeVoters(); return nil }, 0},
	{"given up", 2, func(w *world) func() {
		p := w.someGate()
		p.yield(w.someGateway().id)
		return nil
	}, takeover},
	{"moved", 3, func(w *world) func() {
		p := w.someGate()
		if m := p.moveTo(w.nodes[(p.n.index+1)%w.plan.Gateways]); m == nil {
			return nil
		}
		w.run(w.rnd.Int64N(30 * ms)) // the next fault strikes in the middle of it
		return nil
	}, moved},
	{"maintenance", 1, func(w *world) func() {
		p := w.someGate()
		p.setMaintenance(true)
		return func() { p.setMaintenance(false) }
	}, planned},
	{"data path hangs", 1, func(w *world) func() { n := w.someGateway(); n.freeze(false, capture, overlay); return n.thaw }, 0},
}

// quickLinks are the same links without delays out of the ordinary.
func (w *world) quickLinks() [maxPeers][maxPeers]link {
	links := w.links
	for i := range links {
		for k := range links[i] {
			links[i][k].slow = 0
		}
	}
	return links
}

func (w *world) someNode() *node    { return w.nodes[w.rnd.IntN(len(w.nodes))] }
func (w *world) someGateway() *node { return w.nodes[w.rnd.IntN(w.plan.Gateways)] }
func (w *world) witness() *node     { return w.nodes[w.plan.Gateways] }

// someGate is the port of a segment that is open, mostly.
func (w *world) someGate() *port {
	s := w.segments[w.rnd.IntN(len(w.segments))]
	if open := s.open(); len(open) > 0 && w.rnd.IntN(3) > 0 {
		return open[0]
	}
	return w.someGateway().gateOf(s.id)
}

func (w *world) somePair() (a, b *node) {
	a, b = w.someNode(), w.someNode()
	for a == b {
		b = w.someNode()
	}
	return a, b
}

// isolate cuts a node off from all others, or ends that.
func (w *world) isolate(n *node, out, in, cut bool) {
	n.others(func(o *node) {
		if out {
			w.cut(n, o, cut)
		}
		if in {
			w.cut(o, n, cut)
		}
	})
}

// excuseWhile excuses copies until the fault is over, and a moment more for those that are under way.
func (w *world) excuseWhile(end func()) func() {
	w.excuse.standing++
	return func() {
		end()
		w.excuse.standing--
		w.excused(2 * ms)
	}
}

// force opens all gates of a segment by hand.
func (w *world) force(s *segment) func() {
	w.note("all gates of segment %d are forced open", s.id)
	set := func(forced bool) {
		for _, n := range w.nodes {
			if p := n.gateOf(s.id); p != nil {
				p.forced = forced
			}
		}
	}
	set(true)
	return w.excuseWhile(func() { set(false) })
}

// restartSwitch takes the carrier of all gateways of a segment away.
func (w *world) restartSwitch(s *segment) func() {
	set := func(up bool) {
		for _, n := range w.nodes[:w.plan.Gateways] {
			n.gateOf(s.id).setCarrier(up)
		}
	}
	set(false)
	return func() { set(true) }
}

// patch plugs a cable in that should not be there.
func (w *world) patch(j *jack) func() {
	if j == nil || !j.down {
		return nil
	}
	j.setDown(false)
	w.excuse.loose = w.now + noticed
	return w.excuseWhile(func() { j.setDown(true) })
}

func (p *port) setMaintenance(on bool) {
	p.maintenance = on
	p.n.enter(control, p.n.stand)
}

// changeVoters has another set of voters decided: with or without a peer that has guests.
func (w *world) changeVoters() {
	set := slices.Clone(w.raft.config.Sets[0])
	extra := w.nodes[w.plan.Gateways+1].id
	if i := slices.Index(set, extra); i >= 0 {
		set = slices.Delete(set, i, i+1)
	} else {
		set = append(set, extra)
	}
	w.raft.want = set
}

// only picks kinds by name.
func only(names []string) (kinds []trouble) {
	for _, t := range troubles {
		if slices.Contains(names, t.name) {
			kinds = append(kinds, t)
		}
	}
	return kinds
}

// some chooses a kind of trouble.
func (w *world) some(kinds []trouble) *trouble {
	sum := 0
	for _, t := range kinds {
		sum += t.weight
	}
	k := w.rnd.IntN(sum)
	for i := range kinds {
		if k -= kinds[i].weight; k < 0 {
			return &kinds[i]
		}
	}
	return nil
}

// Outcome is what a run came to.
type Outcome struct {
	Violation  string
	Trace      []string
	Steps      int
	Tenures    int
	Duplicates int
	Loops      int
	Copies     int
	Faults     int
	Silence    map[string]int64 // longest after a single fault, by its name
	End        int64
}

// usualDrift is what clocks may differ from true time by without any gateway being taken for broken: 0.1 % between any two.
const usualDrift = 490

// planOf draws a network.
func planOf(seed uint64) Plan {
	p := Plan{Gateways: 2, Guests: 2, Segments: 1, Drift: 4990, Pace: 2 * ms}
	if seed%2 == 0 {
		p.Drift = usualDrift
	}
	if seed%4 == 1 {
		p.Gateways = 3
	}
	if seed%10 == 3 || seed%10 == 9 { // several faults at once: what a hold costs in silence is bounded in its rows
		p.Policy = alone.HoldGates
	}
	if seed%3 == 1 {
		p.Segments, p.Shared = 2, seed%2 == 0
	}
	return p
}

// Simulate runs one schedule of n faults: one at a time with an even seed, so that bounds of silence hold, else several
// at once. Then everything is repaired and must heal.
func simulate(seed uint64, without Rules, n int, verbose bool) *Outcome {
	p := planOf(seed)
	p.Without = without
	w := newWorld(seed, p)
	w.verbose = verbose
	out := &Outcome{Silence: map[string]int64{}}
	w.run(1500*ms + w.rnd.Int64N(300*ms))
	if seed%2 == 0 {
		w.oneAtATime(n, troubles, out)
	} else {
		w.manyAtOnce(n, troubles)
	}
	w.heal()
	if err := w.untilHealed(8 * second); err != nil && len(w.violations) == 0 {
		w.violated("not healed: %v", err)
	}
	out.Steps, out.Tenures, out.Duplicates, out.Loops, out.Copies = w.steps, w.tenures, w.duplicates, w.loops, w.copies
	out.Trace, out.End, out.Faults = w.journal, w.now, n
	if len(w.violations) > 0 {
		out.Violation = fmt.Sprintf("seed %d: %s", seed, w.violations[0])
	}
	return out
}

// oneAtATime lets everything heal between two faults, and measures the silence of each.
func (w *world) oneAtATime(n int, kinds []trouble, out *Outcome) {
	for i := 0; i < n && len(w.violations) == 0; i++ {
		w.untilReady(6 * second)
		t := w.some(kinds)
		w.quickUntil = w.now + 3*second
		w.run(slowdown*w.plan.Pace + 5*ms) // planned before
		w.mark()
		w.note("- %s", t.name)
		end := t.begin(w)
		w.run(50*ms + w.rnd.Int64N(200*ms))
		w.measure(t, out)
		if end != nil {
			w.mark()
			w.note("- %s is over", t.name)
			end()
			w.run(150 * ms)
			w.measure(t, out)
		}
		w.repair()
		if t.name == "pause" {
			return // the machine's clock is not trusted for ten seconds: the next fault would not be the only one
		}
	}
}

func (w *world) measure(t *trouble, out *Outcome) {
	for _, s := range w.segments {
		silence, of := w.silence(s)
		out.Silence[t.name] = max(out.Silence[t.name], silence)
		if t.bound > 0 && silence > t.bound {
			w.violated("%v was silent for %.1f ms after %s", of, float64(silence)/1e6, t.name)
		}
	}
}

// manyAtOnce lets faults overlap.
func (w *world) manyAtOnce(n int, kinds []trouble) {
	w.quickUntil, w.overlapping = w.now+int64(n)*200*ms, true
	for i := 0; i < n && len(w.violations) == 0; i++ {
		t := w.some(kinds)
		w.note("- %s", t.name)
		if end := t.begin(w); end != nil {
			w.after(w.rnd.Int64N(600*ms), end)
		}
		w.run(w.rnd.Int64N(250 * ms))
	}
	w.run(700 * ms)
}

// repair takes verdicts of ALONE back, as an operator does who has found the cable. Whoever left a segment to another gateway has waited
// for its minute.
func (w *world) repair() {
	for _, n := range w.nodes {
		if n.alive() {
			n.clearPorts()
		}
		for _, p := range n.ports {
			p.comparison = alone.Comparison{}
		}
	}
}

// heal ends what may still be wrong.
func (w *world) heal() {
	w.plan.Drift = usualDrift
	for _, n := range w.nodes {
		n.clock.setRate(w.now, w.someRate())
		n.start()
	}
	w.repair()
}

// untilHealed lets time pass until everything is well.
func (w *world) untilHealed(limit int64) (err error) {
	for end := w.now + limit; w.now < end && len(w.violations) == 0; w.run(100 * ms) {
		if err = w.settled(); err == nil {
			if err = w.probeAll(); err == nil {
				return nil
			}
		}
	}
	return err
}

// untilReady lets time pass until the next fault would be the only one: every gateway would take over, every link is up.
func (w *world) untilReady(limit int64) bool {
	for end := w.now + limit; w.settled() != nil || w.unready() != ""; w.run(50 * ms) {
		if w.now >= end || len(w.violations) > 0 {
			w.note("not ready: %v %s", w.settled(), w.unready())
			return false
		}
	}
	w.run(400 * ms) // no flood takes every link any more
	return true
}

// unready names what would make the next fault one of two.
func (w *world) unready() string {
	for _, n := range w.nodes {
		if n.lease.Unfit() {
			return n.name + " does not trust its clock"
		}
		for _, p := range n.ports {
			if why := n.whyNot(p); why != "" || p.segment == nil && n.stateOf(p) != alone.Passive {
				return fmt.Sprintf("%s port %x: %s", n.name, p.id, why)
			}
		}
		up, _ := n.lease.Quorum(n.instant())
		links := 0
		for _, ok := range n.mesh.up {
			if ok {
				links++
			}
		}
		if !up || links < len(w.nodes)-1 {
			return fmt.Sprintf("%s has %d links and reaches a majority: %v", n.name, links, up)
		}
	}
	return ""
}
