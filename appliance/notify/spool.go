package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
)

// Store keeps the bytes of one queue.
type Store interface {
	// Load is everything that was stored; nothing when there is no queue yet.
	Load() ([]byte, error)
	// Append adds b. When it returns without an error and durable was asked for, b and everything before it survives
	// a loss of power. After an error, none or all of b may be there; Replace must follow.
	Append(b []byte, durable bool) error
	// Replace puts b in the place of everything: on disk and whole when it returns, or what was there before.
	Replace(b []byte) error
}

// castagnoli is CRC-32C, which finds a line that was not written to its end.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// compactAt is how many bytes of records a store may grow to before they are replaced by a snapshot. A snapshot that is
// larger itself is replaced when it has doubled.
const compactAt = 256 << 10

// Spool is a Queue that survives. Any goroutine may use it.
//
// Nothing is handed out by First before it is on disk, so no number is given twice to different events. When the disk
// does not take it, the queue goes on in memory: that the disk is full is worth telling. Problem says so meanwhile.
type Spool struct {
	store Store

	mu      sync.Mutex // guards what follows
	queue   *Queue
	size    int // bytes in the store
	compact int // size at which a snapshot replaces them
	problem error
	changed chan struct{}
}

// OpenSpool reads a queue back. What a crash left half written at the end is cut off: it was never handed out. damaged
// counts the bytes that were. One that cannot be read begins anew, with the error that says why: to tell what happens
// from now on is better than to tell nothing.
func OpenSpool(store Store, limit int) (s *Spool, damaged int, err error) {
	text, err := store.Load()
	q := NewQueue(limit)
	whole := replay(q, text)
	s = &Spool{store: store, queue: q, changed: make(chan struct{})}
	s.replace()
	return s, len(text) - whole, err
}

// replay applies the records of text and returns how many of its bytes they are.
func replay(q *Queue, text []byte) (whole int) {
	for {
		end := bytes.IndexByte(text[whole:], '\n')
		if end < 0 {
			return whole
		}
		r, err := parseRecord(text[whole : whole+end])
		if err != nil || q.apply(r) != nil {
			return whole
		}
		whole += end + 1
	}
}

func parseRecord(line []byte) (*record, error) {
	crc, body, _ := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(crc), 16, 32)
	if err != nil || len(crc) != 8 || uint32(want) != sum(body) {
		return nil, fmt.Errorf("a record of the queue is damaged")
	}
	r := new(record)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("a record of the queue: %w", err)
	}
	return r, nil
}

// keep writes a record down. The caller holds mu.
func (s *Spool) keep(r record, durable bool) {
	line, err := r.encode()
	if err == nil && s.problem == nil && s.size+len(line) <= s.compact {
		err = s.store.Append(line, durable)
		s.size += len(line)
		s.problem = err
		if err == nil {
			return
		}
	}
	s.replace()
}

// replace writes the whole queue down. The caller holds mu.
func (s *Spool) replace() {
	line, err := s.queue.snapshot().encode()
	if err == nil {
		err = s.store.Replace(line)
	}
	s.problem = err
	s.size, s.compact = len(line), max(compactAt, 2*len(line))
}

// Add appends events, all of them on disk when it returns, unless Problem says otherwise. It reports whether some were
// dropped for them.
func (s *Spool) Add(events ...Event) (dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.queue.dropped
	for i := range events {
		s.queue.Add(events[i])
		s.keep(record{Add: &events[i]}, i == len(events)-1)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return s.queue.dropped > before
}

// First is what the sink is to be told next, and a channel that is closed when more was added.
func (s *Spool) First() (item Item, ok bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tried := s.queue.tried
	if item, ok = s.queue.First(); ok && !tried {
		s.keep(record{First: true}, false)
	}
	return item, ok, s.changed
}

// Done notes that the sink has taken an item. After a loss of power it may be told again.
func (s *Spool) Done(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.Done(sequence)
	s.keep(record{Done: sequence}, false)
}

// GiveUp drops the content of the first item.
func (s *Spool) GiveUp(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.GiveUp(why)
	s.keep(record{GiveUp: why}, true)
}

// Counts are those of a queue.
type Counts struct {
	Waiting   int
	Next      uint64 // number of the next event
	Delivered uint64
	Dropped   uint64
	Problem   error // why the queue is not on disk; nil: it is
}

// Counts says how full the queue is.
func (s *Spool) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Counts{s.queue.Len(), s.queue.next, s.queue.delivered, s.queue.dropped, s.problem}
}
