package sim

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// row is one case of the failure table: what happens, by which signals it is noticed, and what it may cost.
type row struct {
	name  string
	plan  Plan
	layer string
	// strike begins the fault at the active gateway a of segment 1, b being the other, and end ends it.
	strike func(w *world, a, b *node)
	end    func(w *world, a, b *node)
	lasts  int64 // ms; 0: 300

	signals  []string // "A what", A standing for the active and B for the other gateway
	never    []string
	silence  int64 // at most, until the fault ends
	stays    bool  // the active gateway goes on
	shut     bool  // nobody is active while it lasts
	lossless bool  // every probe arrives
	after    func(t *testing.T, w *world, a, b *node)
}

const lapsed = "lease ended without a majority"

var rows = []row{
	{
		name: "active machine dies", layer: "lease", silence: takeover,
		strike: func(_ *world, a, _ *node) { a.crash(true) },
		end:    func(_ *world, a, _ *node) { a.start() },
	},
	{
		name: "daemon stops, its lease agent lives", layer: "agent", silence: takeover,
		strike:  func(_ *world, a, _ *node) { a.freeze(false, watching, capture, overlay, control) },
		end:     func(_ *world, a, _ *node) { a.thaw() },
		signals: []string{"A the data path stands still"},
	},
	{
		name: "lease agent stops, the daemon lives", layer: "lease and gate", silence: 16 * ms,
		strike: func(_ *world, a, _ *node) { a.freeze(false, leases) },
		end:    func(_ *world, a, _ *node) { a.thaw() },
	},
	{
		name: "whole gateway hangs", layer: "lease and gate", silence: takeover,
		strike:  func(_ *world, a, _ *node) { a.freeze(false) },
		end:     func(_ *world, a, _ *node) { a.thaw() },
		signals: []string{"A newer tenure on the wire"},
	},
	{
		name: "forwarder hangs", layer: "health", silence: 500*ms + 30*ms, lasts: 800,
		strike:  func(_ *world, a, _ *node) { a.freeze(false, capture, overlay) },
		end:     func(_ *world, a, _ *node) { a.thaw() },
		signals: []string{"A the data path stands still"},
	},
	{
		name: "virtual machine is paused", layer: "fence, split horizon", silence: takeover,
		strike:  func(_ *world, a, _ *node) { a.freeze(true) },
		end:     func(_ *world, a, _ *node) { a.thaw() },
		signals: []string{"A newer tenure on the wire"},
	},
	{
		name: "carrier is lost", layer: "port", silence: planned, // given up at once, as on purpose
		strike:  func(_ *world, a, _ *node) { a.ports[0].setCarrier(false) },
		end:     func(_ *world, a, _ *node) { a.ports[0].setCarrier(true) },
		signals: []string{"A carrier lost", "A released"},
	},
	{
		name: "carrier is lost and back at once", layer: "port", silence: planned + ms, lasts: 1500,
		strike:  func(_ *world, a, _ *node) { a.ports[0].flap() },
		end:     func(*world, *node, *node) {},
		signals: []string{"A carrier lost", "A released"}, never: []string{"B carrier lost"},
	},
	{
		name: "switch restarts, all carriers are lost and back", layer: "ALONE", silence: listened, lasts: 1500,
		strike:  func(w *world, _, _ *node) { w.after(20*ms, w.restartSwitch(w.segments[0])) },
		end:     func(*world, *node, *node) {},
		signals: []string{"A carrier lost", "B carrier lost"},
	},
	{
		name: "carrier is lost and back at once, the other gateway is only just listening", layer: "ALONE", silence: listened - 300*ms, lasts: 1500,
		strike: func(w *world, a, b *node) {
			b.ports[0].flap()
			w.run(300 * ms)
			a.ports[0].flap()
		},
		end:     func(*world, *node, *node) {},
		signals: []string{"A carrier lost", "B carrier lost"},
		after: func(t *testing.T, w *world, _, b *node) {
			if open := w.segments[0].open(); len(open) != 1 || open[0].n != b {
				t.Error("who had listened first has not opened")
			}
		},
	},
	{
		name: "carrier is lost and back at once, there is no other gateway", layer: "ALONE", silence: listened, lasts: 1500, stays: true,
		strike: func(w *world, a, b *node) {
			b.crash(true)
			w.run(200 * ms)
			a.ports[0].flap()
		},
		end:     func(_ *world, _, b *node) { b.start() },
		signals: []string{"A carrier lost"},
	},
	{
		name: "active cannot send to the segment", layer: "ALONE, comparison", silence: 160 * ms, lasts: 500,
		strike:  func(_ *world, a, _ *node) { a.ports[0].jack.mute = true },
		end:     func(_ *world, a, _ *node) { a.ports[0].jack.mute = false },
		signals: []string{"A another gateway is better connected", "A handed over"}, never: []string{"B another gateway is better connected"},
	},
	{
		name: "active cannot hear the segment", layer: "ALONE, comparison", silence: 450 * ms, lasts: 700,
		strike:  func(_ *world, a, _ *node) { a.ports[0].jack.deaf = true },
		end:     func(_ *world, a, _ *node) { a.ports[0].jack.deaf = false },
		signals: []string{"A another gateway is better connected"}, never: []string{"B another gateway is better connected"},
	},
	{
		name: "active neither sends nor hears, its carrier stays", layer: "ALONE, comparison", silence: 3500 * ms, lasts: 5000,
		strike:  func(_ *world, a, _ *node) { a.ports[0].jack.mute, a.ports[0].jack.deaf = true, true },
		end:     func(_ *world, a, _ *node) { a.ports[0].jack.mute, a.ports[0].jack.deaf = false, false },
		signals: []string{"A another gateway is better connected", "A alarm cut_off"}, never: []string{"B another gateway is better connected"},
	},
	{
		name: "passive cannot send to the segment", layer: "ALONE, comparison", silence: unhurt, stays: true, lasts: 4000,
		strike:  func(_ *world, _, b *node) { b.ports[0].jack.mute = true },
		end:     func(_ *world, _, b *node) { b.ports[0].jack.mute = false },
		signals: []string{"A alarm other_mute"}, never: []string{"A another gateway is better connected"},
	},
	{
		name: "passive cannot hear the segment", layer: "ALONE, comparison", silence: unhurt, stays: true, lasts: 4000,
		strike:  func(_ *world, _, b *node) { b.ports[0].jack.deaf = true },
		end:     func(_ *world, _, b *node) { b.ports[0].jack.deaf = false },
		signals: []string{"A alarm other_deaf"}, never: []string{"A another gateway is better connected"},
	},
	{
		name: "active cannot send to a segment of three gateways", layer: "ALONE, comparison", plan: Plan{Gateways: 3}, silence: 160 * ms, lasts: 500,
		strike:  func(_ *world, a, _ *node) { a.ports[0].jack.mute = true },
		end:     func(_ *world, a, _ *node) { a.ports[0].jack.mute = false },
		signals: []string{"A another gateway is better connected"},
	},
	{
		name: "active is cut off from the voters", layer: "lease", silence: takeover,
		strike:  func(w *world, a, b *node) { w.cutBoth(a, b, true); w.cutBoth(a, w.witness(), true) },
		end:     func(w *world, a, b *node) { w.cutBoth(a, b, false); w.cutBoth(a, w.witness(), false) },
		signals: []string{"A " + lapsed},
	},
	{
		name: "active is cut off from the other peers, not from the voters", layer: "mesh", silence: rerouted, lasts: 900, stays: true,
		strike: func(w *world, a, _ *node) {
			for _, l := range w.lans {
				w.cutBoth(a, l.port.n, true)
			}
		},
		end: func(w *world, a, _ *node) {
			for _, l := range w.lans {
				w.cutBoth(a, l.port.n, false)
			}
		},
	},
	{
		name: "active reaches nobody over the overlay, the voters answer", layer: "health", silence: 1300 * ms, lasts: 2500,
		strike:  func(w *world, a, _ *node) { w.darken(a, true) },
		end:     func(w *world, a, _ *node) { w.darken(a, false) },
		signals: []string{"A nobody is reached over the overlay", "A handed over"},
		never:   []string{"A " + lapsed, "B nobody is reached over the overlay"},
	},
	{
		name: "witness dies", layer: "none", silence: unhurt, stays: true,
		strike: func(w *world, _, _ *node) { w.witness().crash(true) },
		end:    func(w *world, _, _ *node) { w.witness().start() },
		never:  []string{"A " + lapsed},
	},
	{
		name: "gateways cannot see each other, the witness sees both", layer: "lease", silence: unhurt, stays: true, lasts: 600,
		strike: func(w *world, a, b *node) { w.cutBoth(a, b, true) },
		end:    func(w *world, a, b *node) { w.cutBoth(a, b, false) },
		never:  []string{"A " + lapsed},
	},
	{
		name: "quorum is lost", layer: "policy close", shut: true,
		strike:  func(w *world, _, b *node) { b.crash(true); w.witness().crash(true) },
		end:     func(w *world, _, b *node) { b.start(); w.witness().start() },
		signals: []string{"A " + lapsed}, never: []string{"A regent"},
	},
	{
		name: "quorum is lost although all live", layer: "policy close", shut: true,
		strike: noVoterHears, end: allVotersHear,
		signals: []string{"A " + lapsed}, never: []string{"A regent"},
	},
	{
		name: "quorum is lost, the other gateway is heard to be passive", layer: "policy hold", plan: Plan{Policy: alone.HoldGates},
		strike: noVoterHears, end: allVotersHear, lasts: 2000, stays: true, silence: planned,
		signals: []string{"A " + lapsed, "A regent"}, never: []string{"B regent"},
	},
	{
		name: "quorum is lost, the other gateway is not heard", layer: "policy hold", plan: Plan{Policy: alone.HoldGates}, shut: true, lasts: 500,
		strike:  func(w *world, _, b *node) { b.crash(true); w.witness().crash(true) },
		end:     func(w *world, _, b *node) { b.start(); w.witness().start() },
		signals: []string{"A " + lapsed},
	},
	{
		name: "quorum is lost, then the other gateway falls silent", layer: "policy hold", plan: Plan{Policy: alone.HoldGates}, shut: true, lasts: 700,
		strike: func(w *world, a, b *node) {
			noVoterHears(w, a, b)
			w.after(400*ms, func() { b.ports[0].jack.mute = true })
		},
		end: func(w *world, a, b *node) {
			allVotersHear(w, a, b)
			b.ports[0].jack.mute = false
		},
		signals: []string{"A regent", "A regency over"},
	},
	{
		name: "active is cut off from the voters, who decide for the other", layer: "policy hold, lease", plan: Plan{Policy: alone.HoldGates},
		silence: takeover,
		strike:  func(w *world, a, b *node) { w.cutBoth(a, b, true); w.cutBoth(a, w.witness(), true) },
		end:     func(w *world, a, b *node) { w.cutBoth(a, b, false); w.cutBoth(a, w.witness(), false) },
		signals: []string{"A " + lapsed, "A newer tenure on the wire"},
	},
	{
		name: "active is cut off from the voters, the wire too", layer: "policy hold, promise", plan: Plan{Policy: alone.HoldGates}, lasts: 500,
		strike: func(w *world, a, b *node) {
			w.cutBoth(a, b, true)
			w.cutBoth(a, w.witness(), true)
			w.segments[0].trunk.setDown(true)
		},
		end: func(w *world, a, b *node) {
			w.cutBoth(a, b, false)
			w.cutBoth(a, w.witness(), false)
			w.segments[0].trunk.setDown(false)
		},
		signals: []string{"A " + lapsed},
		after: func(t *testing.T, w *world, a, b *node) {
			if w.signals[a.name+" regent"] > 0 && w.signals[a.name+" regency over"] == 0 {
				t.Error("the hold has not ended")
			}
		},
	},
	{
		name: "active machine dies, policy hold", layer: "lease, promise", plan: Plan{Policy: alone.HoldGates}, silence: takeover + promise,
		strike: func(_ *world, a, _ *node) { a.crash(true) },
		end:    func(_ *world, a, _ *node) { a.start() },
	},
	{
		name: "segment is given up on purpose, policy hold", layer: "lease", plan: Plan{Policy: alone.HoldGates}, silence: planned,
		strike: func(_ *world, a, b *node) { a.ports[0].yield(b.id) },
		end:    func(*world, *node, *node) {},
	},
	{
		name: "two voters do not hear each other", layer: "policy segment", plan: Plan{Policy: alone.BySegment, Pair: true}, lasts: 4000,
		strike: func(w *world, a, b *node) { w.cutBoth(a, b, true) },
		end:    func(w *world, a, b *node) { w.cutBoth(a, b, false) },
		stays:  true, silence: planned, signals: []string{"A regent"}, never: []string{"B regent"},
	},
	{
		name: "one of two voters dies, the active one", layer: "policy segment", plan: Plan{Policy: alone.BySegment, Pair: true}, lasts: 3000,
		strike: func(_ *world, a, _ *node) { a.crash(true) }, end: func(_ *world, a, _ *node) { a.start() },
		silence: 2100 * ms, signals: []string{"B regent"},
	},
	{
		name: "one of two voters dies, the passive one", layer: "policy segment", plan: Plan{Policy: alone.BySegment, Pair: true}, lasts: 3000,
		strike: func(_ *world, _, b *node) { b.crash(true) }, end: func(_ *world, _, b *node) { b.start() },
		stays: true, silence: planned, signals: []string{"A regent"},
	},
	{
		name: "quorum is lost where there is a witness", layer: "policy segment, not acted on", plan: Plan{Policy: alone.BySegment}, shut: true, lasts: 3000,
		strike:  func(w *world, _, b *node) { b.crash(true); w.witness().crash(true) },
		end:     func(w *world, _, b *node) { b.start(); w.witness().start() },
		signals: []string{"A " + lapsed}, never: []string{"A regent"},
	},
	{
		name: "wall clock jumps", layer: "boot time", silence: unhurt, stays: true,
		strike: func(_ *world, a, b *node) { a.wall -= 86400; b.wall += 86400 },
		end:    func(*world, *node, *node) {},
	},
	{
		name: "clock runs wild", layer: "health", plan: Plan{Pace: 5 * ms}, silence: planned + 10*ms, lasts: 25000,
		strike:  func(w *world, a, _ *node) { a.clock.setRate(w.now, 3000) },
		end:     func(w *world, a, _ *node) { a.clock.setRate(w.now, 0) },
		signals: []string{"A clock not trusted"},
	},
	{
		name: "segment splits, the gateways on both sides", layer: "ALONE", lasts: 600, silence: unhurt, stays: true,
		strike: func(w *world, a, _ *node) { w.segments[0].trunk.setDown(true); w.moveHost(a) },
		end:    func(w *world, _, _ *node) { w.segments[0].trunk.setDown(false) },
		never:  []string{"A " + lapsed, "B newer tenure on the wire", "A another gateway is better connected"},
	},
	{
		name: "segment splits, the only host that speaks goes to and fro", layer: "ALONE, comparison", lasts: 30000,
		strike: func(w *world, a, b *node) { wander(w, a, b) },
		end:    func(w *world, _, _ *node) { w.segments[0].trunk.setDown(false) },
		after: func(t *testing.T, w *world, a, b *node) {
			if n := w.signals[a.name+" another gateway is better connected"] + w.signals[b.name+" another gateway is better connected"]; n != 1 {
				t.Errorf("the segment was left %d times, want once", n)
			}
		},
	},
	{
		name: "segment heals with a paused holder in the other half", layer: "fence", silence: 0, lasts: 400,
		strike: func(w *world, a, b *node) {
			w.segments[0].trunk.setDown(true)
			a.freeze(true)
			w.after(200*ms, a.thaw)
		},
		end:     func(w *world, _, _ *node) { w.segments[0].trunk.setDown(false) },
		signals: []string{"A later tenure elsewhere"},
	},
	{
		name: "another network on the VLAN", layer: "ALONE", silence: unhurt, stays: true, lasts: 2000,
		strike: func(w *world, _, b *node) {
			w.foreignHellos(2500 * ms)
			b.ports[0].setCarrier(false)
			w.after(50*ms, func() { b.ports[0].setCarrier(true) })
		},
		end:     func(*world, *node, *node) {},
		signals: []string{"B alarm foreign_network"},
		never:   []string{"A alarm foreign_network"},
	},
	{
		name: "two ports of one gateway on one VLAN", layer: "ALONE", plan: Plan{Segments: 2}, lasts: 1500,
		strike: func(w *world, _, _ *node) { w.patch(w.segments[0].patch) },
		end:    func(w *world, _, _ *node) { w.unpatch(w.segments[0].patch) },
		after: func(t *testing.T, w *world, a, b *node) {
			same, two := 0, 0
			for _, n := range []*node{a, b} {
				same += w.signals[n.name+" alarm same_wire"]
				two += w.signals[n.name+" alarm two_segments"]
			}
			if same == 0 || two == 0 {
				t.Errorf("want the gateway's own port and the other's to be found, got %v", w.signals)
			}
		},
	},
	{
		name: "VLAN is bridged to the overlay by something else", layer: "ALONE", silence: unhurt + noticed, stays: true,
		strike:  func(w *world, _, _ *node) { w.patch(w.lans[0].patch) },
		end:     func(w *world, _, _ *node) { w.unpatch(w.lans[0].patch) },
		signals: []string{"P alarm guest_on_segment"},
	},
	{
		name: "guests are cabled to the VLAN, only what the VLAN says passes", layer: "ALONE", silence: unhurt + noticed, stays: true,
		strike:  func(w *world, _, _ *node) { w.patch(w.lans[0].patch); w.lans[0].patch.deaf = true },
		end:     func(w *world, _, _ *node) { w.lans[0].patch.deaf = false; w.unpatch(w.lans[0].patch) },
		signals: []string{"P alarm guest_on_segment"},
	},
	{
		name: "guests are cabled to the VLAN, only what guests say passes", layer: "ALONE, told", silence: unhurt + noticed, stays: true,
		strike:  func(w *world, _, _ *node) { w.patch(w.lans[0].patch); w.lans[0].patch.trunk.deaf = true },
		end:     func(w *world, _, _ *node) { w.lans[0].patch.trunk.deaf = false; w.unpatch(w.lans[0].patch) },
		signals: []string{"P alarm guest_on_segment"},
	},
	{
		name: "third gateway", layer: "lease", plan: Plan{Gateways: 3}, silence: takeover + 5*ms,
		strike: func(_ *world, a, _ *node) { a.crash(true) },
		end:    func(_ *world, a, _ *node) { a.start() },
	},
	{
		name: "switch reflects frames", layer: "ALONE", silence: takeover, lasts: 1500,
		strike:  func(w *world, a, _ *node) { a.ports[0].jack.reflects = true; w.excuse.standing++ },
		end:     func(w *world, a, _ *node) { a.ports[0].jack.reflects = false; w.excuse.standing-- },
		signals: []string{"A alarm reflection", "A veto"},
	},
	{
		name: "active's switch port is held back by a spanning tree", layer: "ALONE", plan: Plan{Pace: 5 * ms}, silence: 50 * ms, lasts: 36500,
		strike: func(w *world, a, _ *node) {
			j := a.ports[0].jack
			a.ports[0].setCarrier(false)
			w.after(10*ms, func() {
				j.deaf, j.mute = true, true
				a.ports[0].setCarrier(true)
				w.after(700*ms, func() { a.alone.HearSpanningTree(1) })
				w.after(30*second, func() { j.deaf, j.mute = false, false })
				w.after(29*second, func() { w.expect(a.whyNot(a.ports[0]) == "listening", "the port is eligible before frames pass") })
			})
		},
		end:     func(*world, *node, *node) {},
		signals: []string{"A carrier lost"},
	},
	{
		name: "both gates are forced open", layer: "split horizon", silence: unhurt, stays: true, plan: Plan{Without: Rules{Fence: true}},
		strike: func(w *world, _, _ *node) { w.after(300*ms-1, w.force(w.segments[0])) },
		end:    func(*world, *node, *node) {},
		after: func(t *testing.T, w *world, _, _ *node) {
			if w.copies > 2 || w.duplicates == 0 {
				t.Errorf("a frame was written to the segment %d times and %d were heard twice, want the double that two gates make and no more", w.copies, w.duplicates)
			}
		},
	},
	{
		name: "segment is moved on purpose", layer: "handover", silence: moved, lasts: 400,
		strike: func(_ *world, a, b *node) { a.ports[0].moveTo(b) },
		end:    func(*world, *node, *node) {},
		after: func(t *testing.T, w *world, _, b *node) {
			if open := w.segments[0].open(); len(open) != 1 || open[0].n != b {
				t.Errorf("the segment did not move")
			}
		},
		lossless: true,
	},
	{
		name: "segment is moved on purpose, peers are late to hear the giver", layer: "handover, late frames", silence: moved + lateFor, lasts: 400,
		strike: func(w *world, a, b *node) {
			w.busy(a, 15*ms)
			w.run(50 * ms)
			a.ports[0].moveTo(b)
		},
		end: func(w *world, a, b *node) { w.busy(a, 0) },
		after: func(t *testing.T, w *world, _, _ *node) {
			if w.late == 0 {
				t.Error("no frame was late")
			}
		},
		lossless: true,
	},
	{
		name: "segment is given up on purpose", layer: "lease", silence: planned,
		strike: func(_ *world, a, b *node) { a.ports[0].yield(b.id) },
		end:    func(*world, *node, *node) {},
	},
}

