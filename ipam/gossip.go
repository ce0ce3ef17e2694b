package ipam

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// Receive takes a message that the mesh delivered from a peer. An error says why it was refused; then nothing
// has changed.
func (p *Peer) Receive(now Instant, from drawbridge.PeerID, b []byte) error {
	m, err := ParseMessage(b)
	if err != nil {
		return err
	}
	return p.receive(now, from, m)
}

func (p *Peer) receive(now Instant, from drawbridge.PeerID, m *Message) error {
	p.advance(now)
	if m.From.Peer != from {
		return fmt.Errorf("%s sends in the name of %s: %w", p.decided.name(from), p.decided.name(m.From.Peer), ErrForged)
	}
	if p.broken != nil || m.To != p.me && m.To.Life != 0 || m.From.Peer == p.me.Peer {
		return nil
	}
	p.ahead = max(p.ahead, m.Decision)
	switch {
	case p.decided.removed(m.From):
		p.receiveFromRemoved(m)
		return nil
	case !p.decided.lives(m.From):
		return nil // our decisions do not know it yet
	case m.Kind == Fence:
		p.fenced(m)
		return nil
	}
	if p.rolledBack(m) {
		return nil
	}
	pl := p.pool(m.Subnet.Prefix)
	if pl == nil || pl.ring.Shape != m.Subnet {
		return nil // one of us has to apply decisions first
	}
	err := p.dispatch(pl, m)
	if errors.Is(err, ErrForged) || errors.Is(err, ErrConflict) {
		p.tell("forged", from, "refused what %s says to this peer (%s): %v", p.decided.name(from), p.decided.name(p.me.Peer), err)
	}
	return err
}

// receiveFromRemoved fences who does not know of its removal, and notes who does. What a removed holder knows
// is not merged: heirs rely on its being frozen.
func (p *Peer) receiveFromRemoved(m *Message) {
	if m.Decision < p.decided.member(m.From).Removed {
		p.send(m.From, nil, &Message{Kind: Fence})
		return
	}
	if pl := p.pool(m.Subnet.Prefix); m.Kind == State && m.Complete && pl != nil {
		pl.statements[m.From] = &statement{decision: m.Decision}
	}
}

func (p *Peer) fenced(m *Message) {
	if m.Decision > p.decided.Number && m.Decision > p.fence {
		p.fence = m.Decision
		p.tell("fenced", m.From.Peer, "%v", p.Unable())
	}
}

func (p *Peer) dispatch(pl *pool, m *Message) error {
	if !p.decided.lives(p.me) && m.Kind != State && m.Kind != Digest {
		if m.Kind == Ask {
			p.refuse(pl, m, whyUnable, p.me.Peer, "it is not a member")
		}
		return nil
	}
	switch m.Kind {
	case Digest:
		p.learn(pl, m.Statuses)
		if m.Digest != pl.sum() {
			p.sendState(pl, m.From, true)
		}
	case State:
		p.learn(pl, m.Statuses)
		if m.Pls {
			defer p.sendState(pl, m.From, false)
		}
		return p.merge(pl, m)
	case Ask:
		return p.asked(pl, m)
	case Offer:
		p.offeredUs(pl, m)
	case Accept:
		p.accepted(pl, m)
	case Return:
		p.returned(pl, m)
	case Returned:
		p.settled(pl, m)
	case Refuse:
		p.refused(pl, m)
	}
	return nil
}

func (pl *pool) sum() uint64 {
	if pl.stale {
		pl.digest, pl.stale = pl.ring.Digest(), false
	}
	return pl.digest
}

// gossip tells two peers at random what we know in short.
func (p *Peer) gossip(pl *pool) {
	var others []Holder
	for i := range p.decided.Members {
		if m := &p.decided.Members[i]; m.Removed == 0 && m.Peer != p.me.Peer {
			others = append(others, m.Holder)
		}
	}
	for range min(2, len(others)) {
		i := int(p.config.Random() % uint64(len(others)))
		if p.decided.removed(p.me) {
			p.sendState(pl, others[i], false) // so that heirs need not wait for our lease
		} else {
			p.send(others[i], pl, &Message{Kind: Digest, Digest: pl.sum(), Statuses: pl.allStatuses()})
		}
		others = slices.Delete(others, i, i+1)
	}
}

