package ipam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
)

// MaxBlocks bounds a ring, also one whose subnet was grown: 4,096 registers are 128 KiB of runs at worst.
const MaxBlocks = 4096

// Shape is a subnet and the size of its blocks: all that is needed to number its addresses.
type Shape struct {
	Prefix    netip.Prefix
	BlockBits uint8 // host bits of one block
}

// NewShape chooses the block size of a new subnet: 64 addresses where that makes at most 1,024 blocks, and
// no fewer than about as many blocks as a block has addresses.
func NewShape(p netip.Prefix) (Shape, error) {
	if err := CheckPrefix(p); err != nil {
		return Shape{}, err
	}
	h := p.Addr().BitLen() - p.Bits()
	return Shape{p, uint8(max(h-10, min(6, h/2)))}, nil
}

// CheckPrefix reports why p cannot be a subnet; nil when it can.
func CheckPrefix(p netip.Prefix) error {
	if !p.IsValid() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		return fmt.Errorf("subnet %v: want a prefix such as 10.1.0.0/24: %w", p, ErrSubnet)
	}
	least, most := 8, 30
	if p.Addr().Is6() {
		least, most = 64, 126
	}
	switch {
	case p.Masked() != p:
		return fmt.Errorf("subnet %v has host bits set, did you mean %v: %w", p, p.Masked(), ErrSubnet)
	case p.Bits() < least || p.Bits() > most:
		return fmt.Errorf("subnet %v: want /%d to /%d: %w", p, least, most, ErrSubnet)
	case p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Addr().IsUnspecified() && p.Addr().Is6():
		return fmt.Errorf("subnet %v is not for hosts: %w", p, ErrSubnet)
	}
	return nil
}

// check reports why s is no shape at all.
func (s Shape) check() error {
	if err := CheckPrefix(s.Prefix); err != nil {
		return err
	}
	if h := s.hostBits(); int(s.BlockBits) > h || h-int(s.BlockBits) > bits.Len(MaxBlocks)-1 {
		return fmt.Errorf("subnet %v: blocks of %d bits, want at most %d blocks: %w", s.Prefix, s.BlockBits, MaxBlocks, ErrSubnet)
	}
	return nil
}

func (s Shape) hostBits() int { return s.Prefix.Addr().BitLen() - s.Prefix.Bits() }

// Blocks is the number of blocks.
func (s Shape) Blocks() int { return 1 << (s.hostBits() - int(s.BlockBits)) }

// last is the offset of the last address.
func (s Shape) last() uint64 { return lowBits(s.hostBits()) }

// lowBits is a number of n ones; 64 of them too.
func lowBits(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}

// Offset numbers an address from the first of the subnet.
func (s Shape) Offset(a netip.Addr) (uint64, error) {
	if !s.Prefix.Contains(a) {
		return 0, fmt.Errorf("%v is not in subnet %v: %w", a, s.Prefix, ErrOutside)
	}
	return low64(a) & s.last(), nil
}

// low64 is the lower 64 bits of an address; all of an IPv4 address.
func low64(a netip.Addr) uint64 {
	b := a.As16()
	v := binary.BigEndian.Uint64(b[8:])
	if a.Is4() {
		v &= 1<<32 - 1
	}
	return v
}

// Addr is the address at an offset.
func (s Shape) Addr(offset uint64) netip.Addr {
	base := s.Prefix.Addr()
	if base.Is4() {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(low64(base)|offset))
		return netip.AddrFrom4(b)
	}
	b := base.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])|offset)
	return netip.AddrFrom16(b)
}

// blockOf is the block of an offset.
func (s Shape) blockOf(offset uint64) int { return int(offset >> s.BlockBits) }

// span is the first and last offset of a block.
func (s Shape) span(block int) (first, last uint64) {
	first = uint64(block) << s.BlockBits
	return first, first | lowBits(int(s.BlockBits))
}

// Block is the prefix of a block.
func (s Shape) Block(i int) netip.Prefix {
	first, _ := s.span(i)
	return netip.PrefixFrom(s.Addr(first), s.Prefix.Addr().BitLen()-int(s.BlockBits))
}

