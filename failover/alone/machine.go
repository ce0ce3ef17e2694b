package alone

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Timers are the intervals of docs/protocol/alone.md, "Timers".
type Timers struct {
	HelloActive time.Duration // between hellos of an ACTIVE port
	Hello       time.Duration // between hellos in every other state
	Listen      time.Duration // before a port may be clear
	ListenSTP   time.Duration // the same, from carrier on, where bridge protocol frames were heard
	Loop        time.Duration // between loop probes
	Lease       time.Duration // longest time that a gate waits for the holder of an older epoch to fall silent
}

// Default is what every gateway goes by.
var Default = Timers{10 * time.Millisecond, 50 * time.Millisecond, time.Second, 35 * time.Second, time.Second, 40 * time.Millisecond}

const (
	// initHellos and initEvery: a port that comes up introduces itself ten times, so that one lost hello hides nobody.
	initHellos = 10
	initEvery  = 10 * time.Millisecond
	// openProbes is how many loop probes must not come back before a port is clear.
	openProbes = 3
	// maxDelay bounds what frames with a bad tag can do to a port that starts.
	maxDelay = 60 * time.Second
	// tooMany own frames on their own port within reflectWindow mean a reflecting switch, not one stray copy.
	tooMany       = 2
	reflectWindow = time.Second
	// foreignHellos over at least foreignSpan are another network, not a stray frame.
	foreignHellos = 3
	foreignSpan   = time.Second
	// maxNeighbours bounds the table of a port: more is an attack or a mistake, and is counted.
	maxNeighbours = 64
)

// Reason says why a port is blocked. The words are stable: they stand in the API.
type Reason string

// The reasons of the state table.
const (
	ForeignNetwork   Reason = "foreign_network"
	Reflection       Reason = "reflection"
	SameWire         Reason = "same_wire"
	GuestOnSegment   Reason = "guest_on_segment"
	GuestOnGuest     Reason = "guest_on_guest"
	TwoSegments      Reason = "two_segments"
	BridgedElsewhere Reason = "bridged_elsewhere"
)

// Port describes a port to the machine.
type Port struct {
	ID      PortID
	Segment drawbridge.SegmentID // 0 for a guest port
	Score   uint8
}

// Send is a frame to be sent out of a port.
type Send struct {
	Port      PortID
	Broadcast bool // to every station instead of Group
	Frame     Frame
}

// Alarm is something that an operator should know.
type Alarm struct {
	Port   PortID
	Reason Reason // why it was blocked, or "" with Text alone
	Text   string
	From   Place // who else is involved, if anybody
}

// Output is what a step asks of the driver, in this order: Fence first.
type Output struct {
	Fence  []Newer  // gates to be shut at once by a higher epoch
	Shut   []PortID // gates to be shut at once by the veto of this machine
	Send   []Send
	Alarms []Alarm
	Strays []Stray       // to be told to the peers of these guest ports
	Heard  []PortID      // neighbours of these are heard better or worse than before
	Listen []PortID      // that have begun to listen before they may be opened, or have listened
	Wake   time.Duration // when to call Tick at the latest, on the same clock
}

// Newer is a newer epoch that was heard for the segment of a port.
type Newer struct {
	Port  PortID
	Epoch drawbridge.Epoch
	By    Place
}

// Config is what a machine needs to know of its peer.
type Config struct {
	Peer    drawbridge.PeerID
	Network [8]byte
	Boot    uint32
	Timers  Timers
	Random  *rand.Rand // for nonces; they need to be unlikely to repeat, not secret
}

// Machine is ALONE on one peer. It is not safe for concurrent use; times are readings of one monotonic clock.
type Machine struct {
	cfg   Config
	ports map[PortID]*port
	order []PortID // sorted, so that a run can be repeated
	out   Output
	drops map[string]uint64
	term  time.Duration // of the lease; 0: not known
}

