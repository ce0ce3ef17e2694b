package keeper

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
)

// DefaultLease is how long a peer uses its space without hearing from the majority: a long weekend (docs/adr/0010).
const DefaultLease = 72 * time.Hour

// World is what the next decisions follow from, as a voter sees it.
type World struct {
	Subnets   []ipam.Subnet                // of the network configuration; their block size is chosen here
	Removed   func(drawbridge.PeerID) bool // whether a peer was removed from the network
	Reachable func(drawbridge.PeerID) bool // whether a peer can be heard: what is seeded for others is of no use
	// Current says that Subnets are those of the newest configuration: what is not in an old one is not taken away.
	Current bool
	// Unused reports whether every living member has said, under the decisions numbered at least this, that it has promised
	// nothing of a closed subnet; nil: nobody was asked.
	Unused func(subnet netip.Prefix, decision uint32) bool
	Heir   func(gone drawbridge.PeerID) int // ranks heirs; nil: all alike. The highest inherits, the lowest id among equals
}

// Next is what should be decided now; ok is false when nothing is to be changed. err tells of subnets that cannot be, which
// keeps no other change from being made.
func Next(d ipam.Decided, w World) (next ipam.Decided, ok bool, err error) {
	next = clone(d)
	next.Number++
	changed := first(&next)
	if removeGone(&next, w) {
		changed = true
	}
	if w.Current && retire(&next, w) {
		changed = true
	}
	for _, s := range w.Subnets {
		covered, failed := cover(&next, s, w)
		changed = changed || covered
		err = errors.Join(err, failed)
	}
	if !changed {
		return d, false, err
	}
	if failed := next.Check(); failed != nil {
		return d, false, errors.Join(err, failed)
	}
	return next, true, err
}

// Admit makes a holder a member; ok is false when it is one.
func Admit(d ipam.Decided, h ipam.Holder, name drawbridge.PeerName, w World) (next ipam.Decided, ok bool, err error) {
	for _, m := range d.Members {
		switch {
		case m.Holder == h && m.Removed == 0:
			return d, false, nil
		case m.Holder == h:
			return d, false, fmt.Errorf("%s under life %08x was removed by decision %d: %w", name, h.Life, m.Removed, ipam.ErrUnable)
		case m.Peer == h.Peer && m.Removed == 0:
			return d, false, fmt.Errorf("%s has another life %08x; forget the peer first: %w", name, m.Life, ipam.ErrUnable)
		}
	}
	if w.Removed(h.Peer) {
		return d, false, fmt.Errorf("%s was removed from the network: %w", name, ipam.ErrUnable)
	}
	next = clone(d)
	next.Number++
	first(&next)
	next.Members = append(next.Members, ipam.Member{Holder: h, Name: name})
	return next, true, next.Check()
}

// Remove ends the membership of a life, which its heir inherits. It is for a peer that lost its state file; one that was
// removed from the network is found by Next.
func Remove(d ipam.Decided, peer drawbridge.PeerID, w World) (next ipam.Decided, ok bool, err error) {
	next = clone(d)
	next.Number++
	if !remove(&next, peer, w) {
		return d, false, fmt.Errorf("peer %v is no member of address management, or nobody could inherit: %w", peer, ipam.ErrUnknown)
	}
	return next, true, next.Check()
}

// first gives the decisions what they need to be any.
func first(d *ipam.Decided) bool {
	if d.Lease != 0 {
		return false
	}
	d.Lease, d.Longest = int64(DefaultLease), int64(DefaultLease)
	return true
}

// clone shares no slice that is appended to or changed in place.
func clone(d ipam.Decided) ipam.Decided {
	d.Members, d.Grounds = slices.Clone(d.Members), slices.Clone(d.Grounds)
	return d
}

func removeGone(d *ipam.Decided, w World) (changed bool) {
	for i := range d.Members {
		if m := &d.Members[i]; m.Removed == 0 && w.Removed(m.Peer) {
			changed = remove(d, m.Peer, w) || changed
		}
	}
	return changed
}

func remove(d *ipam.Decided, peer drawbridge.PeerID, w World) bool {
	heir := heirOf(d, peer, w)
	for i := range d.Members {
		if m := &d.Members[i]; m.Peer == peer && m.Removed == 0 {
			m.Removed, m.Heir = d.Number, heir
			return true
		}
	}
	return false
}

