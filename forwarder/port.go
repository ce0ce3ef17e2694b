// Package forwarder is the learning switch of one peer: it takes frames from the peer's ports and from the
// mesh, decides where each goes, and hands it on. It owns the MAC table and the rules that keep a frame
// from going in circles (docs/protocol/forwarding.md); how frames get off and onto an interface is the
// business of the packages below it, how they cross the mesh that of the mesh.
package forwarder

import (
	"slices"
	"sync"
	"sync/atomic"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// Port is where frames come in and go out. One goroutine reads, and one at a time writes.
type Port interface {
	// Name is what the port is called in logs and by operators.
	Name() string
	// ReadBatch waits for frames and puts up to len(ps) of them into ps. They stay valid until the next call,
	// and each has 256 bytes of capacity behind it that the caller may overwrite. An error that wraps
	// os.ErrClosed or ENODEV is final; after ENETDOWN it may be called again.
	ReadBatch(ps []drawbridge.Packet) (int, error)
	// WriteBatch sends what it can without waiting, counts what it cannot, and answers how many it took.
	WriteBatch(ps []drawbridge.Packet) (int, error)
	// Close makes a waiting ReadBatch return.
	Close() error
}

// Overlay is the mesh, as the switch needs it.
type Overlay interface {
	Sender() Sender
	// MTU is the largest frame that reaches dst in one piece, 0 when there is no way; dst 0: everybody.
	MTU(dst drawbridge.PeerID) int
}

// Sender takes frames to other peers. It belongs to one goroutine. Send may overwrite the frame, and up to
// 256 bytes behind it within its capacity.
type Sender interface {
	Send(h *drawbridge.Header, p *drawbridge.Packet)
	Flush()
	// Close is the last call.
	Close()
}

// Tap is shown frames of a port, for a capture. It copies what it wants and never waits. Several goroutines call it at
// once, and may do so a last time just after the capture was stopped.
type Tap interface {
	Offer(d Direction, p *drawbridge.Packet)
}

// Direction is which way a frame crosses a port.
type Direction uint8

// Directions.
const (
	Inbound  Direction = iota // from the port into the switch
	Outbound                  // from the switch to the port
)

// PortConfig says what a port is attached as.
type PortConfig struct {
	Port   Port
	Queues []Port // more of the same to read from, each in a goroutine of its own
	VNI    drawbridge.VNI

	// Segment and Gate are set together, on a segment port.
	Segment     drawbridge.SegmentID
	SegmentName string
	Gate        *failover.Gate

	// Overhear is shown what neighbours on a guest port's wire say to each other, which never crosses; nil: nobody is.
	// The goroutine that reads the port calls it. It must not wait, nor keep the frame.
	Overhear func(drawbridge.Frame)
	// Serve takes a frame from a guest port that is for a server beside the switch, and reports whether it did: then the
	// frame goes nowhere else; nil: nobody serves. It is called as Overhear is, for every frame, and must be as quick.
	Serve func(*drawbridge.Packet) bool
	// Blocked is how a guest port begins; see Attached.Block.
	Blocked bool
}

// Attached is a port on the switch.
type Attached struct {
	// Set at construction, then constant.
	cfg     PortConfig
	sw      *Switch
	name    string
	segment *segment // nil on a guest port
	gone    chan struct{}

	// Any goroutine; atomic.
	drops       drops
	before      atomic.Pointer[[]*watcher]
	after       atomic.Pointer[[]*watcher]
	holder      atomic.Pointer[holding]
	macs        atomic.Int32
	rxFrames    atomic.Uint64
	rxBytes     atomic.Uint64
	txFrames    atomic.Uint64
	txBytes     atomic.Uint64
	detached    atomic.Bool
	blocked     atomic.Bool
	batches     atomic.Uint64 // that were read
	pulse       pulse
	stormRate   atomic.Int64 // floods in a second
	stormTokens storm
	answers     storm
	echoes      echoes
	apart       atomic.Bool // the overlay has another engine, and it is not chosen yet which frames are whose: none is the switch's

	hushing sync.Mutex // guards what follows, and the order of changes
	share   *share     // nil: the port is not shared
	reads   reads

	writing sync.Mutex   // held from asking the gate until WriteBatch is over
	taking  sync.RWMutex // read-held by each pump from asking the holder until its frames are with the mesh
}

// permit asks the gate; a guest port has none and is open unless it is blocked.
func (a *Attached) permit() (drawbridge.Epoch, bool) {
	if a.cfg.Gate == nil {
		return 0, !a.blocked.Load()
	}
	return a.cfg.Gate.Permit()
}

// write sends a batch to the port, if its gate is open. The gate is asked once more for each batch, and after
// everybody else has written: it may have shut since the frames were taken in. A flood must have come to a gate that was open or held
// already: if it has only waited here since, the gateway before has written it (docs/protocol/handover.md, "Backlog").
func (a *Attached) write(q *queue) {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.show(&a.before, Outbound, q.ps)
	if h := a.holder.Load(); h != nil {
		if g := a.cfg.Gate; g != nil {
			a.dropEarlier(q, h.takes(g.Since()))
		}
		if rest := h.Injected(q.ps, q.floods); len(rest) > 0 {
			a.inject(queueOf(rest))
		}
		return
	}
	a.inject(q)
}

// inject is write without the holder. The caller holds writing.
func (a *Attached) inject(q *queue) {
	if why, ok := a.mayWrite(); !ok {
		a.drops.add(why, len(q.ps))
		return
	}
	if a.cfg.Gate != nil { // it is open, so that is when this tenure opened it
		a.dropEarlier(q, a.cfg.Gate.Since())
	}
	ps := q.ps
	if a.echoes.recent(a.sw.now) {
		var heard int
		ps, heard = a.echoes.remove(ps, a.sw.now())
		a.drops.add(dropEcho, heard)
	}
	if len(ps) == 0 {
		return
	}
	a.show(&a.after, Outbound, ps)
	n, err := a.cfg.Port.WriteBatch(ps)
	if err != nil || n < len(ps) {
		a.drops.add(dropPort, len(ps)-n)
	}
	a.txFrames.Add(uint64(n))
	a.txBytes.Add(bytesOf(ps, n))
}

// dropEarlier drops floods that came before a moment.
func (a *Attached) dropEarlier(q *queue, moment failover.Boottime) {
	if q.earliest < moment {
		a.drops.add(dropGateShut, q.since(moment))
	}
}

// mayWrite asks the gate, and whether another tenure was heard of that is newer or claims the same number: then
// somebody else may be writing, and the gate is about to be shut.
func (a *Attached) mayWrite() (reason, bool) {
	epoch, open := a.permit()
	if !open {
		return dropGateShut, false
	}
	if a.segment == nil || a.sw.cfg.without.order {
		return 0, true
	}
	t := a.segment.tenure.Load()
	switch {
	case epoch < t.epoch:
		return dropStaleEpoch, false
	case epoch == t.epoch && t.active != a.sw.cfg.Self && t.active != 0:
		return dropEpochConflict, false
	}
	return 0, true
}

// bytesOf is how many bytes n of ps have; which ones is not known unless they are all, so it may be an average.
func bytesOf(ps []drawbridge.Packet, n int) (bytes uint64) {
	for i := range ps {
		bytes += uint64(len(ps[i].Frame))
	}
	return bytes * uint64(n) / uint64(len(ps))
}

// watcher is a tap that was set. It is told from others by its address: a tap may be of a kind that cannot be
// compared, and may be set twice.
type watcher struct{ tap Tap }

// show offers a batch to the taps of one side.
func (a *Attached) show(side *atomic.Pointer[[]*watcher], d Direction, ps []drawbridge.Packet) {
	watchers := side.Load()
	if watchers == nil {
		return
	}
	for _, w := range *watchers {
		for i := range ps {
			w.tap.Offer(d, &ps[i])
		}
	}
}

// Capture shows frames of the port that the switch carries to t until the returned function is called: what the gate let through,
// or with beforeGate also what it stops, in both directions.
func (a *Attached) Capture(t Tap, beforeGate bool) (stop func()) {
	side, w := &a.after, &watcher{t}
	if beforeGate {
		side = &a.before
	}
	a.sw.changeTaps(side, func(all []*watcher) []*watcher { return append(all, w) })
	return func() {
		a.sw.changeTaps(side, func(all []*watcher) []*watcher {
			return slices.DeleteFunc(all, func(other *watcher) bool { return other == w })
		})
	}
}

// changeTaps replaces the list, which readers may still hold, by a changed copy.
func (s *Switch) changeTaps(side *atomic.Pointer[[]*watcher], change func([]*watcher) []*watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*watcher
	if old := side.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = change(all); len(all) == 0 {
		side.Store(nil)
		return
	}
	side.Store(&all)
}

// Inject writes frames of our own to the port, through its gate like all others.
func (a *Attached) Inject(ps []drawbridge.Packet) {
	a.InjectHeld(ps)
}

// Gone is closed when the port has been detached.
func (a *Attached) Gone() <-chan struct{} { return a.gone }