func (pl *pool) allStatuses() (out []Status) {
	if pl.status.Sequence != 0 {
		out = append(out, pl.status)
	}
	for _, s := range pl.statuses {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int { return a.compare(b.Holder) })
	return out
}

// sendState sends a statement: the whole ring, what of it we hold, and all that we have borrowed.
func (p *Peer) sendState(pl *pool, to Holder, please bool) {
	m := &Message{Kind: State, Digest: pl.sum(), Statuses: pl.allStatuses(), Complete: true, Pls: please}
	m.Runs = pl.runs(0, len(pl.ring.regs))
	for e := range pl.space.entries.all() {
		if e.Use == Borrowed || e.Use == Returning {
			m.Loans = append(m.Loans, Loan{e.Offset, e.Serial})
		}
	}
	slices.SortFunc(m.Loans, func(a, b Loan) int { return cmp.Compare(a.Offset, b.Offset) })
	p.send(to, pl, m)
}

// runs is blocks from first up to end, those with equal registers together.
func (pl *pool) runs(first, end int) (out []Run) {
	for i := first; i < end; i++ {
		reg, held := pl.ring.regs[i], pl.space.held[i]
		if n := len(out); n > 0 && out[n-1].Register == reg && out[n-1].Held == held {
			out[n-1].Count++
			continue
		}
		out = append(out, Run{uint16(i), 1, held, reg})
	}
	return out
}

// learn keeps the newest status of each living peer. News wakes requests that wait for it at the next tick.
func (p *Peer) learn(pl *pool, statuses []Status) {
	for _, s := range statuses {
		if s.Holder != p.me && p.decided.lives(s.Holder) && s.Sequence > pl.statuses[s.Holder].Sequence {
			pl.statuses[s.Holder] = s
		}
	}
}

// merge takes what m says about blocks, or refuses it whole.
func (p *Peer) merge(pl *pool, m *Message) error {
	for _, run := range m.Runs {
		stranger := p.stranger(run.Owner) || p.stranger(run.Donor)
		if run.Gen.Decision() > p.decided.Number || m.Decision > p.decided.Number && stranger {
			return nil // it follows from decisions that we do not know yet
		}
	}
	if !p.rules.skipInvariants {
		for _, run := range m.Runs {
			for i := range int(run.Count) {
				if err := p.credible(pl, int(run.First)+i, run.Register, m.From); err != nil {
					return err
				}
			}
		}
	}
	for _, run := range m.Runs {
		for i := range int(run.Count) {
			p.mergeBlock(pl, int(run.First)+i, run.Register, m.From)
		}
	}
	if m.Complete {
		pl.note(m)
	}
	return nil
}

// stranger reports whether no decision that we know names a holder.
func (p *Peer) stranger(h Holder) bool { return h != Holder{} && p.decided.member(h) == nil }

// credible reports why a register cannot be; the rules 3 and 4 of the document.
func (p *Peer) credible(pl *pool, block int, told Register, from Holder) error {
	have := pl.ring.regs[block]
	if told.Gen < have.Gen || told == have {
		return nil
	}
	name := func(h Holder) string { return p.decided.name(h.Peer) }
	forged := func(why string) error {
		return fmt.Errorf("block %v: %s says that it is owned by %s at %v, but here it is %s's at %v: %s: %w",
			pl.ring.Block(block), name(from), name(told.Owner), told.Gen, name(have.Owner), have.Gen, why, ErrForged)
	}
	switch {
	case told.Gen == have.Gen:
		return &Clash{pl.ring.Block(block), have, told}
	case p.decided.member(told.Owner) == nil || p.decided.member(told.Donor) == nil || told.Owner == told.Donor:
		return forged("owner and donor must be two members")
	case pl.space.held[block]:
		return forged("only its owner gives it away")
	case told.Donor == p.me && told.Gen.Count() > 0:
		return forged("this peer never gave it")
	case told.Gen.Count() == 0 && !p.decided.removed(told.Donor):
		return forged("nobody inherits from the living")
	case told.Gen.Count() == 0 && told.Gen.Decision() == p.decided.Number && p.decided.heir(told.Donor) != told.Owner:
		return forged("it is not the heir")
	case told.Gen.Decision() == have.Gen.Decision() && told.Gen == have.Gen+1 && told.Donor != have.Owner:
		return forged("the donor did not own it")
	}
	return nil
}

