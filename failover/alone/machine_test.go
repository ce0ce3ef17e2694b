package alone

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func TestAPortListensBeforeItIsClear(t *testing.T) {
	w := newWorld(t, 1)
	w.join(a1)
	w.lease(a1, 5)
	if w.clear(a1, 5) {
		t.Fatal("clear at once")
	}
	w.run(900 * time.Millisecond)
	if w.clear(a1, 5) {
		t.Fatal("clear before LISTEN was over")
	}
	w.run(400 * time.Millisecond)
	w.want(a1, Passive, "")
	if w.clear(a1, 5) {
		t.Fatal("clear without a lease given after LISTEN")
	}
	w.lease(a1, 6)
	if !w.clear(a1, 6) || w.clear(a1, 5) || w.clear(a1, 7) {
		t.Fatal("want clear for the lease's epoch and no other")
	}
}

func TestSpanningTreeMakesALonePortWait(t *testing.T) {
	w := newWorld(t, 1)
	w.join(a1)
	w.machines[1].HearSpanningTree(1)
	w.run(30 * time.Second)
	w.want(a1, Listen, "")
	w.run(6 * time.Second)
	w.want(a1, Passive, "")
}

func TestTwoGatewaysSeeEachOtherBothWays(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1, b1)
	w.run(2 * time.Second)
	for _, p := range []Place{a1, b1} {
		n := w.machines[p.Peer].Ports(w.now)[0].Neighbours
		if len(n) != 1 || !n[0].BothWays {
			t.Errorf("%v sees %+v, want one neighbour both ways", p, n)
		}
		w.want(p, Passive, "")
	}
}

func TestAOneWayWireIsSeen(t *testing.T) {
	w := newWorld(t, 1, 2)
	x := w.join(a1, b1)
	x.deliver = func(from, to Place) int {
		if from == a1 && to == b1 {
			return 1
		}
		return 0
	}
	w.run(2 * time.Second)
	if n := w.machines[2].Ports(w.now)[0].Neighbours; len(n) != 1 || n[0].BothWays {
		t.Errorf("b sees %+v, want a heard one way", n)
	}
	if n := w.machines[1].Ports(w.now)[0].Neighbours; len(n) != 0 {
		t.Errorf("a sees %+v, want nobody", n)
	}
}

func TestTheNewerEpochStays(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1, b1)
	w.run(2 * time.Second)
	w.lease(a1, drawbridge.MakeEpoch(1, 1))
	w.run(20 * time.Millisecond)
	w.lease(b1, drawbridge.MakeEpoch(1, 2)) // both believe to hold it
	w.run(5 * time.Millisecond)
	w.want(a1, Fenced, "")
	w.want(b1, Active, "")
	if w.fences[a1] != drawbridge.MakeEpoch(1, 2) || w.shut[a1] != 1 || w.shut[b1] != 0 {
		t.Errorf("fences %v, shut %v: want a fenced by 1.2 and shut once, b never", w.fences, w.shut)
	}
	if w.clear(a1, drawbridge.MakeEpoch(1, 1)) {
		t.Error("a is still clear under the old epoch")
	}
	w.lease(a1, drawbridge.MakeEpoch(1, 1))
	if w.clear(a1, drawbridge.MakeEpoch(1, 1)) {
		t.Error("an old lease lifted the fence")
	}
}

func TestANewTenureWaitsForTheOldHolderToFallSilent(t *testing.T) {
	for term, wait := range map[time.Duration]time.Duration{0: Default.Lease, Default.Lease / 2: Default.Lease, 3 * time.Second: 3 * time.Second} {
		waitForSilence(t, term, wait)
	}
}

