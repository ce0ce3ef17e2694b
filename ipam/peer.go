package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Config is what a Peer needs to know about where it runs.
type Config struct {
	Self   drawbridge.PeerID
	Random func() uint64
	Near   func(drawbridge.PeerID) int // how far a peer is, in hops; nil: all are equally far
}

// Request asks for an address.
type Request struct {
	Number   uint64        // chosen by the caller, copied into the answer
	Subnet   netip.Prefix  // from which to allocate
	Owner    string        // who is to use it; the same owner gets the same address
	Addr     netip.Addr    // a claim: this address and no other; invalid: any
	For      time.Duration // when it becomes free unless it is asked for again; 0: never
	Patience time.Duration // how long the request may wait for other peers
}

// Answer is the result of a Request, on disk when it is given.
type Answer struct {
	Number uint64
	Addr   netip.Addr
	Until  Instant // 0: for good
	Err    error
}

// Event is something that people should know.
type Event struct {
	Kind string // conflict, inherited, given, received, kept, renumbered, fenced, lapsed, broken, foreign, forged, moved
	Peer drawbridge.PeerID
	Text string
}

// Outgoing is a message and who is to get it.
type Outgoing struct {
	To drawbridge.PeerID
	*Message
}

// Output is what a Peer wants done. Batch goes to disk, then Persisted is called with its stamp, which releases
// what depends on it in a later Output. Messages and Answers here may go out at once.
type Output struct {
	Batch        Batch // Records is empty when there is nothing to write
	Messages     []Outgoing
	Answers      []Answer
	Events       []Event
	NeedDecision uint32 // others have applied decisions up to this number; 0: we are up to date
	Admit        Holder // to be proposed to Raft as a member; zero: nothing
}

// queued waits until everything up to its stamp is on disk.
type queued struct {
	stamp  uint64
	out    Outgoing
	answer Answer
}

// Peer is the address management of one peer: a machine without clock, socket, disk or goroutine, driven by
// calls with the present time. After every call the driver takes the Output. It is for one goroutine.
type Peer struct {
	config  Config
	rules   rules
	now     Instant
	me      Holder
	next    uint32 // the life under which a removed peer wants to return; 0: not removed
	decided Decided
	present Holder // the life of this peer that the decisions name and have not removed
	pools   []*pool
	lease   Instant // end of the space lease
	written Instant // end of the space lease as the state file has it
	lapsed  bool    // was told

	stamp, durable uint64
	drawn          uint64 // stamp of our life, which nobody may hear of before it is on disk
	batch          []byte
	key            []byte // memory for records
	queue          []queued
	out            Output

	runs      []run
	heard     map[Holder]hearing
	ahead     uint32 // highest decision number that a peer has applied
	fence     uint32 // the decision by which we are said to be removed
	broken    error  // why this peer stopped for good
	removedAt map[Holder]Instant
	waited    map[Holder]int64 // nanoseconds of waiting before this run
	orphans   map[netip.Addr]orphan
	gossipAt  Instant
	saveAt    Instant

	counts     Counts
	refusedFor map[string]uint64
}

// orphan is an allocation from space that was lost by a removal.
type orphan struct {
	owner  string
	until  Instant
	number uint64 // of the claim under way
}

// pool is one subnet at one peer.
type pool struct {
	ground     Ground
	ring       *Ring
	space      *Space
	seeded     uint32 // last seeding that was applied
	digest     uint64
	stale      bool // digest is not of the present ring
	status     Status
	statuses   map[Holder]Status
	statements map[Holder]*statement
	requests   []*request
	asks       map[uint64]*ask
	misses     map[missing]miss
	rate       float64 // addresses per second, net
	net        int     // allocated less released since rateAt
	rateAt     Instant
	pesterAt   Instant // when to ask again for what is missing
	debtors    bool    // a removed peer may have loans
	offered    map[uint64]bool
	returning  map[uint64]bool
}

// statement is what a holder said that it knows.
type statement struct {
	decision uint32
	regs     []Register
	held     []bool
	loans    []Loan
}

