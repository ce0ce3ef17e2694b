package runner

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

var (
	epoch5 = drawbridge.MakeEpoch(1, 5)
	epoch6 = drawbridge.MakeEpoch(1, 6)
)

func TestTwoPeersSeeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t)
		pass(listened)
		for _, n := range []*node{a, b} {
			n.want(t, 1, alone.Passive, "")
			if list := n.port(1).Neighbours; len(list) != 1 || !list[0].BothWays {
				t.Errorf("neighbours %v, want one, both ways", list)
			}
		}
		if a.port(1).Sent == 0 || a.port(1).Heard == 0 || !a.port(1).Open {
			t.Errorf("status %+v", a.port(1))
		}
	})
}

func TestLeaseIsTakenUpAfterListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		a := start(t, 1, 1, 1, h.open)
		a.plug(t, 1, "a1")
		a.Lease(1, epoch5)
		pass(500 * time.Millisecond)
		a.wantClear(t, 1, epoch5, false)
		pass(listened)
		a.want(t, 1, alone.Active, "")
		a.wantClear(t, 1, epoch5, true)
		a.wantClear(t, 1, epoch6, false)
		a.wantClear(t, 1, 0, false)
		a.wantClear(t, 2, epoch5, false)

		a.Draining(1, true)
		synctest.Wait()
		a.want(t, 1, alone.Drain, "")
		a.wantClear(t, 1, epoch5, true)
		a.Lease(1, 0)
		synctest.Wait()
		a.want(t, 1, alone.Passive, "")
		a.wantClear(t, 1, epoch5, false)
	})
}

// TestNewerEpochFences: the older holder is fenced in the step that hears the newer one, and takes up a newer tenure.
func TestNewerEpochFences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t)
		a.Lease(1, epoch5)
		pass(listened)
		a.wantClear(t, 1, epoch5, true)
		b.Lease(1, epoch6)
		synctest.Wait() // no time passes: the first hello of the new tenure goes out with the lease
		a.wantClear(t, 1, epoch5, false)
		a.want(t, 1, alone.Fenced, "")
		if !a.fenced(epoch6) || !a.shutFor(NewerEpoch) {
			t.Errorf("hooks were told %v, %v", a.fences, a.shut)
		}
		pass(time.Second)
		b.wantClear(t, 1, epoch6, true)
		b.Lease(1, 0)
		a.Lease(1, epoch6+1)
		pass(time.Second)
		a.wantClear(t, 1, epoch6+1, true)
	})
}

// TestOlderHolderIsWaitedFor: a lease that came while the port listened does not shorten the wait for a holder of an
// older epoch that is still heard, here one that is deaf. The wait is one lease.
func TestOlderHolderIsWaitedFor(t *testing.T) {
	t.Run("default term", func(t *testing.T) { waitForOlder(t, 0, alone.Default.Lease) })
	t.Run("long term", func(t *testing.T) { waitForOlder(t, 3*time.Second, 3*time.Second) })
}

func waitForOlder(t *testing.T, term, wait time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		h.deliver = func(from, to string) int {
			if from == "a1" && to == "b1" {
				return 1
			}
			return 0
		}
		a, b := start(t, 1, 1, 1, h.open), start(t, 1, 2, 1, h.open)
		a.plug(t, 1, "a1")
		a.Lease(1, epoch5)
		pass(listened)
		a.wantClear(t, 1, epoch5, true)
		b.SetTerm(term)
		b.plug(t, 1, "b1")
		pass(500 * time.Millisecond)
		b.Lease(1, epoch6)
		for b.port(1).State != alone.Active {
			b.wantClear(t, 1, epoch6, false)
			pass(time.Millisecond)
		}
		b.wantClear(t, 1, epoch6, false)
		pass(wait - 5*time.Millisecond)
		b.wantClear(t, 1, epoch6, false)
		pass(10 * time.Millisecond)
		b.wantClear(t, 1, epoch6, true)
	})
}

func TestTwoPortsOnOneWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		a := start(t, 1, 1, 1, h.open)
		a.plug(t, 1, "a1")
		a.plug(t, 2, "a2")
		pass(listened)
		a.want(t, 1, alone.Passive, "")
		a.want(t, 2, alone.Blocked, alone.SameWire)
		if !a.shutFor(alone.SameWire) {
			t.Errorf("shut for %v", a.shut)
		}
		a.Clear(2)
		synctest.Wait()
		pass(listened)
		a.want(t, 2, alone.Blocked, alone.SameWire)
	})
}

func TestAnotherNetworkBlocksBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		a, b := start(t, 1, 1, 1, h.open), start(t, 2, 2, 1, h.open)
		a.plug(t, 1, "a1")
		b.plug(t, 1, "b1")
		pass(3 * time.Second)
		a.want(t, 1, alone.Blocked, alone.ForeignNetwork)
		b.want(t, 1, alone.Blocked, alone.ForeignNetwork)
	})
}

func TestReflectedFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		h.deliver = func(_, _ string) int { return 1 } // to the sender as well
		a := start(t, 1, 1, 1, h.open)
		a.plug(t, 1, "a1")
		pass(listened)
		a.want(t, 1, alone.Blocked, alone.Reflection)
	})
}

// TestForgerShutsNothing: frames of a third party with a wrong key change nothing on a port that is clear.
func TestForgerShutsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a := holding(t)
		for i, c := range forgers() {
			for range 200 {
				h.flood("forger", forged(c, uint64(i)))
			}
		}
		pass(5 * time.Second)
		a.wantClear(t, 1, epoch5, true)
		if len(a.shut) != 0 || a.Drops()["bad_tag"] == 0 || a.Drops()["foreign_network"] == 0 {
			t.Errorf("shut for %v, drops %v", a.shut, a.Drops())
		}
	})
}

// forgers know the network but not its key, or play another network.
func forgers() []alone.Codec {
	return []alone.Codec{
		alone.NewCodec(drawbridge.NetworkID{1}, [32]byte{99}),
		alone.NewCodec(drawbridge.NetworkID{9}, [32]byte{99}),
	}
}

// forged is the hello of a holder of the newest epoch there can be.
func forged(c alone.Codec, sequence uint64) drawbridge.Frame {
	b := appendHeader(nil, alone.Group, drawbridge.MAC{2, 9, 9, 9, 9, 9}, 0, alone.EtherType)
	return c.Append(b, alone.Frame{
		Kind: alone.Hello, State: alone.Active, From: alone.Place{Peer: 9, Port: 1}, Boot: 1, Segment: testSegment,
		Epoch: drawbridge.MakeEpoch(1<<31, 0), Sequence: sequence, Interval: 10, Dead: 35,
	})
}

// TestKilledNeighbour: who is killed is silent, and heard again after a restart although its sequence numbers begin anew.
func TestKilledNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a, b := pair(t)
		pass(listened)
		b.kill()
		pass(time.Second)
		if list := a.port(1).Neighbours; len(list) != 0 {
			t.Errorf("neighbours %v of a dead peer", list)
		}
		a.want(t, 1, alone.Passive, "")
		b = start(t, 1, 2, 2, h.open)
		b.plug(t, 1, "b1")
		pass(listened)
		if list := a.port(1).Neighbours; len(list) != 1 || !list[0].BothWays {
			t.Errorf("neighbours %v after the restart", list)
		}
	})
}

func TestOneWayLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a, b := pair(t)
		pass(listened)
		h.mu.Lock()
		h.deliver = func(from, to string) int {
			if from == to || from == "a1" {
				return 0
			}
			return 1
		}
		h.mu.Unlock()
		pass(time.Second)
		if list := a.port(1).Neighbours; len(list) != 1 || list[0].BothWays {
			t.Errorf("neighbours %v, want one that does not hear us", list)
		}
		if list := b.port(1).Neighbours; len(list) != 0 {
			t.Errorf("neighbours %v of a deaf port", list)
		}
	})
}

// TestInterfaceDownAndUp: a port whose socket fails has no carrier, and listens again before it is clear.
func TestInterfaceDownAndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a := holding(t)
		h.set("a1", false)
		synctest.Wait()
		a.wantClear(t, 1, epoch5, false)
		if p := a.port(1); p.Carrier || p.Open || p.Losses != 1 || p.Problem == "" || !a.shutFor(CarrierLost) {
			t.Errorf("%+v, shut for %v", p, a.shut)
		}
		pass(time.Second)
		h.set("a1", true)
		pass(500 * time.Millisecond)
		a.wantClear(t, 1, epoch5, false)
		pass(listened)
		a.wantClear(t, 1, epoch5, true)
		if p := a.port(1); p.Problem != "" || p.Losses != 1 {
			t.Errorf("%+v", p)
		}
	})
}

// TestSenderFindsInterfaceDown: the kernel tells only the first who asks, here the sender; the reader must learn of it.
func TestSenderFindsInterfaceDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a := holding(t)
		h.mu.Lock()
		h.refuse = unix.ENETDOWN
		h.mu.Unlock()
		pass(10 * time.Millisecond)
		a.wantClear(t, 1, epoch5, false)
		pass(listened)
		a.wantClear(t, 1, epoch5, true)
		if p := a.port(1); p.Losses != 1 || p.Refused != 1 || len(h.wires) != 1 {
			t.Errorf("%+v, %d sockets", p, len(h.wires))
		}
	})
}