// TestSimRows runs every row of the failure table.
func TestSimRows(t *testing.T) {
	for _, r := range rows {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			seeds := uint64(3)
			if r.lasts > 10000 {
				seeds = 1
			}
			for seed := range seeds {
				r.run(t, seed)
			}
		})
	}
}

func (r row) run(t *testing.T, seed uint64) {
	p := r.plan
	w := calm(t, seed, p)
	a := w.segments[0].open()[0].n
	b := w.nodes[0]
	if a == b {
		b = w.nodes[1]
	}
	clear(w.signals)
	w.note("- %s", r.name)
	r.strike(w, a, b)
	w.run(cmp.Or(r.lasts, 300) * ms)
	w.mustHold(t)
	if silence, of := w.silence(w.segments[0]); r.silence > 0 && silence > r.silence {
		t.Errorf("seed %d: %v was silent for %.1f ms, want at most %d", seed, of, float64(silence)/1e6, r.silence/ms)
	}
	for _, f := range w.flows {
		if r.lossless && f.to != nil && f.got < f.sent-2 { // two may be under way
			t.Errorf("seed %d: %v: %d of %d probes arrived", seed, f, f.got, f.sent)
		}
	}
	open := w.segments[0].open()
	switch {
	case r.shut && len(open) > 0, r.stays && (len(open) != 1 || open[0].n != a):
		t.Errorf("seed %d: open gates %v of %s", seed, len(open), a.name)
	}
	w.note("- it is over")
	r.end(w, a, b)
	w.repair()
	w.mustHeal(t)
	r.checkSignals(t, w, a, b)
	if r.after != nil {
		r.after(t, w, a, b)
	}
	if t.Failed() {
		t.Fatal(strings.Join(w.journal, "\n"))
	}
}

