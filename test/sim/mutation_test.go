package sim

import (
	"cmp"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// slowAnswers lets the voters' answers take most of a term, and then cuts the holder off.
func slowAnswers(w *world) {
	a := w.segments[0].open()[0].n
	a.others(func(o *node) { w.links[o.index][a.index].delay = 25 * ms })
	w.run(200*ms + w.rnd.Int64N(10*ms))
	w.isolate(a, true, true, true)
	w.run(100 * ms)
}

// forgetfulVoter restarts a voter between the two gateways just when the holder's renewals stop reaching it.
func forgetfulVoter(w *world) {
	a := w.segments[0].open()[0].n
	b := w.nodes[2-a.id]
	w.cutBoth(a, b, true)
	w.run(200*ms + w.rnd.Int64N(50*ms))
	w.cut(a, w.witness(), true)
	w.witness().crash(false)
	w.run(1 * ms)
	w.witness().start()
	w.run(300 * ms)
	w.cutBoth(a, b, false)
	w.cut(a, w.witness(), false)
}

// deafReturn pauses the active gateway, and lets it go on where only the segment can tell it that it was followed.
func deafReturn(w *world) {
	a := w.segments[0].open()[0].n
	a.freeze(true)
	w.isolate(a, true, true, true)
	w.run(100 * ms)
	a.thaw()
	w.run(100 * ms)
	w.isolate(a, true, true, false)
}

// forgottenPromise lets the voters decide for the other gateway while the wire is cut at the worst moment.
func forgottenPromise(w *world) {
	a := w.segments[0].open()[0].n
	w.isolate(a, true, true, true)
	w.run(41 * ms)
	w.segments[0].trunk.setDown(true)
	w.run(200 * ms)
	w.segments[0].trunk.setDown(false)
	w.isolate(a, true, true, false)
}

// quietParts splits the segment into parts of which only one is ever loud.
func quietParts(w *world) {
	a := w.segments[0].open()[0].n
	wander(w, a, w.nodes[2-a.id])
	w.run(25 * second)
	left := 0
	for _, n := range w.nodes {
		left += w.signals[n.name+" another gateway is better connected"]
	}
	w.expect(left < 2, "a split segment goes to and fro")
}

// overtaken moves a segment twice while the frames of its first gateway are late, by more each time.
func overtaken(w *world) {
	for d := range int64(12) {
		open := w.segments[0].open()
		if len(open) != 1 {
			return
		}
		a := open[0].n
		b := w.nodes[2-a.id]
		w.busy(a, 10*ms*d)
		w.run(200 * ms)
		a.ports[0].yield(b.id)
		w.run(5 * ms)
		w.busy(a, 0)
		w.run(35 * ms)
		b.ports[0].yield(a.id)
		w.run(500 * ms)
	}
}

// backlog gives a segment to a gateway whose reader of the mesh has stood still, and goes on when the gate is open.
func backlog(w *world) {
	a := w.segments[0].open()[0].n
	b := w.nodes[2-a.id]
	b.freeze(false, overlay)
	w.run(50 * ms)
	a.ports[0].yield(b.id)
	w.run(20 * ms)
	b.thaw()
	w.run(100 * ms)
}

// turnedAgain gives a segment away and takes it back before the first frame of the gateway between has come to the peers, by a
// planned move and without.
func turnedAgain(w *world) {
	for i := range 6 {
		open := w.segments[0].open()
		if len(open) != 1 {
			return
		}
		a := open[0].n
		b := w.nodes[2-a.id]
		w.busy(b, 30*ms)
		if i%2 == 0 {
			a.ports[0].moveTo(b)
		} else {
			a.ports[0].yield(b.id)
		}
		for end := w.now + 60*ms; w.now < end && b.ports[0].opened == 0 && len(w.violations) == 0; {
			w.run(ms / 4)
		}
		w.run(2 * ms)
		w.busy(b, 0)
		b.ports[0].yield(a.id)
		w.run(3 * second)
	}
}

// promised has the active gateway die, so that the other one has the lease before what it promised lets it open.
func promised(w *world) {
	w.segments[0].open()[0].n.crash(true)
	w.run(300 * ms)
}

// random is a schedule of some kinds of fault only.
func random(favourites ...string) func(*world) {
	return func(w *world) { w.manyAtOnce(12, only(favourites)) }
}

// orphaned has the active one of several gateways die, so that all others ask before they hear of each other.
func orphaned(w *world) {
	for _, from := range w.nodes[:w.plan.Gateways] {
		for _, to := range w.nodes[:w.plan.Gateways] {
			w.links[from.index][to.index].delay = 8 * ms // a fifth of a term: leases bear that
		}
	}
	for range 10 {
		open := w.segments[0].open()
		if len(open) != 1 {
			return
		}
		a := open[0].n
		a.crash(true)
		w.run(300 * ms)
		a.start()
		w.run(3 * second)
	}
}

// slow are timers for machines that stand still for most of a second now and then.
var slow = lease.Timing{Renew: 500 * time.Millisecond, Term: 3 * time.Second, Grace: time.Millisecond, Step: 250 * time.Millisecond, Drift: 5000}

// standStill has machines, or one thread of them, stand still for 300 to 900 ms, one after the other and several at once. That is no reason
// for anything.
func standStill(w *world) {
	tenures := w.tenures
	w.quickUntil = w.now + 60*second
	for range 100 {
		if n := w.someNode(); n.asleep == [threads]bool{} {
			var which []thread // all
			if w.rnd.IntN(2) == 0 {
				which = []thread{thread(w.rnd.IntN(int(threads)))}
			}
			n.freeze(false, which...)
			w.after(300*ms+w.rnd.Int64N(600*ms), n.thaw)
		}
		w.run(w.rnd.Int64N(1200 * ms))
	}
	w.run(second)
	w.expect(w.tenures == tenures, "a segment has moved although nobody stood still for a term")
}

type mutant struct {
	without  Rules
	schedule func(*world)
	gateways int          // 0: two
	timing   lease.Timing // zero: lease.Default
}

// policy is to hold where the rule is one of it, which makes up for the others.
func (m mutant) policy() alone.Policy {
	if m.without.Promise || m.without.HailGate {
		return alone.HoldGates
	}
	return alone.CloseGates
}

// mutants are the rules that may be taken away, and a schedule in which each is missed.
var mutants = map[string]mutant{
	"a lease counts from the answer": {without: Rules{StampOfRequest: true}, schedule: slowAnswers},
	"no wait after a start":          {without: Rules{RestartRule: true, Births: true}, schedule: forgetfulVoter},
	"release before the gate shuts":  {without: Rules{ShutFirst: true}, schedule: random("given up")},
	"no fence":                       {without: Rules{Fence: true}, schedule: deafReturn},
	"no split horizon":               {without: Rules{SplitHorizon: true, Fence: true}, schedule: random("both forced open")},
	"a promise is forgotten":         {without: Rules{Promise: true}, schedule: forgottenPromise},
	"nobody is recused":              {without: Rules{Recusal: true}, schedule: quietParts},
	"ALONE is not asked":             {without: Rules{Veto: true}, schedule: random("guests cabled to the VLAN")},
	"late frames pass for ever":      {without: Rules{LateBound: true}, schedule: overtaken},
	"frames of any tenure are late":  {without: Rules{LateOrder: true}, schedule: overtaken},
	"floods may be late":             {without: Rules{LateAlone: true}, schedule: overtaken},
	"echoes are believed":            {without: Rules{Echo: true, Veto: true}, schedule: random("guests cabled to the VLAN")},
	"a backlog is written":           {without: Rules{Arrival: true}, schedule: backlog},
	"an old hail is followed":        {without: Rules{HailOrder: true}, schedule: turnedAgain},
	"a hail before the gate is open": {without: Rules{HailGate: true}, schedule: promised},
	"the giver's list is forgotten":  {without: Rules{List: true}, schedule: random("moved", "busy")},
	"a voter promises twice":         {without: Rules{OnePromise: true}, schedule: orphaned, gateways: 3},
	"times do not grow with a term":  {without: Rules{Patience: true}, schedule: standStill, timing: slow},
}

// try runs the mutant's schedule in a small network without some rules, and tells what it violated.
func (m mutant) try(seed uint64, without Rules) string {
	w := newWorld(seed, Plan{
		Gateways: cmp.Or(m.gateways, 2), Guests: 2, Segments: 1, Drift: usualDrift, Pace: 2 * ms, Without: without, Policy: m.policy(), Timing: m.timing,
	})
	w.quickUntil = 10 * second
	w.run(1500*ms + 4*int64(m.timing.Term))
	if len(w.violations) == 0 && len(w.segments[0].open()) == 1 { // or else this one begins otherwise
		m.schedule(w)
	}
	if len(w.violations) == 0 {
		return ""
	}
	return w.violations[0]
}

// TestMutations takes one rule away at a time: then the simulation must find a violation, or it proves nothing about the
// rule. With the rule, the same schedules violate nothing.
func TestMutations(t *testing.T) {
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				if bad := m.try(seed, m.without); bad != "" {
					t.Logf("seed %d: %s", seed, bad)
					if bad := m.try(seed, Rules{}); bad != "" {
						t.Errorf("seed %d violates with the rule, too: %s", seed, bad)
					}
					return
				}
			}
			t.Error("the rule is gone and nothing went wrong")
		})
	}
}
