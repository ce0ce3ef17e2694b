package runner

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// hub is an Ethernet in memory. Interfaces are plugged in by name; a frame of one reaches all others, or whom
// deliver lets it reach.
type hub struct {
	mu      sync.Mutex
	wires   []*memory
	down    map[string]bool           // interfaces that are down
	deliver func(from, to string) int // copies; nil: one to everyone but the sender
	refuse  error                     // of the next frame; nobody else is told
	times   int                       // of more than the next one
}

func (h *hub) refuses() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	refuse := h.refuse
	if h.times--; h.times <= 0 {
		h.refuse = nil
	}
	return refuse
}

func (h *hub) open(c PortConfig, _ uint16) (Wire, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down[c.Interface] {
		return nil, unix.ENETDOWN
	}
	w := &memory{
		hub: h, name: c.Interface, mac: drawbridge.MAC{2, 0, 0, 0, 0, byte(c.ID)},
		in: make(chan drawbridge.Frame, 1024), interrupted: make(chan struct{}), fails: make(chan error, 1),
	}
	h.wires = append(h.wires, w)
	return w, nil
}

// set takes an interface down, as the kernel would tell its sockets, or up again.
func (h *hub) set(name string, up bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down[name] = !up
	for _, w := range h.wires {
		if w.name == name && !up {
			w.fails <- unix.ENETDOWN
		}
	}
}

// flood brings a frame to everybody, as if a stranger on the wire had sent it.
func (h *hub) flood(from string, f drawbridge.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wires {
		copies := 1
		if w.name == from {
			copies = 0
		}
		if h.deliver != nil {
			copies = h.deliver(from, w.name)
		}
		for range copies {
			select {
			case w.in <- slices.Clone(f):
			default: // its queue is full
			}
		}
	}
}

// memory is one socket on a hub.
type memory struct {
	hub         *hub
	name        string
	mac         drawbridge.MAC
	in          chan drawbridge.Frame
	fails       chan error
	once        sync.Once
	interrupted chan struct{}
}

func (w *memory) Receive() (drawbridge.Frame, error) {
	select {
	case <-w.interrupted:
		return nil, errors.New("interrupted")
	case err := <-w.fails:
		return nil, err
	case f := <-w.in:
		return f, nil
	}
}

func (w *memory) Send(f drawbridge.Frame) error {
	if err := w.hub.refuses(); err != nil {
		return err
	}
	w.hub.flood(w.name, f)
	return nil
}

func (w *memory) MAC() (drawbridge.MAC, error) { return w.mac, nil }
func (w *memory) Interrupt()                   { w.once.Do(func() { close(w.interrupted) }) }

func (w *memory) Close() error {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	w.hub.wires = slices.DeleteFunc(w.hub.wires, func(o *memory) bool { return o == w })
	return nil
}

// told is what the hooks of one runner were called with.
type told struct {
	mu     sync.Mutex
	fences []drawbridge.Epoch
	shut   []alone.Reason
	alarms []alone.Alarm
}

func (l *told) hooks() Hooks {
	return Hooks{
		Fence: func(_ alone.PortID, s drawbridge.SegmentID, e drawbridge.Epoch, _ alone.Place) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if s == testSegment {
				l.fences = append(l.fences, e)
			}
		},
		Shut: func(_ alone.PortID, why alone.Reason) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.shut = append(l.shut, why)
		},
		Alarm: func(a alone.Alarm) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.alarms = append(l.alarms, a)
		},
	}
}

func (l *told) shutFor(why alone.Reason) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.shut, why)
}

func (l *told) fenced(e drawbridge.Epoch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.fences, e)
}

const testSegment drawbridge.SegmentID = 77

// node is a runner, what it told, and how to kill it.
type node struct {
	*Runner
	told
	kill func()
	done chan struct{}
}

type opener func(PortConfig, uint16) (Wire, error)

// bubbleTime is the fake clock of a bubble.
func bubbleTime() time.Duration { return time.Duration(time.Now().UnixNano()) }

// start runs a peer of a network in a bubble, until the test ends or it is killed.
func start(t *testing.T, network byte, peer drawbridge.PeerID, boot uint32, open opener) *node {
	return startAt(t, network, peer, boot, open, bubbleTime)
}

func startAt(t *testing.T, network byte, peer drawbridge.PeerID, boot uint32, open opener, now func() time.Duration) *node {
	return startWith(t, Config{
		Peer: peer, Network: drawbridge.NetworkID{network}, Key: [32]byte{network}, Boot: boot, Now: now,
	}, open)
}

// startTelling runs peer 1 of network 1 with hooks of the test's own.
func startTelling(t *testing.T, h *hub, hooks Hooks) *node {
	return startWith(t, Config{Peer: 1, Network: drawbridge.NetworkID{1}, Key: [32]byte{1}, Boot: 1, Now: bubbleTime, Hooks: hooks}, h.open)
}

// pair starts two peers of a network, each with port 1 on one wire, which still listens.
func pair(t *testing.T) (h *hub, a, b *node) {
	t.Helper()
	h = newHub()
	a, b = start(t, 1, 1, 1, h.open), start(t, 1, 2, 1, h.open)
	a.plug(t, 1, "a1")
	b.plug(t, 1, "b1")
	return h, a, b
}

// holding starts a peer that is alone on its wire, and has it take the lease under epoch5.
func holding(t *testing.T) (h *hub, a *node) {
	t.Helper()
	h = newHub()
	a = start(t, 1, 1, 1, h.open)
	a.plug(t, 1, "a1")
	a.Lease(1, epoch5)
	pass(listened)
	a.wantClear(t, 1, epoch5, true)
	return h, a
}

func startWith(t testing.TB, c Config, open opener) *node {
	n := &node{done: make(chan struct{})}
	c.Timers = alone.Default
	if c.Hooks.Shut == nil {
		c.Hooks = n.hooks()
	}
	n.Runner = New(c)
	n.open = open
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(n.done)
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	n.kill = func() {
		cancel()
		<-n.done
	}
	t.Cleanup(n.kill)
	return n
}

// plug adds a segment port, with carrier.
func (n *node) plug(t testing.TB, id alone.PortID, name string) {
	t.Helper()
	c := PortConfig{ID: id, Interface: name, Segment: testSegment}
	if id.Guest() {
		c.Segment = 0
	}
	if err := n.AddPort(c); err != nil {
		t.Fatal(err)
	}
	n.Carrier(id, true)
}

func (n *node) port(id alone.PortID) (s PortStatus) {
	for _, s := range n.Ports() {
		if s.ID == id {
			return s
		}
	}
	return s
}

// pass lets time go by in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (n *node) want(t *testing.T, id alone.PortID, s alone.State, why alone.Reason) {
	t.Helper()
	if p := n.port(id); p.State != s || p.Reason != why {
		t.Errorf("port %d is %v (%q), want %v (%q)", id, p.State, p.Reason, s, why)
	}
}

func (n *node) wantClear(t *testing.T, id alone.PortID, e drawbridge.Epoch, want bool) {
	t.Helper()
	if got := n.IsClear(id, e); got != want {
		t.Errorf("port %d under %v is clear: %v, want %v (%v)", id, e, got, want, n.port(id).State)
	}
}

func newHub() *hub { return &hub{down: map[string]bool{}} }

// listened is longer than LISTEN lasts on a quiet wire, with the INIT before it.
const listened = 1500 * time.Millisecond
