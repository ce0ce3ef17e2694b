package ipam

import (
	"fmt"
	"maps"
	"slices"
)

// inherit adopts the blocks whose heir we are, once nobody can have another claim to them (rule 7).
func (p *Peer) inherit(pl *pool) {
	if !p.decided.lives(p.me) || p.Unable() != nil {
		return
	}
	mine, unclear := p.legacy(pl)
	if len(mine) == 0 && len(unclear) == 0 {
		return
	}
	if missing := p.silent(pl); len(missing) > 0 && !p.rules.skipHeirRule {
		for _, h := range missing {
			p.sendState(pl, h, true)
		}
		return
	}
	for _, block := range mine {
		p.adopt(pl, block)
	}
	if len(mine) > 0 {
		pl.stale = true
		p.tell("inherited", 0, "%d blocks of %v", len(mine), pl.ground.Prefix)
	}
}

// silent is the holders that may know what we do not: without a statement under our decisions, and not removed
// for longer than the space lease.
func (p *Peer) silent(pl *pool) (out []Holder) {
	for i := range p.decided.Members {
		m := &p.decided.Members[i]
		st := pl.statements[m.Holder]
		switch {
		case m.Holder == p.me:
		case m.Removed != 0 && (st != nil || p.waitedOut(m.Holder)):
		case m.Removed == 0 && st != nil && st.decision >= p.decided.Number:
		default:
			out = append(out, m.Holder)
		}
	}
	return out
}

// legacy is the blocks that are ours to adopt, and those of which a statement must tell whether they are.
func (p *Peer) legacy(pl *pool) (mine, unclear []int) {
	heirs := map[Holder]bool{}
	for i := range p.decided.Members {
		if m := &p.decided.Members[i]; m.Removed != 0 {
			heirs[m.Holder] = p.decided.heir(m.Holder) == p.me
		}
	}
	for i, reg := range pl.ring.regs {
		if p.decided.removed(reg.Owner) {
			if heirs[reg.Owner] {
				mine = append(mine, i)
			}
			continue
		}
		if !heirs[reg.Donor] || pl.space.held[i] {
			continue
		}
		st := pl.statements[reg.Owner]
		switch {
		case reg.Owner == p.me:
			mine = append(mine, i)
		case st == nil || st.decision < p.decided.Number:
			unclear = append(unclear, i)
		case st.regs[i] != reg || !st.held[i]:
			mine = append(mine, i)
		}
	}
	return mine, unclear
}

// adopt makes a block ours, with the loans that living peers have of it.
func (p *Peer) adopt(pl *pool, block int) {
	reg := pl.ring.regs[block]
	from := reg.Owner
	if !p.decided.removed(from) {
		from = reg.Donor
	}
	next := Register{MakeGeneration(p.decided.Number, 0), p.me, from}
	if next.Gen <= reg.Gen {
		return
	}
	pl.ring.regs[block] = next
	p.takeLoans(pl, block)
	p.come(pl, block)
}

func (p *Peer) takeLoans(pl *pool, block int) {
	for i := range p.decided.Members {
		m := &p.decided.Members[i]
		st := pl.statements[m.Holder]
		if st == nil || m.Removed != 0 || m.Holder == p.me {
			continue
		}
		for _, l := range st.loans {
			if pl.ring.blockOf(l.Offset) == block {
				p.set(pl, Entry{Use: Lent, Offset: l.Offset, Peer: m.Holder, Serial: l.Serial})
			}
		}
	}
}

// come makes a block ours, and with it what we had borrowed of it.
func (p *Peer) come(pl *pool, block int) {
	for _, e := range pl.space.sorted() {
		if pl.ring.blockOf(e.Offset) != block {
			continue
		}
		switch e.Use {
		case Borrowed:
			e.Use, e.Serial, e.Peer = Mine, 0, Holder{}
			p.set(pl, e)
		case Returning:
			p.takeBack(pl, e.Offset, e.Ask)
		}
	}
	pl.space.hold(block)
	p.logRegister(pl, block)
}

// settleLoans repeats what was not answered, and frees what removed peers had borrowed.
func (p *Peer) settleLoans(pl *pool) {
	for _, at := range slices.Sorted(maps.Keys(pl.offered)) {
		if e := pl.space.entries.at(at); e != nil && p.decided.lives(e.Peer) {
			p.send(e.Peer, pl, &Message{Kind: Offer, Number: e.Ask, Serial: e.Serial, Offset: at})
		}
	}
	for _, at := range slices.Sorted(maps.Keys(pl.returning)) {
		e := pl.space.entries.at(at)
		if owner := pl.ring.regs[pl.ring.blockOf(at)].Owner; e != nil && p.decided.lives(owner) && owner != p.me {
			p.send(owner, pl, &Message{Kind: Return, Number: e.Ask, Serial: e.Serial, Offset: at})
		}
	}
	if !pl.debtors {
		return
	}
	pl.debtors = false
	for _, e := range pl.space.sorted() {
		if (e.Use == Lent || e.Use == Offered) && p.decided.removed(e.Peer) {
			if p.waitedOut(e.Peer) || pl.statements[e.Peer] != nil {
				p.takeBack(pl, e.Offset, noteNone)
			} else {
				pl.debtors = true
			}
		}
	}
}

// Legacy is what the removal of a peer would bring to its heir, for people who decide about it.
type Legacy struct {
	Subnet string
	Blocks []string
}

// Forget tells what would be inherited from a peer.
func (p *Peer) Forget(h Holder) (out []Legacy) {
	for _, pl := range p.pools {
		l := Legacy{Subnet: pl.ground.Prefix.String()}
		for _, s := range pl.ring.Shares() {
			if s.Owner == h {
				l.Blocks = append(l.Blocks, s.Prefix.String())
			}
		}
		out = append(out, l)
	}
	return out
}

func (l Legacy) String() string { return fmt.Sprintf("%s: %v", l.Subnet, l.Blocks) }
