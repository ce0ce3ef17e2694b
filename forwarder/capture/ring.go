package capture

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

// ring passes frames from many goroutines to one and makes none of them wait: a frame that finds no room is lost. A
// writer reserves blocks by moving head, fills them, and then marks the first; the reader takes marked ones in order.
type ring struct {
	data  []byte          // blockLen bytes for each mark
	marks []atomic.Uint32 // 0: being filled; skipped; else the length of the record that begins here
	head  atomic.Uint64   // blocks ever reserved
	tail  atomic.Uint64   // blocks ever given back
	lost  atomic.Uint64

	asleep atomic.Bool
	wake   chan struct{}
}

const (
	blockLen = 64 // a cache line, so that neighbours do not disturb each other
	// skipped marks the rest of the ring, which was too short for the record that now begins at its start.
	skipped = 1<<32 - 1
	// prefixLen is what goes before a frame: time 8, port 4, length 4, offload 10, direction 1.
	prefixLen = 27
)

func newRing(bytes int) *ring {
	blocks := max(bytes/blockLen, 1)
	return &ring{data: make([]byte, blocks*blockLen), marks: make([]atomic.Uint32, blocks), wake: make(chan struct{}, 1)}
}

func blocksOf(length int) uint64 { return uint64(length+blockLen-1) / blockLen }

// reserve finds room for a record; not ok: there is none.
func (r *ring) reserve(length int) (first uint64, ok bool) {
	size, need := uint64(len(r.marks)), blocksOf(length)
	for {
		tail := r.tail.Load() // before head: it never overtakes it
		head, skip := r.head.Load(), uint64(0)
		if at := head % size; at+need > size {
			skip = size - at
		}
		if head+skip+need-tail > size {
			return 0, false
		}
		if !r.head.CompareAndSwap(head, head+skip+need) {
			continue
		}
		if skip > 0 {
			r.marks[head%size].Store(skipped)
		}
		return (head + skip) % size, true
	}
}

// put copies up to snap bytes of p's frame into the ring.
func (r *ring) put(port uint32, d forwarder.Direction, p *drawbridge.Packet, snap int, at time.Time) bool {
	data := p.Frame[:min(len(p.Frame), snap)]
	length := prefixLen + len(data)
	first, ok := r.reserve(length)
	if !ok {
		r.lost.Add(1)
		return false
	}
	b, o := r.data[first*blockLen:], p.Offload
	binary.NativeEndian.PutUint64(b, uint64(at.UnixNano()))
	binary.NativeEndian.PutUint32(b[8:], port)
	binary.NativeEndian.PutUint32(b[12:], uint32(len(p.Frame)))
	segment.PutVnet(b[16:], o)
	b[26] = byte(d)
	copy(b[prefixLen:], data)
	r.marks[first].Store(uint32(length))
	if r.asleep.Load() && r.asleep.CompareAndSwap(true, false) {
		select {
		case r.wake <- struct{}{}:
		default: // an earlier one has not been noticed yet
		}
	}
	return true
}

// next is the oldest record; nil when there is none. It stays until release.
func (r *ring) next() []byte {
	size := uint64(len(r.marks))
	for {
		tail := r.tail.Load()
		at := tail % size
		switch length := r.marks[at].Load(); length {
		case 0:
			return nil
		case skipped:
			r.marks[at].Store(0)
			r.tail.Store(tail + size - at)
		default:
			return r.data[at*blockLen:][:length]
		}
	}
}

// release gives back what next returned.
func (r *ring) release(b []byte) {
	tail := r.tail.Load()
	r.marks[tail%uint64(len(r.marks))].Store(0)
	r.tail.Store(tail + blocksOf(len(b)))
}

// sleep returns a channel that says when there is something to take; nil: there is already.
func (r *ring) sleep() <-chan struct{} {
	r.asleep.Store(true)
	if r.next() == nil || !r.asleep.CompareAndSwap(true, false) {
		return r.wake
	}
	return nil
}
