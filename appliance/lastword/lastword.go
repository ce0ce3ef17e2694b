// Package lastword keeps the last word of every other peer about one thing: how ready it is, which roll-out it coordinates, what it
// hears come round. A word takes the place of the one before, so that there is no more in memory than there are peers, however much is
// told.
package lastword

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Word is what a peer told last.
type Word[T any] struct {
	Said T
	At   time.Duration // by Topic.Now
}

// Topic is what peers tell each other of. Its functions are called by several goroutines and with no lock held, and must not wait.
type Topic[T any] struct {
	Name string // what is told of, in logs and counters: "loops"
	// Read understands a word of a peer; its error says why it is not believed.
	Read func(from drawbridge.PeerID, msg []byte) (T, error)
	// Own is the word of this peer for those that were away when it was told; nil: they hear the next one soon enough.
	Own func() []byte
	// Heard is told of a new word, and of the one that it takes the place of: the zero T when that is the first.
	Heard func(was, is T)
	Now   func() time.Duration
	Log   *slog.Logger
}

// Channel hears of a topic. It is a mesh.Channel; any goroutine may use it.
type Channel[T any] struct {
	topic Topic[T]

	mu        sync.Mutex // guards what follows
	last      map[drawbridge.PeerID]Word[T]
	malformed uint64
}

// New makes a channel on which nothing was heard yet.
func New[T any](topic Topic[T]) *Channel[T] {
	return &Channel[T]{topic: topic, last: map[drawbridge.PeerID]Word[T]{}}
}

// Receive implements mesh.Channel.
func (c *Channel[T]) Receive(from drawbridge.PeerID, msg []byte) {
	said, err := c.topic.Read(from, msg)
	if err != nil {
		c.topic.Log.Debug("the word of a peer was not believed", "peer", from, "topic", c.topic.Name, "err", err)
		c.mu.Lock()
		c.malformed++
		c.mu.Unlock()
		return
	}
	is := Word[T]{said, c.topic.Now()}
	c.mu.Lock()
	was := c.last[from]
	c.last[from] = is
	c.mu.Unlock()
	c.topic.Heard(was.Said, is.Said)
}

// State implements mesh.Channel.
func (c *Channel[T]) State() []byte {
	if c.topic.Own == nil {
		return nil
	}
	return c.topic.Own()
}

// Merge implements mesh.Channel: a state is the word of the peer that has it.
func (c *Channel[T]) Merge(from drawbridge.PeerID, state []byte) {
	if len(state) > 0 {
		c.Receive(from, state)
	}
}

// Of is the last word of a peer.
func (c *Channel[T]) Of(peer drawbridge.PeerID) (w Word[T], known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, known = c.last[peer]
	return w, known
}

// All are the last words of all peers that told anything.
func (c *Channel[T]) All() map[drawbridge.PeerID]Word[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.last)
}

// Drops counts the words that were not believed.
func (c *Channel[T]) Drops() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.malformed == 0 {
		return nil
	}
	return map[string]uint64{c.topic.Name + ": malformed": c.malformed}
}
