package runner

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// PortConfig says where a port is.
type PortConfig struct {
	ID        alone.PortID
	Interface string
	// VLAN 1 to 4094 is the port's 802.1Q VLAN. 0 sends untagged and hears every VLAN, as the forwarder captures them all.
	VLAN    uint16
	Segment drawbridge.SegmentID // 0 for a guest port
	Score   uint8                // readiness, for the hellos
	// Open makes the wire of a port that is no interface to the kernel; nil: a packet socket on Interface. It is called
	// again whenever the wire has failed.
	Open func() (Wire, error)
}

// port is a port as the runner has it. The atomics are how other goroutines tell their latest word: nobody waits for
// the goroutine of Run, and Run not for them. The rest belongs to that goroutine.
type port struct {
	PortConfig

	lease    atomic.Uint64 // epoch that this peer holds, by the lease layer; 0 none
	draining atomic.Bool
	carrier  atomic.Bool
	downs    atomic.Uint32 // how often the carrier was lost: a wire that came back may be another
	clears   atomic.Uint32 // how often an operator took a verdict back
	injected atomic.Uint32
	captured atomic.Uint32
	clear    atomic.Uint64 // verdict of the machine, see verdict; 0 not clear
	stopped  atomic.Bool   // Run has ended
	lapsed   atomic.Uint64 // epoch of a tenure that ended for want of a majority; 0 none, or it is told
	rule     atomic.Pointer[alone.Rule]
	majority atomic.Int32
	due      atomic.Int64 // alone.Spoke, in nanoseconds: stored after the others, read before them
	spoke    atomic.Int64
	late     atomic.Int64

	wire      Wire // nil: none open
	mac       drawbridge.MAC
	up        bool             // the machine believes in a carrier
	told      drawbridge.Epoch // what the machine knows of lease
	drains    bool             // what it knows of draining
	ruled     *alone.Rule      // what it knows of rule
	counted   int32            // what it knows of majority
	stood     drawbridge.Epoch // a regent was told to keep the gate open under it
	stoodTo   time.Duration    // until then
	seenDown  uint32
	seenClear uint32
	base      uint64 // added to the machine's sequence numbers
	last      uint64 // sequence number sent last
	cancel    func() // ends the keeper

	heard, sent, refused, losses uint64
	misses                       int   // frames in a row that the kernel did not take
	problem                      error // why no socket is open
}

// guestTenure stands for the verdict on a guest port, which has no epoch.
const guestTenure = math.MaxUint64

// verdict is how clear says that the port is clear under an epoch.
func (p *port) verdict(e drawbridge.Epoch) uint64 {
	if p.ID.Guest() {
		return guestTenure
	}
	return uint64(e)
}

const maxVLAN = 4094

func (c PortConfig) check() error {
	switch {
	case c.Interface == "":
		return errors.New("no interface named")
	case c.VLAN > maxVLAN:
		return fmt.Errorf("VLAN %d: want 1 to %d, or 0 for none", c.VLAN, maxVLAN)
	case c.ID.Guest() && c.Segment != 0:
		return errors.New("a guest port has no segment")
	case !c.ID.Guest() && c.Segment == 0:
		return errors.New("a segment port needs its segment")
	}
	return nil
}

// AddPort begins to speak and listen on a port, once Carrier has told that it has one. That the interface is missing
// or down is no error: the port waits for it. An interface and VLAN can be added once, for two such ports would never
// hear each other.
func (r *Runner) AddPort(c PortConfig) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("alone port %d: %w", c.ID, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	table := *r.table.Load()
	for id, p := range table {
		if id == c.ID {
			return fmt.Errorf("alone port %d: exists; remove it first", id)
		}
		if p.Interface == c.Interface && p.VLAN == c.VLAN {
			return fmt.Errorf("alone port %d: %s with VLAN %d is port %d already", c.ID, c.Interface, c.VLAN, id)
		}
	}
	table = maps.Clone(table)
	table[c.ID] = &port{PortConfig: c}
	r.table.Store(&table)
	r.wakeUp()
	return nil
}

