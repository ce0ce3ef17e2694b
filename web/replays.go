package web

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of what is remembered. A client that was cut off asks again within minutes; nobody's keys push out another's
// before there are a hundred of theirs.
const (
	replayLife      = time.Hour
	maxReplays      = 1000
	maxReplaysOfOne = 100
	maxReplay       = 256 << 10 // bytes of one answer: the network configuration is the longest
	maxReplayBytes  = 8 << 20   // of all
)

// replayKey is an Idempotency-Key of one caller: others may use the same.
type replayKey struct{ caller, key string }

// fingerprint tells requests apart.
type fingerprint struct {
	line   [sha256.Size]byte // of method, path, query and precondition
	body   [sha256.Size]byte
	length int64
}

// replay is what came of one change.
type replay struct {
	key    replayKey
	done   bool // what follows is set
	at     time.Time
	print  fingerprint
	status int
	header http.Header
	body   []byte
}

// replays remembers what came of changes that carried an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). Any
// goroutine may use it.
type replays struct {
	now func() time.Time

	mu    sync.Mutex // guards what follows
	known map[replayKey]*replay
	ended []*replay // in the order of their ends
	bytes int       // of the answers in them
}

func newReplays(now func() time.Time) *replays {
	return &replays{now: now, known: map[replayKey]*replay{}}
}

// begin notes that a change is being carried out. When its key is known, it returns what is, and nothing is to be done.
func (r *replays) begin(key replayKey) (mine *replay, before *replay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ended) > 0 && r.now().Sub(r.ended[0].at) >= replayLife {
		r.drop(0)
	}
	if old, ok := r.known[key]; ok {
		copied := *old
		return nil, &copied
	}
	mine = &replay{key: key}
	r.known[key] = mine
	return mine, nil
}

// forget ends a change of which nothing is kept.
func (r *replays) forget(e *replay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, e.key)
}

// end keeps what came of a change.
func (r *replays) end(e *replay, p fingerprint, status int, header http.Header, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.done, e.at, e.print, e.status, e.header, e.body = true, r.now(), p, status, header, body
	r.ended = append(r.ended, e)
	r.bytes += len(body)
	of := 0
	for _, o := range r.ended {
		if o.key.caller == e.key.caller {
			of++
		}
	}
	if of > maxReplaysOfOne {
		r.drop(slices.IndexFunc(r.ended, func(o *replay) bool { return o.key.caller == e.key.caller }))
	}
	for len(r.ended) > maxReplays || r.bytes > maxReplayBytes {
		r.drop(0)
	}
}

// drop is called with mu held.
func (r *replays) drop(i int) {
	delete(r.known, r.ended[i].key)
	r.bytes -= len(r.ended[i].body)
	r.ended = slices.Delete(r.ended, i, i+1)
}