// heirOf is the reachable member that ranks highest, or 0: then ipam takes the lowest that lives.
func heirOf(d *ipam.Decided, gone drawbridge.PeerID, w World) (best drawbridge.PeerID) {
	for _, m := range d.Members {
		if m.Removed != 0 || m.Peer == gone || w.Removed(m.Peer) || !w.Reachable(m.Peer) {
			continue
		}
		switch rank := w.rank(m.Peer) - w.rank(best); {
		case best == 0, rank > 0, rank == 0 && m.Peer < best:
			best = m.Peer
		}
	}
	return best
}

func (w World) rank(p drawbridge.PeerID) int {
	if w.Heir == nil || p == 0 {
		return 0
	}
	return w.Heir(p)
}

// cover brings one subnet of the configuration into the decisions.
func cover(d *ipam.Decided, s ipam.Subnet, w World) (changed bool, err error) {
	i := slices.IndexFunc(d.Grounds, func(g ipam.Ground) bool { return g.Prefix.Overlaps(s.Prefix) })
	if i < 0 {
		if s.Shape, err = ipam.NewShape(s.Prefix); err != nil {
			return false, err
		}
		if err = ipam.CheckSubnets([]ipam.Subnet{s}, nil); err != nil {
			return false, err
		}
		d.Grounds = append(d.Grounds, ipam.Ground{Subnet: s})
		i, changed = len(d.Grounds)-1, true
	}
	g := &d.Grounds[i]
	s.BlockBits = g.BlockBits
	if err := ipam.CheckChange([]ipam.Subnet{g.Subnet}, []ipam.Subnet{s}, func(netip.Prefix) bool { return true }); err != nil {
		return changed, err
	}
	if g.Prefix != s.Prefix || !slices.Equal(g.Reserved, s.Reserved) {
		if err := ipam.CheckSubnets([]ipam.Subnet{s}, nil); err != nil {
			return changed, err
		}
		g.Subnet, changed = s, true
	}
	return seed(d, g, w) || changed, nil
}

// retire closes what the configuration has no more, opens again what it has, and lets go what is closed and unused.
func retire(d *ipam.Decided, w World) (changed bool) {
	wanted := func(p netip.Prefix) bool {
		return slices.ContainsFunc(w.Subnets, func(s ipam.Subnet) bool { return s.Prefix.Overlaps(p) })
	}
	kept := d.Grounds[:0:0]
	for _, g := range d.Grounds {
		closed := !wanted(g.Prefix)
		if closed && g.Closed && w.Unused != nil && w.Unused(g.Prefix, d.Number-1) {
			changed = true
			continue
		}
		changed = changed || closed != g.Closed
		g.Closed = closed
		kept = append(kept, g)
	}
	d.Grounds = kept
	return changed
}

// seed gives every part of a subnet that nobody was given yet to the members that can be heard.
func seed(d *ipam.Decided, g *ipam.Ground, w World) (changed bool) {
	var founders []ipam.Holder
	for _, m := range d.Members {
		if m.Removed == 0 && w.Reachable(m.Peer) {
			founders = append(founders, m.Holder)
		}
	}
	if len(founders) == 0 {
		return false
	}
	g.Seeds = slices.Clone(g.Seeds)
	for _, part := range unseeded(g.Prefix, g.Seeds) {
		g.Seeds = append(g.Seeds, ipam.Seed{Part: part, Number: d.Number, Founders: founders})
		changed = true
	}
	return changed
}

// unseeded is the largest prefixes of p without a seed.
func unseeded(p netip.Prefix, seeds []ipam.Seed) []netip.Prefix {
	inside := false
	for _, s := range seeds {
		if s.Part.Overlaps(p) {
			if s.Part.Bits() <= p.Bits() {
				return nil
			}
			inside = true
		}
	}
	if !inside {
		return []netip.Prefix{p}
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	return append(unseeded(low, seeds), unseeded(upper(p), seeds)...)
}

// upper is the upper half of a prefix.
func upper(p netip.Prefix) netip.Prefix {
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits()+1)
}
