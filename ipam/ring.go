package ipam

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
)

// Register says who owns one block. The zero Register is a block that nobody was given yet.
type Register struct {
	Gen   Generation
	Owner Holder
	Donor Holder // who gave it, or from whom it was inherited; zero when it was seeded
}

// compare is a total order; a merge keeps the larger. Only the generation decides between registers that the
// rules allow; the rest makes the join well defined for all of them.
func (r Register) compare(o Register) int {
	return cmp.Or(cmp.Compare(r.Gen, o.Gen), r.Owner.compare(o.Owner), r.Donor.compare(o.Donor))
}

// Ring is the ownership of one subnet: a register for each block, and so bounded whatever happens.
type Ring struct {
	Shape
	regs []Register
}

// NewRing is a ring of blocks that nobody owns.
func NewRing(s Shape) *Ring { return &Ring{s, make([]Register, s.Blocks())} }

// At is the register of a block.
func (r *Ring) At(block int) Register { return r.regs[block] }

// Clone is a copy that shares nothing.
func (r *Ring) Clone() *Ring { return &Ring{r.Shape, slices.Clone(r.regs)} }

// Equal reports whether both rings say the same.
func (r *Ring) Equal(o *Ring) bool { return r.Shape == o.Shape && slices.Equal(r.regs, o.regs) }

// join keeps the larger register of each block: commutative, associative and idempotent.
func (r *Ring) join(o *Ring) {
	for i, reg := range o.regs {
		if reg.compare(r.regs[i]) > 0 {
			r.regs[i] = reg
		}
	}
}

// Clash is one block about which two sources disagree.
type Clash struct {
	Block      netip.Prefix
	Have, Told Register
}

func (c *Clash) Error() string {
	return fmt.Sprintf("block %v: at generation %v one side says %v, the other %v", c.Block, c.Have.Gen, c.Have.Owner, c.Told.Owner)
}

// Unwrap makes a Clash an ErrConflict.
func (c *Clash) Unwrap() error { return ErrConflict }

// Merge joins o into r, or refuses it whole: when shapes differ, or when two registers of one generation
// do. changed tells the blocks that are other than before.
func (r *Ring) Merge(o *Ring) (changed []int, err error) {
	if r.Shape != o.Shape {
		return nil, fmt.Errorf("ring of %v in blocks of %d bits, want %v and %d: %w", o.Prefix, o.BlockBits, r.Prefix, r.BlockBits, ErrSubnet)
	}
	for i, reg := range o.regs {
		if reg != r.regs[i] && reg.Gen == r.regs[i].Gen {
			return nil, &Clash{r.Block(i), r.regs[i], reg}
		}
		if reg.Gen > r.regs[i].Gen {
			changed = append(changed, i)
		}
	}
	r.join(o)
	return changed, nil
}

// Digest is a sum over all registers, by which two peers see that they know the same.
func (r *Ring) Digest() uint64 {
	h := fnv.New64a()
	var b []byte
	for _, reg := range r.regs {
		b = reg.append(b[:0])
		h.Write(b) // never fails, by the contract of hash.Hash
	}
	return h.Sum64()
}

func (r Register) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.Gen))
	return r.Donor.append(r.Owner.append(b))
}

func (h Holder) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(h.Peer))
	return binary.BigEndian.AppendUint32(b, h.Life)
}

// Share is consecutive space of one owner, for people.
type Share struct {
	Prefix netip.Prefix
	Owner  Holder
}

// Shares is the ring as CIDRs: consecutive blocks of one owner joined to the largest aligned prefixes.
func (r *Ring) Shares() (out []Share) {
	for i := 0; i < len(r.regs); {
		n := 1
		for i%(2*n) == 0 && i+2*n <= len(r.regs) && r.same(i, 2*n) {
			n *= 2
		}
		p := r.Block(i)
		for m := n; m > 1; m /= 2 {
			p = netip.PrefixFrom(p.Addr(), p.Bits()-1)
		}
		out = append(out, Share{p, r.regs[i].Owner})
		i += n
	}
	return out
}

// same reports whether n blocks from i on have one owner.
func (r *Ring) same(i, n int) bool {
	for _, reg := range r.regs[i : i+n] {
		if reg.Owner != r.regs[i].Owner {
			return false
		}
	}
	return true
}

// regrown is the ring of a subnet that contains r's, with all that r knows; o has what the seeds say.
func (r *Ring) regrown(o *Ring) (*Ring, error) {
	first, err := o.Within(r.Shape)
	if err != nil {
		return nil, err
	}
	for i, reg := range r.regs {
		if reg.compare(o.regs[first+i]) > 0 {
			o.regs[first+i] = reg
		}
	}
	return o, nil
}
