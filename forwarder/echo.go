package forwarder

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Memory of echoes: how many a port keeps, and for how long. A copy that goes round through the mesh is back within
// its latency; a station that asks again, as ARP does after a second (RFC 1122 §2.3.2.1), is heard.
const (
	echoesKept = 4096
	echoesFor  = time.Second
)

// echoes is what a port heard of addresses that speak elsewhere. Its station is then on the port's own wire too, or
// another peer writes to that wire as well: either way the same frame is not written to it again. Without this the
// echo rule would end a loop of frames from elsewhere, but not of those from a station on the looped wire itself:
// where it was learned, each copy looks as if it had sent it.
type echoes struct {
	last atomic.Int64 // when the latest was heard, since the switch began; 0: never

	mu    sync.Mutex // guards what follows
	seed  maphash.Seed
	heard *[echoesKept]echo // made with the first
}

// echo is one frame.
type echo struct {
	hash uint64
	at   time.Duration
}

// note remembers a frame that was heard.
func (e *echoes) note(f drawbridge.Frame, now time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard == nil {
		e.seed, e.heard = maphash.MakeSeed(), new([echoesKept]echo)
	}
	hash := maphash.Bytes(e.seed, f)
	e.heard[hash%echoesKept] = echo{hash, now}
	e.last.Store(max(int64(now), 1))
}

// recent reports whether anything is remembered, at the cost of a load when nothing ever was.
func (e *echoes) recent(now func() time.Duration) bool {
	last := e.last.Load()
	return last != 0 && now()-time.Duration(last) <= echoesFor
}

// remove takes the frames that were heard off a batch, and answers the others and how many it took.
func (e *echoes) remove(ps []drawbridge.Packet, now time.Duration) (left []drawbridge.Packet, removed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	left = ps[:0]
	for i := range ps {
		hash := maphash.Bytes(e.seed, ps[i].Frame)
		if was := e.heard[hash%echoesKept]; was.hash != hash || now-was.at > echoesFor {
			left = append(left, ps[i])
		}
	}
	return left, len(ps) - len(left)
}
