// Package runner drives ALONE: it gives the pure alone.Machine its clock, and one packet socket for every port. It
// judges nothing itself, and like the machine it can only shut. docs/protocol/alone.md, "Driver".
package runner

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// Config is what a runner needs to know of its peer.
type Config struct {
	Peer    drawbridge.PeerID
	Network drawbridge.NetworkID
	Key     [32]byte // of the tags: HKDF of the network's secret (docs/protocol/alone.md); SetKey may come later
	Boot    uint32   // larger at every start, or neighbours take the hellos for a replay
	Timers  alone.Timers
	// EtherType of ALONE frames; 0 is alone.EtherType. The forwarder keeps the same one off the overlay.
	EtherType uint16
	Log       *slog.Logger // nil: none
	// Now reads CLOCK_BOOTTIME, which goes on during suspend as the leases do; nil is that clock. Any goroutine calls it.
	Now   func() time.Duration
	Hooks Hooks
}

// Hooks are called from the goroutine of Run or of Hurry, one at a time and in the order of the machine's output. They must not
// block, for meanwhile nothing is heard, nor call Hurry. Nil ones are left out.
type Hooks struct {
	// Fence tells that a newer epoch was heard for the segment of a port: gates under an older one shut at once.
	Fence func(port alone.PortID, segment drawbridge.SegmentID, epoch drawbridge.Epoch, by alone.Place)
	// Shut tells that the gate of a port is to be shut at once. By then IsClear answers no.
	Shut func(port alone.PortID, reason alone.Reason)
	// Clear tells that a guest port may carry frames, which it may not before it has listened. A segment port has the
	// lease, and whoever holds it asks IsClear.
	Clear func(port alone.PortID)
	// Stand tells that the gate of a port may be open under an epoch until a reading of Now, although no lease lasts: the
	// network's policy asks for it (docs/protocol/alone.md, "Without a majority"). It answers whether the gate obeys.
	Stand func(port alone.PortID, epoch drawbridge.Epoch, until time.Duration) bool
	// Stood tells that this is over.
	Stood func(port alone.PortID, epoch drawbridge.Epoch)
	// Heard tells that a neighbour of a port is heard better or worse than before; Ports shows it by then.
	Heard func(port alone.PortID)
	// Listen tells that a port has begun to listen, and may not be opened, or has listened; Ports shows it by then.
	Listen func(port alone.PortID)
	// Stray tells that a guest port of another peer is heard where it should not be, for that peer to be told.
	Stray func(alone.Stray)
	// Changed tells that switches on the wire of a segment port say that their tree has changed. Anybody can say so at any rate.
	Changed func(port alone.PortID)
	// Alarm tells what an operator should know.
	Alarm func(alone.Alarm)
}

// Reasons of a Shut beside those of a blocked port. They last as long as their cause, and nobody has to clear them.
const (
	CarrierLost alone.Reason = "carrier_lost" // or the socket failed, or the port was removed
	NewerEpoch  alone.Reason = "newer_epoch"
	Stopped     alone.Reason = "stopped" // Run has ended
)

// ErrEtherType is an EtherType that means something else.
var ErrEtherType = errors.New("want an EtherType from 0x0600 on that is no VLAN tag's, such as 0x88b6")

const (
	// backlog is how many frames wait for the machine: 64 neighbours' hellos of 10 ms, four times over.
	backlog = 256
	// overlayBacklog is small: one frame out of the overlay tells all.
	overlayBacklog = 16
	// showEvery bounds the age of Ports, and what showing costs.
	showEvery = 100 * time.Millisecond
	// firstRealType is the first number that is a type and not a length (IEEE 802.3 §3.2.6).
	firstRealType = 0x0600
)

// Runner runs ALONE on the ports of one peer.
type Runner struct {
	cfg     Config
	codec   alone.Codec
	open    func(PortConfig, uint16) (Wire, error)
	started atomic.Bool

	events  chan event
	overlay chan [alone.Size]byte
	nudge   chan struct{} // something that is told by its latest value has changed
	term    atomic.Int64  // of the lease
	table   atomic.Pointer[map[alone.PortID]*port]
	shown   atomic.Pointer[status]

	at  sync.Mutex // guards own, and is held while hooks are called
	own core

	mu sync.Mutex // of those who replace table
}

// core is what belongs to the machine.
type core struct {
	runs    bool // Run has begun, and not ended
	machine *alone.Machine
	ports   []*port                 // that the machine knows
	spent   map[alone.PortID]uint64 // sequence numbers that removed ports have used
	frame   []byte                  // being sent
	wake    time.Duration
	shownAt time.Duration
	changed bool           // worth showing at once
	heard   []alone.PortID // whose neighbours are heard otherwise: to be told once they are shown
	listen  []alone.PortID // that listen, or do no longer: the same
	keepers sync.WaitGroup
}

