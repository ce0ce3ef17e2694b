package ipam

import (
	"container/heap"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

var (
	seeds   = flag.Int("seeds", 40, "how many short simulations")
	long    = flag.Int("operations", 20_000, "how many operations the long simulation has")
	oneSeed = flag.Uint64("seed", 0, "only this seed of the short simulations, with its history")
)

const (
	simLease = Instant(20 * time.Second)
	second   = Instant(time.Second)
)

// box is one machine: a disk, and a running peer or none.
type box struct {
	id     drawbridge.PeerID
	peer   *Peer
	run    int
	disk   []Batch
	writes []Batch // under way
	side   int     // of the partition
	lag    Instant // decisions reach it this much later
}

// event happens at a time: a message arrives, a disk is done, a tick, a decision arrives.
type event struct {
	at    Instant
	order int
	box   *box
	run   int
	do    func(*box)
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// guest is somebody who was told an address.
type guest struct {
	owner string
	until Instant
	via   Holder // who was given the promise with the address, if anybody was
}

// sim is true time, all machines, Raft and everything that may go wrong.
type sim struct {
	rnd       *rand.Rand
	now       Instant
	order     int
	events    events
	boxes     []*box
	rules     rules
	decided   Decided
	leases    map[Holder]Instant // true end of space leases
	lost      map[Holder]bool    // fenced: it knows of its removal
	guests    map[netip.Addr]map[Holder]guest
	asked     map[uint64]Request
	at        map[uint64]*box // who was asked
	loss      float64
	calm      bool
	bad       string
	trace     func(string, ...any)
	favourite int
	ground    netip.Prefix
	seen      func(Answer)
	removals  int
	moves     int
	answers   int
	refusals  int
	reported  map[string]int
}

// small has 16 blocks of 8 addresses, large has 32 of 32: about one and a half for each of 20 peers.
var small, large = netip.MustParsePrefix("10.1.0.0/25"), netip.MustParsePrefix("10.1.0.0/22")

func newSim(seed uint64, n int, broken rules) *sim {
	s := &sim{
		rnd: rand.New(rand.NewPCG(seed, 7)), now: second, rules: broken, leases: map[Holder]Instant{}, lost: map[Holder]bool{},
		guests: map[netip.Addr]map[Holder]guest{}, asked: map[uint64]Request{}, at: map[uint64]*box{}, trace: func(string, ...any) {}, reported: map[string]int{},
	}
	s.loss = []float64{0, 0.02, 0.2}[s.rnd.IntN(3)]
	for i := range n {
		b := &box{id: drawbridge.PeerID(i + 1)}
		s.boxes = append(s.boxes, b)
		s.start(b)
	}
	s.ground = small
	if n >= 20 {
		s.ground = large
	}
	shape, _ := NewShape(s.ground)
	s.decided = Decided{Number: 1, Lease: int64(simLease), Longest: int64(simLease)}
	for _, b := range s.boxes {
		s.decided.Members = append(s.decided.Members, Member{Holder: b.peer.Me()})
	}
	founders := []Holder{s.boxes[0].peer.Me(), s.boxes[1].peer.Me()}
	s.decided.Grounds = []Ground{{Subnet: Subnet{Shape: shape}, Seeds: []Seed{{s.ground, 1, founders}}}}
	s.publish()
	return s
}

func (s *sim) after(d Instant, b *box, do func(*box)) {
	s.order++
	heap.Push(&s.events, event{s.now + d, s.order, b, b.run, do})
}

// start runs a machine from what its disk has.
func (s *sim) start(b *box) {
	p, err := NewPeer(Config{Self: b.id, Random: s.rnd.Uint64}, s.now, b.disk)
	if err != nil {
		s.fail("restart of %v: %v", b.id, err)
		return
	}
	p.rules = s.rules
	b.peer, b.run, b.writes = p, b.run+1, nil
	if len(b.disk) > 0 {
		snapshot := p.Snapshot()
		b.disk = []Batch{snapshot}
		p.Persisted(s.now, snapshot.Stamp)
	}
	s.output(b)
	s.tick(b)
}

func (s *sim) tick(b *box) {
	s.hear(b)
	s.renew(b)
	b.peer.Tick(s.now)
	s.output(b)
	s.after(second/2+Instant(s.rnd.Int64N(int64(second/4))), b, s.tick)
}

// majority reports whether a machine is on the side that has most machines running.
func (s *sim) majority(b *box) bool {
	n := 0
	for _, o := range s.boxes {
		if o.peer != nil && o.side == b.side {
			n++
		}
	}
	return b.peer != nil && 2*n > len(s.boxes)
}

func (s *sim) renew(b *box) {
	me := b.peer.Me()
	if s.majority(b) && s.decided.lives(me) {
		s.leases[me] = max(s.leases[me], s.now+simLease)
		b.peer.Renewed(s.now, s.now)
	}
}

// hear brings a machine what Raft decided, late.
func (s *sim) hear(b *box) {
	if !s.majority(b) || s.decided.Number == b.peer.decided.Number {
		return
	}
	d := s.decided.clone()
	s.after(b.lag, b, func(b *box) {
		if err := b.peer.Decide(s.now, d); err != nil {
			s.fail("decisions: %v", err)
		}
		s.output(b)
	})
}

// publish makes the present decisions reach the machines.
func (s *sim) publish() {
	for _, b := range s.boxes {
		if b.peer != nil {
			s.hear(b)
		}
	}
}

// output carries out what a peer wants: disks are slow, messages may be lost, doubled and late.
func (s *sim) output(b *box) {
	out := b.peer.Take()
	for _, e := range out.Events {
		s.reported[e.Kind]++
		s.trace("%v: %s: %s", b.peer.Me(), e.Kind, e.Text)
	}
	if len(out.Batch.Records) > 0 {
		s.write(b, out.Batch)
	}
	for _, m := range out.Messages {
		s.post(b, m)
	}
	for _, a := range out.Answers {
		s.answered(b, a)
	}
	if b.peer.decided.removed(b.peer.Me()) {
		s.lost[b.peer.Me()] = true
	}
	s.admit(b, out.Admit)
}

func (s *sim) write(b *box, w Batch) {
	b.writes = append(b.writes, w)
	s.after(Instant(s.rnd.Int64N(int64(second/50))), b, func(b *box) {
		if len(b.writes) == 0 {
			return
		}
		b.disk = append(b.disk, b.writes...) // group commit
		stamp := b.writes[len(b.writes)-1].Stamp
		b.writes = nil
		b.peer.Persisted(s.now, stamp)
		s.output(b)
	})
}

func (s *sim) post(b *box, m Outgoing) {
	octets := m.Append(nil)
	to := s.boxes[m.To-1]
	for range 1 + s.rnd.IntN(20)/19 {
		if s.rnd.Float64() < s.loss && !s.calm {
			continue
		}
		delay := Instant(s.rnd.Int64N(int64(second / 20)))
		if s.rnd.IntN(40) == 0 && !s.calm {
			delay = Instant(s.rnd.Int64N(int64(5 * second)))
		}
		s.order++
		heap.Push(&s.events, event{s.now + delay, s.order, to, -1, func(to *box) {
			if to.peer == nil || to.side != b.side {
				return
			}
			if err := to.peer.Receive(s.now, b.id, octets); err != nil {
				s.fail("%v refuses %v from %v: %v", to.id, m.Kind, b.id, err)
			}
			s.output(to)
		}})
	}
}

func (s *sim) admit(b *box, h Holder) {
	if (h == Holder{}) || !s.majority(b) || (s.decided.living(h.Peer) != Holder{}) || s.decided.member(h) != nil {
		return
	}
	s.decided.Number++
	s.decided.Members = append(s.decided.Members, Member{Holder: h})
	s.trace("decision %d admits %v", s.decided.Number, h)
	s.publish()
}

// exempt reports whether a holder's guests have lost their addresses: removed, and fenced or over its lease.
func (s *sim) exempt(h Holder) bool {
	return s.decided.removed(h) && (s.lost[h] || s.now >= s.leases[h])
}

func (s *sim) answered(b *box, a Answer) {
	if s.seen != nil {
		s.seen(a)
	}
	r := s.asked[a.Number]
	delete(s.asked, a.Number)
	delete(s.at, a.Number)
	if a.Err != nil {
		s.refusals++
		return
	}
	s.answers++
	me := b.peer.Me()
	s.trace("%v gives %v to %s", me, a.Addr, r.Owner)
	for h, g := range s.guests[a.Addr] {
		over := g.until != 0 && g.until <= s.now
		if h != me && g.owner == r.Owner && !over { // it has moved, and counts on the later of both promises
			s.moves++
			continue
		}
		if h != me && !over && !s.exempt(h) && !s.exempt(g.via) {
			s.fail("%v is given to %s by %v while %s has it from %v", a.Addr, r.Owner, me, g.owner, h)
		}
		if h == me && g.owner != r.Owner && !over && !s.exempt(g.via) {
			s.fail("%v is given to %s by %v while %s has it", a.Addr, r.Owner, me, g.owner)
		}
	}
	s.counts(r.Owner, a.Addr)
	if s.guests[a.Addr] == nil {
		s.guests[a.Addr] = map[Holder]guest{}
	}
	s.guests[a.Addr][me] = guest{owner: r.Owner, until: a.Until}
}

// counts has an owner count on one address and no other: a host that is told another one uses that.
func (s *sim) counts(owner string, on netip.Addr) {
	for a, holders := range s.guests {
		if a != on {
			maps.DeleteFunc(holders, func(_ Holder, g guest) bool { return g.owner == owner })
		}
	}
}

func (s *sim) fail(format string, args ...any) {
	if s.bad == "" {
		s.bad = fmt.Sprintf("%.3f s: ", float64(s.now)/1e9) + fmt.Sprintf(format, args...)
		s.trace("BAD %s", s.bad)
	}
}

// run lets d pass.
func (s *sim) run(d Instant) {
	end := s.now + d
	for len(s.events) > 0 && s.events[0].at <= end && s.bad == "" {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		if e.run < 0 || e.box.peer != nil && e.run == e.box.run {
			e.do(e.box)
		}
	}
	s.now = end
}

func (s *sim) pick(want func(*box) bool) *box {
	at := s.rnd.IntN(len(s.boxes))
	for i := range s.boxes {
		if b := s.boxes[(at+i)%len(s.boxes)]; want(b) {
			return b
		}
	}
	return nil
}

func up(b *box) bool   { return b.peer != nil }
func down(b *box) bool { return b.peer == nil }

// Operations of the simulation.
const (
	opAllocate = iota
	opRelease
	opClaim
	opCrash
	opRestart
	opPartition
	opHeal
	opRemove
	opForge
	opForeign
	opLag
	opMove
	operations
)

var weights = [operations]int{opAllocate: 50, opRelease: 36, opClaim: 8, opCrash: 4, opRestart: 8, opPartition: 2, opHeal: 6, opRemove: 2, opForge: 1, opForeign: 1, opLag: 1, opMove: 4}

// operation draws what happens next. In long histories trouble is twenty times rarer, so that peers get to do
// their work between two of them.
func (s *sim) operation() int {
	if s.favourite < 0 && s.rnd.IntN(20) > 0 {
		return []int{opAllocate, opAllocate, opAllocate, opRelease, opRelease, opClaim}[s.rnd.IntN(6)]
	}
	total := 0
	for i, w := range weights {
		if total += w; i == s.favourite {
			total += 15
		}
	}
	n := s.rnd.IntN(total)
	for i, w := range weights {
		if i == s.favourite {
			w += 15
		}
		if n -= w; n < 0 {
			return i
		}
	}
	return opAllocate
}

func (s *sim) step() {
	switch s.operation() {
	case opAllocate:
		s.request(netip.Addr{})
	case opClaim:
		s.request(s.anyAddr())
	case opRelease:
		s.release()
	case opCrash:
		if b := s.pick(up); b != nil && s.running() > 1 {
			s.crash(b)
		}
	case opRestart:
		if b := s.pick(down); b != nil {
			s.trace("restart %v", b.id)
			s.start(b)
		}
	case opPartition:
		for _, b := range s.boxes {
			b.side = s.rnd.IntN(2)
			if s.rnd.IntN(4) > 0 {
				b.side = 0
			}
		}
		s.trace("partition")
	case opHeal:
		s.heal()
	case opRemove:
		s.remove()
	case opForge:
		s.forge()
	case opForeign:
		if b := s.pick(up); b != nil {
			s.foreign(b, s.anyAddr())
		}
	case opMove:
		s.move()
	case opLag:
		if b := s.pick(up); b != nil {
			b.lag = Instant(s.rnd.Int64N(int64(5 * second)))
		}
	}
}

func (s *sim) anyAddr() netip.Addr {
	shape := s.decided.Grounds[0].Shape
	return shape.Addr(s.rnd.Uint64() & shape.last())
}

func (s *sim) running() (n int) {
	for _, b := range s.boxes {
		if up(b) {
			n++
		}
	}
	return n
}

// crash loses the memory, and perhaps what is on its way to the disk.
func (s *sim) crash(b *box) {
	s.trace("crash %v", b.id)
	if n := len(b.writes); n > 0 {
		b.disk = append(b.disk, b.writes[:s.rnd.IntN(n+1)]...)
	}
	b.peer, b.writes = nil, nil
	for n, at := range s.at {
		if at == b {
			delete(s.asked, n)
			delete(s.at, n)
		}
	}
}

func (s *sim) heal() {
	for _, b := range s.boxes {
		b.side = 0
	}
	s.trace("heal")
}

func (s *sim) request(claim netip.Addr) {
	b := s.pick(up)
	if b == nil {
		return
	}
	r := Request{Number: s.rnd.Uint64(), Subnet: s.ground, Owner: fmt.Sprintf("%d-%d", b.id, s.rnd.IntN(30)), Addr: claim, Patience: 5 * time.Second}
	if s.rnd.IntN(3) == 0 {
		r.For = time.Duration(1+s.rnd.IntN(30)) * time.Second
	}
	s.ask(b, r)
}

func (s *sim) ask(b *box, r Request) {
	s.asked[r.Number], s.at[r.Number] = r, b
	b.peer.Allocate(s.now, r)
	s.output(b)
}

// move takes a guest from one peer to another, which claims its address. Until it is told something, the guest counts on
// what it was told before.
func (s *sim) move() {
	b := s.pick(up)
	for _, a := range s.used() {
		for _, h := range slices.SortedFunc(maps.Keys(s.guests[a]), Holder.compare) {
			g := s.guests[a][h]
			if b == nil || h == b.peer.Me() || s.exempt(h) || g.until != 0 && g.until <= s.now || s.waits(g.owner) || s.rnd.IntN(4) > 0 {
				continue
			}
			if from := s.boxes[h.Peer-1]; up(from) && from.peer.Me() == h && from.side == b.side && s.rnd.IntN(2) == 0 {
				s.leave(from, a, g)
			}
			s.trace("%s moves with %v from %v to %v", g.owner, a, h, b.peer.Me())
			r := Request{Number: s.rnd.Uint64(), Subnet: s.ground, Owner: g.owner, Addr: a, Patience: 5 * time.Second}
			if s.rnd.IntN(2) == 0 {
				r.For = time.Duration(1+s.rnd.IntN(30)) * time.Second
			}
			s.ask(b, r)
			return
		}
	}
}

// leave tells a peer that its guest has gone. With a borrowed address the promise goes back to the lender, and is void when
// that one is removed, as those to its own guests are.
func (s *sim) leave(from *box, a netip.Addr, g guest) {
	pl := from.peer.pools[0]
	at, _ := pl.ring.Offset(a)
	if e := pl.space.entries.at(at); e != nil && e.Use == Borrowed && e.Owner == g.owner {
		g.via = pl.ring.regs[pl.ring.blockOf(at)].Owner
		s.guests[a][from.peer.me] = g
	}
	from.peer.Moved(s.now, s.ground, g.owner)
	s.output(from)
}

// foreign lets a printer use an address, perhaps one that a guest has: that guest has it no more than a mark of it lasts, which is
// its lender's, and lost when that one is removed.
func (s *sim) foreign(b *box, a netip.Addr) {
	if g, ok := s.guests[a][b.peer.me]; ok {
		pl := b.peer.pools[0]
		at, _ := pl.ring.Offset(a)
		if e := pl.space.entries.at(at); e != nil && e.allocated() && e.Owner == g.owner {
			if e.Use == Borrowed {
				g.via = pl.ring.regs[pl.ring.blockOf(at)].Owner
			}
			if end := s.now + foreignFor; g.until == 0 || g.until > end {
				g.until = end
			}
			s.guests[a][b.peer.me] = g
		}
	}
	_ = b.peer.Foreign(s.now, a, "a printer", true)
	s.output(b)
}

// used are the addresses that somebody was told, in order.
func (s *sim) used() []netip.Addr { return slices.SortedFunc(maps.Keys(s.guests), netip.Addr.Compare) }

func (s *sim) release() {
	b := s.pick(up)
	if b == nil || len(b.peer.pools) == 0 {
		return
	}
	pl := b.peer.pools[0]
	for _, e := range pl.space.sorted() {
		a := pl.ring.Addr(e.Offset)
		if g, ok := s.guests[a][b.peer.Me()]; ok && e.allocated() && g.owner == e.Owner && !s.waits(e.Owner) && s.rnd.IntN(3) == 0 {
			if err := b.peer.Release(s.now, a); err != nil {
				s.fail("release of %v: %v", a, err)
			}
			maps.DeleteFunc(s.guests[a], func(_ Holder, g guest) bool { return g.owner == e.Owner })
			s.trace("%v frees %v", b.peer.Me(), a)
			s.output(b)
			return
		}
	}
}

// waits reports whether an owner has asked and was not answered. Who then releases does not know what it has.
func (s *sim) waits(owner string) bool {
	for _, r := range s.asked {
		if r.Owner == owner {
			return true
		}
	}
	return false
}

// remove declares a peer dead: most often one that cannot be reached, sometimes one that lives.
func (s *sim) remove() {
	main := s.pick(s.majority)
	if main == nil {
		return
	}
	b := s.pick(func(b *box) bool { return !s.majority(b) })
	if b == nil || s.rnd.IntN(5) == 0 {
		b = s.pick(up)
	}
	h := s.decided.living(b.id)
	alive := 0
	for _, m := range s.decided.Members {
		if m.Removed == 0 {
			alive++
		}
	}
	if (h == Holder{}) || 2*alive <= len(s.boxes)+2 {
		return
	}
	heir := s.pick(func(o *box) bool { return o != b && s.decided.living(o.id) != Holder{} })
	s.decided.Number++
	m := s.decided.member(h)
	m.Removed, m.Heir = s.decided.Number, heir.id
	s.removals++
	s.trace("decision %d removes %v, heir %v", s.decided.Number, h, heir.id)
	s.publish()
}

// forge sends a lie: a peer claims a block of somebody else, or gives away what is not its own.
func (s *sim) forge() {
	victim, liar, ear := s.pick(up), s.pick(up), s.pick(up)
	if victim == nil || ear == liar || victim == liar || len(victim.peer.pools) == 0 || len(ear.peer.pools) == 0 || len(liar.peer.pools) == 0 {
		return
	}
	for i, held := range victim.peer.pools[0].space.held {
		if !held || !s.decided.lives(victim.peer.me) {
			continue
		}
		reg := Register{victim.peer.pools[0].ring.regs[i].Gen + 1, liar.peer.me, victim.peer.me}
		if ear != victim {
			reg = Register{reg.Gen, ear.peer.me, liar.peer.me}
			if ear.peer.pools[0].ring.regs[i] != victim.peer.pools[0].ring.regs[i] {
				return // who knows nothing of a block cannot tell a lie about it
			}
		}
		m := Message{
			Kind: State, From: liar.peer.me, To: ear.peer.me, Decision: liar.peer.decided.Number, Subnet: victim.peer.pools[0].ring.Shape,
			Runs: []Run{{uint16(i), 1, false, reg}}, Stamp: liar.peer.durable,
		}
		before := ear.peer.pools[0].ring.Clone()
		err := ear.peer.Receive(s.now, liar.id, m.Append(nil))
		if s.rules.skipInvariants {
			s.output(ear)
			return
		}
		if err == nil && !ear.peer.pools[0].ring.Equal(before) {
			s.fail("%v believes %v", ear.peer.me, reg)
		}
		s.output(ear)
		return
	}
}

// settle ends all trouble and lets things come to rest.
func (s *sim) settle() {
	s.heal()
	s.calm = true
	for _, b := range s.boxes {
		b.lag = 0
		if down(b) {
			s.start(b)
		}
	}
	s.run(3*simLease + 30*second)
	for i := 0; i < 10 && !s.agreed(); i++ {
		s.run(7 * second) // a gift that is on its way
	}
}

func (s *sim) agreed() bool {
	for _, b := range s.boxes {
		if !b.peer.pools[0].ring.Equal(s.boxes[0].peer.pools[0].ring) {
			return false
		}
	}
	return true
}

// audit is the invariants I2 to I4.
func (s *sim) audit() {
	first := s.boxes[0].peer.pools[0]
	for _, b := range s.boxes {
		pl := b.peer.pools[0]
		if err := b.peer.Unable(); err != nil {
			s.fail("%v: %v", b.peer.me, err)
		}
		if !pl.ring.Equal(first.ring) {
			s.fail("%v and %v disagree:\n%+v\n%+v", b.id, s.boxes[0].id, pl.ring.regs, first.ring.regs)
		}
		if len(b.peer.orphans) > 0 || len(pl.requests) > 0 {
			s.fail("%v waits for %v, %d requests", b.id, b.peer.orphans, len(pl.requests))
		}
		s.auditEntries(b)
	}
	for i, reg := range first.ring.regs {
		o := s.boxes[reg.Owner.Peer-1].peer
		if o.me != reg.Owner || !o.pools[0].space.held[i] {
			s.fail("block %v is lost: %+v", first.ring.Block(i), reg)
		}
	}
}

func (s *sim) auditEntries(b *box) {
	pl := b.peer.pools[0]
	var free uint64
	for at := range pl.ring.last() + 1 {
		e := pl.space.entries.at(at)
		held := pl.space.held[pl.ring.blockOf(at)]
		owner := s.boxes[pl.ring.regs[pl.ring.blockOf(at)].Owner.Peer-1].peer.pools[0]
		switch {
		case e == nil && held && !pl.space.taken.has(at):
			free++
		case e == nil:
		case !pl.space.taken.has(at):
			s.fail("%v: %v is free and %v", b.id, pl.ring.Addr(at), e.Use)
		case e.Use == Offered || e.Use == Returning || e.Use == Mine && !held || e.Use == Borrowed && held || e.Use == Lent && !held:
			s.fail("%v: %v is %v, held %v", b.id, pl.ring.Addr(at), e.Use, held)
		case e.Use == Borrowed:
			if o := owner.space.entries.at(at); o == nil || o.Use != Lent || o.Peer != b.peer.me || o.Serial != e.Serial {
				s.fail("%v borrowed %v, of which the lender says %+v", b.id, pl.ring.Addr(at), o)
			}
		case e.Use == Lent:
			o := s.boxes[e.Peer.Peer-1].peer
			if x := o.pools[0].space.entries.at(at); o.me != e.Peer || x == nil || x.Use != Borrowed || x.Serial != e.Serial {
				s.fail("%v lent %v for ever to %v, who has %+v", b.id, pl.ring.Addr(at), e.Peer, x)
			}
		}
	}
	if free != pl.space.free {
		s.fail("%v counts %d free addresses and has %d", b.id, pl.space.free, free)
	}
}

// exclusive is I1 for what peers believe at this moment.
func (s *sim) exclusive() {
	owner := map[uint64]Holder{}
	for _, b := range s.boxes {
		if down(b) || len(b.peer.pools) == 0 || s.exempt(b.peer.me) {
			continue
		}
		for e := range b.peer.pools[0].space.entries.all() {
			at := e.Offset
			if !e.allocated() {
				continue
			}
			if o, ok := owner[at]; ok {
				s.fail("%v is allocated by %v and by %v", b.peer.pools[0].ring.Addr(at), o, b.peer.me)
			}
			owner[at] = b.peer.me
		}
	}
}

func simulate(seed uint64, n, ops int, broken rules, favourite int, trace func(string, ...any)) *sim {
	s := newSim(seed, n, broken)
	s.favourite = favourite
	if trace != nil {
		s.trace = func(format string, args ...any) {
			trace("%9.3f "+format, append([]any{float64(s.now) / 1e9}, args...)...)
		}
	}
	s.run(5 * second)
	pace := int64(second) / []int64{1, 4, 20}[s.rnd.IntN(3)]
	for i := 0; i < ops && s.bad == ""; i++ {
		s.step()
		s.run(Instant(s.rnd.Int64N(pace)))
		if i%16 == 0 {
			s.exclusive()
		}
	}
	if s.bad == "" {
		s.settle()
	}
	if s.bad == "" {
		s.exclusive()
		s.audit()
	}
	return s
}

func TestSim(t *testing.T) {
	if *oneSeed != 0 {
		if s := simulate(*oneSeed, 3+int(*oneSeed%5), 200, rules{}, int(*oneSeed%(operations+4)), t.Logf); s.bad != "" {
			t.Error(s.bad)
		}
		return
	}
	answers, refusals, removals, moves := 0, 0, 0, 0
	reported := map[string]int{}
	for seed := uint64(1); seed <= uint64(*seeds); seed++ {
		s := simulate(seed, 3+int(seed%5), 200, rules{}, int(seed%(operations+4)), nil)
		if s.bad != "" {
			t.Fatalf("seed %d: %s", seed, s.bad)
		}
		answers, refusals, removals, moves = answers+s.answers, refusals+s.refusals, removals+s.removals, moves+s.moves
		for k, n := range s.reported {
			reported[k] += n
		}
	}
	t.Logf("%d addresses given, %d refused, %d removals, %d moves, events %v", answers, refusals, removals, moves, strings.TrimPrefix(fmt.Sprint(reported), "map"))
}

func TestSimTwentyPeers(t *testing.T) {
	s := simulate(1, 20, *long, rules{}, -1, nil)
	if s.bad != "" {
		t.Fatal(s.bad)
	}
	t.Logf("%d addresses given, %d refused, %d removals, %d moves, events %v", s.answers, s.refusals, s.removals, s.moves, s.reported)
}
