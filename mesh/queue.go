package mesh

import (
	"context"
	"errors"
	"sync"

	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// What waits for one link, at most. A slow far end costs memory up to here and then loses messages, which
// anti-entropy, memberlist and the data link each make good in their own way.
const (
	maxUrgent = 4 << 20   // bytes of messages of the control plane: every record of 5,000 peers
	maxBulk   = 256 << 10 // bytes of the data link: 20 ms at 100 Mbit/s, so that frames do not grow old in here
)

var (
	errQueueFull = errors.New("the send queue of the link is full")
	errLinkGone  = errors.New("the link is gone")
)

// queue holds framed messages until the writer of a link takes them, all at once. Pushing never blocks.
type queue struct {
	wake chan struct{} // one slot: there is something to take

	mu           sync.Mutex
	urgent, bulk []byte
	idle         chan struct{} // closed while nothing waits and nothing is being written
	last         error         // set: nothing is accepted any more, and why
}

func newQueue() *queue {
	idle := make(chan struct{})
	close(idle)
	return &queue{wake: make(chan struct{}, 1), idle: idle}
}

// push appends a message. The data link's stand behind everybody else's.
func (q *queue) push(k wire.Kind, body []byte) error {
	if 1+len(body) > wire.MaxMessage {
		return wire.ErrMessage
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.last != nil {
		return errLinkGone
	}
	buf, limit := &q.urgent, maxUrgent
	if k == wire.KindTransit {
		buf, limit = &q.bulk, maxBulk
	}
	if len(*buf)+wire.MessageHeader+len(body) > limit {
		return errQueueFull
	}
	*buf = wire.AppendMessage(*buf, k, body)
	q.signal()
	return nil
}

// signal is called with mu held, when there is something to take.
func (q *queue) signal() {
	select {
	case <-q.idle:
		q.idle = make(chan struct{})
	default:
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take moves everything that waits into buf, which the caller has finished with, and keeps its memory for
// what comes next. An empty result means that all has been written.
func (q *queue) take(buf []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	buf = append(append(buf[:0], q.urgent...), q.bulk...)
	q.urgent, q.bulk = shrink(q.urgent), shrink(q.bulk)
	if len(buf) == 0 {
		q.rest()
	}
	return buf
}

// shrink empties b, and gives back the memory of a burst.
func shrink(b []byte) []byte {
	if cap(b) > 2*maxBulk {
		return nil
	}
	return b[:0]
}

// rest is called with mu held.
func (q *queue) rest() {
	select {
	case <-q.idle:
	default:
		close(q.idle)
	}
}

// finish refuses what comes from now on; what waits is still written.
func (q *queue) finish(reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.last == nil {
		q.last = reason
		q.signal()
	}
}

// finished is the reason given to finish, nil while there is none.
func (q *queue) finished() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last
}

// close refuses what comes from now on and drops what waits.
func (q *queue) close() {
	q.finish(errLinkGone)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.urgent, q.bulk = nil, nil
	q.rest()
}

// flush waits until all that was pushed before has been written, or dropped.
func (q *queue) flush(ctx context.Context) error {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
