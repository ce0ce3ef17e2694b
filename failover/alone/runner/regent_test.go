package runner

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// doorkeeper is a gate as a regent sees it.
type doorkeeper struct {
	told
	mu     sync.Mutex
	epoch  drawbridge.Epoch
	until  time.Duration
	over   int
	refuse bool
}

func (d *doorkeeper) hooks() Hooks {
	h := d.told.hooks()
	h.Stand = func(_ alone.PortID, e drawbridge.Epoch, until time.Duration) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.epoch, d.until = e, until
		return !d.refuse
	}
	h.Stood = func(alone.PortID, drawbridge.Epoch) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.over++
	}
	return h
}

func (d *doorkeeper) open() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.epoch == epoch5 && d.until > bubbleTime() && d.over == 0
}

func (d *doorkeeper) ended() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// lapsed starts two gateways of a network that holds, and lets the first lose the majority.
func lapsed(t *testing.T) (a, b *node, d *doorkeeper) {
	h := newHub()
	d = &doorkeeper{}
	a = startWith(t, Config{Peer: 1, Network: drawbridge.NetworkID{1}, Boot: 1, Now: bubbleTime, Hooks: d.hooks()}, h.open)
	b = startWith(t, Config{Peer: 2, Network: drawbridge.NetworkID{1}, Boot: 1, Now: bubbleTime}, h.open)
	for i, n := range []*node{a, b} {
		n.plug(t, 1, string(rune('a'+i))+"1")
		n.SetRule(1, alone.Rule{Policy: alone.HoldGates, May: true, Others: []drawbridge.PeerID{drawbridge.PeerID(2 - i)}})
	}
	pass(listened)
	a.Lease(1, epoch5)
	pass(200 * time.Millisecond)
	a.wantClear(t, 1, epoch5, true)
	a.Lapsed(1, epoch5)
	a.Lease(1, 0) // the lease layer says so as well
	pass(time.Second)
	return a, b, d
}

func TestARegentIsToldToStand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, d := lapsed(t)
		if !d.open() {
			t.Fatalf("the gate is not kept open, %d ends", d.ended())
		}
		a.wantClear(t, 1, epoch5, true)
		b.Lease(1, epoch6)
		pass(20 * time.Millisecond)
		if d.open() || d.ended() != 1 || !a.fenced(epoch6) && !d.fenced(epoch6) {
			t.Errorf("open %v, ended %d times after a newer tenure", d.open(), d.ended())
		}
		b.wantClear(t, 1, epoch6, true)
	})
}

func TestARegencyEndsWithTheOthersPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, d := lapsed(t)
		b.kill()
		pass(150 * time.Millisecond)
		if d.open() || d.ended() != 1 {
			t.Errorf("open %v, ended %d times although nobody promises", d.open(), d.ended())
		}
		a.wantClear(t, 1, epoch5, false)
		a.want(t, 1, alone.Passive, "")
	})
}

func TestAGateThatDoesNotObeyEndsARegency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, d := lapsed(t)
		d.mu.Lock()
		d.refuse = true
		d.mu.Unlock()
		pass(100 * time.Millisecond)
		a.wantClear(t, 1, epoch5, false)
		if d.ended() != 1 {
			t.Errorf("ended %d times", d.ended())
		}
	})
}

func TestALeaseEndsARegency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, d := lapsed(t)
		a.Lease(1, epoch6)
		pass(50 * time.Millisecond)
		a.wantClear(t, 1, epoch6, true)
		if d.ended() != 1 {
			t.Errorf("ended %d times", d.ended())
		}
	})
}