// Timing of docs/protocol/ipam.md.
const (
	gossipEvery = Instant(time.Second)
	askTimeout  = Instant(2 * time.Second)
	askAgain    = Instant(250 * time.Millisecond) // for one address, of the only peer that can give it
	backOff     = Instant(4 * time.Second)
	backOffMost = Instant(2 * time.Minute)
	dryWithin   = 600 // seconds
	rateEvery   = Instant(10 * time.Second)
	foreignFor  = Instant(24 * time.Hour)
)

// NewPeer makes a peer of what its state file has; frames is empty for a new file. A peer allocates once it
// knows decisions that name it and its lease is renewed.
func NewPeer(c Config, now Instant, frames []Batch) (*Peer, error) {
	p := &Peer{
		config: c, now: now, heard: map[Holder]hearing{}, removedAt: map[Holder]Instant{},
		waited: map[Holder]int64{}, orphans: map[netip.Addr]orphan{}, refusedFor: map[string]uint64{},
	}
	if err := p.restore(frames); err != nil {
		return nil, err
	}
	if p.me.Life == 0 {
		p.me = Holder{c.Self, p.newLife()}
		p.logSelf()
	}
	p.begin()
	return p, nil
}

func (p *Peer) newLife() uint32 {
	for {
		if life := uint32(p.config.Random()); life != 0 {
			return life
		}
	}
}

// Me is the holder that this peer is at present.
func (p *Peer) Me() Holder { return p.me }

// Unable says why the peer may not use its space now; nil when it may.
func (p *Peer) Unable() error {
	switch {
	case p.broken != nil:
		return fmt.Errorf("%w: %w", p.broken, ErrUnable)
	case p.present != p.me:
		return p.notMember()
	case p.fence > p.decided.Number:
		return fmt.Errorf("other peers say that decision %d removed this peer: %w", p.fence, ErrUnable)
	case p.lease <= p.now:
		return fmt.Errorf("this peer has not heard from the majority within the space lease of %v: %w", time.Duration(p.decided.Lease), ErrUnable)
	}
	return nil
}

func (p *Peer) notMember() error {
	switch m := p.decided.member(p.me); {
	case m != nil && m.Removed != 0:
		return fmt.Errorf("this peer was removed by decision %d and its space is inherited; it waits to be admitted again: %w", m.Removed, ErrUnable)
	case p.present == Holder{}:
		return fmt.Errorf("this peer is not admitted to address management yet: %w", ErrUnable)
	}
	return fmt.Errorf("the state file of this peer is new (life %08x), the network knows an earlier one (life %08x), which is lost; forget the peer so that its space is inherited, and admit it again: %w", p.me.Life, p.present.Life, ErrUnable)
}

func (p *Peer) advance(now Instant) { p.now = max(p.now, now) }

func (p *Peer) tell(kind string, peer drawbridge.PeerID, format string, args ...any) {
	switch kind {
	case "conflict":
		p.counts.Conflict++
	case "foreign":
		p.counts.Foreign++
	case "received":
		p.counts.Received++
	}
	p.out.Events = append(p.out.Events, Event{kind, peer, fmt.Sprintf(format, args...)})
}

// send queues a message behind everything that was changed until now.
func (p *Peer) send(to Holder, pl *pool, m *Message) {
	m.From, m.To, m.Decision = p.me, to, p.decided.Number
	m.Stamp, m.Heard = p.stamp, p.heard[to].told()
	if pl != nil {
		m.Subnet = pl.ring.Shape
	}
	p.queue = append(p.queue, queued{stamp: p.stamp, out: Outgoing{to.Peer, m}})
}

func (p *Peer) answer(a Answer) {
	p.countAnswer(a.Err)
	if p.broken != nil {
		p.out.Answers = append(p.out.Answers, a) // a refusal; the disk will never have more
		return
	}
	p.queue = append(p.queue, queued{stamp: p.stamp, answer: a})
}

// Persisted says that everything up to the stamp of a Batch is on disk.
func (p *Peer) Persisted(now Instant, stamp uint64) {
	p.advance(now)
	p.durable = max(p.durable, stamp)
}

// DiskFailed says that a Batch could not be written. What waits for it is never sent; the peer stops.
func (p *Peer) DiskFailed(now Instant, err error) {
	p.advance(now)
	p.stop(err)
}

