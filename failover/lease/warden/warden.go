// Package warden keeps the lease agent's process: it starts it, tells it what was decided, lets it open gates and hears
// what it did, and starts another one when it ends. No lease is lost by what goes on in this process; what is
// late here delays no more than the first opening of a gate. docs/protocol/lease.md, "Agent".
package warden

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// Gate is the door of a segment, in memory that the agent can share.
type Gate interface {
	Shut()
	Ended() failover.Boottime
	Memory() int
}

var (
	_ Gate = (*gate.Kernel)(nil)
	_ Gate = (*gate.Soft)(nil)
)

// Config is what a warden needs to know once.
type Config struct {
	Self   drawbridge.PeerID
	Listen netip.AddrPort // UDP, of the lease protocol
	// Command starts the agent, which serves descriptor 3 (agent.Serve); empty: this program with the argument Argument.
	Command []string
	// Key is the secret that this peer shares with another; false: it is no party to leases.
	Key func(drawbridge.PeerID) ([]byte, bool)
	// Alive reports whether the data path moves; nil: it does while this process runs. It may hang, which says as much.
	Alive func() bool
	// Tell hears, in order, of every beginning and end of a tenure here. It must not wait.
	Tell func(Change)
	// Won hears that a lease is held whose gate is shut still; nil: nobody does. Whoever AddGate names is asked right after it, on the
	// same thread. It must not wait, but may call the warden.
	Won func(segment drawbridge.SegmentID, epoch drawbridge.Epoch)
	// Over hears that another peer said, under its key, that a tenure of its own is over and its gate shut; nil: nobody
	// does. It must not wait.
	Over func(segment drawbridge.SegmentID, by drawbridge.PeerID, epoch drawbridge.Epoch)
	Log  *slog.Logger
}

// Argument is the hidden command of cmd/drawbridge that is the agent.
const Argument = "lease-agent"

// Change is the beginning or the end of a tenure of this peer.
type Change struct {
	Segment drawbridge.SegmentID
	Epoch   drawbridge.Epoch
	Held    bool              // the gate is open
	Cause   string            // why it was shut
	Unused  bool              // the tenure ended without the gate having been open
	At      failover.Boottime // when the gate opened or shut, which may be told much later
}

// door is a gate and whom to ask before it opens.
type door struct {
	segment drawbridge.SegmentID
	slot    uint16
	gate    Gate
	memory  int // a descriptor of our own: every agent gets the gate anew
	allow   func(drawbridge.Epoch) bool
	held    drawbridge.Epoch // of the present agent's lease; 0: none
	open    drawbridge.Epoch // told to be open under it
}

type candidate struct {
	rank   int
	wanted bool
}

// Warden keeps one agent after another.
type Warden struct {
	// Set at construction, then constant.
	cfg     Config
	sockets sockets
	board   *pipe.Board
	shared  int // the board's descriptor
	nudge   chan struct{}

	mu         sync.Mutex // guards what follows, and what is said to the agent
	life       *life      // nil: no agent
	lives      uint64
	changed    chan struct{} // closed at the next change of life
	resigned   bool
	doors      map[drawbridge.SegmentID]*door
	candidates map[drawbridge.SegmentID]candidate
	parties    []pipe.Party
	numbers    uint64
	waiting    map[uint64]chan pipe.Report
	problem    string
}

// New opens the socket that the agents will use. Nothing runs before Run.
func New(cfg Config) (*Warden, error) {
	if len(cfg.Command) == 0 {
		cfg.Command = []string{"/proc/self/exe", Argument} // this very file, also after an upgrade has replaced it
	}
	s, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	board, shared, err := pipe.NewBoard()
	if err != nil {
		s.close()
		return nil, err
	}
	return &Warden{
		cfg: cfg, sockets: s, board: board, shared: shared, nudge: make(chan struct{}, 1),
		changed: make(chan struct{}), doors: map[drawbridge.SegmentID]*door{},
		candidates: map[drawbridge.SegmentID]candidate{}, waiting: map[uint64]chan pipe.Report{},
	}, nil
}

// Addr is where the agent listens.
func (w *Warden) Addr() netip.AddrPort { return w.sockets.addr }

const (
	// restartAfter is how long the end of an agent may be cheap to repeat; it doubles up to restartLimit.
	restartAfter = 20 * time.Millisecond
	restartLimit = 5 * time.Second
	// longEnough is how long an agent lives whose end was no fault of its start.
	longEnough = time.Minute
)

