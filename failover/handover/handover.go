// Package handover moves a segment from the gateway that holds its lease to another without losing, doubling or
// reordering frames (docs/protocol/handover.md). It is pure: no clock, socket, goroutine or randomness; every call
// takes the time and answers what is to be done. Who may open a gate is the lease's business alone: nothing here
// can open one.
package handover

import "time"

// Timers of a planned move, with their reasons in docs/protocol/handover.md.
const (
	// Watch is how long the giver lists what passes its gate before it tells the taker to hold: a frame for both
	// reaches their ports within far less.
	Watch = 20 * time.Millisecond
	// PrepareFor is how long the taker may think about it.
	PrepareFor = 2 * time.Second
	// HoldFor is how long frames are kept at most; later they do more harm than none.
	HoldFor = 250 * time.Millisecond
	// OpenFor is how long the heir has to take the lease, beside one term.
	OpenFor = 100 * time.Millisecond
	// MarkerFor is how long the giver looks for the taker's marker on the segment.
	MarkerFor = 20 * time.Millisecond
	// SettleFor is how long the taker waits for the end of what the giver sends first: without its list, frames
	// would be doubled.
	SettleFor = 250 * time.Millisecond
	// TurnFor is how long frames of a peer that has turned wait for those that it sent the old way.
	TurnFor = 60 * time.Millisecond
	// TrailFor is how long frames are sent on that peers still send to the giver: gossip is faster.
	TrailFor = 2 * time.Second
)

// Never is later than every deadline.
const Never = time.Duration(1<<63 - 1)

// Do is something that a machine wants done.
type Do uint8

// What there is to do. Each is done before the next event is told.
const (
	DoList    Do = iota + 1 // giver: begin the list of what passes the gate
	DoPrepare               // giver: send PREPARE and the stations
	DoHold                  // both: keep frames from now on; the giver sends them and its list, the taker stores them
	DoYield                 // giver: give the lease to the taker
	DoShut                  // giver: send SHUT
	DoNarrow                // giver: send END 1; keep only what peers send to us alone
	DoEnd                   // giver: send END 2, end the hold, forget the list
	DoDrop                  // both: end the hold and drop what is kept
	DoAbort                 // both: send ABORT, with Reason
	DoReady                 // taker: send READY
	DoRefuse                // taker: send REFUSE, with Reason
	DoOpen                  // taker: send OPENED, forward what the giver sent and sends, tell peers, announce, marker
	DoRelease               // taker: forward what it kept itself, less the list; end the hold
	DoClose                 // both: the move is over; close the stream
)

var words = [...]string{
	"", "list", "prepare", "hold", "yield", "shut", "narrow", "end", "drop", "abort", "ready", "refuse", "open", "release", "close",
}

func (d Do) String() string { return words[d] }

// Result says how a move stands.
type Result uint8

// Results.
const (
	UnderWay Result = iota
	Moved           // the taker's gate opened
	Refused         // nothing was done
	Failed          // something was begun and given up; who holds the lease is for the lease to say
)