// Within is the first block of t inside s, which has t's blocks among its own after growing.
func (s Shape) Within(t Shape) (first int, err error) {
	if s.BlockBits != t.BlockBits || !s.Prefix.Overlaps(t.Prefix) || s.Prefix.Bits() > t.Prefix.Bits() {
		return 0, fmt.Errorf("subnet %v does not contain %v in the same blocks: %w", s.Prefix, t.Prefix, ErrSubnet)
	}
	at, err := s.Offset(t.Prefix.Addr())
	return s.blockOf(at), err
}

// Range is addresses from First to Last, both included.
type Range struct {
	First, Last netip.Addr
	Why         string // what they are kept for: "DHCP pool of the VLAN", "gateway"
}

// Subnet is what the network's configuration says about one subnet.
type Subnet struct {
	Shape
	Reserved []Range
}

// ranges is all that is never given: the configuration's, and what the family keeps for itself: network and
// broadcast address (RFC 922 §7), the subnet-router anycast address (RFC 4291 §2.6.1).
func (s Subnet) ranges() []Range {
	first, last := s.Addr(0), s.Addr(s.last())
	if s.Prefix.Addr().Is6() {
		return append([]Range{{first, first, "subnet-router anycast address"}}, s.Reserved...)
	}
	return append([]Range{{first, first, "address of the network"}, {last, last, "broadcast address"}}, s.Reserved...)
}

// reservedFor says what an address is kept for; "" when for nothing.
func (s Subnet) reservedFor(a netip.Addr) string {
	for _, r := range s.ranges() {
		if r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0 {
			return r.Why
		}
	}
	return ""
}

func (s Subnet) check() error {
	errs := []error{s.Shape.check()}
	for _, r := range s.Reserved {
		if !s.Prefix.Contains(r.First) || !s.Prefix.Contains(r.Last) || r.Last.Less(r.First) {
			errs = append(errs, fmt.Errorf("subnet %v: reserved range %v-%v (%s) is not inside: %w", s.Prefix, r.First, r.Last, r.Why, ErrSubnet))
		}
	}
	return errors.Join(errs...)
}

// CheckSubnets reports every reason why these subnets cannot be used together over the given underlay: routes
// and addresses that the mesh itself runs on, by which a peer would try to reach its peers through the mesh.
func CheckSubnets(subnets []Subnet, underlay []netip.Prefix) error {
	var errs []error
	for i, s := range subnets {
		if err := s.check(); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, o := range subnets[:i] {
			if o.Prefix.IsValid() && s.Prefix.Overlaps(o.Prefix) {
				errs = append(errs, fmt.Errorf("subnet %v overlaps subnet %v: %w", s.Prefix, o.Prefix, ErrSubnet))
			}
		}
		for _, u := range underlay {
			if s.Prefix.Overlaps(u) && u.Bits() > 0 {
				errs = append(errs, fmt.Errorf("subnet %v contains or is part of the underlay %v, over which the mesh runs; choose another: %w", s.Prefix, u, ErrSubnet))
			}
		}
	}
	return errors.Join(errs...)
}

// CheckChange reports why the subnets of a network cannot change from old to new: a used one neither shrinks
// nor goes nor changes its blocks.
func CheckChange(old, next []Subnet, used func(netip.Prefix) bool) error {
	var errs []error
	for _, o := range old {
		kept := false
		for _, n := range next {
			_, err := n.Within(o.Shape)
			kept = kept || err == nil
		}
		if !kept && used(o.Prefix) {
			errs = append(errs, fmt.Errorf("subnet %v has allocations: it may grow with the same blocks, but neither shrink nor go; release them first: %w", o.Prefix, ErrSubnet))
		}
	}
	return errors.Join(errs...)
}

// Fallback is the first candidate that overlaps nothing that any peer routes or has as a neighbour.
func Fallback(candidates, inUse []netip.Prefix) (netip.Prefix, error) {
	var errs []error
next:
	for _, c := range candidates {
		if err := CheckPrefix(c); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, u := range inUse {
			if u.Bits() > 0 && c.Overlaps(u) {
				errs = append(errs, fmt.Errorf("subnet %v overlaps %v, in use: %w", c, u, ErrSubnet))
				continue next
			}
		}
		return c, nil
	}
	return netip.Prefix{}, fmt.Errorf("no candidate for a subnet is free: %w", errors.Join(append(errs, ErrSubnet)...))
}