// checkSignals compares what was noticed with what should be.
func (r row) checkSignals(t *testing.T, w *world, a, b *node) {
	named := func(s string) string {
		who, what, _ := strings.Cut(s, " ")
		switch who {
		case "A":
			who = a.name
		case "B":
			who = b.name
		}
		return who + " " + what
	}
	for _, s := range r.signals {
		if w.signals[named(s)] == 0 {
			t.Errorf("nobody noticed %q (layer %s), but %v", named(s), r.layer, w.signals)
		}
	}
	if i := slices.IndexFunc(r.never, func(s string) bool { return w.signals[named(s)] > 0 }); i >= 0 {
		t.Errorf("%q was noticed", named(r.never[i]))
	}
}

// listened is how long a segment is dark whose every gateway has lost its carrier for a moment: ten hellos and a second of listening
// (docs/protocol/alone.md), then the lease.
const listened = 20*ms + 1100*ms + 40*ms

// promise is how long a gateway waits for what it promised, at most (docs/protocol/alone.md).
const promise = 101 * ms

// noVoterHears cuts every voter off from every other, and leaves the wires whole.
func noVoterHears(w *world, a, b *node) {
	w.cutBoth(a, b, true)
	w.cutBoth(a, w.witness(), true)
	w.cutBoth(b, w.witness(), true)
}

