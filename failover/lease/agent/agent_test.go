package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

const office = drawbridge.SegmentID(7)

func boottime() failover.Boottime {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return failover.Boottime(ts.Nano())
}

// member is one agent under test.
type member struct {
	*Agent
	id      drawbridge.PeerID
	gate    *failover.Gate
	allowed atomic.Bool
	stop    context.CancelFunc
	done    chan error

	mu      sync.Mutex
	changes []Change
}

// trio starts three agents over loopback; the first two are gateways.
func trio(t *testing.T) []*member {
	t.Helper()
	var all []*member
	addrs := map[drawbridge.PeerID]netip.AddrPort{}
	for id := drawbridge.PeerID(1); id <= 3; id++ {
		m := &member{id: id, gate: failover.NewGate(nil, boottime), done: make(chan error, 1)}
		m.allowed.Store(true)
		a, err := New(Config{
			Self: id, Listen: netip.MustParseAddrPort("127.0.0.1:0"), Now: boottime, Log: slog.New(slog.DiscardHandler),
			Key: func(p drawbridge.PeerID) ([]byte, bool) {
				return []byte{byte(min(p, id)), byte(max(p, id)), 15: 1, 31: 2}, true
			},
			Tell: func(c Change) {
				m.mu.Lock()
				m.changes = append(m.changes, c)
				m.mu.Unlock()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.Agent = a
		addrs[id] = a.Addr()
		all = append(all, m)
	}
	// The machine that tests run on is busy: a tenth of a second instead of the product's 40 ms.
	timing := lease.Wide
	for _, m := range all {
		m.SetPeers(addrs)
		m.SetConfig(lease.Config{Generation: 1, Sets: [][]drawbridge.PeerID{{1, 2, 3}}, Timing: timing, Longest: timing.Term})
		if m.id < 3 {
			m.AddGate(office, m.gate, func(drawbridge.Epoch) bool { return m.allowed.Load() })
			m.SetCandidate(office, int(m.id)-1, true)
		}
		ctx, stop := context.WithCancel(context.Background())
		m.stop = stop
		go func() { m.done <- m.Run(ctx) }()
		t.Cleanup(func() { m.end(t) })
	}
	return all
}

func (m *member) end(t *testing.T) {
	if m.stop == nil {
		return
	}
	m.stop()
	m.stop = nil
	if err := <-m.done; err != nil {
		t.Error(err)
	}
}

func (m *member) open() bool {
	_, open := m.gate.Permit()
	return open
}

// watch looks at both gates until ok, and fails when both are open at once.
func watch(t *testing.T, what string, all []*member, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if all[0].open() && all[1].open() && all[0].open() {
			t.Fatal("both gates are open")
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s; %+v %+v", what, all[0].Status(), all[1].Status())
		}
	}
}

// TestOneGateOpensAndAnotherFollows goes through the life of a segment: the first gateway takes it, hands it over,
// gets it back when the other ends, and loses it to the other when it ends itself.
func TestOneGateOpensAndAnotherFollows(t *testing.T) {
	all := trio(t)
	a, b := all[0], all[1]
	watch(t, "somebody opens", all, func() bool { return a.open() || b.open() })
	from, to := a, b
	if b.open() {
		from, to = b, a
	}
	before := from.gate.State().Epoch
	if !from.Yield(office, to.id) {
		t.Fatal("the holder had nothing to yield")
	}
	watch(t, "the heir opens", all, to.open)
	if to.gate.State().Epoch <= before {
		t.Errorf("epoch %v after %v", to.gate.State().Epoch, before)
	}
	to.end(t)
	if to.open() {
		t.Fatal("a gate is open whose agent has ended")
	}
	watch(t, "the other takes over", all, from.open)
}

// TestAVetoKeepsTheGateShut: what the wire says counts more than the lease.
func TestAVetoKeepsTheGateShut(t *testing.T) {
	all := trio(t)
	a, b := all[0], all[1]
	watch(t, "somebody opens", all, func() bool { return a.open() || b.open() })
	for _, m := range all[:2] {
		m.allowed.Store(false)
		m.Veto(office)
	}
	watch(t, "both shut", all, func() bool { return !a.open() && !b.open() })
	for _, m := range all[:2] {
		m.allowed.Store(true)
	}
	watch(t, "one opens again", all, func() bool { return a.open() || b.open() })
}

// TestNobodyOpensWithoutAMajority ends the witness and one gateway.
func TestNobodyOpensWithoutAMajority(t *testing.T) {
	all := trio(t)
	a, b := all[0], all[1]
	watch(t, "somebody opens", all, func() bool { return a.open() || b.open() })
	all[2].end(t)
	b.end(t)
	watch(t, "the gate shuts", all, func() bool { return !a.open() })
}

// TestStrangersAreCounted sends what is no datagram of a party.
func TestStrangersAreCounted(t *testing.T) {
	all := trio(t)
	l, err := openLink(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, b := range [][]byte{{1}, make([]byte, lease.MaxDatagram), make([]byte, 2000)} {
		if err := l.send(all[2].Addr(), b); err != nil {
			t.Fatal(err)
		}
	}
	watch(t, "the count", all, func() bool { return all[2].Status().Drops["malformed"] > 0 })
}