// RemovePort ends a port, which is not clear from now on.
func (r *Runner) RemovePort(id alone.PortID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	table := *r.table.Load()
	if table[id] == nil {
		return fmt.Errorf("alone port %d: there is none", id)
	}
	table = maps.Clone(table)
	delete(table, id)
	r.table.Store(&table)
	r.wakeUp()
	return nil
}

// wakeUp makes Run look at what has been told. It never waits.
func (r *Runner) wakeUp() {
	select {
	case r.nudge <- struct{}{}:
	default: // it is about to look anyway
	}
}

// tell changes what other goroutines say of a port. A port that does not exist is none of our business: it may have
// been removed a moment ago.
func (r *Runner) tell(id alone.PortID, change func(*port)) {
	if p := (*r.table.Load())[id]; p != nil {
		change(p)
		r.wakeUp()
	}
}

// Carrier tells that the wire of a port came or went. A new port has none. Every loss counts, however short.
func (r *Runner) Carrier(id alone.PortID, up bool) {
	r.tell(id, func(p *port) {
		p.carrier.Store(up)
		if !up {
			p.downs.Add(1)
		}
	})
}

// Lease tells which epoch this peer holds for the segment of a port, 0 for none. The word stands: a port that is
// still listening takes it up as soon as it may. It never waits.
func (r *Runner) Lease(id alone.PortID, epoch drawbridge.Epoch) {
	r.tell(id, func(p *port) { p.lease.Store(uint64(epoch)) })
}

// Over tells that the tenure of an epoch has ended; another one, of which Lease may have told before, goes on.
func (r *Runner) Over(id alone.PortID, epoch drawbridge.Epoch) {
	r.tell(id, func(p *port) { p.lease.CompareAndSwap(uint64(epoch), 0) })
}

// Released tells that a peer said, by other means than a hello, that its tenure of the port's segment is over. It never
// waits; when it is not heard, the peer's silence is.
func (r *Runner) Released(id alone.PortID, peer drawbridge.PeerID, epoch drawbridge.Epoch) {
	p := (*r.table.Load())[id]
	if p == nil {
		return
	}
	select {
	case r.events <- event{kind: releaseHeard, port: p, frame: alone.Frame{From: alone.Place{Peer: peer}, Epoch: epoch}}:
	default:
	}
}

// HeardElsewhere tells that another peer says to hear a guest port of ours. It never waits: the other one says it again.
func (r *Runner) HeardElsewhere(s alone.Stray) {
	p := (*r.table.Load())[s.Guest.Port]
	if p == nil {
		return
	}
	select {
	case r.events <- event{kind: heardElsewhere, port: p, stray: s}:
	default:
	}
}

// Draining tells that a planned handover away from this port has begun or ended. It ends with the lease as well.
func (r *Runner) Draining(id alone.PortID, on bool) {
	r.tell(id, func(p *port) { p.draining.Store(on) })
}

// Clear lets an operator take back a verdict. The port listens again; what is still on the wire blocks it again.
func (r *Runner) Clear(id alone.PortID) {
	r.tell(id, func(p *port) { p.clears.Add(1) })
}

// Counted tells how many frames have crossed a port; its hellos say so, at the latest 0.1 s later.
func (r *Runner) Counted(id alone.PortID, injected, captured uint32) {
	if p := (*r.table.Load())[id]; p != nil {
		p.injected.Store(injected)
		p.captured.Store(captured)
	}
}

// IsClear reports whether ALONE has nothing against frames crossing the port under epoch; on a guest port, whose
// epoch is 0, whether it may carry frames at all. It reads what Run published last and waits for nobody.
func (r *Runner) IsClear(id alone.PortID, epoch drawbridge.Epoch) bool {
	p := (*r.table.Load())[id]
	if p == nil {
		return false
	}
	want := p.verdict(epoch)
	return want != 0 && p.clear.Load() == want
}
