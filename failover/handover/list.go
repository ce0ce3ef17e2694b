package handover

// List counts frames by a hash, so that of a frame that both gateways have one copy is forwarded. The zero value
// is ready. It belongs to whoever holds its lock.
type List struct {
	counts map[uint64]int
	n      int
}

// maxListed bounds a list: half a second of small frames at 100,000 a second.
const maxListed = 1 << 16

// Hash is FNV-1a over a frame (Fowler, Noll, Vo). It need not withstand anybody: a guest that makes two frames
// collide loses one of its own.
func Hash(frame []byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, b := range frame {
		h = (h ^ uint64(b)) * prime
	}
	return h
}

// Add notes one more frame; when the list is full it does not, and answers false.
func (l *List) Add(h uint64) bool {
	if l.n >= maxListed {
		return false
	}
	if l.counts == nil {
		l.counts = map[uint64]int{}
	}
	l.counts[h]++
	l.n++
	return true
}

// Take reports whether such a frame is listed, and strikes it out once.
func (l *List) Take(h uint64) bool {
	c := l.counts[h]
	if c == 0 {
		return false
	}
	if l.n--; c == 1 {
		delete(l.counts, h)
	} else {
		l.counts[h] = c - 1
	}
	return true
}

// Len is how many frames are listed.
func (l *List) Len() int { return l.n }

// All lists the hashes, each as often as it counts.
func (l *List) All() (all []uint64) {
	for h, c := range l.counts {
		for range c {
			all = append(all, h)
		}
	}
	return all
}
