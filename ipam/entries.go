package ipam

import (
	"iter"
	"math/bits"
)

// entries are the addresses of a subnet that are not free, by offset. Neighbours share a page, so that giving the lowest free
// address, as we do, seldom needs a new key in a map; a page has room for the entries that it has and no others, so that a few in a
// /8 take no more memory than a few.
type entries struct {
	pages map[uint64]*page
	n     int
}

// page is up to 64 neighbours: those in the bitmap, in order.
type page struct {
	has  uint64
	list []*Entry
}

func newEntries() entries { return entries{pages: map[uint64]*page{}} }

func (s *entries) len() int { return s.n }

// at is the entry of an offset; nil when that is free.
func (s *entries) at(offset uint64) *Entry {
	p := s.pages[offset>>6]
	if p == nil {
		return nil
	}
	i, ok := p.index(offset)
	if !ok {
		return nil
	}
	return p.list[i]
}

// index is where the entry of an offset is in the list, or would be.
func (p *page) index(offset uint64) (i int, ok bool) {
	bit := uint64(1) << (offset & 63)
	return bits.OnesCount64(p.has & (bit - 1)), p.has&bit != 0
}

// put adds an entry, or replaces the one of its offset.
func (s *entries) put(e *Entry) {
	p := s.pages[e.Offset>>6]
	if p == nil {
		p = &page{}
		s.pages[e.Offset>>6] = p
	}
	i, ok := p.index(e.Offset)
	if ok {
		p.list[i] = e
		return
	}
	s.n++
	p.has |= 1 << (e.Offset & 63)
	p.list = append(p.list, nil)
	copy(p.list[i+1:], p.list[i:])
	p.list[i] = e
}

// remove frees an offset.
func (s *entries) remove(offset uint64) {
	p := s.pages[offset>>6]
	if p == nil {
		return
	}
	i, ok := p.index(offset)
	if !ok {
		return
	}
	s.n--
	p.has &^= 1 << (offset & 63)
	copy(p.list[i:], p.list[i+1:])
	p.list[len(p.list)-1] = nil
	p.list = p.list[:len(p.list)-1]
	if p.has == 0 {
		delete(s.pages, offset>>6)
	}
}

// all are the entries, in no order.
func (s *entries) all() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, p := range s.pages {
			for _, e := range p.list {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// of are the entries of one block, in order.
func (s *entries) of(first, last uint64) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		if (last-first)>>6 > uint64(len(s.pages)) {
			for e := range s.all() {
				if e.Offset >= first && e.Offset <= last && !yield(e) {
					return
				}
			}
			return
		}
		for n := first >> 6; n <= last>>6; n++ {
			p := s.pages[n]
			if p == nil {
				continue
			}
			for _, e := range p.list {
				if e.Offset >= first && e.Offset <= last && !yield(e) {
					return
				}
			}
		}
	}
}
