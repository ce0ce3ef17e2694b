package ipam

import (
	"fmt"
	"slices"
)

// Use says why an address is not free.
type Use uint8

const (
	Mine      Use = 1 + iota // allocated here, from a block of our own
	Lent                     // given to another peer, which allocates it
	Offered                  // as Lent, and the other peer has not said yet that it has it
	Foreign                  // seen on the VLAN at somebody who did not get it from us
	Borrowed                 // allocated here, from a block of another peer
	Returning                // was Borrowed; the owner of the block does not know yet that it is free
)

func (u Use) String() string {
	return [...]string{"free", "allocated", "lent", "offered", "foreign", "borrowed", "returning"}[min(u, Returning)]
}

// allocated reports whether a guest of this peer uses the address.
func (u Use) allocated() bool { return u == Mine || u == Borrowed }

// Entry is one address that is not free.
type Entry struct {
	Use
	Offset uint64
	Owner  string  // who uses it: a guest's id; for Foreign, who was seen
	Until  Instant // when it becomes free by itself, 0: never; Lent, Offered: until when we promised it to its owner
	Peer   Holder  // Lent, Offered: the borrower
	Serial uint64  // of the loan
	Ask    uint64  // Offered: the ask that it answers; Returning: the note that goes with it
}

// forever is later than any time; it stands for a promise without an end.
const forever = Instant(1<<63 - 1)

// promise is until when the owner of an allocation may count on it.
func (e *Entry) promise() Instant {
	if e.Until == 0 {
		return forever
	}
	return e.Until
}

// expires reports whether the entry ends by itself.
func (e *Entry) expires() bool { return e.Until != 0 && e.Use != Lent && e.Use != Offered }

// formerSize bounds how many released addresses are remembered for owners that come back.
const formerSize = 4096

// Space is the addresses of one subnet as one peer sees them: which it may give, and who has those that it
// gave. There is no list of free addresses: what is not in the tree is free.
type Space struct {
	Subnet
	taken   *tree // not ours, reserved, or in entries
	kept    *tree // reserved
	held    []bool
	used    []uint32 // entries of a block that are not reserved as well
	usable  []uint64 // addresses of a block that are not reserved
	entries entries
	owners  map[string]uint64 // of allocated entries
	former  map[string]uint64 // address of an owner that has none now
	oldest  []string          // former, by age
	expiry  expiryHeap
	free    uint64
}

// NewSpace is a subnet of which we hold nothing.
func NewSpace(s Subnet) *Space {
	n := s.Blocks()
	p := &Space{
		Subnet: s, held: make([]bool, n), used: make([]uint32, n), entries: newEntries(),
		owners: map[string]uint64{}, former: map[string]uint64{},
	}
	p.build()
	return p
}

// build makes the trees from the configuration alone.
func (p *Space) build() {
	p.taken, p.kept = newTree(p.hostBits()), newTree(p.hostBits())
	for _, r := range p.ranges() {
		p.kept.set(low64(r.First)&p.last(), low64(r.Last)&p.last())
	}
	p.taken.set(0, p.last())
	p.usable = make([]uint64, p.Blocks())
	for i := range p.usable {
		p.usable[i] = p.unreserved(i)
	}
}

// unreserved counts what of a block no range covers; ranges may overlap.
func (p *Space) unreserved(block int) uint64 {
	first, last := p.span(block)
	type cut struct{ a, b uint64 }
	var cuts []cut
	for _, r := range p.ranges() {
		a, b := max(first, low64(r.First)&p.last()), min(last, low64(r.Last)&p.last())
		if a <= b {
			cuts = append(cuts, cut{a, b})
		}
	}
	slices.SortFunc(cuts, func(x, y cut) int {
		if x.a < y.a {
			return -1
		}
		return 1
	})
	n, next := last-first+1, first
	for _, c := range cuts {
		if c.b >= next {
			n -= c.b - max(c.a, next) + 1
			next = c.b + 1
		}
	}
	return n
}

// hold makes the addresses of a block ours.
func (p *Space) hold(block int) {
	if p.held[block] {
		return
	}
	p.held[block] = true
	p.free += p.usable[block] - uint64(p.used[block])
	p.open(block)
}

// open puts the free addresses of a held block outside the tree.
func (p *Space) open(block int) {
	first, last := p.span(block)
	p.taken.clear(first, last)
	for _, r := range p.ranges() {
		a, b := max(first, low64(r.First)&p.last()), min(last, low64(r.Last)&p.last())
		if a <= b {
			p.taken.set(a, b)
		}
	}
	if p.used[block] > 0 {
		for e := range p.entries.of(first, last) {
			p.taken.set(e.Offset, e.Offset)
		}
	}
}

// drop makes a block somebody else's. Its entries stay until they are removed.
func (p *Space) drop(block int) {
	if !p.held[block] {
		return
	}
	p.held[block] = false
	p.free -= p.usable[block] - uint64(p.used[block])
	first, last := p.span(block)
	p.taken.set(first, last)
}

// put adds or replaces an entry.
func (p *Space) put(e Entry) *Entry {
	if p.entries.at(e.Offset) != nil {
		p.remove(e.Offset, false)
	}
	p.entries.put(&e)
	if !p.kept.has(e.Offset) {
		p.count(e.Offset, 1)
	}
	if p.held[p.blockOf(e.Offset)] {
		p.taken.set(e.Offset, e.Offset)
	}
	if e.allocated() {
		p.owners[e.Owner] = e.Offset
		if len(p.former) > 0 {
			delete(p.former, e.Owner)
		}
	}
	if e.expires() {
		p.expiry.push(deadline{e.Until, e.Offset})
		p.tidy()
	}
	return &e
}

