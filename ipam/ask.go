package ipam

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// ask is a question to another peer that is not answered yet.
type ask struct {
	to      Holder
	what    uint8
	until   Instant
	request *request // nil: for blocks
}

// missing is a peer and what it did not give; miss is when that was, and what it had. It is asked for that again when its
// back-off is over, or when it has more than it had then.
type missing struct {
	Holder
	what uint8 // who has no free block may have free addresses
}

type miss struct {
	until, delay Instant
	had          Status
}

// provide asks for space before we run dry, and when requests wait for it. A peer that has none asks before anybody needs
// it: a split may come first.
func (p *Peer) provide(pl *pool) {
	if pl.ground.Closed {
		return
	}
	dry := pl.space.free == 0 || exhaustion(pl.space.free, pl.rate) < dryWithin
	for _, a := range pl.asks {
		dry = dry && a.what != askBlocks
	}
	if !dry {
		return
	}
	urgent := len(pl.requests) > 0
	spare := func(s Status) uint32 {
		if !urgent && (s.Exhaustion < 2*dryWithin || s.FreeBlocks < 2) {
			return 0 // it would be as dry as we are, and ask for it back
		}
		return s.FreeBlocks
	}
	if to, ok := p.choose(pl, askBlocks, spare); ok {
		size := pl.space.usable[len(pl.space.usable)/2]
		want := min(64, 1+uint64(max(0, pl.rate)*2*dryWithin)/max(1, size))
		p.ask(pl, to, nil, &Message{Kind: Ask, What: askBlocks, Many: uint16(want)})
	}
}

// choose is the best peer to ask: by the space it has on a logarithmic scale, by how near it is, and by whether
// what it would give joins ours.
func (p *Peer) choose(pl *pool, what uint8, has func(Status) uint32) (best Holder, ok bool) {
	joins, top := p.neighbours(pl), 0
	for h, s := range pl.statuses {
		m, missed := pl.misses[missing{h, what}]
		news := s.FreeBlocks > m.had.FreeBlocks || s.Free > m.had.Free
		if has(s) == 0 || missed && m.until > p.now && !news || !p.decided.lives(h) {
			continue
		}
		score := 4*bits.Len32(has(s)) + 2*joins[h]
		if p.config.Near != nil {
			score -= 2 * p.config.Near(h.Peer)
		}
		if !ok || score > top || score == top && h.before(best) {
			best, top, ok = h, score, true
		}
	}
	return best, ok
}

// neighbours has 1 for owners of blocks beside our own.
func (p *Peer) neighbours(pl *pool) map[Holder]int {
	out := map[Holder]int{}
	for i, reg := range pl.ring.regs[1:] {
		if before := pl.ring.regs[i].Owner; before == p.me {
			out[reg.Owner] = 1
		} else if reg.Owner == p.me {
			out[before] = 1
		}
	}
	return out
}

func (p *Peer) ask(pl *pool, to Holder, r *request, m *Message) {
	m.Number = p.config.Random()
	pl.asks[m.Number] = &ask{to, m.What, p.now + askTimeout, r}
	if r != nil {
		r.ask = m.Number
	}
	p.send(to, pl, m)
}

// timeOut gives up asks that were not answered.
func (p *Peer) timeOut(pl *pool) {
	for _, n := range slices.Sorted(maps.Keys(pl.asks)) {
		if a := pl.asks[n]; p.now >= a.until {
			p.failed(pl, n, a, "did not answer")
		}
	}
}

// failed notes that a peer did not give, so that another one is asked.
func (p *Peer) failed(pl *pool, number uint64, a *ask, why string) {
	delete(pl.asks, number)
	if a.request != nil {
		a.request.ask = 0
		a.request.tried = fmt.Sprintf("%s %s", p.decided.name(a.to.Peer), why)
	}
	if a.what == askThis { // nobody else can be asked
		a.request.notBefore = p.now + askAgain
		return
	}
	key := missing{a.to, a.what}
	m := pl.misses[key]
	m.delay = min(max(2*m.delay, backOff), backOffMost)
	m.until, m.had = p.now+m.delay, pl.statuses[a.to]
	pl.misses[key] = m
}

// refused hears that a peer does not give.
func (p *Peer) refused(pl *pool, m *Message) {
	a := pl.asks[m.Number]
	if a == nil || a.to != m.From {
		return
	}
	p.failed(pl, m.Number, a, "refused: "+m.Text)
	if r := a.request; r != nil && a.what == askThis && (m.Reason == whyTaken || m.Reason == whyReserved) {
		p.finish(pl, r, Answer{Addr: r.Addr, Err: fmt.Errorf("%v: %s says that it is taken: %s: %w", r.Addr, p.decided.name(m.From.Peer), m.Text, ErrTaken)})
		return
	}
	p.feed(pl)
}

