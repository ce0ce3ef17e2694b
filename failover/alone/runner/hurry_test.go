package runner

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// hurried is a runner whose port has listened beside the holder of epoch5, and whose goroutine never gets a processor.
func hurried(t *testing.T) *Runner {
	t.Helper()
	now := time.Hour
	key, network := [32]byte{1}, drawbridge.NetworkID{1}
	r := New(Config{Peer: 1, Network: network, Key: key, Timers: alone.Default, Now: func() time.Duration { return now }})
	wire, err := newHub().open(PortConfig{ID: 1, Interface: "a1"}, 0)
	must(t, err)
	p := &port{PortConfig: PortConfig{ID: 1, Segment: testSegment}, wire: wire}
	p.carrier.Store(true)
	r.table.Store(&map[alone.PortID]*port{1: p})
	r.own.runs, r.own.ports = true, []*port{p}
	r.own.machine.AddPort(alone.Port{ID: 1, Segment: testSegment})
	r.followCarrier(p)
	other := alone.NewCodec(network, key)
	for sequence := uint64(1); r.stateOf(now, 1) != alone.Passive; sequence++ {
		now += 10 * time.Millisecond
		f := other.Append(appendHeader(nil, alone.Group, drawbridge.MAC{2, 9, 9, 9, 9, 9}, 0, alone.EtherType), alone.Frame{
			Kind: alone.Hello, State: alone.Active, From: alone.Place{Peer: 9, Port: 1}, Boot: 1, Segment: testSegment,
			Epoch: epoch5, Sequence: sequence, Interval: 10, Dead: 35,
		})
		e, ok := r.parse(p, f)
		if !ok || e.verdict != nil {
			t.Fatalf("a hello was refused: %v", e.verdict)
		}
		r.take(e)
		r.carryOut(r.own.machine.Tick(now))
	}
	return r
}

// TestHurryNeedsNobodyElse: who won a lease from another that has released it gets the verdict on its own thread.
func TestHurryNeedsNobodyElse(t *testing.T) {
	r := hurried(t)
	r.Released(1, 9, epoch5)
	r.Lease(1, epoch6)
	if r.IsClear(1, epoch6) {
		t.Fatal("clear before anybody has asked the machine")
	}
	r.Hurry()
	if !r.IsClear(1, epoch6) {
		t.Error("not clear, although the holder has released the segment")
	}
	select {
	case <-r.nudge:
	default:
		t.Error("Run was not told that it sleeps by an old deadline")
	}
}

// TestHurryJudgesAsRunDoes: a holder that has said nothing is waited for, and whoever has stopped, or is at it, is not hurried.
func TestHurryJudgesAsRunDoes(t *testing.T) {
	t.Run("the holder has not released", func(t *testing.T) {
		r := hurried(t)
		r.Lease(1, epoch6)
		r.Hurry()
		if r.IsClear(1, epoch6) {
			t.Error("clear beside a holder of an older epoch")
		}
	})
	t.Run("Run has ended", func(t *testing.T) {
		r := hurried(t)
		r.own.runs = false
		r.Released(1, 9, epoch5)
		r.Lease(1, epoch6)
		r.Hurry()
		if r.IsClear(1, epoch6) {
			t.Error("clear although nobody listens any more")
		}
	})
	t.Run("Run is at it", func(t *testing.T) {
		r := hurried(t)
		r.Released(1, 9, epoch5)
		r.Lease(1, epoch6)
		r.step(r.Hurry) // a hook might; it returns
		if r.IsClear(1, epoch6) {
			t.Error("the machine was asked twice at once")
		}
	})
}

// TestLateHellosAreKnown also while nobody comes to say them.
func TestLateHellosAreKnown(t *testing.T) {
	r := hurried(t)
	now := r.cfg.Now()
	r.cfg.Now = func() time.Duration { return now }
	for range 20 {
		r.step(func() { r.carryOut(r.own.machine.Tick(now)) })
		now += 10 * time.Millisecond
	}
	if s, at := r.Spoke(1); s.Late != 0 || s.Overdue(at) || s.Last == 0 || s.Due <= s.Last {
		t.Errorf("%+v at %v, though each hello left in time", s, at)
	}
	now += 100 * time.Millisecond
	if s, at := r.Spoke(1); !s.Overdue(at) {
		t.Errorf("%+v at %v: a hello is due", s, at)
	}
	r.step(func() { r.carryOut(r.own.machine.Tick(now)) })
	left := now
	now += 10 * time.Millisecond
	if s, at := r.Spoke(1); s.Late != left || s.Last != left || s.Overdue(at) {
		t.Errorf("%+v at %v, want a late one at %v", s, at, left)
	}
	if s, at := r.Spoke(2); !s.Overdue(at) {
		t.Error("a port that is not there speaks in time")
	}
}
