package ipam

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

func newPool(g Ground) *pool {
	return &pool{
		ground: g, ring: g.initial(), space: NewSpace(g.Subnet), stale: true, statuses: map[Holder]Status{},
		statements: map[Holder]*statement{}, asks: map[uint64]*ask{}, misses: map[missing]miss{},
		offered: map[uint64]bool{}, returning: map[uint64]bool{},
	}
}

// put and remove keep the lists of loans that need care.
func (pl *pool) put(e Entry) *Entry {
	if len(pl.offered) > 0 || len(pl.returning) > 0 {
		delete(pl.offered, e.Offset)
		delete(pl.returning, e.Offset)
	}
	switch e.Use {
	case Offered:
		pl.offered[e.Offset] = true
	case Returning:
		pl.returning[e.Offset] = true
	}
	return pl.space.put(e)
}

func (pl *pool) remove(offset uint64, remember bool) {
	pl.space.remove(offset, remember)
	delete(pl.offered, offset)
	delete(pl.returning, offset)
}

// set writes an entry to memory and to the batch.
func (p *Peer) set(pl *pool, e Entry) {
	p.logEntry(pl, e.Offset, pl.put(e))
}

// unset does the same with its absence.
func (p *Peer) unset(pl *pool, offset uint64, remember bool) {
	pl.remove(offset, remember)
	p.logEntry(pl, offset, nil)
}

// Decide applies what Raft decided. Older decisions than those that are known are ignored; decisions that
// cannot be are refused, with nothing changed.
func (p *Peer) Decide(now Instant, d Decided) error {
	p.advance(now)
	if d.Number <= p.decided.Number {
		return nil
	}
	if err := d.Check(); err != nil {
		return err
	}
	pools, err := p.reshape(&d)
	if err != nil {
		return err
	}
	p.decided = d.clone()
	p.present = p.decided.living(p.config.Self)
	p.logDecided()
	p.adoptPools(pools)
	for i := range d.Members {
		if m := &d.Members[i]; m.Removed != 0 {
			p.forget(m.Holder)
		}
	}
	if p.decided.removed(p.me) && p.next == 0 {
		p.surrender()
	}
	switch next := (Holder{p.me.Peer, p.next}); {
	case p.next != 0 && p.decided.lives(next):
		p.reborn()
	case p.next != 0 && p.decided.removed(next): // admitted and removed again before we heard of it
		p.next = p.newLife()
		p.logSelf()
	}
	return nil
}

// clone shares nothing with the caller, who goes on changing its own.
func (d *Decided) clone() (out Decided) {
	b, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		panic(fmt.Sprintf("ipam: decisions do not survive JSON: %v", err)) // Check has seen them
	}
	return out
}

// reshaped is a pool under new decisions, and whether all of it must be written anew.
type reshaped struct {
	*pool
	old *pool
}

// reshape makes the pools of d from ours without changing those.
func (p *Peer) reshape(d *Decided) (out []reshaped, err error) {
	for _, g := range d.clone().Grounds {
		next, old := newPool(g), p.within(&g)
		if old != nil {
			if next.space, err = old.space.reshaped(g.Subnet); err != nil {
				return nil, err
			}
			if next.ring, err = old.ring.regrown(next.ring); err != nil {
				return nil, err
			}
			next.seeded = old.seeded
		}
		out = append(out, reshaped{next, old})
	}
	for _, pl := range p.pools {
		if d.lives(p.me) && pl.inUse() > 0 && !slices.ContainsFunc(out, func(r reshaped) bool { return r.old == pl }) {
			return nil, fmt.Errorf("subnet %v has allocations and cannot shrink or go: %w", pl.ground.Prefix, ErrSubnet)
		}
	}
	return out, nil
}

// inUse counts what is promised to somebody: not what others use without us.
func (pl *pool) inUse() (n int) {
	for e := range pl.space.entries.all() {
		if e.Use != Foreign {
			n++
		}
	}
	return n
}

// within finds the pool that a subnet was before it grew. One that went and came again, while we heard nothing, is another
// one: its seedings are, too, and what we held of the old one is not ours.
func (p *Peer) within(g *Ground) *pool {
	for _, pl := range p.pools {
		if _, err := g.Shape.Within(pl.ring.Shape); err == nil && g.continues(&pl.ground) {
			return pl
		}
	}
	return nil
}

// continues reports whether g has all seedings that an earlier state of it had.
func (g *Ground) continues(earlier *Ground) bool {
	for _, s := range earlier.Seeds {
		if !slices.ContainsFunc(g.Seeds, func(o Seed) bool { return o.Part == s.Part && o.Number == s.Number }) {
			return false
		}
	}
	return true
}

// adoptPools puts new pools in place, and holds what was seeded for us.
func (p *Peer) adoptPools(pools []reshaped) {
	for _, pl := range p.pools {
		if !slices.ContainsFunc(pools, func(r reshaped) bool { return r.old == pl && r.ring.Shape == pl.ring.Shape }) {
			p.unlogPool(pl)
		}
	}
	p.pools = nil
	for _, r := range pools {
		pl := r.pool
		if r.old != nil {
			pl.inheritState(r.old)
		}
		p.pools = append(p.pools, pl)
		if grown := r.old == nil || r.old.ring.Shape != pl.ring.Shape; grown {
			p.logPool(pl)
		}
		p.plant(pl)
	}
}