func allVotersHear(w *world, a, b *node) {
	w.cutBoth(a, b, false)
	w.cutBoth(a, w.witness(), false)
	w.cutBoth(b, w.witness(), false)
}

// expect is a check of a scenario's own.
func (w *world) expect(ok bool, what string) {
	if !ok {
		w.violated("%s", what)
	}
}

// moveHost puts the host into the half of the segment in which a gateway is.
func (w *world) moveHost(n *node) {
	h := w.segments[0].host
	h.jack.setDown(true)
	h.jack = n.ports[0].jack.on.plug(h.hears)
}

// wander splits the segment, and moves its host from one part to the other every five seconds, which looks as if each part were
// quiet for so long.
func wander(w *world, a, b *node) {
	w.segments[0].trunk.setDown(true)
	for i := range int64(6) {
		w.after(1+5*i*second, func() { w.moveHost([]*node{b, a}[i%2]) })
	}
}

func (w *world) unpatch(j *jack) {
	j.setDown(true)
	w.excuse.standing--
	w.excused(2 * ms)
}

// foreignHellos plays the hellos of another network's gateway for a while.
func (w *world) foreignHellos(d int64) {
	j, m, end := w.segments[0].near.plug(func(*frame) {}), w.newMAC(), w.now+d
	var say func()
	say = func() {
		f := alone.Frame{Kind: alone.Hello, State: alone.Active, Network: [8]byte{1}, From: alone.Place{Peer: 77, Port: 1}, Interval: 50}
		j.send(&frame{src: m, dst: everybody, kind: hello, alone: &f})
		if w.now < end {
			w.after(50*ms, say)
		}
	}
	say()
}