// event is what goroutines hand to Run, in order.
type event struct {
	kind    eventKind
	port    *port
	wire    Wire
	frame   alone.Frame // of a release: From.Peer and Epoch
	verdict error
	stray   alone.Stray
	changed bool // of a bridge's frame: the tree has changed
}

type eventKind uint8

const (
	frameHeard eventKind = iota
	bridgeHeard
	overlayHeard
	wireOpened
	wireLost
	releaseHeard
	heardElsewhere
)

// New returns a runner without ports, which does nothing before Run.
func New(cfg Config) *Runner {
	if cfg.EtherType == 0 {
		cfg.EtherType = alone.EtherType
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = boottime
	}
	cfg.Hooks = cfg.Hooks.filled()
	codec := alone.NewCodec(cfg.Network, cfg.Key)
	var seed [32]byte
	crand.Read(seed[:]) // never fails, by its contract
	r := &Runner{
		cfg: cfg, codec: codec, open: openPacket,
		events: make(chan event, backlog), overlay: make(chan [alone.Size]byte, overlayBacklog), nudge: make(chan struct{}, 1),
		own: core{spent: map[alone.PortID]uint64{}, machine: alone.New(alone.Config{
			Peer: cfg.Peer, Network: codec.Network, Boot: cfg.Boot, Timers: cfg.Timers, Random: rand.New(rand.NewChaCha8(seed)),
		})},
	}
	r.table.Store(&map[alone.PortID]*port{})
	r.shown.Store(&status{})
	return r
}

// SetKey gives the key of the tags before Run, when New did not have it yet.
func (r *Runner) SetKey(key [32]byte) { r.codec = alone.NewCodec(r.cfg.Network, key) }

func (h Hooks) filled() Hooks {
	if h.Fence == nil {
		h.Fence = func(alone.PortID, drawbridge.SegmentID, drawbridge.Epoch, alone.Place) {}
	}
	if h.Shut == nil {
		h.Shut = func(alone.PortID, alone.Reason) {}
	}
	if h.Clear == nil {
		h.Clear = func(alone.PortID) {}
	}
	if h.Stand == nil {
		h.Stand = func(alone.PortID, drawbridge.Epoch, time.Duration) bool { return false }
	}
	if h.Stood == nil {
		h.Stood = func(alone.PortID, drawbridge.Epoch) {}
	}
	if h.Heard == nil {
		h.Heard = func(alone.PortID) {}
	}
	if h.Listen == nil {
		h.Listen = func(alone.PortID) {}
	}
	if h.Stray == nil {
		h.Stray = func(alone.Stray) {}
	}
	if h.Changed == nil {
		h.Changed = func(alone.PortID) {}
	}
	if h.Alarm == nil {
		h.Alarm = func(alone.Alarm) {}
	}
	return h
}

// boottime reads CLOCK_BOOTTIME; every Linux that Go runs on has it.
func boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("read CLOCK_BOOTTIME: %v", err))
	}
	return time.Duration(ts.Nano())
}