func (p *Peer) refuse(pl *pool, m *Message, reason uint8, who drawbridge.PeerID, text string) {
	p.send(m.From, pl, &Message{Kind: Refuse, Number: m.Number, Reason: reason, Peer: who, Text: drawbridge.Cut(text, maxText)})
}

// asked answers another peer that needs space.
func (p *Peer) asked(pl *pool, m *Message) error {
	if err := p.Unable(); err != nil {
		p.refuse(pl, m, whyUnable, p.me.Peer, "it may not use its space now")
		return nil
	}
	if pl.ground.Closed {
		p.refuse(pl, m, whyUnable, p.me.Peer, "the subnet is on its way out of the network")
		return nil
	}
	switch m.What {
	case askBlocks:
		p.give(pl, m)
	case askAny:
		p.lendAny(pl, m)
	case askThis:
		p.lendThis(pl, m)
	}
	return nil
}

// give donates at most half of our wholly free blocks, those beside the asker's first, then the highest. The
// last one is kept if we need it ourselves within the time in which we would ask for one: else it would travel
// between two peers that both need it.
func (p *Peer) give(pl *pool, m *Message) {
	var free []int
	for i := range pl.space.held {
		if pl.space.wholly(i) {
			free = append(free, i)
		}
	}
	if len(free) == 0 || len(free) == 1 && exhaustion(pl.space.free-pl.space.usable[free[0]], pl.rate) < dryWithin {
		p.refuse(pl, m, whyNothing, p.me.Peer, "no free block")
		return
	}
	slices.SortFunc(free, func(a, b int) int {
		return cmp.Or(cmp.Compare(pl.beside(b, m.From), pl.beside(a, m.From)), cmp.Compare(b, a))
	})
	free = free[:min(max(1, int(m.Many)), (len(free)+1)/2)]
	slices.Sort(free)
	p.hand(pl, m.From, free)
}

// beside is 1 if a block next to this one is the holder's.
func (pl *pool) beside(block int, h Holder) int {
	for _, i := range [...]int{block - 1, block + 1} {
		if i >= 0 && i < len(pl.ring.regs) && pl.ring.regs[i].Owner == h {
			return 1
		}
	}
	return 0
}

// donate gives one block away. From here on it is not ours, whether or not the new owner ever hears of it.
func (p *Peer) donate(pl *pool, block int, to Holder) {
	pl.space.drop(block)
	pl.ring.regs[block] = Register{pl.ring.regs[block].Gen + 1, to, p.me}
	pl.stale = true
	p.counts.Blocks++
	p.logRegister(pl, block)
}

// lendAny lends the lowest free address.
func (p *Peer) lendAny(pl *pool, m *Message) {
	at, ok := pl.space.pick("")
	if !ok {
		p.refuse(pl, m, whyNothing, p.me.Peer, "no free address")
		return
	}
	p.lend(pl, m, at, 0)
}

// lendThis lends an address that was claimed. One that a former life of the same peer had, for the same owner,
// goes on to its present life; one that we gave the same owner goes on to the peer that the owner has moved to.
func (p *Peer) lendThis(pl *pool, m *Message) {
	block := pl.ring.blockOf(m.Offset)
	if !pl.space.held[block] {
		p.refuse(pl, m, whyNotMine, pl.ring.regs[block].Owner.Peer, "it is not the owner any more")
		return
	}
	var promised Instant
	if e := pl.space.entries.at(m.Offset); e != nil && e.Owner == m.Owner {
		switch {
		case e.Use == Mine:
			promised = e.promise()
			p.tell("moved", m.From.Peer, "%q takes %v along to %s", e.Owner, pl.ring.Addr(m.Offset), p.decided.name(m.From.Peer))
			p.unset(pl, m.Offset, false)
			pl.net--
		case e.Peer.Peer == m.From.Peer && p.decided.removed(e.Peer):
			promised = e.Until
			p.unset(pl, m.Offset, false)
			pl.net--
		case e.Use == Offered && e.Peer == m.From:
			p.refuse(pl, m, whyUnable, p.me.Peer, "an earlier offer of it is on its way")
			return
		}
	}
	if err := pl.space.obstacle(m.Offset); err != nil {
		p.refuse(pl, m, whyTaken, p.me.Peer, err.Error())
		return
	}
	p.lend(pl, m, m.Offset, promised)
}