// mergeBlock joins one register. The claim of a new owner is set aside while its donor, who will say so, lives.
func (p *Peer) mergeBlock(pl *pool, block int, told Register, from Holder) {
	have := pl.ring.regs[block]
	own := told.Owner == from && told.Gen.Count() > 0 && p.decided.lives(told.Donor)
	if told.compare(have) > 0 && !(own && told.Owner != p.me && !p.rules.skipInvariants) {
		pl.ring.regs[block], pl.stale = told, true
		pl.space.drop(block)
		p.logRegister(pl, block)
	}
	straight := told.Donor == from || p.rules.takeFromAnyone && told.Donor != Holder{}
	if told == pl.ring.regs[block] && told.Owner == p.me && !pl.space.held[block] && straight && p.decided.lives(p.me) {
		p.come(pl, block)
		p.tell("received", from.Peer, "%v from %s", pl.ring.Block(block), p.decided.name(from.Peer))
	}
}

// note keeps a statement for the time when we may have to inherit.
func (pl *pool) note(m *Message) {
	old := pl.statements[m.From]
	if old != nil && old.decision > m.Decision {
		return
	}
	n := len(pl.ring.regs)
	st := &statement{decision: m.Decision, loans: m.Loans, regs: make([]Register, n), held: make([]bool, n)}
	for _, run := range m.Runs {
		for i := range int(run.Count) {
			st.regs[int(run.First)+i], st.held[int(run.First)+i] = run.Register, run.Held
		}
	}
	pl.statements[m.From] = st
}

// fetch asks donors for blocks that are ours by the ring, and that they have not handed over.
func (p *Peer) fetch(pl *pool) {
	asked := map[Holder]bool{}
	for i, reg := range pl.ring.regs {
		if reg.Owner == p.me && !pl.space.held[i] && p.decided.lives(reg.Donor) && !asked[reg.Donor] {
			asked[reg.Donor] = true
			p.sendState(pl, reg.Donor, true)
		}
	}
}

// measure brings our status up to date. Its sequence changes only when something else in it does, so that
// a new sequence is news.
func (p *Peer) measure(pl *pool) {
	if p.now >= pl.rateAt+rateEvery {
		seconds := float64(p.now-pl.rateAt) / 1e9
		pl.rate = 0.7*pl.rate + 0.3*float64(pl.net)/seconds
		pl.net, pl.rateAt = 0, p.now
	}
	s := Status{Holder: p.me, Sequence: pl.status.Sequence, Exhaustion: never}
	if p.Unable() == nil {
		s.FreeBlocks, s.Free = uint32(pl.space.freeBlocks()), uint32(min(pl.space.free, uint64(never)))
		s.Exhaustion = exhaustion(pl.space.free, pl.rate)
	}
	if s != pl.status || s.Sequence == 0 {
		s.Sequence = uint64(p.now)
		pl.status = s
	}
}

// exhaustion is in seconds, rounded down to a power of two: finer steps would be gossip about nothing. Less than
// one address within the time that counts is no rate.
func exhaustion(free uint64, rate float64) uint32 {
	if rate < 1.0/dryWithin {
		return never
	}
	seconds := float64(free) / rate
	if seconds >= float64(never) {
		return never
	}
	n := uint32(seconds)
	return n & (1 << max(0, bits.Len32(n)-1))
}