// Run speaks and listens until ctx ends; once in the life of a runner. When it returns no port is clear.
func (r *Runner) Run(ctx context.Context) error {
	if t := r.cfg.EtherType; t < firstRealType || t == unix.ETH_P_8021Q || t == unix.ETH_P_8021AD {
		return fmt.Errorf("alone: EtherType %#04x: %w", t, ErrEtherType)
	}
	if r.started.Swap(true) {
		return errors.New("alone: the runner has run already; make another")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer r.stop(cancel)
	r.own.keepers.Go(func() { r.readOverlay(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	timer.Reset(r.step(func() {
		r.own.runs = true
		r.settle(ctx)
	}))
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-r.events:
			timer.Reset(r.step(func() { r.take(e) }))
		case <-r.nudge:
			timer.Reset(r.step(func() { r.settle(ctx) }))
		case <-timer.C:
			timer.Reset(r.step(func() { r.carryOut(r.own.machine.Tick(r.cfg.Now())) }))
		}
	}
}

// step does one thing, and answers for how long there is nothing to do unless something is heard.
func (r *Runner) step(do func()) time.Duration {
	r.at.Lock()
	defer r.at.Unlock()
	do()
	for _, p := range r.own.ports {
		s := r.own.machine.Spoke(p.ID)
		p.spoke.Store(int64(s.Last))
		p.late.Store(int64(s.Late))
		p.due.Store(int64(s.Due))
	}
	r.show()
	return max(0, r.own.wake-r.cfg.Now())
}

// Hurry has the machine hear at once, on the thread of the caller, of leases and releases that were told and of the frames before them: a
// gate may wait for its verdict, and the goroutine of Run for a processor. It waits for nobody.
func (r *Runner) Hurry() {
	if !r.at.TryLock() {
		return // whoever is at it goes on with that
	}
	defer r.at.Unlock()
	if !r.own.runs {
		return
	}
	for range len(r.events) { // at most: Run may have taken one before
		select {
		case e := <-r.events:
			r.take(e)
		default:
		}
	}
	for _, p := range r.own.ports {
		r.followLease(p)
	}
	r.wakeUp() // Run sleeps by what was true before
}

// stop ends what Run started. A port about which nobody listens any more is not clear.
func (r *Runner) stop(cancel context.CancelFunc) {
	cancel()
	r.at.Lock()
	r.own.runs = false
	for _, p := range r.own.ports {
		if p.clear.Swap(0) != 0 {
			r.cfg.Hooks.Shut(p.ID, Stopped)
		}
		p.stopped.Store(true)
	}
	r.at.Unlock()
	r.own.keepers.Wait()
	r.step(func() { r.own.shownAt, r.own.changed = r.cfg.Now(), true })
}

// take hands one event to the machine.
func (r *Runner) take(e event) {
	now, m := r.cfg.Now(), r.own.machine
	if e.port != nil && !r.knows(e.port) {
		return // of a port that was removed meanwhile
	}
	switch e.kind {
	case frameHeard:
		e.port.heard++
		r.carryOut(m.Hear(now, e.port.ID, e.frame, e.verdict))
	case bridgeHeard:
		m.HearSpanningTree(e.port.ID)
		if e.changed && !e.port.ID.Guest() {
			r.cfg.Hooks.Changed(e.port.ID)
		}
	case overlayHeard:
		r.carryOut(m.HearOverlay(now, e.frame))
	case releaseHeard:
		r.carryOut(m.Released(now, e.port.ID, e.frame.From.Peer, e.frame.Epoch))
	case heardElsewhere:
		e.stray.Sequence -= min(e.stray.Sequence, e.port.base) // as the machine counts
		r.carryOut(m.HeardElsewhere(now, e.stray))
	case wireOpened:
		r.opened(e.port, e.wire)
	case wireLost:
		r.lost(e.port, e.wire, e.verdict)
	}
}

// carryOut does what the machine asks for. What is clear is published first: whoever asks during a hook gets the new
// answer.
func (r *Runner) carryOut(out alone.Output) {
	r.perform(out)
	for _, p := range r.own.ports {
		r.followLease(p)
	}
}

func (r *Runner) perform(out alone.Output) {
	r.own.wake = out.Wake
	r.publish()
	for _, f := range out.Fence {
		r.cfg.Hooks.Fence(f.Port, r.segmentOf(f.Port), f.Epoch, f.By)
	}
	for _, id := range out.Shut {
		r.cfg.Hooks.Shut(id, r.whyShut(id, out.Alarms))
	}
	for _, p := range r.own.ports {
		r.stand(p)
	}
	for _, s := range out.Send {
		r.send(s)
	}
	for _, s := range out.Strays {
		r.cfg.Hooks.Stray(s)
	}
	for _, a := range out.Alarms {
		r.cfg.Log.Warn("alone: "+a.Text, "port", a.Port, "reason", a.Reason, "peer", a.From.Peer)
		r.cfg.Hooks.Alarm(a)
	}
	r.own.changed = r.own.changed || len(out.Fence)+len(out.Shut)+len(out.Alarms)+len(out.Heard)+len(out.Listen) > 0
	r.own.heard = append(r.own.heard, out.Heard...)
	r.own.listen = append(r.own.listen, out.Listen...)
}

// publish lets IsClear answer without asking the machine.
func (r *Runner) publish() {
	now := r.cfg.Now()
	for _, p := range r.own.ports {
		verdict := uint64(0)
		epoch := p.told
		if regency, _ := r.own.machine.Regency(now, p.ID); regency != 0 {
			epoch = regency
		}
		if r.own.machine.IsClear(now, p.ID, epoch) {
			verdict = p.verdict(epoch)
		}
		if p.clear.Swap(verdict) != verdict {
			r.own.changed = true
			if p.ID.Guest() && verdict != 0 {
				r.cfg.Hooks.Clear(p.ID)
			}
		}
	}
}

// whyShut finds the cause of a shut gate, which the machine names only beside an alarm.
func (r *Runner) whyShut(id alone.PortID, alarms []alone.Alarm) alone.Reason {
	for _, a := range alarms {
		if a.Port == id && a.Reason != "" {
			return a.Reason
		}
	}
	if p := r.known(id); p == nil || !p.up {
		return CarrierLost
	}
	return NewerEpoch
}

func (r *Runner) known(id alone.PortID) *port {
	for _, p := range r.own.ports {
		if p.ID == id {
			return p
		}
	}
	return nil
}

func (r *Runner) knows(p *port) bool { return r.known(p.ID) == p }

func (r *Runner) segmentOf(id alone.PortID) drawbridge.SegmentID {
	if p := r.known(id); p != nil {
		return p.Segment
	}
	return 0
}
