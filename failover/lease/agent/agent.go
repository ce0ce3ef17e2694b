// Package agent drives the lease: it carries the datagrams of lease.Node, keeps its clock and opens and shuts
// the gates. One thread does all of it, so that nothing stands between the decision that a lease is over and
// the store that shuts the gate. docs/protocol/lease.md, "Agent", says what it relies on.
package agent

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// Gate is the door of a segment, as the agent moves it; *failover.Gate is one.
type Gate interface {
	Open(drawbridge.Epoch, failover.Boottime) bool
	Shut()
	Fence(drawbridge.Epoch)
}

var _ Gate = (*failover.Gate)(nil)

// Config is what an agent needs to know once.
type Config struct {
	Self   drawbridge.PeerID
	Listen netip.AddrPort
	// Key is the secret that this peer shares with another; false: it is no party to leases.
	Key func(drawbridge.PeerID) ([]byte, bool)
	Now func() failover.Boottime
	// Tell hears of every beginning and end of a tenure here, in the agent's thread: it must not wait.
	Tell func(Change)
	Log  *slog.Logger
}

// Change is the beginning or the end of a tenure of this peer.
type Change struct {
	Segment drawbridge.SegmentID
	Epoch   drawbridge.Epoch
	Held    bool
	Cause   string // why it ended
}

// Agent is one run of this peer's part in the leases.
type Agent struct {
	// Set at construction, then constant.
	cfg  Config
	link *link

	// Owned by the agent's thread.
	node    *lease.Node
	out     lease.Output
	gates   map[drawbridge.SegmentID]*door
	peers   map[drawbridge.PeerID]*peer
	session uint64
	msg     lease.Message
	buf     []byte
	shown   failover.Boottime

	mu     sync.Mutex // guards what follows
	orders []func(now lease.Instant)
	status Status
}

// door is a gate and what may forbid to open it.
type door struct {
	gate  Gate
	allow func(drawbridge.Epoch) bool
	epoch drawbridge.Epoch // open under it; 0: shut
	since lease.Instant    // of the first renewal behind a gate that must stay shut; 0: it need not
	name  drawbridge.SegmentID
}

// peer is one other party.
type peer struct {
	addr    netip.AddrPort
	channel *lease.Channel
	batch   []lease.Entry
}

// New opens the agent's socket. Its run begins now: a configuration that it is given must have been committed
// after this.
func New(cfg Config) (*Agent, error) {
	l, err := openLink(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("lease agent: %w", err)
	}
	a := &Agent{
		cfg: cfg, link: l, gates: map[drawbridge.SegmentID]*door{}, peers: map[drawbridge.PeerID]*peer{},
		session: random(), buf: make([]byte, 0, lease.MaxDatagram),
	}
	a.node = lease.NewNode(cfg.Self, a.now(), random())
	return a, nil
}

// random never answers 0, which is no session.
func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return max(binary.BigEndian.Uint64(b[:]), 1)
}

func (a *Agent) now() lease.Instant { return lease.Instant(a.cfg.Now()) }

// Addr is where the agent listens.
func (a *Agent) Addr() netip.AddrPort { return a.link.addr }

// Run keeps leases until ctx ends, and then gives them up: shut, wait, release.
func (a *Agent) Run(ctx context.Context) error {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and its priority with it
	if err := takeRealtime(); err != nil {
		a.cfg.Log.Warn("leases are kept at normal priority: a busy host may lose them", "err", err)
	}
	defer a.link.close()
	defer a.shutAll()
	stop := context.AfterFunc(ctx, a.link.wake)
	defer stop()
	var ending lease.Instant
	for {
		now := a.now()
		if ctx.Err() != nil {
			if ending == 0 {
				ending = now.Add(endFor)
				a.giveUp(now)
			}
			if now >= ending || !a.node.Leaving() {
				return nil
			}
		}
		a.carryOut(now)
		if err := a.receive(); err != nil {
			return fmt.Errorf("lease agent: %w", err)
		}
		now = a.now()
		a.node.Tick(now, &a.out)
		a.act(now)
		a.show(now)
		if err := a.link.wait(a.node.Deadline().Sub(a.now())); err != nil {
			return fmt.Errorf("lease agent: %w", err)
		}
	}
}

// endFor is how long an orderly end may take: closing and three releases are done in a few milliseconds.
const endFor = 100 * time.Millisecond

// giveUp ends all tenures and candidacies.
func (a *Agent) giveUp(now lease.Instant) {
	for id := range a.gates {
		a.node.SetCandidate(now, id, 0, false, &a.out)
		a.node.Yield(now, id, 0, &a.out)
		a.act(now)
	}
}

func (a *Agent) shutAll() {
	for _, d := range a.gates {
		d.gate.Shut()
	}
}

// order has f run in the agent's thread.
func (a *Agent) order(f func(now lease.Instant)) {
	a.mu.Lock()
	a.orders = append(a.orders, f)
	a.mu.Unlock()
	a.link.wake()
}

func (a *Agent) carryOut(now lease.Instant) {
	a.mu.Lock()
	orders := a.orders
	a.orders = nil
	a.mu.Unlock()
	for _, f := range orders {
		f(now)
		a.act(now)
	}
}

// act does what the node wants done, in its order: gates first, then datagrams.
func (a *Agent) act(now lease.Instant) {
	a.moveGates()
	a.send(now)
	a.out.Reset()
}

func (a *Agent) moveGates() {
	shut := false
	var useless []drawbridge.SegmentID
	for _, do := range a.out.Actions {
		shut = shut || do.Do == lease.Shut
		d := a.gates[do.Segment]
		if d == nil {
			continue
		}
		switch do.Do {
		case lease.Open:
			if !a.open(d, do) {
				useless = append(useless, do.Segment)
			}
		case lease.Shut:
			a.shut(d, do.Cause.String())
		case lease.Fence:
			d.gate.Fence(do.Epoch)
		}
	}
	a.out.Actions = a.out.Actions[:0]
	if shut {
		a.node.WasShut(a.now())
	}
	for _, id := range useless {
		a.node.Yield(a.now(), id, 0, &a.out)
	}
	if len(useless) > 0 {
		a.moveGates()
	}
}

// vetoFor is how long a tenure may last behind a gate that the wire keeps shut, before another gateway is
// given the chance: the holder of an older tenure falls silent much sooner.
const vetoFor = time.Second

// open lets frames pass, unless the wire itself speaks against it. It answers false when the tenure is of no
// use: a later one is known, or the wire has spoken against it for long.
func (a *Agent) open(d *door, do lease.Action) (useful bool) {
	if !d.allow(do.Epoch) {
		if d.epoch != 0 {
			a.shut(d, "the segment itself speaks against it")
		}
		if d.since == 0 {
			d.since = a.now()
		}
		return a.now().Sub(d.since) < vetoFor
	}
	d.since = 0
	if !d.gate.Open(do.Epoch, failover.Boottime(do.Until)) {
		a.shut(d, "a later tenure is known")
		return false
	}
	if d.epoch != do.Epoch {
		d.epoch = do.Epoch
		a.cfg.Tell(Change{Segment: d.name, Epoch: do.Epoch, Held: true})
	}
	return true
}

func (a *Agent) shut(d *door, cause string) {
	d.gate.Shut()
	if d.epoch != 0 {
		a.cfg.Tell(Change{Segment: d.name, Epoch: d.epoch, Cause: cause})
		d.epoch = 0
	}
}
