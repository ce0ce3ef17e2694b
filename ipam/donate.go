package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// Donation is space that people want given to another peer.
type Donation struct {
	Subnet netip.Prefix
	To     string       // name of the peer
	Part   netip.Prefix // one block or some that join; invalid: as many as Count says
	Count  int
}

// Gift is what a donation is, or would be.
type Gift struct {
	Blocks []int
	Parts  []netip.Prefix
	Free   uint64 // addresses in them
	Left   int    // blocks that we could give away afterwards
}

// Gift says what Donate would give, or why nothing. It takes the highest blocks, as we allocate from the lowest.
func (p *Peer) Gift(now Instant, d Donation) (g Gift, err error) {
	p.advance(now)
	pl, err := p.donor(d)
	if err != nil {
		return g, err
	}
	if d.Part.IsValid() {
		g.Blocks, err = p.givable(pl, d.Part)
	} else {
		g.Blocks, err = pl.highest(d.Count)
	}
	if err != nil {
		return g, err
	}
	for _, i := range g.Blocks {
		g.Parts = append(g.Parts, pl.ring.Block(i))
		g.Free += pl.space.usable[i]
	}
	g.Left = pl.space.freeBlocks() - len(g.Blocks)
	return g, nil
}

// Donate gives wholly free blocks away because somebody said so, not because they were asked for: all that Gift says, or
// nothing.
func (p *Peer) Donate(now Instant, d Donation) (Gift, error) {
	g, err := p.Gift(now, d)
	if err != nil {
		return g, err
	}
	p.hand(p.pool(d.Subnet), p.decided.living(p.decided.peerNamed(d.To)), g.Blocks)
	return g, nil
}

// donor is the subnet of a donation that this peer may make.
func (p *Peer) donor(d Donation) (*pool, error) {
	pl, to := p.pool(d.Subnet), p.decided.peerNamed(d.To)
	switch err := p.Unable(); {
	case err != nil:
		return nil, err
	case pl == nil:
		return nil, fmt.Errorf("%v is no subnet of the network: %w", d.Subnet, ErrOutside)
	case pl.ground.Closed:
		return nil, pl.closed()
	case to == 0:
		return nil, fmt.Errorf("no peer that takes part in giving addresses is named %s: %w", d.To, ErrUnknown)
	case to == p.me.Peer:
		return nil, fmt.Errorf("%s is this peer: %w", d.To, ErrKept)
	}
	return pl, nil
}

// highest are n blocks in which nothing is used.
func (pl *pool) highest(n int) (out []int, err error) {
	for i := len(pl.space.held) - 1; i >= 0 && len(out) < n; i-- {
		if pl.space.wholly(i) {
			out = append(out, i)
		}
	}
	if n < 1 || len(out) < n {
		return nil, fmt.Errorf("%d blocks of %v: this peer has %d in which nothing is used: %w", n, pl.ground.Prefix, pl.space.freeBlocks(), ErrKept)
	}
	slices.Sort(out)
	return out, nil
}

// givable are the blocks of a part, if all of them can be given.
func (p *Peer) givable(pl *pool, part netip.Prefix) (out []int, err error) {
	size := pl.ring.Block(0).Bits()
	switch {
	case part != part.Masked():
		return nil, fmt.Errorf("%v has host bits set, did you mean %v: %w", part, part.Masked(), ErrSubnet)
	case !pl.ground.Prefix.Contains(part.Addr()) || part.Bits() < pl.ground.Prefix.Bits():
		return nil, fmt.Errorf("%v is not in subnet %v: %w", part, pl.ground.Prefix, ErrOutside)
	case part.Bits() > size:
		whole, _ := part.Addr().Prefix(size) // never fails: the bits are those of a prefix of the same family
		return nil, fmt.Errorf("%v is less than a block; the block is %v: %w", part, whole, ErrSubnet)
	}
	at, err := pl.ring.Offset(part.Addr())
	if err != nil {
		return nil, err
	}
	first := pl.ring.blockOf(at)
	for i := first; i < first+1<<(size-part.Bits()); i++ {
		if err := p.keeps(pl, i); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// keeps says why a block cannot be given away; nil when it can.
func (p *Peer) keeps(pl *pool, i int) error {
	block, reg := pl.ring.Block(i), pl.ring.regs[i]
	switch {
	case reg.Owner == Holder{}:
		return fmt.Errorf("%v: nobody owns it yet: %w", block, ErrKept)
	case reg.Owner != p.me:
		return fmt.Errorf("%v is %s's, and only its owner gives it away: ask there: %w", block, p.decided.name(reg.Owner.Peer), ErrKept)
	case !pl.space.held[i]:
		return fmt.Errorf("%v is on its way here from %s: %w", block, p.decided.name(reg.Donor.Peer), ErrKept)
	case pl.space.usable[i] == 0:
		return fmt.Errorf("%v is reserved as a whole: %w", block, ErrKept)
	case !pl.space.wholly(i):
		return fmt.Errorf("%v has %d addresses that are not free: %w", block, pl.space.used[i], ErrKept)
	}
	return nil
}

// hand makes blocks another's, and tells it: from the donor straight to the new owner.
func (p *Peer) hand(pl *pool, to Holder, blocks []int) {
	out := &Message{Kind: State}
	for _, i := range blocks {
		p.donate(pl, i, to)
		out.Runs = append(out.Runs, pl.runs(i, i+1)...)
	}
	p.measure(pl)
	out.Digest, out.Statuses = pl.sum(), pl.allStatuses()
	p.tell("given", to.Peer, "%d blocks of %v to %s", len(blocks), pl.ground.Prefix, p.decided.name(to.Peer))
	p.send(to, pl, out)
}
