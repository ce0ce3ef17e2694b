// Package notify tells others what happened: webhooks, commands, collectors of syslog messages. Every sink has a queue
// of its own on disk, is told in order and at least once, and hears of what did not fit into its queue. Beside that it
// keeps the conditions that are true just now, which can be read again when a message was missed.
package notify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Event is one thing that happened, as the journal of the peer has it.
type Event struct {
	ID      uint64    `json:"id"`
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Kind    string    `json:"kind"`
	Text    string    `json:"text"`
	Peer    string    `json:"peer,omitempty"`
	Port    string    `json:"port,omitempty"`
	Segment string    `json:"segment,omitempty"`
	Epoch   string    `json:"epoch,omitempty"`
	Alert   string    `json:"alert,omitempty"` // ID of the condition that began or ended
	Reason  string    `json:"reason,omitempty"`
}

// Levels of events and severities of conditions, in ascending order.
const (
	Info  = "info"
	Warn  = "warn"
	Error = "error"
)

// rank orders the levels; a word that is none counts as the highest, so that nothing is lost by a word of newer software.
func rank(level string) int {
	switch level {
	case Info:
		return 0
	case Warn:
		return 1
	}
	return 2
}

// AtLeast reports whether level matters as much as least; an empty least takes all.
func AtLeast(level, least string) bool { return least == "" || rank(level) >= rank(least) }

// Key names the fact behind an event. Every peer tells of a fact of the whole network, under the same key, so that a
// receiver that hears several peers can count it once; a fact of one peer has that peer in its key.
func (e *Event) Key(from string) string {
	switch {
	case (e.Kind == "segment_active" || e.Kind == "segment_inactive") && e.Epoch != "":
		return e.Kind + "/" + e.Segment + "/" + e.Epoch
	case e.Kind == KindReverted:
		return e.Kind + "/" + e.Reason
	default:
		return fmt.Sprintf("%s/%s/%d", e.Kind, from, e.ID)
	}
}

// Message is what a sink is told: an item of its queue, and who tells it.
type Message struct {
	Format   int    `json:"format"` // 1; fields are only added
	Network  string `json:"network"`
	From     string `json:"from"` // the peer that tells
	Sink     string `json:"sink"`
	Sequence uint64 `json:"sequence"` // 0: a test, outside of the queue
	// Lost is how many events did not fit into the queue and are not told, this number and those just below it. 0: Event is
	// told as it happened.
	Lost  uint64 `json:"lost,omitempty"`
	Key   string `json:"key"`
	Test  bool   `json:"test,omitempty"`
	Event Event  `json:"event"`
}

// Driver hands messages to one sink.
type Driver interface {
	// Tell returns when the sink has taken m, or why it has not. It is never called twice at a time, and obeys ctx.
	Tell(ctx context.Context, m *Message) error
	// Close lets go of connections. It is called once, after the last Tell.
	Close() error
}

// ErrRefused is wrapped by errors of drivers when the sink answered that it will never take this very message.
var ErrRefused = errors.New("the sink refuses this message")

// laterError is an error after which the sink wants to be left alone for a while.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }
