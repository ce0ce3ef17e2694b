package alone

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// rule sets the policy of two gateways that are all there are.
func (w *world) rule(policy Policy, pair bool, places ...Place) {
	for _, p := range places {
		r := Rule{Policy: policy, Pair: pair, May: true, Generation: 3}
		for _, o := range places {
			if o != p {
				r.Others = append(r.Others, o.Peer)
			}
		}
		w.do(p.Peer, w.machines[p.Peer].SetRule(w.now, p.Port, r))
	}
}

// stands reports whether a regent keeps the gate open now.
func (w *world) stands(p Place) bool {
	epoch, until := w.machines[p.Peer].Regency(w.now, p.Port)
	return epoch != 0 && until > w.now
}

func (w *world) lapse(p Place, e drawbridge.Epoch) {
	w.do(p.Peer, w.machines[p.Peer].Lapsed(w.now, p.Port, e))
}

var (
	tenure1 = drawbridge.MakeEpoch(3, 1)
	tenure2 = drawbridge.MakeEpoch(3, 2)
)

// held is a network in which a held the segment under tenure1 and has just lost the majority.
func heldBy(t *testing.T, policy Policy) (*world, *wire) {
	w := newWorld(t, 1, 2)
	x := w.join(a1, b1)
	w.rule(policy, policy == BySegment, a1, b1)
	w.run(2 * time.Second)
	w.lease(a1, tenure1)
	w.run(300 * time.Millisecond)
	if !w.clear(a1, tenure1) {
		t.Fatal("a is not clear under its lease")
	}
	w.lapse(a1, tenure1)
	return w, x
}

func TestWithoutAPolicyALapseIsTheEnd(t *testing.T) {
	w, _ := heldBy(t, CloseGates)
	if w.stands(a1) {
		t.Error("a regent stands in although the policy is to close")
	}
	w.want(a1, Passive, "")
}

func TestAHolderGoesOnWhileTheOtherPromises(t *testing.T) {
	w, x := heldBy(t, HoldGates)
	for range 200 {
		w.run(50 * time.Millisecond)
		if !w.stands(a1) || !w.clear(a1, tenure1) {
			t.Fatal("the hold ended although b says every 10 ms that it is passive")
		}
	}
	x.places = []Place{a1} // b falls silent
	w.run(counted() + time.Millisecond)
	if w.stands(a1) || w.shut[a1] == 0 {
		t.Fatal("a goes on although b has not been heard")
	}
	x.places = []Place{a1, b1}
	w.run(200 * time.Millisecond)
	if !w.stands(a1) || w.stands(b1) {
		t.Error("the hold does not go on although b promises again")
	}
}

// A hold that was interrupted does not go on when a later tenure has been in between, although nobody carries it now.
func TestAnOlderHoldIsOver(t *testing.T) {
	w, x := heldBy(t, HoldGates)
	x.deliver = func(Place, Place) int { return 0 }
	w.run(200 * time.Millisecond)
	w.lease(b1, tenure2)
	w.run(200 * time.Millisecond)
	w.lapse(b1, tenure2)
	w.run(200 * time.Millisecond)
	x.deliver = nil
	w.run(500 * time.Millisecond)
	if w.stands(a1) || !w.stands(b1) {
		t.Errorf("a stands: %v, b: %v; want the later tenure", w.stands(a1), w.stands(b1))
	}
}

// A hello that arrives says nothing of whether ours do: the promise must answer what we sent.
func TestAPromiseThatAnswersNothingDoesNotCount(t *testing.T) {
	w, x := heldBy(t, HoldGates)
	x.deliver = func(from, to Place) int {
		if from == b1 && to == a1 {
			return 1
		}
		return 0
	}
	w.run(counted() + 10*time.Millisecond)
	if w.stands(a1) {
		t.Error("a relies on hellos that answer none of its own")
	}
}

func TestANewTenureWaitsForItsOwnPromise(t *testing.T) {
	w, x := heldBy(t, HoldGates)
	x.places = []Place{b1} // the wire is cut at the worst moment
	w.lease(b1, tenure2)
	for end := w.now + 3*time.Second; !w.clear(b1, tenure2); w.run(time.Millisecond) {
		if w.now > end {
			t.Fatal("b never opens")
		}
	}
	if w.stands(a1) {
		t.Fatal("b opens while a relies on its promise")
	}
}