// inheritState takes over what does not depend on the shape, and the requests that wait.
func (pl *pool) inheritState(old *pool) {
	base := low64(old.ring.Prefix.Addr()) & pl.ring.last()
	for at := range old.offered {
		pl.offered[at+base] = true
	}
	for at := range old.returning {
		pl.returning[at+base] = true
	}
	pl.requests = old.requests
	pl.rate, pl.rateAt, pl.net, pl.debtors = old.rate, old.rateAt, old.net, true
	if old.ring.Shape == pl.ring.Shape {
		pl.statuses, pl.statements, pl.asks, pl.misses, pl.status = old.statuses, old.statements, old.asks, old.misses, old.status
		return
	}
	for _, r := range pl.requests {
		r.ask = 0
	}
}

// unlogPool takes the records of a pool out of the state file.
func (p *Peer) unlogPool(pl *pool) {
	p.log(false, pl.ring.Shape.append([]byte{keySeeded}), nil)
	for i := range pl.ring.regs {
		key := pl.ring.Shape.append([]byte{keyRegister})
		p.log(false, append(key, byte(i>>8), byte(i)), nil)
	}
	for e := range pl.space.entries.all() {
		p.logEntry(pl, e.Offset, nil)
	}
}

// plant holds the blocks that seedings gave us, each seeding once in the life of a state file.
func (p *Peer) plant(pl *pool) {
	last := pl.seeded
	for _, s := range pl.ground.Seeds {
		if s.Number <= pl.seeded {
			continue
		}
		last = max(last, s.Number)
		for i, reg := range pl.ring.regs {
			if reg.Owner == p.me && reg.Gen == MakeGeneration(s.Number, 0) && s.Part.Overlaps(pl.ring.Block(i)) && p.decided.lives(p.me) {
				pl.space.hold(i)
				p.logRegister(pl, i)
			}
		}
	}
	if last != pl.seeded {
		pl.seeded = last
		p.logSeeded(pl)
	}
}

// forget notes when a holder was removed, and what is void because of it.
func (p *Peer) forget(h Holder) {
	if _, ok := p.removedAt[h]; ok {
		return
	}
	p.removedAt[h] = p.now
	for _, pl := range p.pools {
		delete(pl.statuses, h)
		maps.DeleteFunc(pl.misses, func(k missing, _ miss) bool { return k.Holder == h })
		delete(pl.statements, h)
		pl.debtors = true
		for _, n := range slices.Sorted(maps.Keys(pl.asks)) {
			if a := pl.asks[n]; a.to == h {
				p.failed(pl, n, a, "was removed")
			}
		}
	}
}

// surrender gives up everything after our removal: blocks are the heir's, allocations become orphans.
func (p *Peer) surrender() {
	p.next = p.newLife()
	p.logSelf()
	blocks, orphans := 0, 0
	for _, pl := range p.pools {
		for i, held := range pl.space.held {
			if held {
				pl.space.drop(i)
				p.logRegister(pl, i)
				blocks++
			}
		}
		for _, e := range pl.space.sorted() {
			if e.allocated() {
				p.orphan(pl.space.Addr(e.Offset), orphan{owner: e.Owner, until: e.Until})
				orphans++
			}
			if e.Use != Foreign {
				p.unset(pl, e.Offset, false)
			}
		}
		clear(pl.asks)
	}
	m := p.decided.member(p.me)
	p.tell("fenced", m.Heir, "decision %d removed this peer: %d blocks go to %s, %d allocations will be asked for again", m.Removed, blocks, p.decided.name(m.Heir), orphans)
	p.refuseAll(p.Unable())
}

func (p *Peer) orphan(a netip.Addr, o orphan) {
	p.orphans[a] = o
	p.logOrphan(a, o, true)
}

// reborn takes the new life, which owns nothing.
func (p *Peer) reborn() {
	p.me, p.next, p.lease = Holder{p.me.Peer, p.next}, 0, 0
	p.logSelf()
	p.logLease()
	for _, pl := range p.pools {
		pl.status = Status{}
		pl.seeded = 0
		p.plant(pl)
	}
}

// waitedFor is how long a removed holder has been waited for, over all runs of this program.
func (p *Peer) waitedFor(h Holder) int64 { return p.waited[h] + int64(p.now-p.removedAt[h]) }

// waitedOut reports whether the space lease of a removed holder is over, by the slowest clock that is allowed:
// 1 % covers a hundred times the drift of a bad crystal (100 ppm).
func (p *Peer) waitedOut(h Holder) bool {
	_, known := p.removedAt[h]
	return known && p.waitedFor(h) > p.decided.Longest+p.decided.Longest/100
}

// saveWaiting writes, sixteen times in a lease, how long we have waited, so that restarts do not begin it anew.
func (p *Peer) saveWaiting() {
	if p.now < p.saveAt || len(p.removedAt) == 0 {
		return
	}
	p.saveAt = p.now + Instant(p.decided.Longest/16)
	for _, h := range p.removedHolders() {
		if p.waitedFor(h) < 2*p.decided.Longest {
			p.logWaited(h)
		}
	}
}