// TestAQueueThatWasFull: one or two hellos that the kernel did not take are no reason to leave a segment. More in a row are, and are
// forgotten with the next that it takes.
func TestAQueueThatWasFull(t *testing.T) {
	for times, problem := range map[int]bool{1: false, tooMany - 1: false, tooMany: true, 10 * tooMany: true} {
		synctest.Test(t, func(t *testing.T) {
			h, a := holding(t)
			h.mu.Lock()
			h.refuse, h.times = unix.ENOBUFS, times
			h.mu.Unlock()
			told := false
			for range 1000 {
				pass(time.Millisecond)
				told = told || a.port(1).Problem != ""
			}
			if told != problem {
				t.Errorf("%d frames refused in a row: a problem %v, want %v", times, told, problem)
			}
			if p := a.port(1); p.Refused != uint64(times) || p.Problem != "" {
				t.Errorf("afterwards %+v", p)
			}
			a.wantClear(t, 1, epoch5, true)
		})
	}
}

// TestHooksSeeTheVerdict: when the gate is told to shut, whoever would open it again is refused already.
func TestHooksSeeTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		b := start(t, 1, 2, 1, h.open)
		b.plug(t, 1, "b1")
		var a *node
		fences, shuts := 0, 0
		a = startTelling(t, h, Hooks{
			Fence: func(id alone.PortID, _ drawbridge.SegmentID, _ drawbridge.Epoch, by alone.Place) {
				fences++
				if shuts > 0 || a.IsClear(id, epoch5) || by.Peer != 2 {
					t.Errorf("clear while the gate is fenced by %v, after %d times shut", by, shuts)
				}
			},
			Shut: func(id alone.PortID, _ alone.Reason) {
				shuts++
				if a.IsClear(id, epoch5) {
					t.Error("clear while the gate is being shut")
				}
			},
		})
		a.plug(t, 1, "a1")
		a.Lease(1, epoch5)
		pass(listened)
		a.wantClear(t, 1, epoch5, true)
		b.Lease(1, epoch6)
		synctest.Wait()
		if fences != 1 || shuts != 1 {
			t.Errorf("fenced %d times, shut %d times", fences, shuts)
		}
	})
}

// TestALateEndOfATenureLeavesTheNext: its end was told when the next had begun, and shut the gate of that one.
func TestALateEndOfATenureLeavesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := holding(t)
		a.Lease(1, epoch6)
		a.Over(1, epoch5)
		synctest.Wait()
		a.wantClear(t, 1, epoch6, true)
		if s := a.port(1); s.State != alone.Active || len(a.shut) != 0 {
			t.Errorf("%v, shut for %v", s.State, a.shut)
		}
		a.Over(1, epoch6)
		synctest.Wait()
		a.wantClear(t, 1, epoch6, false)
	})
}

// TestShortestCarrierLossListensAgain: the cable may be in another switch now.
func TestShortestCarrierLossListensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := holding(t)
		a.Carrier(1, false)
		a.Carrier(1, true)
		synctest.Wait()
		a.wantClear(t, 1, epoch5, false)
		pass(listened)
		a.wantClear(t, 1, epoch5, true)
	})
}

// TestListeningIsTold: when it begins, and in the moment when it is over, since a gateway asks for the lease then.
func TestListeningIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		var a *node
		var told []alone.State
		var over time.Time
		a = startTelling(t, h, Hooks{
			Shut: func(alone.PortID, alone.Reason) {},
			Listen: func(id alone.PortID) {
				told, over = append(told, a.port(id).State), time.Now()
			},
		})
		a.plug(t, 1, "a1")
		pass(listened)
		a.Carrier(1, false)
		a.Carrier(1, true)
		synctest.Wait()
		back := time.Now()
		pass(10 * listened)
		want := []alone.State{alone.Init, alone.Passive, alone.Init, alone.Passive}
		if took := over.Sub(back); !slices.Equal(slices.Compact(told), want) || took < alone.Default.Listen || took > alone.Default.Listen+110*time.Millisecond {
			t.Errorf("told of %v, the last time %v after the carrier was back", told, took)
		}
	})
}

// TestPortIsHeardAfterBeingAddedAgain: its sequence numbers go on, or its neighbours would take them for a replay.
func TestPortIsHeardAfterBeingAddedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t)
		pass(10 * time.Second)
		if err := a.RemovePort(1); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if len(b.port(1).Neighbours) != 0 || len(a.Ports()) != 0 {
			t.Errorf("%v, %v", b.Ports(), a.Ports())
		}
		a.plug(t, 1, "a1")
		pass(listened)
		if list := b.port(1).Neighbours; len(list) != 1 || !list[0].BothWays {
			t.Errorf("neighbours %v", list)
		}
	})
}

func TestGuestPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		a, b := start(t, 1, 1, 1, h.open), start(t, 1, 2, 1, h.open)
		a.plug(t, alone.FirstGuest, "a1")
		pass(listened)
		a.wantClear(t, alone.FirstGuest, 0, true)
		b.plug(t, 1, "b1")
		synctest.Wait()
		a.wantClear(t, alone.FirstGuest, 0, false)
		a.want(t, alone.FirstGuest, alone.Blocked, alone.GuestOnSegment)
	})
}

// TestBridgeProtocolDelays: where switches speak a spanning tree, a port alone on the wire listens longer.
func TestBridgeProtocolDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		a := start(t, 1, 1, 1, h.open)
		a.plug(t, 1, "a1")
		pass(10 * time.Millisecond)
		h.flood("switch", bridgeFrame())
		pass(30 * time.Second)
		a.want(t, 1, alone.Listen, "")
		pass(6 * time.Second)
		a.want(t, 1, alone.Passive, "")
	})
}

// TestTopologyChangeIsTold: of segment ports only, and nothing is answered: bridge protocol frames are never sent.
func TestTopologyChangeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		var changed []alone.PortID
		a := startTelling(t, h, Hooks{
			Changed: func(id alone.PortID) { changed = append(changed, id) },
			Shut:    func(alone.PortID, alone.Reason) {},
		})
		a.plug(t, 1, "a1")
		a.plug(t, alone.FirstGuest, "g1")
		listener, err := h.open(PortConfig{Interface: "switch"}, 0)
		must(t, err)
		pass(listened)
		h.flood("switch", bridgeFrame())
		synctest.Wait()
		if len(changed) != 0 {
			t.Errorf("told of %v", changed)
		}
		f := bridgeFrame()
		f[21] = 1
		h.flood("switch", f)
		pass(5 * time.Second)
		if len(changed) != 1 || changed[0] != 1 {
			t.Errorf("told of %v, want port 1", changed)
		}
		for sent := listener.(*memory).in; len(sent) > 0; {
			if alone.BridgeProtocol(<-sent) {
				t.Error("a bridge protocol frame was sent")
			}
		}
	})
}

// bridgeFrame is the start of a configuration message.
func bridgeFrame() drawbridge.Frame {
	f := append(drawbridge.Frame{}, alone.BridgeGroup[:]...)
	f = append(f, 2, 9, 9, 9, 9, 9, 0, 38, 0x42, 0x42, 0x03)
	return append(f, make([]byte, 43)...)
}

func TestFrameOutOfTheOverlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := holding(t)
		mine := alone.Frame{Kind: alone.Hello, From: alone.Place{Peer: 1, Port: 1}, Boot: 1, Interval: 10}
		for _, c := range forgers() {
			a.HearOverlay(c.Append(nil, mine))
		}
		a.HearOverlay([]byte("short"))
		synctest.Wait()
		a.wantClear(t, 1, epoch5, true)
		a.HearOverlay(a.codec.Append(nil, mine))
		synctest.Wait()
		a.want(t, 1, alone.Blocked, alone.BridgedElsewhere)
		a.wantClear(t, 1, epoch5, false)
	})
}

func TestNothingIsClearAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := holding(t)
		a.kill()
		a.wantClear(t, 1, epoch5, false)
		if !a.shutFor(Stopped) || a.port(1).Clear {
			t.Errorf("shut for %v, %+v", a.shut, a.port(1))
		}
		if err := a.Run(t.Context()); err == nil {
			t.Error("a runner runs twice")
		}
	})
}

func TestRefusedPorts(t *testing.T) {
	r := New(Config{})
	good := PortConfig{ID: 1, Interface: "a1", Segment: 1}
	if err := r.AddPort(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]PortConfig{
		"same id":          {ID: 1, Interface: "a2", Segment: 1},
		"same wire":        {ID: 2, Interface: "a1", Segment: 1},
		"no interface":     {ID: 2, Segment: 1},
		"no segment":       {ID: 2, Interface: "a2"},
		"guest on segment": {ID: alone.FirstGuest, Interface: "a2", Segment: 1},
		"VLAN":             {ID: 2, Interface: "a2", Segment: 1, VLAN: 4095},
	} {
		if r.AddPort(c) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if r.RemovePort(2) == nil {
		t.Error("removed a port that does not exist")
	}
	if New(Config{EtherType: 0x8100}).Run(t.Context()) == nil {
		t.Error("ran on a VLAN tag's EtherType")
	}
}