func TestANewTenureNeedNotWaitForWhoSaysThatItIsShut(t *testing.T) {
	w, _ := heldBy(t, HoldGates)
	w.run(200 * time.Millisecond)
	w.lease(b1, tenure2)
	w.run(30 * time.Millisecond)
	if !w.clear(b1, tenure2) || w.stands(a1) {
		t.Errorf("b is clear: %v, a stands: %v; want the newer tenure after one hello each way", w.clear(b1, tenure2), w.stands(a1))
	}
	w, x := heldBy(t, HoldGates)
	w.lease(a1, 0)
	x.places = []Place{b1}
	w.lease(b1, tenure2)
	w.do(b1.Peer, w.machines[b1.Peer].Released(w.now, b1.Port, a1.Peer, tenure1))
	if !w.clear(b1, tenure2) {
		t.Error("b waits although the tenure before its own was given up")
	}
}

func TestAnOlderReleaseIsNoProof(t *testing.T) {
	w, x := heldBy(t, HoldGates)
	x.places = []Place{b1}
	w.lease(b1, drawbridge.MakeEpoch(3, 5))
	w.do(b1.Peer, w.machines[b1.Peer].Released(w.now, b1.Port, a1.Peer, tenure1))
	if w.clear(b1, drawbridge.MakeEpoch(3, 5)) {
		t.Error("there may have been a tenure between the released one and this")
	}
}

func TestTwoGatewaysElectOnTheWire(t *testing.T) {
	w, x := heldBy(t, BySegment)
	for _, p := range []Place{a1, b1} {
		w.do(p.Peer, w.machines[p.Peer].Majority(w.now, p.Port, false))
	}
	w.run(5 * time.Second)
	if !w.stands(a1) || w.stands(b1) {
		t.Fatalf("a stands: %v, b: %v; want the last holder alone", w.stands(a1), w.stands(b1))
	}
	x.places = []Place{b1}
	gone := w.now
	for !w.stands(b1) {
		if w.run(time.Millisecond); w.now > gone+5*time.Second {
			t.Fatal("b is not elected")
		}
	}
	if waited := w.now - gone; waited < electAfter {
		t.Errorf("b opens after %v", waited)
	}
	x.places = []Place{a1, b1} // the wire is whole again: two are active until one hears the other
	w.run(15 * time.Millisecond)
	if w.stands(a1) || !w.stands(b1) {
		t.Errorf("a stands: %v, b: %v; want the later tenure alone", w.stands(a1), w.stands(b1))
	}
	w.lease(a1, w.machines[1].ports[1].highest+1)
	w.run(15 * time.Millisecond)
	if w.stands(b1) {
		t.Error("the voters' choice does not end the election")
	}
}

func TestAnElectionNeedsAPairWithoutAMajority(t *testing.T) {
	for name, change := range map[string]func(r *Rule){
		"a witness":        func(r *Rule) { r.Pair = false },
		"a third gateway":  func(r *Rule) { r.Others = append(r.Others, 9) },
		"not eligible":     func(r *Rule) { r.May = false },
		"nothing is known": func(r *Rule) { r.Generation = 0 },
		"other policy":     func(r *Rule) { r.Policy = HoldGates },
	} {
		w := newWorld(t, 1)
		w.join(a1)
		r := Rule{Policy: BySegment, Pair: true, May: true, Generation: 3, Others: []drawbridge.PeerID{2}}
		change(&r)
		w.do(1, w.machines[1].SetRule(w.now, 1, r))
		w.do(1, w.machines[1].Majority(w.now, 1, false))
		w.run(10 * time.Second)
		if e, _ := w.machines[1].Regency(w.now, 1); e != 0 {
			t.Errorf("%s: elected %v", name, e)
		}
	}
	w := newWorld(t, 1)
	w.join(a1)
	w.do(1, w.machines[1].SetRule(w.now, 1, Rule{Policy: BySegment, Pair: true, May: true, Generation: 3, Others: []drawbridge.PeerID{2}}))
	w.do(1, w.machines[1].Majority(w.now, 1, true))
	w.run(10 * time.Second)
	if w.stands(a1) {
		t.Error("elected although a majority answers")
	}
	w.do(1, w.machines[1].Majority(w.now, 1, false))
	w.run(900 * time.Millisecond)
	if w.stands(a1) {
		t.Error("elected at once")
	}
}