// port is what the machine knows of one port.
type port struct {
	Port
	state     State
	reason    Reason
	carrier   bool
	since     time.Duration // entered state
	carrierAt time.Duration
	listenTo  time.Duration // earliest end of LISTEN
	spanning  bool          // bridge protocol frames were heard
	hellosDue int           // of the ten of INIT
	probesDue int           // of the three before opening
	nextHello time.Duration
	helloAt   time.Duration // when a hello left last
	lateAt    time.Duration // when one left last that was late (Spoke); 0 never
	nextLoop  time.Duration
	sequence  uint64
	nonces    [4]uint64 // of the latest probes
	held      drawbridge.Epoch
	heldAt    time.Duration
	waitTo    time.Duration    // clear no earlier, while an older holder falls silent
	highest   drawbridge.Epoch // heard from others for this segment
	mine      []time.Duration  // when own frames came back on this port
	foreign   struct {
		first time.Duration
		count int
	}
	neighbours map[Place]*neighbour
	regency    regency
	promisedAt time.Duration                          // when a hello of ours promised last; 0 never
	carriedAt  time.Duration                          // when another gateway was last heard to carry the segment
	own        drawbridge.Epoch                       // latest tenure of our own
	released   map[drawbridge.PeerID]drawbridge.Epoch // tenures that others gave up
	injected   uint32
	captured   uint32
}

// New returns a machine without ports.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg, ports: map[PortID]*port{}, drops: map[string]uint64{}}
}

// SetTerm tells how long leases last. It holds from the next decision on.
func (m *Machine) SetTerm(term time.Duration) { m.term = term }

// lease is for how long a gate waits at most for an older holder to fall silent: one lease, which is as long as that one may stand still.
func (m *Machine) lease() time.Duration { return max(m.cfg.Timers.Lease, m.term) }

// AddPort tells of a port, without carrier.
func (m *Machine) AddPort(p Port) {
	m.ports[p.ID] = &port{Port: p, neighbours: map[Place]*neighbour{}, released: map[drawbridge.PeerID]drawbridge.Epoch{}}
	m.order = append(m.order, p.ID)
	slices.Sort(m.order)
}

// RemovePort forgets a port.
func (m *Machine) RemovePort(id PortID) {
	delete(m.ports, id)
	m.order = slices.DeleteFunc(m.order, func(o PortID) bool { return o == id })
}

// Carrier tells that the wire of a port came or went. A port that comes up listens before it is clear, whatever it
// was before: this and Clear are the only ways out of BLOCKED.
func (m *Machine) Carrier(now time.Duration, id PortID, up bool) Output {
	if p := m.ports[id]; p != nil && p.carrier != up {
		m.restart(now, p, up)
		if !up {
			m.out.Shut = append(m.out.Shut, id)
		}
	}
	return m.Tick(now)
}

// Clear lets an operator take back a verdict. The port listens again; what is still on the wire blocks it again.
func (m *Machine) Clear(now time.Duration, id PortID) Output {
	if p := m.ports[id]; p != nil && p.state == Blocked {
		m.restart(now, p, p.carrier)
	}
	return m.Tick(now)
}

func (m *Machine) restart(now time.Duration, p *port, carrier bool) {
	p.carrier, p.carrierAt, p.reason = carrier, now, ""
	p.held, p.waitTo, p.mine, p.spanning = 0, 0, nil, false
	p.regency.epoch, p.regency.lapsed = 0, 0
	p.foreign.count = 0
	p.hellosDue, p.probesDue, p.nextHello, p.nextLoop = initHellos, openProbes, now, now
	clear(p.neighbours)
	p.enter(now, Init)
	m.out.Listen = append(m.out.Listen, p.ID)
}

func (p *port) enter(now time.Duration, s State) {
	if p.state != s {
		p.state, p.since = s, now
	}
}

// Lease tells which epoch this peer holds for the segment of a port; 0 when it holds none. The gate may be opened
// only while Clear answers yes for the same epoch.
func (m *Machine) Lease(now time.Duration, id PortID, epoch drawbridge.Epoch) Output {
	p := m.ports[id]
	if p == nil || p.ID.Guest() {
		return m.Tick(now)
	}
	p.regency.lapsed, p.own = 0, max(p.own, epoch)
	if p.regency.epoch != 0 { // the voters have decided again, or whoever asked wants no regent
		p.regency.epoch = 0
		if epoch == 0 {
			m.out.Shut = append(m.out.Shut, id)
		}
	}
	if epoch != p.held {
		p.held, p.heldAt, p.waitTo = epoch, now, 0
		if n := p.olderHolder(now, epoch); n != nil && epoch != 0 {
			p.waitTo = now + m.lease()
		}
	}
	switch {
	case p.state == Active && epoch == 0:
		p.enter(now, Passive)
		p.nextHello = now // the successor waits for as long as it believes that we carry the segment
	case (p.state == Passive || p.state == Fenced) && epoch != 0 && epoch >= p.highest:
		p.enter(now, Active)
		p.nextHello = now // the others hear of the new tenure at once
	}
	return m.Tick(now)
}

