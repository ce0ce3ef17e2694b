package ipam

import "math/bits"

// tree is a set of numbers below 2^width, for addresses that are not to be given. It is a 64-ary trie of
// bitmaps: the lowest number outside is found in one step per level, 3 levels for a /16, 4 for a /8, 11 for
// an IPv6 /64. Whole ranges cost nothing: a set bit of full without a child is a range that is all inside.
type tree struct {
	root   *node
	levels int
}

// node covers 64 children: numbers at the lowest level, nodes above.
type node struct {
	full uint64 // child i is inside entirely
	some uint64 // child i has a number inside; at the lowest level equal to full
	kids []*node
}

func newTree(width int) *tree {
	t := &tree{root: &node{}, levels: max(1, (width+5)/6)}
	if used := 1 << (width - shift(t.levels-1)); used < 64 {
		t.root.assign(childBits(used, 63), true) // numbers of more bits
	}
	return t
}

// shift is how many bits a child of a node at that level covers; level 0 is the lowest.
func shift(level int) int { return 6 * level }

// childBits is a mask of the children from lo to hi.
func childBits(lo, hi int) uint64 { return lowBits(hi-lo+1) << lo }

// set puts first to last inside.
func (t *tree) set(first, last uint64) { t.root.mark(t.levels-1, first, last, true) }

// clear puts first to last outside.
func (t *tree) clear(first, last uint64) { t.root.mark(t.levels-1, first, last, false) }

// mark works on offsets relative to the node.
func (n *node) mark(level int, first, last uint64, in bool) {
	s := shift(level)
	lo, hi := int(first>>s), int(last>>s)
	if level == 0 {
		n.assign(childBits(lo, hi), in)
		return
	}
	rest := lowBits(s)
	if first&rest != 0 || lo == hi && last&rest != rest {
		end := rest
		if lo == hi {
			end = last & rest
		}
		n.partly(level, lo, first&rest, end, in)
		lo++
	}
	if lo <= hi && last&rest != rest {
		n.partly(level, hi, 0, last&rest, in)
		hi--
	}
	if lo <= hi {
		n.assign(childBits(lo, hi), in)
		n.forget(lo, hi)
	}
}

// assign sets or clears whole children.
func (n *node) assign(mask uint64, in bool) {
	if in {
		n.full |= mask
		n.some |= mask
		return
	}
	n.full &^= mask
	n.some &^= mask
}

// forget drops the nodes of children that are uniform.
func (n *node) forget(lo, hi int) {
	if n.kids != nil {
		clear(n.kids[lo : hi+1])
	}
}

// partly marks a part of child i, which gets a node if it was uniform and loses it when it becomes so.
func (n *node) partly(level, i int, first, last uint64, in bool) {
	bit := uint64(1) << i
	if in && n.full&bit != 0 || !in && n.some&bit == 0 {
		return
	}
	if n.kids == nil {
		n.kids = make([]*node, 64)
	}
	kid := n.kids[i]
	if kid == nil {
		kid = &node{}
		if n.full&bit != 0 {
			kid.full, kid.some = ^uint64(0), ^uint64(0)
		}
		n.kids[i] = kid
	}
	kid.mark(level-1, first, last, in)
	n.summarize(i, kid)
}

func (n *node) summarize(i int, kid *node) {
	bit := uint64(1) << i
	n.full &^= bit
	n.some |= bit
	switch {
	case kid.full == ^uint64(0):
		n.full |= bit
		n.kids[i] = nil
	case kid.some == 0:
		n.some &^= bit
		n.kids[i] = nil
	}
}

// has reports whether x is inside.
func (t *tree) has(x uint64) bool {
	n := t.root
	for level := t.levels - 1; ; level-- {
		i := int(x >> shift(level) & 63)
		bit := uint64(1) << i
		switch {
		case n.full&bit != 0:
			return true
		case n.some&bit == 0:
			return false
		}
		n = n.kids[i]
	}
}

// outside is the lowest number that is not inside; ok is false when there is none.
func (t *tree) outside() (x uint64, ok bool) {
	n := t.root
	for level := t.levels - 1; ; level-- {
		i := bits.TrailingZeros64(^n.full)
		if i == 64 {
			return 0, false
		}
		x |= uint64(i) << shift(level)
		if n.some>>i&1 == 0 {
			return x, true
		}
		n = n.kids[i]
	}
}