// lend offers an address for use. What we promised its owner before stays a promise of ours: it is kept if the borrower
// never takes the address, or has it for a shorter time (rule 11).
func (p *Peer) lend(pl *pool, m *Message, at uint64, promised Instant) {
	if p.rules.skipPromise {
		promised = 0
	}
	e := Entry{Use: Offered, Offset: at, Owner: m.Owner, Until: promised, Peer: m.From, Serial: p.config.Random(), Ask: m.Number}
	p.set(pl, e)
	pl.net++
	p.send(m.From, pl, &Message{Kind: Offer, Number: m.Number, Serial: e.Serial, Offset: at})
}

// offeredUs takes an address that we asked for, and sends back what we did not ask for or need no more.
func (p *Peer) offeredUs(pl *pool, m *Message) {
	reply := func(k Kind) { p.send(m.From, pl, &Message{Kind: k, Serial: m.Serial, Offset: m.Offset}) }
	e := pl.space.entries.at(m.Offset)
	if e != nil && e.Serial == m.Serial {
		if e.Use == Borrowed {
			reply(Accept)
		} else { // with the note of the first time, which may come later
			p.send(m.From, pl, &Message{Kind: Return, Number: e.Ask, Serial: m.Serial, Offset: m.Offset})
		}
		return
	}
	a := pl.asks[m.Number]
	free := e == nil || e.Use == Returning || e.Use == Foreign && a != nil && a.what == askThis
	if a == nil || a.to != m.From || a.request == nil || !free || pl.space.held[pl.ring.blockOf(m.Offset)] || pl.ground.Closed || p.Unable() != nil {
		reply(Return)
		return
	}
	delete(pl.asks, m.Number)
	delete(pl.misses, missing{m.From, a.what})
	p.set(pl, Entry{Use: Borrowed, Offset: m.Offset, Owner: a.request.Owner, Until: p.until(&a.request.Request), Serial: m.Serial})
	pl.net++
	reply(Accept)
	p.finish(pl, a.request, Answer{Addr: pl.ring.Addr(m.Offset), Until: p.until(&a.request.Request)})
}

// loan is the entry that a message of its borrower is about; nil when it is about something that is over.
func (pl *pool) loan(m *Message) *Entry {
	e := pl.space.entries.at(m.Offset)
	if e == nil || e.Use != Offered && e.Use != Lent || e.Peer != m.From || e.Serial != m.Serial {
		return nil
	}
	return e
}

func (p *Peer) accepted(pl *pool, m *Message) {
	if e := pl.loan(m); e != nil && e.Use == Offered {
		lent := *e
		lent.Use = Lent
		p.set(pl, lent)
	}
}

func (p *Peer) returned(pl *pool, m *Message) {
	if !pl.space.held[pl.ring.blockOf(m.Offset)] {
		return // the borrower asks again, whoever is the owner by then
	}
	if pl.loan(m) != nil {
		p.takeBack(pl, m.Offset, m.Number)
	}
	p.send(m.From, pl, &Message{Kind: Returned, Serial: m.Serial, Offset: m.Offset})
}

// Notes of a Return; a higher one is for how many nanoseconds the borrower has promised the address to its owner.
const (
	noteNone     = 0 // the borrower never used it, or its time there is over
	noteForeign  = 1 // somebody uses it who did not get it from us
	noteReleased = 2 // its owner gave it up
)

// takeBack ends a loan: the address is free, unless it was promised to its owner for longer, here or at the borrower.
func (p *Peer) takeBack(pl *pool, at, note uint64) {
	e := *pl.space.entries.at(at)
	switch {
	case note == noteForeign:
		p.foreign(pl, at, "somebody whom a guest of "+p.decided.name(e.Peer.Peer)+" found there")
		return
	case note == noteReleased:
		e.Until = 0
	case note > noteReleased:
		e.Until = max(e.Until, p.now+Instant(min(note, uint64(forever-p.now))))
	}
	if e.Until <= p.now {
		p.unset(pl, at, false)
		pl.net--
		return
	}
	kept := Entry{Use: Mine, Offset: at, Owner: e.Owner, Until: e.Until}
	switch {
	case e.Owner == "" || pl.space.of(e.Owner) != nil: // unknown after an inheritance, or has another one by now
		kept.Use, kept.Until = Foreign, min(e.Until, p.now+foreignFor)
	case e.Until == forever:
		kept.Until = 0
	}
	p.set(pl, kept)
}

func (p *Peer) settled(pl *pool, m *Message) {
	if e := pl.space.entries.at(m.Offset); e != nil && e.Use == Returning && e.Serial == m.Serial {
		p.unset(pl, m.Offset, true)
	}
}