// Released tells that a peer said, authentically, that a tenure of the port's segment is over: its gate is shut, and
// what had passed it is through. A new tenure does not wait for the silence of a holder that has said so.
func (m *Machine) Released(now time.Duration, id PortID, peer drawbridge.PeerID, epoch drawbridge.Epoch) Output {
	if p := m.ports[id]; p != nil {
		if len(p.released) < maxNeighbours || p.released[peer] != 0 {
			p.released[peer] = max(p.released[peer], epoch)
		}
		for place, n := range p.neighbours {
			if place.Peer == peer && n.segment == p.Segment && n.epoch <= epoch && (n.state == Active || n.state == Drain) {
				n.state, n.epoch, n.quiet = Passive, 0, 0
			}
		}
	}
	return m.Tick(now)
}

// Draining tells that a planned handover away from this port has begun or ended.
func (m *Machine) Draining(now time.Duration, id PortID, on bool) Output {
	if p := m.ports[id]; p != nil {
		switch {
		case on && p.state == Active:
			p.enter(now, Drain)
		case !on && p.state == Drain:
			p.enter(now, Active)
		}
	}
	return m.Tick(now)
}

// Counted tells how many frames crossed a port, for the hellos.
func (m *Machine) Counted(id PortID, injected, captured uint32) {
	if p := m.ports[id]; p != nil {
		p.injected, p.captured = injected, captured
	}
}

// IsClear reports whether ALONE has nothing against frames crossing the port under epoch; on a guest port, whose
// epoch is 0, whether it may carry frames at all.
func (m *Machine) IsClear(now time.Duration, id PortID, epoch drawbridge.Epoch) bool {
	p := m.ports[id]
	if p == nil || !p.carrier {
		return false
	}
	if p.ID.Guest() {
		return p.state == Passive
	}
	return (p.state == Active || p.state == Drain) && epoch == p.held && epoch != 0 && epoch >= p.highest && now >= p.waitTo && !p.owes(now)
}

// Tick lets time pass: hellos, probes, the end of LISTEN. It returns everything that has gathered since.
func (m *Machine) Tick(now time.Duration) Output {
	m.out.Wake = now + time.Hour
	for _, id := range m.order {
		m.tick(now, m.ports[id])
	}
	out := m.out
	m.out = Output{}
	return out
}

func (m *Machine) tick(now time.Duration, p *port) {
	if !p.carrier {
		return
	}
	if p.adjacent(now) {
		m.out.Heard = append(m.out.Heard, p.ID)
	}
	p.forgetDead(now)
	p.waitTo = min(p.waitTo, p.silentAt(now))
	if p.state == Init && p.hellosDue == 0 {
		p.enter(now, Listen)
		p.listenTo = now + m.cfg.Timers.Listen
	}
	if p.state == Listen && p.probesDue == 0 && now >= p.listenEnd(m.cfg.Timers) {
		p.enter(now, Passive)
		m.out.Listen = append(m.out.Listen, p.ID)
	}
	m.regent(now, p)
	if now >= p.nextHello {
		m.hello(now, p)
	}
	if p.probing() && now >= p.nextLoop {
		m.probe(now, p)
	}
	m.out.Wake = min(m.out.Wake, p.silence(p.nextHello))
	if p.probing() {
		m.out.Wake = min(m.out.Wake, p.nextLoop)
	}
	if p.state == Listen {
		m.out.Wake = min(m.out.Wake, max(now+time.Millisecond, p.listenEnd(m.cfg.Timers)))
	}
	if p.waitTo > now {
		m.out.Wake = min(m.out.Wake, p.waitTo)
	}
	if p.state == Active && p.owes(now) {
		m.out.Wake = min(m.out.Wake, p.promisedAt+owed(), now+promiseGrace)
	}
}

