package transit

import (
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// passOn sends a frame that is meant for somebody else to the next peer on its way. It is sealed again as
// it is: a relay neither joins nor cuts.
func (s *Sender) passOn(plain []byte, m *meta) {
	r := s.plane.routing.Load()
	h, ok := r.next[m.dest]
	switch {
	case !ok:
		s.plane.drops.add(dropNoRoute, 1)
		return
	case !s.hop(plain, m):
		return
	}
	s.lanes = s.lanes[:0]
	if !s.addLane(h.link) {
		s.plane.drops.add(dropLinkDown, 1)
		return
	}
	s.again(plain)
}

// passFlood sends a flooded frame to the children of its origin's tree, or to all neighbours when somebody's
// topology is moving; never back to where it came from.
func (s *Sender) passFlood(plain []byte, m *meta, from *Link) {
	r := s.plane.routing.Load()
	links := r.children[m.origin]
	if r.flux || m.flags&flagMark != 0 {
		links = r.all
		m.flags |= flagMark
		plain[len(plain)-1] = m.flags
	}
	if len(links) == 0 || len(links) == 1 && links[0] == from || !s.hop(plain, m) {
		return
	}
	s.lanes = s.lanes[:0]
	for _, l := range links {
		if l != from {
			s.addLane(l)
		}
	}
	if len(s.lanes) > 0 {
		s.again(plain)
	}
	m.hops++
	plain[len(plain)-2] = m.hops
}

// hop counts one link; false when the frame has crossed too many.
func (s *Sender) hop(plain []byte, m *meta) bool {
	if m.hops <= 1 {
		s.plane.drops.add(dropHops, 1)
		return false
	}
	m.hops--
	plain[len(plain)-2] = m.hops
	return true
}

// again seals plain text as it came for the lanes in hand, where it fits.
func (s *Sender) again(plain []byte) {
	n := clearLen + len(plain) + secure.TagLen
	kept := s.lanes[:0]
	for i := range s.lanes {
		if n > s.lanes[i].link.largest() {
			s.plane.drops.add(dropTooBig, 1)
			continue
		}
		kept = append(kept, s.lanes[i])
	}
	s.lanes = kept
	if len(kept) > 0 {
		s.one(plain)
	}
}
