package ipam

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// request is a Request that waits for another peer.
type request struct {
	Request
	deadline Instant
	orphan   bool // asked by ourselves, after a removal

	ask       uint64 // under way; 0: none
	tried     string // what came of the last one
	notBefore Instant
}

func (p *Peer) until(r *Request) Instant {
	if r.For == 0 {
		return 0
	}
	return p.now + Instant(r.For)
}

// Allocate answers a request from our own space, or lets it wait for that of others. The same owner gets the
// same address again, and a later end. Asking for its own address again is how a guest stays.
func (p *Peer) Allocate(now Instant, r Request) {
	p.advance(now)
	pl, err := p.admissible(&r)
	if err != nil {
		p.answer(Answer{Number: r.Number, Addr: r.Addr, Err: err})
		return
	}
	if e := pl.space.of(r.Owner); e != nil {
		p.answer(p.extend(pl, &r, e))
		return
	}
	if a, ok := p.local(pl, &r, false); ok {
		p.answer(a)
		return
	}
	pl.requests = append(pl.requests, &request{Request: r, deadline: p.now + Instant(r.Patience)})
	p.feed(pl)
	p.provide(pl)
	p.impatient(pl)
}

// admissible checks a request and finds its subnet.
func (p *Peer) admissible(r *Request) (*pool, error) {
	if err := p.Unable(); err != nil {
		return nil, err
	}
	if r.Owner == "" || len(r.Owner) > maxOwner || !utf8.ValidString(r.Owner) {
		return nil, fmt.Errorf("owner %q: want 1 to %d octets of UTF-8: %w", r.Owner, maxOwner, ErrUnknown)
	}
	pl := p.pool(r.Subnet)
	if r.Addr.IsValid() {
		pl = p.poolOf(r.Addr)
	}
	switch {
	case pl == nil && r.Addr.IsValid():
		return nil, fmt.Errorf("%v is in no subnet of the network: %w", r.Addr, ErrOutside)
	case pl == nil:
		return nil, fmt.Errorf("%v is no subnet of the network: %w", r.Subnet, ErrOutside)
	case pl.ground.Closed:
		return nil, pl.closed()
	case len(pl.ground.Seeds) == 0:
		return nil, fmt.Errorf("subnet %v is not seeded; that needs a majority of the voters: %w", pl.ground.Prefix, ErrUnable)
	}
	return pl, nil
}

func (pl *pool) closed() error {
	return fmt.Errorf("subnet %v is not in the network configuration any more, and goes when nobody uses it: %w", pl.ground.Prefix, ErrUnable)
}

// extend gives an owner what it has for longer.
func (p *Peer) extend(pl *pool, r *Request, e *Entry) Answer {
	have := pl.ring.Addr(e.Offset)
	if r.Addr.IsValid() && r.Addr != have {
		return Answer{Number: r.Number, Addr: r.Addr, Err: fmt.Errorf("%q has %v already, release that first: %w", r.Owner, have, ErrTaken)}
	}
	longer := *e
	if until := p.until(r); e.Until != 0 && (until == 0 || until > e.Until) {
		longer.Until = until // never earlier: the owner may miss this answer and count on the last one
		p.set(pl, longer)
	}
	return Answer{Number: r.Number, Addr: have, Until: longer.Until}
}

// local answers from our own space; ok is false when that cannot be.
func (p *Peer) local(pl *pool, r *Request, orphan bool) (a Answer, ok bool) {
	if r.Addr.IsValid() {
		return p.claimHere(pl, r)
	}
	if len(p.orphans) > 0 && !orphan && p.orphaned(r.Owner) {
		return a, false // what it had is asked for
	}
	at, ok := pl.space.pick(r.Owner)
	if !ok {
		return a, false
	}
	return p.take(pl, r, at), true
}

// take gives a free address of ours.
func (p *Peer) take(pl *pool, r *Request, at uint64) Answer {
	until := p.until(r)
	p.set(pl, Entry{Use: Mine, Offset: at, Owner: r.Owner, Until: until})
	pl.net++
	return Answer{Number: r.Number, Addr: pl.ring.Addr(at), Until: until}
}

// claimHere takes a claimed address of ours, or refuses one that certainly cannot be had.
func (p *Peer) claimHere(pl *pool, r *Request) (a Answer, ok bool) {
	at, err := pl.ring.Offset(r.Addr)
	if err != nil {
		return Answer{Number: r.Number, Addr: r.Addr, Err: err}, true
	}
	held := pl.space.held[pl.ring.blockOf(at)]
	err = pl.space.obstacle(at)
	switch {
	case err == nil && held:
		return p.take(pl, r, at), true
	case err != nil && (held || pl.space.kept.has(at) || pl.space.entries.at(at).Use.allocated()):
		return Answer{Number: r.Number, Addr: r.Addr, Err: err}, true
	}
	return a, false
}

