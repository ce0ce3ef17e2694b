package transit

import (
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// floodWindow is how far behind the newest sequence number of an origin a flooded datagram may arrive and
// still be told from a copy.
const floodWindow = 8192

// forgetAfter is how long an origin must have been silent before a number far behind its last is taken: a copy
// cannot travel for longer (16 hops of a few hundred milliseconds), and a restarted peer whose clock went
// back is heard again. A number that is still in the window is never taken twice, however long it was
// quiet: a peer that was stopped finds the copies of before in its socket.
const forgetAfter = 2 * time.Second

// maxOrigins bounds the origins that are remembered, to more than a network has peers: a member can make up
// names, and each takes 2 KiB.
const maxOrigins = 4096

// floods remembers which flooded datagrams of which origin were seen.
type floods struct {
	mu      sync.RWMutex
	of      map[drawbridge.PeerID]*floodsOf
	cleaned time.Duration
}

type floodsOf struct {
	mu   sync.Mutex
	any  bool
	top  uint32 // highest seen, in the sense of RFC 1982
	last time.Duration
	bits [2 * floodWindow / 64]uint64 // a power of two of words, so that numbers may wrap
}

// first reports whether the datagram is the first of its number; now is the time of its batch.
func (f *floods) first(origin drawbridge.PeerID, seq uint32, now time.Duration) bool {
	f.mu.RLock()
	o := f.of[origin]
	f.mu.RUnlock()
	if o == nil {
		if o = f.begin(origin, now); o == nil {
			return false
		}
	}
	return o.first(seq, now)
}

// begin is nil when there are too many.
func (f *floods) begin(origin drawbridge.PeerID, now time.Duration) *floodsOf {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.of[origin]; o != nil {
		return o
	}
	if f.of == nil {
		f.of = map[drawbridge.PeerID]*floodsOf{}
	}
	if len(f.of) >= maxOrigins && now-f.cleaned > forgetAfter {
		f.forgetSilent(now)
	}
	if len(f.of) >= maxOrigins {
		return nil
	}
	o := &floodsOf{}
	f.of[origin] = o
	return o
}

// forgetSilent makes room. The caller holds f.mu.
func (f *floods) forgetSilent(now time.Duration) {
	f.cleaned = now
	for id, o := range f.of {
		o.mu.Lock()
		silent := now-o.last > forgetAfter
		o.mu.Unlock()
		if silent {
			delete(f.of, id)
		}
	}
}

func (o *floodsOf) first(seq uint32, now time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	ahead := int32(seq - o.top)
	switch {
	case ahead > 0 && o.any:
		o.slide(seq)
	case ahead > -floodWindow && o.any:
	case now-o.last <= forgetAfter && o.any:
		return false
	default: // the first ever, or far behind an origin that fell silent: it began anew
		o.any, o.top = true, seq
		clear(o.bits[:])
	}
	word, bit := &o.bits[seq/64%uint32(len(o.bits))], uint64(1)<<(seq%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	o.last = now
	return true
}

func (o *floodsOf) slide(seq uint32) {
	words := uint32(len(o.bits))
	steps := (seq/64 - o.top/64) & (1<<26 - 1)
	if steps >= words {
		clear(o.bits[:])
	}
	for i := uint32(1); i <= min(steps, words); i++ {
		o.bits[(o.top/64+i)%words] = 0
	}
	o.top = seq
}