// listenEnd is when LISTEN may end: later where a spanning tree may still be holding our own frames back.
func (p *port) listenEnd(t Timers) time.Duration {
	if p.spanning && !p.heardBothWays() {
		return max(p.listenTo, p.carrierAt+t.ListenSTP)
	}
	return p.listenTo
}

// probing reports whether the port sends loop probes in its state.
func (p *port) probing() bool { return p.state == Listen || p.state == Active || p.state == Drain }

// every is the interval of a port's hellos. All its frames tell it: a neighbour believes the latest of any kind.
func (m *Machine) every(p *port) time.Duration {
	if p.state == Active || p.state == Drain {
		return m.cfg.Timers.HelloActive
	}
	return m.cfg.Timers.Hello
}

// Spoke tells whether the hellos of a port leave in time.
type Spoke struct {
	Due  time.Duration // when the next one is to leave
	Last time.Duration // when one left last; 0 never
	Late time.Duration // when one left last that was so late that neighbours which hear all may have missed it; 0 never
}

// lateBy is how late a hello of an ACTIVE port may be: with it, and another millisecond on the way, neighbours have not begun to miss it.
const lateBy = 14 * time.Millisecond

// Overdue reports whether a hello is late by now.
func (s Spoke) Overdue(now time.Duration) bool { return now-s.Due >= lateBy }

// By is the same by another clock, which is ahead by so much.
func (s Spoke) By(ahead time.Duration) Spoke {
	return Spoke{s.Due + ahead, s.Last + ahead, s.Late + ahead}
}

// Spoke is how a port has spoken so far; the zero value if there is no such port.
func (m *Machine) Spoke(id PortID) Spoke {
	if p := m.ports[id]; p != nil {
		return p.spoke()
	}
	return Spoke{}
}

func (p *port) spoke() Spoke { return Spoke{p.nextHello, p.helloAt, p.lateAt} }

func (m *Machine) hello(now time.Duration, p *port) {
	wait := m.every(p)
	if p.regency.rule.Policy == HoldGates {
		wait = m.cfg.Timers.HelloActive // a promise lives for ten of them
	}
	if p.state == Init && p.hellosDue > 0 {
		p.hellosDue--
		wait = initEvery
	}
	if p.spoke().Overdue(now) {
		p.lateAt = now
	}
	p.helloAt, p.nextHello = now, now+wait
	f := m.frame(p, Hello)
	f.Nonce = uint64(now / time.Microsecond)
	f.Listed = p.listed(now)
	if p.regency.rule.Policy == HoldGates && f.State != Active && f.State != Drain {
		f.Flags, f.Epoch, p.promisedAt = Promises, p.latest(), now
	}
	m.out.Send = append(m.out.Send, Send{Port: p.ID, Broadcast: p.sequence%10 == 0, Frame: f})
}

func (m *Machine) probe(now time.Duration, p *port) {
	p.nextLoop = now + m.cfg.Timers.Loop
	if p.state == Listen && p.probesDue > 0 {
		p.probesDue--
		if p.probesDue > 0 {
			p.nextLoop = now + initEvery
		}
	}
	f := m.frame(p, Loop)
	f.Nonce = m.cfg.Random.Uint64()
	copy(p.nonces[1:], p.nonces[:3])
	p.nonces[0] = f.Nonce
	m.out.Send = append(m.out.Send, Send{Port: p.ID, Broadcast: true, Frame: f})
}

// frame fills in what every kind carries.
func (m *Machine) frame(p *port, k Kind) Frame {
	p.sequence++
	every := m.every(p)
	f := Frame{
		Kind: k, State: p.state, Score: p.Score, Network: m.cfg.Network, From: Place{m.cfg.Peer, p.ID}, Boot: m.cfg.Boot,
		Segment: p.Segment, Sequence: p.sequence, Injected: p.injected, Captured: p.captured,
		Interval: uint16(every / time.Millisecond), Dead: uint16(deadAfter(every) / time.Millisecond),
	}
	if p.state == Active || p.state == Drain {
		f.Epoch = p.held
	}
	return f
}

// deadAfter is 3.5 intervals: three lost hellos are no silence.
func deadAfter(interval time.Duration) time.Duration { return interval*7/2 + time.Millisecond - 1 }
