package ipam

import (
	"fmt"
	"net/netip"
	"time"
)

// Row is one address that is not free, as people read and write it.
type Row struct {
	Addr  netip.Addr `json:"address"`
	Use   string     `json:"use"`
	Owner string     `json:"owner"`
	Until time.Time  `json:"until,omitzero"` // zero: until it is released
	Peer  string     `json:"peer,omitempty"` // the borrower; in a file that is of several peers: who gave it
	Line  int        `json:"-"`              // of the file that it was read from, from 1
}

// List is all addresses that this peer knows to be in use, in order.
func (p *Peer) List() (out []Row) {
	for _, pl := range p.pools {
		for _, e := range pl.space.sorted() {
			out = append(out, p.row(pl, &e))
		}
	}
	return out
}

func (p *Peer) row(pl *pool, e *Entry) Row {
	r := Row{Addr: pl.ring.Addr(e.Offset), Use: e.Use.String(), Owner: e.Owner}
	if e.expires() {
		r.Until = time.Unix(0, int64(e.Until)).UTC()
	}
	if e.Use == Lent || e.Use == Offered {
		r.Peer = p.decided.name(e.Peer.Peer)
	}
	return r
}

// Lookup finds the addresses of an owner that were allocated here.
func (p *Peer) Lookup(owner string) (out []netip.Addr) {
	for _, pl := range p.pools {
		if e := pl.space.of(owner); e != nil {
			out = append(out, pl.ring.Addr(e.Offset))
		}
	}
	return out
}

// Owner is who has an address that was allocated here.
func (p *Peer) Owner(a netip.Addr) (owner string, ok bool) {
	pl, at, err := p.place(a)
	if err != nil {
		return "", false
	}
	e := pl.space.entries.at(at)
	if e == nil || !e.allocated() {
		return "", false
	}
	return e.Owner, true
}

// Why explains an address: its subnet, who owns its block and how that came about, who has it, and what could be
// done about it.
func (p *Peer) Why(a netip.Addr) []string {
	pl := p.poolOf(a)
	if pl == nil {
		return []string{fmt.Sprintf("%v is in no subnet of the network; the subnets are %v", a, p.Subnets())}
	}
	at, err := pl.ring.Offset(a)
	if err != nil {
		return []string{err.Error()}
	}
	block := pl.ring.blockOf(at)
	out := []string{
		fmt.Sprintf("%v is in subnet %v, block %v", a, pl.ground.Prefix, pl.ring.Block(block)),
		p.whyBlock(pl, block),
	}
	if why := pl.ground.reservedFor(a); why != "" {
		out = append(out, fmt.Sprintf("it is reserved: %s; nobody gets it", why))
	}
	if e := pl.space.entries.at(at); e != nil {
		out = append(out, p.whyEntry(pl, e))
	} else if pl.space.held[block] && !pl.space.kept.has(at) {
		out = append(out, "it is free")
	} else if !pl.space.held[block] {
		out = append(out, "whether it is in use is known there")
	}
	if err := p.Unable(); err != nil {
		out = append(out, err.Error())
	}
	return out
}

func (p *Peer) whyBlock(pl *pool, block int) string {
	reg := pl.ring.regs[block]
	name := func(h Holder) string { return p.decided.name(h.Peer) }
	how := fmt.Sprintf("by donation from %s", name(reg.Donor))
	switch {
	case reg.Owner == Holder{}:
		return "nobody owns the block: its part of the subnet is not seeded"
	case reg.Gen.Count() == 0 && reg.Donor == Holder{}:
		how = fmt.Sprintf("since decision %d seeded it", reg.Gen.Decision())
	case reg.Gen.Count() == 0:
		how = fmt.Sprintf("as the heir of %s, since decision %d", name(reg.Donor), reg.Gen.Decision())
	}
	s := fmt.Sprintf("%s owns the block, %s (generation %v)", name(reg.Owner), how, reg.Gen)
	if p.decided.removed(reg.Owner) {
		s += fmt.Sprintf("; it was removed, and %s inherits the block when all living peers have spoken and the space leases of the removed ones are over", name(p.decided.heir(reg.Owner)))
	} else if reg.Owner == p.me && !pl.space.held[block] {
		s += fmt.Sprintf("; %s has not handed it over yet", name(reg.Donor))
	}
	return s
}

func (p *Peer) whyEntry(pl *pool, e *Entry) string {
	r := p.row(pl, e)
	s := fmt.Sprintf("it is %s", r.Use)
	if r.Owner != "" {
		s += fmt.Sprintf(", for %q", r.Owner)
	}
	if r.Peer != "" {
		s += " at " + r.Peer
	}
	if !r.Until.IsZero() {
		s += ", until " + r.Until.Format(time.RFC3339)
	}
	return s
}

// Subnets is the prefixes of all subnets.
func (p *Peer) Subnets() (out []netip.Prefix) {
	for _, pl := range p.pools {
		out = append(out, pl.ground.Prefix)
	}
	return out
}

// InUse counts what a peer has promised of a subnet, under the decisions of a number. If those close the subnet, a count of 0
// stays 0 as long as they, or later ones, do.
func (p *Peer) InUse(subnet netip.Prefix) (decision uint32, n int) {
	if pl := p.pool(subnet); pl != nil {
		n = pl.inUse() + len(pl.requests)
	}
	return p.decided.Number, n
}

// View is one subnet as this peer sees it, for a map of the pool and for metrics.
type View struct {
	Subnet   netip.Prefix
	Shares   []Share
	Names    map[Holder]string
	Statuses []Status // of all living peers, our own included
	Used     int      // entries here
	Waiting  int      // requests
	Asks     int      // questions to other peers under way
	Unheld   int      // blocks of ours that were not handed over yet
}

// View shows a subnet; ok is false when there is none of that prefix.
func (p *Peer) View(subnet netip.Prefix) (v View, ok bool) {
	pl := p.pool(subnet)
	if pl == nil {
		return v, false
	}
	v = View{Subnet: subnet, Shares: pl.ring.Shares(), Names: map[Holder]string{}, Statuses: pl.allStatuses()}
	v.Used, v.Waiting, v.Asks = pl.space.entries.len(), len(pl.requests), len(pl.asks)
	for i, reg := range pl.ring.regs {
		if reg.Owner == p.me && !pl.space.held[i] {
			v.Unheld++
		}
		v.Names[reg.Owner] = p.decided.name(reg.Owner.Peer)
	}
	return v, true
}
