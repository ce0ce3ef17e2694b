package transit

import (
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Limits of frames whose fragments did not come together: how long one may wait for the rest, and how many
// may wait. A frame has at most maxPieces pieces, so they cannot hold more than 4 MiB.
const (
	fragmentsFor = 200 * time.Millisecond
	maxWaiting   = 64
)

// fragments holds frames that are not complete. It belongs to one reader.
type fragments struct {
	waiting map[fragmentKey]*incomplete
}

type fragmentKey struct {
	origin drawbridge.PeerID
	first  uint32 // sequence number of piece 0
	flood  bool
}

type incomplete struct {
	since  time.Duration
	pieces [maxPieces][]byte
	have   int
	total  uint8
	size   int
}

// put adds the run a, whose bytes are b, and answers the frame when it is complete.
func (f *fragments) put(a *assembly, b []byte, now time.Duration, d *drops) (whole []byte, ok bool) {
	m := &a.meta
	if m.total > maxPieces {
		d.add(dropMalformed, 1)
		return nil, false
	}
	key := fragmentKey{m.origin, m.seq - uint32(m.index), m.flags&flagFlood != 0}
	w := f.waiting[key]
	if w == nil || now-w.since > fragmentsFor {
		f.makeRoom(now, d)
		w = &incomplete{since: now, total: m.total}
		if f.waiting == nil {
			f.waiting = map[fragmentKey]*incomplete{}
		}
		f.waiting[key] = w
	}
	if !w.add(a, b) {
		d.add(dropMalformed, 1)
		delete(f.waiting, key)
		return nil, false
	}
	if w.have < int(w.total) {
		return nil, false
	}
	delete(f.waiting, key)
	whole = make([]byte, 0, w.size+maxMetaLen)
	for _, p := range w.pieces[:w.total] {
		whole = append(whole, p...)
	}
	return whole, len(whole) <= maxFrame
}

// add takes the pieces of a run, which lie one behind the other.
func (w *incomplete) add(a *assembly, b []byte) bool {
	if w.total != a.meta.total {
		return false
	}
	for i := a.meta.index; i < a.next; i++ {
		n := min(a.slice, len(b))
		if w.pieces[i] == nil {
			w.pieces[i] = append([]byte{}, b[:n]...)
			w.have++
			w.size += n
		}
		b = b[n:]
	}
	return w.size <= maxFrame
}

// makeRoom forgets what waited too long, and the oldest when there are too many.
func (f *fragments) makeRoom(now time.Duration, d *drops) {
	var oldest fragmentKey
	var age time.Duration = -1
	for key, w := range f.waiting {
		if now-w.since > fragmentsFor {
			d.add(dropFragments, w.have)
			delete(f.waiting, key)
			continue
		}
		if now-w.since > age {
			oldest, age = key, now-w.since
		}
	}
	if len(f.waiting) >= maxWaiting {
		d.add(dropFragments, f.waiting[oldest].have)
		delete(f.waiting, oldest)
	}
}