// tidy bounds the heap by the entries.
func (p *Space) tidy() {
	if len(p.expiry) < 2*p.entries.len()+64 {
		return
	}
	p.expiry = p.expiry[:0]
	for e := range p.entries.all() {
		if e.expires() {
			p.expiry.push(deadline{e.Until, e.Offset})
		}
	}
}

func (p *Space) count(offset uint64, by int) {
	b := p.blockOf(offset)
	p.used[b] = uint32(int(p.used[b]) + by)
	if p.held[b] {
		p.free = uint64(int64(p.free) - int64(by))
	}
}

// remove frees an address; its owner gets it again if it comes back soon, when remember is set.
func (p *Space) remove(offset uint64, remember bool) {
	e := p.entries.at(offset)
	if e == nil {
		return
	}
	p.entries.remove(offset)
	reserved := p.kept.has(offset)
	if !reserved {
		p.count(offset, -1)
	}
	if p.held[p.blockOf(offset)] && !reserved {
		p.taken.clear(offset, offset)
	}
	if at, ok := p.owners[e.Owner]; ok && at == offset && e.allocated() {
		delete(p.owners, e.Owner)
		if remember {
			p.remember(e.Owner, offset)
		}
	}
}

func (p *Space) remember(owner string, offset uint64) {
	if len(p.oldest) >= formerSize {
		half := formerSize / 2
		for _, o := range p.oldest[:half] {
			delete(p.former, o)
		}
		p.oldest = slices.Delete(p.oldest, 0, half)
	}
	p.former[owner] = offset
	p.oldest = append(p.oldest, owner)
}

// pick is a free address for an owner: the one it had, or the lowest. Lowest first keeps high blocks
// wholly free, to be given away.
func (p *Space) pick(owner string) (offset uint64, ok bool) {
	if at, ok := p.former[owner]; ok && !p.taken.has(at) {
		return at, true
	}
	return p.taken.outside()
}

// of is the allocated entry of an owner.
func (p *Space) of(owner string) *Entry {
	if at, ok := p.owners[owner]; ok {
		return p.entries.at(at)
	}
	return nil
}

// wholly reports whether a held block has no entry.
func (p *Space) wholly(block int) bool {
	return p.held[block] && p.used[block] == 0 && p.usable[block] > 0
}

// freeBlocks counts the blocks that could be given away.
func (p *Space) freeBlocks() (n int) {
	for i := range p.held {
		if p.wholly(i) {
			n++
		}
	}
	return n
}

// obstacle says why an address of a held block is not free; nil when it is.
func (p *Space) obstacle(offset uint64) error {
	a := p.Addr(offset)
	if why := p.reservedFor(a); why != "" {
		return fmt.Errorf("%v is reserved (%s): %w", a, why, ErrTaken)
	}
	if e := p.entries.at(offset); e != nil {
		return fmt.Errorf("%v is %v to %s: %w", a, e.Use, e.whom(), ErrTaken)
	}
	return nil
}

func (e *Entry) whom() string {
	if e.Owner == "" {
		return e.Peer.String()
	}
	return fmt.Sprintf("%q", e.Owner)
}

// sorted is a copy of all entries by address.
func (p *Space) sorted() []Entry {
	out := make([]Entry, 0, p.entries.len())
	for e := range p.entries.all() {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b Entry) int {
		if a.Offset < b.Offset {
			return -1
		}
		return 1
	})
	return out
}

// reshaped is the same space under a changed subnet: other reserved ranges, or grown.
func (p *Space) reshaped(s Subnet) (*Space, error) {
	first, err := s.Within(p.Shape)
	if err != nil {
		return nil, err
	}
	out, base := NewSpace(s), uint64(first)<<s.BlockBits
	for e := range p.entries.all() {
		moved := *e
		moved.Offset += base
		out.put(moved)
	}
	for i, held := range p.held {
		if held {
			out.hold(first + i)
		}
	}
	return out, nil
}

// deadline is when to look at an entry again.
type deadline struct {
	at     Instant
	offset uint64
}

// expiryHeap is a binary heap by time. An entry that is extended is pushed again; the heap is made anew when
// most of it is of the past.
type expiryHeap []deadline

func (h *expiryHeap) push(d deadline) {
	*h = append(*h, d)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].at <= s[i].at {
			break
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *expiryHeap) pop() (d deadline) {
	s := *h
	d = s[0]
	s[0] = s[len(s)-1]
	s = s[:len(s)-1]
	for i := 0; ; {
		least := i
		for _, kid := range [...]int{2*i + 1, 2*i + 2} {
			if kid < len(s) && s[kid].at < s[least].at {
				least = kid
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	return d
}

// expired takes one entry whose time has come out of the heap; ok is false when there is none.
func (p *Space) expired(now Instant) (e *Entry, ok bool) {
	for len(p.expiry) > 0 && p.expiry[0].at <= now {
		d := p.expiry.pop()
		e := p.entries.at(d.offset)
		if e == nil || !e.expires() || e.Until != d.at {
			continue // gone, or a later deadline of it is in the heap
		}
		return e, true
	}
	return nil, false
}