// stop ends all giving. What waited for the disk is never sent.
func (p *Peer) stop(err error) {
	if p.broken != nil {
		return
	}
	p.broken = err
	p.tell("broken", 0, "no address is given any more: %v", err)
	for _, q := range p.queue {
		if q.out.Message == nil {
			p.out.Answers = append(p.out.Answers, Answer{Number: q.answer.Number, Addr: q.answer.Addr, Err: p.Unable()})
		}
	}
	p.queue, p.batch = nil, nil
	p.refuseAll(p.Unable())
}

// Take gives out what there is to do since the last Take.
func (p *Peer) Take() Output {
	out := p.out
	p.out = Output{}
	if n := len(p.batch); n > 0 {
		out.Batch = Batch{p.stamp, p.batch}
		p.batch = make([]byte, 0, n+n/4)
	}
	n := 0
	for ; n < len(p.queue) && (p.queue[n].stamp <= p.durable || p.rules.skipPersistence); n++ {
		if q := &p.queue[n]; q.out.Message != nil {
			out.Messages = append(out.Messages, q.out)
		} else {
			out.Answers = append(out.Answers, q.answer)
		}
	}
	p.queue = slices.Delete(p.queue, 0, n)
	if p.ahead > p.decided.Number {
		out.NeedDecision = p.ahead
	}
	out.Admit = p.applicant()
	return out
}

// applicant is the life that Raft should admit.
func (p *Peer) applicant() Holder {
	switch {
	case p.broken != nil || p.durable < p.drawn && !p.rules.skipPersistence || p.decided.Number == 0 || p.decided.living(p.me.Peer) != Holder{}:
		return Holder{}
	case p.next != 0:
		return Holder{p.me.Peer, p.next}
	}
	return p.me
}

// Renewed says that a linearizable read, begun at asked, found this peer's life among the members that are
// not removed.
func (p *Peer) Renewed(now, asked Instant) {
	p.advance(now)
	if until := asked + Instant(p.decided.Lease); until > p.lease && p.decided.lives(p.me) {
		// A renewal is written when it is worth an eighth of the lease, so that a restart loses little.
		p.lease, p.lapsed = until, false
		if until-p.written > Instant(p.decided.Lease)/8 {
			p.logLease()
		}
	}
}

// Tick does what is due. Several times a second is often enough.
func (p *Peer) Tick(now Instant) {
	p.advance(now)
	if p.broken != nil {
		return
	}
	if p.lease <= p.now && !p.lapsed && p.decided.lives(p.me) {
		p.lapsed = true
		p.tell("lapsed", 0, "%v", p.Unable())
	}
	gossip := p.now >= p.gossipAt
	if gossip {
		p.gossipAt = p.now + gossipEvery
	}
	for _, pl := range p.pools {
		p.tickPool(pl, gossip)
	}
	p.claimOrphans()
	p.saveWaiting()
}

func (p *Peer) tickPool(pl *pool, gossip bool) {
	p.expire(pl)
	p.measure(pl)
	p.timeOut(pl)
	if p.now >= pl.pesterAt {
		pl.pesterAt = p.now + askTimeout
		p.inherit(pl)
		p.fetch(pl)
		p.settleLoans(pl)
	}
	if gossip {
		p.gossip(pl)
	}
	if p.Unable() == nil {
		p.feed(pl)
		p.provide(pl)
	}
}

func (p *Peer) pool(subnet netip.Prefix) *pool {
	for _, pl := range p.pools {
		if pl.ground.Prefix == subnet {
			return pl
		}
	}
	return nil
}

// poolOf is the pool that contains an address.
func (p *Peer) poolOf(a netip.Addr) *pool {
	for _, pl := range p.pools {
		if pl.ground.Prefix.Contains(a) {
			return pl
		}
	}
	return nil
}

// place is where an address is: the pool that contains it, and its offset there.
func (p *Peer) place(a netip.Addr) (pl *pool, at uint64, err error) {
	if pl = p.poolOf(a); pl == nil {
		return nil, 0, fmt.Errorf("%v is in no subnet of the network: %w", a, ErrOutside)
	}
	at, err = pl.ring.Offset(a)
	return pl, at, err
}

var errRolledBack = errors.New("the state file of this peer is an old copy")