func waitForSilence(t *testing.T, term, wait time.Duration) {
	w := newWorld(t, 1, 2)
	w.machines[b1.Peer].SetTerm(term)
	x := w.join(a1, b1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	w.run(20 * time.Millisecond)
	x.deliver = func(from, to Place) int { // a cannot hear b, so it does not shut by itself
		if from == a1 && to == b1 {
			return 1
		}
		return 0
	}
	w.lease(b1, 2)
	if w.clear(b1, 2) {
		t.Fatal("b is clear while a is heard to carry the segment")
	}
	w.run(wait - 2*time.Millisecond)
	if w.clear(b1, 2) {
		t.Fatalf("b has not waited for a lease of %v", wait)
	}
	w.run(3 * time.Millisecond)
	if !w.clear(b1, 2) {
		t.Fatal("b waits for ever: the lease has decided, split horizon bounds the rest")
	}
	if len(w.alarms) == 0 {
		t.Fatal("nobody was told")
	}
}

// The wait is for silence and no longer: a takeover that wins the lease a moment before the dead holder counts as dead
// must not cost another lease.
func TestTheWaitEndsWhenTheOldHolderIsSilent(t *testing.T) {
	for name, leaves := range map[string]func(*world, *wire){
		"it died":    func(_ *world, x *wire) { x.places = []Place{b1} },
		"it gave up": func(w *world, _ *wire) { w.lease(a1, 0) },
	} {
		w := newWorld(t, 1, 2)
		x := w.join(a1, b1)
		w.run(2 * time.Second)
		w.lease(a1, 1)
		w.run(25 * time.Millisecond)
		leaves(w, x)
		w.run(30 * time.Millisecond)
		w.lease(b1, 2)
		w.run(8 * time.Millisecond)
		if !w.clear(b1, 2) {
			t.Errorf("%s: b waits although nobody carries the segment", name)
		}
	}
}

func TestEveryFrameTellsTheIntervalOfTheHellos(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1, b1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	for range 1100 { // past a loop probe
		w.run(time.Millisecond)
		if dead := w.machines[2].neighbours(1, a1).dead; dead > 36*time.Millisecond {
			t.Fatalf("b takes a for alive for %v after its last frame, want 3.5 intervals of an active port", dead)
		}
	}
}

func TestAHolderThatGivesUpSaysSoAtOnce(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1, b1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	w.run(25 * time.Millisecond)
	w.lease(a1, 0)
	w.lease(b1, 2)
	if !w.clear(b1, 2) {
		t.Error("b waits for a, which has given up")
	}
}

func TestAFencedHolderSaysSoAtOnce(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1, b1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	w.run(25 * time.Millisecond)
	w.lease(b1, 2)
	w.run(time.Millisecond)
	w.want(a1, Fenced, "")
	if !w.clear(b1, 2) {
		t.Error("b waits for a, which it has fenced")
	}
}

func TestTwoPortsOfOnePeerOnOneWire(t *testing.T) {
	w := newWorld(t, 1)
	w.join(a1, a2)
	w.run(2 * time.Second)
	w.want(a1, Passive, "")
	w.want(a2, Blocked, SameWire)
}

func TestAReflectingSwitchBlocksThePort(t *testing.T) {
	w := newWorld(t, 1, 2)
	x := w.join(a1, b1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	one := true
	x.deliver = func(from, to Place) int {
		if from == to && from == a1 && one {
			one = false
			return 1
		}
		return 0
	}
	w.run(2 * time.Second)
	w.want(a1, Active, "") // a single stray copy is no reflection
	x.deliver = func(from, to Place) int { return 1 }
	w.run(100 * time.Millisecond)
	w.want(a1, Blocked, Reflection)
}

func TestAGuestLANCabledToTheSegmentIsBlocked(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.join(a1, guest3)
	w.run(3 * time.Second)
	w.want(a1, Passive, "")
	w.want(guest3, Blocked, GuestOnSegment)
}

func TestTwoGuestPortsOnOneWireLeaveOneOpen(t *testing.T) {
	w := newWorld(t, 3, 4)
	w.join(guest3, guest4)
	w.run(3 * time.Second)
	w.want(guest3, Passive, "")
	w.want(guest4, Blocked, GuestOnGuest)
	if !w.clear(guest3, 0) || w.clear(guest4, 0) {
		t.Error("want the first clear and the second not")
	}
}

func TestAForeignNetworkKeepsANewPortShutAndARunningOneOpen(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.codecs[2] = Codec{Network: [8]byte{9}, Key: [32]byte{9}}
	w.machines[2].cfg.Network = [8]byte{9}
	x := w.join(a1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	x.places = append(x.places, b1)
	w.machines[2].AddPort(Port{ID: 1, Segment: testSegment})
	w.do(2, w.machines[2].Carrier(w.now, 1, true))
	w.run(5 * time.Second)
	w.want(a1, Active, "")
	w.want(b1, Blocked, ForeignNetwork)
	if !w.clear(a1, 1) {
		t.Error("a running port was shut by what anybody could forge")
	}
}

func TestAForgerDelaysAPortThatStartsButNotForEver(t *testing.T) {
	w := newWorld(t, 1)
	w.join(a1)
	forged := testCodec.Append(nil, example)
	forged[127] ^= 1
	for range 100 {
		w.hear(a1, forged)
		w.run(500 * time.Millisecond)
	}
	w.want(a1, Listen, "")
	for range 40 {
		w.hear(a1, forged)
		w.run(500 * time.Millisecond)
	}
	w.want(a1, Passive, "")
	w.lease(a1, 1)
	for range 100 {
		w.hear(a1, forged)
		w.run(20 * time.Millisecond)
	}
	w.want(a1, Active, "")
}

func TestAReplayedHelloIsNotObeyed(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1, b1)
	w.run(2 * time.Second)
	f := example
	f.From, f.Segment, f.Boot, f.Sequence, f.Epoch = c1, testSegment, 3, 50, 9
	old := testCodec.Append(nil, f)
	w.hear(a1, old) // c1 carried the segment under epoch 9, long ago
	f.State, f.Epoch, f.Sequence = Passive, 0, 51
	w.hear(a1, testCodec.Append(nil, f))
	w.run(time.Second)
	w.lease(a1, 10)
	w.hear(a1, old)
	if n := w.machines[1].neighbours(1, c1); n.state != Init {
		t.Errorf("a replay brought c1 back to %v", n.state)
	}
	if w.machines[1].Drops()["replayed"] == 0 {
		t.Error("the replay was not counted")
	}
}

func (m *Machine) neighbours(id PortID, p Place) *neighbour { return m.ports[id].neighbours[p] }

func TestOurFrameOutOfTheOverlayBlocksThePortThatSentIt(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	f := example
	f.From = a1
	w.do(1, w.machines[1].HearOverlay(w.now, f))
	w.want(a1, Blocked, BridgedElsewhere)
}

func TestTwoSegmentsOnOneWireLeaveOneOpen(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.join(a1, b1)
	w.machines[2].ports[1].Segment = 78
	w.run(3 * time.Second)
	w.want(a1, Passive, "")
	w.want(b1, Blocked, TwoSegments)
}

func TestABlockedPortIsNeverReopenedByTime(t *testing.T) {
	w := newWorld(t, 1, 3)
	x := w.join(a1, guest3)
	w.run(3 * time.Second)
	x.places = x.places[1:] // the wrong cable is pulled
	w.run(10 * time.Minute)
	w.want(guest3, Blocked, GuestOnSegment)
	w.do(3, w.machines[3].Clear(w.now, guest3.Port))
	w.want(guest3, Init, "")
	w.run(2 * time.Second)
	w.want(guest3, Passive, "")
}

func TestClearingAVerdictThatStillHoldsBlocksAgain(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.join(a1, guest3)
	w.run(3 * time.Second)
	w.do(3, w.machines[3].Clear(w.now, guest3.Port))
	w.run(2 * time.Second)
	w.want(guest3, Blocked, GuestOnSegment)
}

func TestLostCarrierShutsAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	w.join(a1)
	w.run(2 * time.Second)
	w.lease(a1, 1)
	w.do(1, w.machines[1].Carrier(w.now, 1, false))
	if w.shut[a1] != 1 || w.clear(a1, 1) {
		t.Error("a port without carrier must be shut")
	}
}

// A hello that was under way when its sender gave its tenure up is no news: the release is the later word. It is not
// waited for, whether it comes before or after the new tenure; one that comes when no hello can be under way any more is told.
func TestAHelloUnderWayWhenItsTenureWasGivenUpIsNoNews(t *testing.T) {
	for name, c := range map[string]struct {
		given       drawbridge.Epoch // up by a, which holds 5
		beforeLease bool
		after       time.Duration
		clear       bool
		alarms      int
	}{
		"after the new tenure":  {given: 5, clear: true},
		"before the new tenure": {given: 5, beforeLease: true, clear: true},
		"an earlier tenure":     {given: 4, clear: false, alarms: 1},
		"nothing before":        {given: 4, beforeLease: true, clear: false},
		"too late":              {given: 5, after: Default.Lease, clear: true, alarms: 1},
	} {
		w := newWorld(t, 1, 2)
		x := w.join(a1, b1)
		w.run(2 * time.Second)
		w.lease(a1, 5)
		w.run(25 * time.Millisecond)
		a := w.machines[a1.Peer]
		underWay := w.codecs[a1.Peer].Append(nil, a.frame(a.ports[a1.Port], Hello))
		x.places = []Place{b1} // nothing else is heard of a
		w.do(b1.Peer, w.machines[b1.Peer].Released(w.now, b1.Port, a1.Peer, c.given))
		if c.beforeLease {
			w.hear(b1, underWay)
		}
		w.lease(b1, 6)
		w.run(c.after)
		if !c.beforeLease {
			w.hear(b1, underWay)
		}
		if w.clear(b1, 6) != c.clear || len(w.alarms) != c.alarms {
			t.Errorf("%s: clear is %v, alarms %v", name, w.clear(b1, 6), w.alarms)
		}
	}
}

// A holder that has said by other means that its tenure is over is not waited for, as long as no hello says otherwise.
func TestAReleasedHolderIsNotWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		by    drawbridge.PeerID
		epoch drawbridge.Epoch
		clear bool
	}{
		"its tenure":         {a1.Peer, 1, true},
		"an earlier tenure":  {a1.Peer, 0, false},
		"somebody else says": {b1.Peer, 1, false},
	} {
		w := newWorld(t, 1, 2)
		x := w.join(a1, b1)
		w.run(2 * time.Second)
		w.lease(a1, 1)
		w.run(25 * time.Millisecond)
		x.places = []Place{b1} // a is not heard any more
		w.lease(b1, 2)
		if w.clear(b1, 2) {
			t.Fatal("b does not wait for a holder that it heard a moment ago")
		}
		w.do(b1.Peer, w.machines[b1.Peer].Released(w.now, b1.Port, c.by, c.epoch))
		w.run(time.Millisecond)
		if w.clear(b1, 2) != c.clear {
			t.Errorf("%s: clear is %v", name, !c.clear)
		}
	}
}