// TestAnElectionWaitsForWhoStandsStill: where leases last for longer than by default, a gateway may be silent for as much longer.
func TestAnElectionWaitsForWhoStandsStill(t *testing.T) {
	const longer = 2960 * time.Millisecond
	for self, wait := range map[drawbridge.PeerID]time.Duration{1: electAfter + longer, 2: electAfter + electStep + 2*longer} {
		w := newWorld(t, self)
		place := Place{self, 1}
		w.machines[self].SetTerm(3 * time.Second)
		w.join(place)
		w.run(2 * time.Second)
		w.do(self, w.machines[self].SetRule(w.now, 1, Rule{Policy: BySegment, Pair: true, May: true, Generation: 3, Others: []drawbridge.PeerID{3 - self}}))
		w.do(self, w.machines[self].Majority(w.now, 1, false))
		lost := w.now
		for !w.stands(place) && w.now < lost+time.Minute {
			w.run(time.Millisecond)
		}
		if took := w.now - lost; took < wait+electLead || took > wait+electLead+2*time.Millisecond {
			t.Errorf("gateway %d opens after %v, want %v", self, took, wait+electLead)
		}
	}
}

// TestElectedTenuresNeverMeet lets the two gateways and the voters number tenures in any order of what they have heard.
func TestElectedTenuresNeverMeet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var known [3]drawbridge.Epoch // by gateway; the last is of the voters
	var used []drawbridge.Epoch
	for range 10000 {
		who := rnd.IntN(2)
		r := regency{rule: Rule{Generation: 3, Others: []drawbridge.PeerID{drawbridge.PeerID(2 - who)}}}
		e := r.number(known[who], drawbridge.PeerID(1+who))
		if e <= known[who] || slices.Contains(used, e) {
			t.Fatalf("%v after %v", e, known[who])
		}
		used, known[who] = append(used, e), e
		if rnd.IntN(3) == 0 {
			known[1-who] = max(known[1-who], e)
		}
	}
}

// TestHoldNeverMeetsALease lets the wire fail in every way while a gateway holds without a majority and the other one
// wins a lease, at every moment: never are both open.
func TestHoldNeverMeetsALease(t *testing.T) {
	stood := false
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t, 1, 2)
		x := w.join(a1, b1)
		w.rule(HoldGates, false, a1, b1)
		w.run(1500 * time.Millisecond)
		active, other := a1, b1
		loss, delay := [2]int{}, [2]int{}
		x.deliver = func(from, to Place) int {
			if from == to || rnd.IntN(100) < loss[from.Peer-1] {
				return 0
			}
			return 1 + rnd.IntN(20)/19
		}
		x.delay = func(from Place) time.Duration {
			return time.Duration(rnd.IntN(delay[from.Peer-1]+1)) * time.Millisecond
		}
		epoch := tenure1
		w.lease(active, epoch)
		w.run(200 * time.Millisecond)
		for range 6 {
			w.lapse(active, epoch)
			loss = [2]int{[]int{0, 50, 100}[rnd.IntN(3)], []int{0, 50, 100}[rnd.IntN(3)]}
			delay = [2]int{[]int{0, 5, 60}[rnd.IntN(3)], []int{0, 5, 60}[rnd.IntN(3)]}
			w.run(time.Duration(rnd.IntN(200)) * time.Millisecond)
			stood = stood || w.stands(active)
			loss[rnd.IntN(2)] = 100
			if rnd.IntN(4) == 0 { // the same gateway wins again
				active, other = other, active
			}
			epoch++
			w.lease(other, epoch)
			for range 250 {
				w.run(time.Millisecond)
				if w.clear(other, epoch) && w.stands(active) {
					t.Fatalf("seed %d: %v is open under a lease and %v without one", seed, other, active)
				}
			}
			loss, delay = [2]int{}, [2]int{}
			w.run(200 * time.Millisecond)
			if w.stands(active) {
				t.Fatalf("seed %d: the older tenure goes on", seed)
			}
			active, other = other, active
		}
	}
	if !stood {
		t.Error("nothing was ever held: the test tests nothing")
	}
}