func (p *Peer) orphaned(owner string) bool {
	for _, o := range p.orphans {
		if o.owner == owner {
			return true
		}
	}
	return false
}

// finish answers a request that may have been waiting.
func (p *Peer) finish(pl *pool, r *request, a Answer) {
	if i := slices.Index(pl.requests, r); i >= 0 {
		pl.requests = slices.Delete(pl.requests, i, i+1)
	}
	delete(pl.asks, r.ask)
	if r.orphan {
		p.resolved(r, a)
		return
	}
	a.Number = r.Number
	p.answer(a)
}

// feed lets each waiting request try what may be possible now.
func (p *Peer) feed(pl *pool) {
	for _, r := range slices.Clone(pl.requests) {
		if pl.ground.Closed {
			p.finish(pl, r, Answer{Addr: r.Addr, Err: pl.closed()})
			continue
		}
		if e := pl.space.of(r.Owner); e != nil && r.ask == 0 {
			p.finish(pl, r, Answer{Addr: pl.ring.Addr(e.Offset), Until: e.Until})
			continue
		}
		if a, ok := p.local(pl, &r.Request, r.orphan); ok {
			p.finish(pl, r, a)
			continue
		}
		if r.ask != 0 {
			continue
		}
		if r.Addr.IsValid() {
			p.claimElsewhere(pl, r)
		} else if !p.orphaned(r.Owner) {
			p.borrow(pl, r)
		}
	}
	p.impatient(pl)
}

// claimElsewhere asks the owner of a block for one address of it.
func (p *Peer) claimElsewhere(pl *pool, r *request) {
	at, err := pl.ring.Offset(r.Addr)
	if err != nil {
		return
	}
	owner := pl.ring.regs[pl.ring.blockOf(at)].Owner
	switch {
	case p.now < r.notBefore:
	case owner == p.me:
		r.tried = "its block is on the way to this peer"
	case !p.decided.lives(owner):
		r.tried = fmt.Sprintf("%s was removed, and its heir %s has not adopted its space yet", p.decided.name(owner.Peer), p.decided.name(p.decided.heir(owner).Peer))
	default:
		p.ask(pl, owner, r, &Message{Kind: Ask, What: askThis, Offset: at, Owner: r.Owner})
	}
}

// borrow asks for a single address when nobody has a free block to give.
func (p *Peer) borrow(pl *pool, r *request) {
	if _, ok := p.choose(pl, askBlocks, func(s Status) uint32 { return s.FreeBlocks }); ok {
		return // provide gets a block
	}
	for _, a := range pl.asks {
		if a.what == askBlocks {
			return
		}
	}
	if to, ok := p.choose(pl, askAny, func(s Status) uint32 { return s.Free }); ok {
		p.ask(pl, to, r, &Message{Kind: Ask, What: askAny, Many: 1, Owner: r.Owner})
	}
}

// impatient refuses requests that have waited long enough.
func (p *Peer) impatient(pl *pool) {
	for _, r := range slices.Clone(pl.requests) {
		if p.now < r.deadline {
			continue
		}
		why := r.tried
		if why == "" {
			why = "nobody within reach has any"
		}
		err := fmt.Errorf("subnet %v: %s: %w", pl.ground.Prefix, why, ErrExhausted)
		if r.Addr.IsValid() {
			err = fmt.Errorf("%v is in the space of %s, which could not be asked: %s: %w", r.Addr, p.ownerName(pl, r.Addr), why, ErrExhausted)
		}
		p.finish(pl, r, Answer{Addr: r.Addr, Err: err})
	}
}

func (p *Peer) ownerName(pl *pool, a netip.Addr) string {
	at, err := pl.ring.Offset(a)
	if err != nil {
		return "nobody"
	}
	return p.decided.name(pl.ring.regs[pl.ring.blockOf(at)].Owner.Peer)
}

func (p *Peer) refuseAll(err error) {
	for _, pl := range p.pools {
		for _, r := range pl.requests {
			if r.orphan {
				p.resolved(r, Answer{Err: err})
			} else {
				p.out.Answers = append(p.out.Answers, Answer{Number: r.Number, Addr: r.Addr, Err: err})
			}
		}
		pl.requests = nil
		clear(pl.asks)
	}
}

// Release frees an address that was allocated here, or takes a foreign one's mark away. The result is valid once it is on disk, with the Output.
func (p *Peer) Release(now Instant, a netip.Addr) error {
	p.advance(now)
	pl, at, err := p.place(a)
	if err != nil {
		return err
	}
	switch e := pl.space.entries.at(at); {
	case e != nil && e.Use == Foreign:
		p.unset(pl, at, false) // whoever gets it is preceded by a look on the wire
	case e != nil && e.allocated():
		p.free(pl, at, noteReleased)
	default:
		return fmt.Errorf("%v was not allocated by this peer: %w", a, ErrUnknown)
	}
	return nil
}

