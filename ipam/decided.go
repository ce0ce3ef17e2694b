package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// Member is one holder that Raft admitted, and perhaps removed.
type Member struct {
	Holder
	Name    drawbridge.PeerName
	Removed uint32            // number of the decision that removed it; 0 while it lives
	Heir    drawbridge.PeerID // who inherits its space once it is removed
}

// Seed is a part of a subnet that was given to its founders when it came into being. A subnet has one, and
// one more for every time it was grown.
type Seed struct {
	Part     netip.Prefix
	Number   uint32 // the decision
	Founders []Holder
}

// Ground is a subnet as decided.
type Ground struct {
	Subnet
	Seeds  []Seed
	Closed bool `json:",omitempty"` // nothing of it is given any more; when nothing of it is used, it goes
}

// Decided is all that Raft says about address space: a state, not a log, so that a peer may skip any number
// of versions. Number rises with every change of it.
type Decided struct {
	Number  uint32
	Members []Member
	Grounds []Ground
	Lease   int64 // how long a holder uses its space without hearing from the majority, in nanoseconds
	Longest int64 // the longest Lease that was ever in force: what an heir waits
}

// member finds a holder.
func (d *Decided) member(h Holder) *Member {
	for i := range d.Members {
		if d.Members[i].Holder == h {
			return &d.Members[i]
		}
	}
	return nil
}

// living is the life of a peer that is not removed; the zero Holder when there is none.
func (d *Decided) living(p drawbridge.PeerID) Holder {
	for i := range d.Members {
		if m := &d.Members[i]; m.Peer == p && m.Removed == 0 {
			return m.Holder
		}
	}
	return Holder{}
}

// lives reports whether h is admitted and not removed.
func (d *Decided) lives(h Holder) bool {
	m := d.member(h)
	return m != nil && m.Removed == 0
}

// removed reports whether h was admitted once and is removed.
func (d *Decided) removed(h Holder) bool {
	m := d.member(h)
	return m != nil && m.Removed != 0
}

// heir is who adopts the space of a removed holder: the heir named at its removal; if that one is removed
// as well, its heir in turn; and the lowest living holder if the chain leads nowhere.
func (d *Decided) heir(h Holder) Holder {
	for range len(d.Members) {
		m := d.member(h)
		if m == nil || m.Removed == 0 {
			break
		}
		if l := d.living(m.Heir); l != (Holder{}) {
			return l
		}
		h = d.lastLife(m.Heir)
	}
	var lowest Holder
	for i := range d.Members {
		if m := &d.Members[i]; m.Removed == 0 && (lowest == Holder{} || m.before(lowest)) {
			lowest = m.Holder
		}
	}
	return lowest
}

// lastLife is the life of p that was removed last.
func (d *Decided) lastLife(p drawbridge.PeerID) (h Holder) {
	var at uint32
	for i := range d.Members {
		if m := &d.Members[i]; m.Peer == p && m.Removed > at {
			at, h = m.Removed, m.Holder
		}
	}
	return h
}

// name is what people call a peer.
func (d *Decided) name(p drawbridge.PeerID) string {
	for i := range d.Members {
		if d.Members[i].Peer == p && d.Members[i].Name != "" {
			return string(d.Members[i].Name)
		}
	}
	return p.String()
}

// peerNamed is the peer that people call so; 0 when none that lives has the name.
func (d *Decided) peerNamed(name string) drawbridge.PeerID {
	for i := range d.Members {
		if m := &d.Members[i]; m.Removed == 0 && d.name(m.Peer) == name {
			return m.Peer
		}
	}
	return 0
}

// Check reports why d cannot be: what a proposal must be asked before it is given to Raft.
func (d *Decided) Check() error {
	var errs []error
	alive := map[drawbridge.PeerID]bool{}
	for i := range d.Members {
		m := &d.Members[i]
		if m.Life == 0 || m.Peer == 0 {
			errs = append(errs, fmt.Errorf("member %v has no life or no id: %w", m.Holder, ErrDecisions))
		}
		if d.member(m.Holder) != m || m.Removed == 0 && alive[m.Peer] {
			errs = append(errs, fmt.Errorf("member %v: an earlier life must be removed first: %w", m.Holder, ErrDecisions))
		}
		if m.Removed > d.Number {
			errs = append(errs, fmt.Errorf("member %v is removed by decision %d of %d: %w", m.Holder, m.Removed, d.Number, ErrDecisions))
		}
		alive[m.Peer] = alive[m.Peer] || m.Removed == 0
	}
	subnets := make([]Subnet, len(d.Grounds))
	for i := range d.Grounds {
		subnets[i] = d.Grounds[i].Subnet
		errs = append(errs, d.checkSeeds(&d.Grounds[i]))
	}
	if d.Lease <= 0 || d.Longest < d.Lease {
		errs = append(errs, fmt.Errorf("space lease %d ns, longest %d ns: %w", d.Lease, d.Longest, ErrDecisions))
	}
	return errors.Join(append(errs, CheckSubnets(subnets, nil))...)
}

func (d *Decided) checkSeeds(g *Ground) error {
	if g.Shape.check() != nil {
		return nil // reported by CheckSubnets
	}
	for i, s := range g.Seeds {
		_, err := g.Within(Shape{s.Part, g.BlockBits})
		if err != nil {
			return err
		}
		if len(s.Founders) == 0 || s.Number == 0 || s.Number > d.Number || slices.ContainsFunc(s.Founders, func(h Holder) bool { return d.member(h) == nil }) {
			return fmt.Errorf("subnet %v: part %v was not seeded for members by a decision: %w", g.Prefix, s.Part, ErrDecisions)
		}
		for _, o := range g.Seeds[:i] {
			if o.Part.Overlaps(s.Part) {
				return fmt.Errorf("subnet %v: parts %v and %v overlap: %w", g.Prefix, o.Part, s.Part, ErrDecisions)
			}
		}
	}
	return nil
}

// initial is the ring that the seeds alone make: each part in consecutive runs, one for each founder.
func (g *Ground) initial() *Ring {
	r := NewRing(g.Shape)
	for _, s := range g.Seeds {
		part := Shape{s.Part, g.BlockBits}
		first, err := g.Within(part)
		if err != nil {
			continue // Check refuses it before
		}
		n := part.Blocks()
		for i := range n {
			r.regs[first+i] = Register{Gen: MakeGeneration(s.Number, 0), Owner: s.Founders[i*len(s.Founders)/n]}
		}
	}
	return r
}