// Run keeps an agent until ctx ends, and then has it give everything up.
func (w *Warden) Run(ctx context.Context) error {
	defer w.close()
	for pause := restartAfter; ; pause = min(2*pause, restartLimit) {
		began := time.Now()
		err := w.live(ctx)
		if ctx.Err() != nil || w.gone() {
			return nil
		}
		if time.Since(began) > longEnough {
			pause = restartAfter
		}
		w.cfg.Log.Error("the lease agent ended; another one is started", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (w *Warden) gone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resigned
}

// close gives back what New opened. Gates that are still known are shut; their descriptors are ours.
func (w *Warden) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resigned = true
	for _, d := range w.doors {
		d.gate.Shut()
		_ = unix.Close(d.memory)
	}
	clear(w.doors)
	w.sockets.close()
	_ = unix.Close(w.shared)
	// The board stays mapped: whoever still asks for something finds memory.
}

// Life is the number of the agent that lives, 0 while there is none, and a channel that is closed when that changes. An
// agent must be given a configuration that was committed after its life began, and no other.
func (w *Warden) Life() (number uint64, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.life != nil && w.life.running {
		number = w.lives
	}
	return number, w.changed
}

func (w *Warden) lifeChanged() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// SetConfig gives the agent of that life what Raft committed after the life began.
func (w *Warden) SetConfig(number uint64, c lease.Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.life != nil && number == w.lives {
		w.life.term.Store(int64(c.Term))
		w.life.order(&pipe.Order{Kind: pipe.Configure, Config: c})
	}
}

// SetPeers says where the other parties are. A party that is left out, or has no key, is forgotten.
func (w *Warden) SetPeers(addrs map[drawbridge.PeerID]netip.AddrPort) {
	var parties []pipe.Party
	for id, addr := range addrs {
		if id == w.cfg.Self {
			continue
		}
		if key, ok := w.cfg.Key(id); ok {
			parties = append(parties, pipe.Party{Peer: id, Addr: addr, Key: key})
		}
	}
	sortParties(parties)
	w.mu.Lock()
	defer w.mu.Unlock()
	if sameParties(parties, w.parties) {
		return
	}
	w.parties = parties
	w.order(&pipe.Order{Kind: pipe.Parties, Parties: parties})
}

// order says something to the agent, if there is one. The caller holds mu.
func (w *Warden) order(o *pipe.Order) {
	if w.life != nil {
		w.life.order(o)
	}
}

// AddGate puts a gate under the agents. allow is asked, in goroutines of the warden's, whether it may be open under an
// epoch: when the lease is won, then until it says yes, and from then on some times a second. It must not wait, nor
// call the warden. What it takes back must be told by Veto at once.
func (w *Warden) AddGate(segment drawbridge.SegmentID, g Gate, allow func(drawbridge.Epoch) bool) error {
	memory, err := unix.FcntlInt(uintptr(g.Memory()), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("memory of the gate: %w", os.NewSyscallError("fcntl", err))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.doors[segment]
	if d == nil {
		if len(w.doors) >= pipe.Slots {
			_ = unix.Close(memory)
			return fmt.Errorf("more than %d segments on one peer", pipe.Slots)
		}
		d = &door{segment: segment, slot: uint16(len(w.doors)), memory: -1}
		w.doors[segment] = d
	}
	if d.memory >= 0 {
		w.forbid(d)
		_ = unix.Close(d.memory)
	}
	d.gate, d.memory, d.allow = g, memory, allow
	w.introduce(d)
	return nil
}

// SetCandidate says whether this peer would take the lease of a segment; rank 0 asks first.
func (w *Warden) SetCandidate(segment drawbridge.SegmentID, rank int, wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := candidate{rank, wanted}
	if old, known := w.candidates[segment]; known && old == c {
		return
	}
	w.candidates[segment] = c
	w.order(candidacy(segment, c))
}

func candidacy(segment drawbridge.SegmentID, c candidate) *pipe.Order {
	return &pipe.Order{Kind: pipe.Candidate, Segment: segment, Rank: uint16(min(max(c.rank, 0), 1000)), Wanted: c.wanted}
}

// Heard tells of another peer's tenure that came to light elsewhere.
func (w *Warden) Heard(segment drawbridge.SegmentID, epoch drawbridge.Epoch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order(&pipe.Order{Kind: pipe.Heard, Segment: segment, Epoch: epoch})
}

// Resign has everything given up, at once and for good: the next gateway need not wait for the rest of this peer to end.
func (w *Warden) Resign() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resigned = true
	for _, d := range w.doors {
		w.forbid(d)
	}
	if w.life != nil {
		w.life.dismiss()
	}
}