// free ends an allocation; a borrowed address goes back to its lender, with a note.
func (p *Peer) free(pl *pool, at, note uint64) {
	if e := pl.space.entries.at(at); e.Use == Borrowed {
		p.giveBack(pl, *e, note)
		return
	}
	pl.net--
	p.unset(pl, at, true)
}

func (p *Peer) giveBack(pl *pool, e Entry, note uint64) {
	pl.net--
	e.Use, e.Until, e.Ask = Returning, 0, note
	p.set(pl, e)
	if owner := pl.ring.regs[pl.ring.blockOf(e.Offset)].Owner; p.decided.lives(owner) {
		p.send(owner, pl, &Message{Kind: Return, Number: note, Serial: e.Serial, Offset: e.Offset})
	}
}

// Moved says that an owner has gone to another peer, and what address of a subnet it had here. One of our own space
// stays as it is until that peer claims it; a borrowed one goes back to its lender, who keeps our promise.
func (p *Peer) Moved(now Instant, subnet netip.Prefix, owner string) (a netip.Addr, ok bool) {
	p.advance(now)
	pl := p.pool(subnet)
	if pl == nil || p.Unable() != nil {
		return a, false
	}
	e := pl.space.of(owner)
	if e == nil {
		return a, false
	}
	a = pl.ring.Addr(e.Offset)
	if e.Use == Borrowed {
		note := max(noteReleased+1, uint64(max(0, e.promise()-p.now)))
		p.giveBack(pl, *e, note)
	}
	return a, true
}

// expire frees what nobody has asked for again in time.
func (p *Peer) expire(pl *pool) {
	for e, ok := pl.space.expired(p.now); ok; e, ok = pl.space.expired(p.now) {
		if e.allocated() {
			p.free(pl, e.Offset, noteNone)
		} else {
			p.unset(pl, e.Offset, false)
		}
	}
}

// Foreign marks an address that was seen on the VLAN at somebody who did not get it from us. It is not given for
// a day. If it was allocated, its owner gets another one when it asks next; told says whether the owner knows of it
// already, which makes it a conflict.
func (p *Peer) Foreign(now Instant, a netip.Addr, who string, told bool) error {
	p.advance(now)
	pl, at, err := p.place(a)
	if err != nil {
		return err
	}
	if e := pl.space.entries.at(at); e != nil {
		if told {
			p.tell("conflict", e.Peer.Peer, "%v is %v to %s, and %s uses it on the VLAN", a, e.Use, e.whom(), who)
		}
		switch e.Use {
		case Borrowed:
			p.giveBack(pl, *e, noteForeign)
			return nil
		case Lent, Offered, Returning:
			return nil // the borrower finds out as well
		}
	}
	p.foreign(pl, at, who)
	return nil
}

func (p *Peer) foreign(pl *pool, at uint64, who string) {
	p.tell("foreign", 0, "%v is used on the VLAN by %s", pl.ring.Addr(at), who)
	if len(who) > maxOwner {
		who = strings.ToValidUTF8(who[:maxOwner], "")
	}
	p.set(pl, Entry{Use: Foreign, Offset: at, Owner: who, Until: p.now + foreignFor})
}

// claimOrphans asks for the addresses that were allocated before our removal.
func (p *Peer) claimOrphans() {
	if p.Unable() != nil {
		return
	}
	for _, a := range slices.SortedFunc(maps.Keys(p.orphans), netip.Addr.Compare) {
		o, pl := p.orphans[a], p.poolOf(a)
		switch {
		case pl == nil || o.until != 0 && o.until <= p.now:
			p.dropOrphan(a)
		case pl.ground.Closed: // it goes with the subnet, or can be claimed when that stays
		case o.number == 0:
			o.number = 1
			p.orphans[a] = o
			r := &request{Request: Request{Owner: o.owner, Addr: a}, deadline: p.now + askTimeout, orphan: true}
			if o.until != 0 {
				r.For = time.Duration(o.until - p.now)
			}
			pl.requests = append(pl.requests, r) // feed takes it up
		}
	}
}

func (p *Peer) dropOrphan(a netip.Addr) {
	p.logOrphan(a, p.orphans[a], false)
	delete(p.orphans, a)
}

// resolved ends the claim of an orphan: kept, or to be renumbered, or to be asked for again.
func (p *Peer) resolved(r *request, a Answer) {
	o, ok := p.orphans[r.Addr]
	switch {
	case !ok:
	case a.Err == nil:
		p.tell("kept", 0, "%q keeps %v after this peer was removed and came back", o.owner, r.Addr)
		p.dropOrphan(r.Addr)
	case errors.Is(a.Err, ErrTaken):
		p.tell("renumbered", 0, "%q loses %v, and gets another address when it asks next: %v", o.owner, r.Addr, a.Err)
		p.dropOrphan(r.Addr)
	default:
		o.number = 0
		p.orphans[r.Addr] = o
	}
}
