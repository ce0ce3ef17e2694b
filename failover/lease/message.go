package lease

import (
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Class says what a datagram is.
type Class uint8

// Classes of datagrams.
const (
	Request   Class = 1
	Answer    Class = 2
	Challenge Class = 3 // empty; tells a sender of an unknown session what to send
)

// Kind says what an entry is.
type Kind uint8

// Kinds of entries; requests are below 16.
const (
	Ask     Kind = 1 // a candidate wants a new tenure
	Renew   Kind = 2 // a holder prolongs its tenure
	Release Kind = 3 // a tenure is over and its gate is shut
	Probe   Kind = 4 // are you there?
	Grant   Kind = 17
	Refuse  Kind = 18
	Echo    Kind = 20
)

// Reason says why a voter refused.
type Reason uint8

// Reasons for refusing.
const (
	Starting   Reason = 1 // the voter has begun or is being configured, and may have forgotten a promise
	Generation Reason = 2 // the request is of a configuration that has been retired
	Promised   Reason = 3 // somebody else has the promise
	OldEpoch   Reason = 4 // a later tenure is known
	TermLength Reason = 5 // the term is zero or longer than any in use
	Unfit      Reason = 6 // the voter does not trust its own clock
)

func (r Reason) String() string {
	names := [...]string{"", "starting", "generation", "promised", "epoch", "term", "unfit"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Tenured is the flag of a refusal whose obstacle is a tenure that has been renewed, not just an attempt.
const Tenured uint16 = 1

// Entry is one segment's part of a datagram.
type Entry struct {
	Kind    Kind
	Reason  Reason
	Flags   uint16
	Segment drawbridge.SegmentID
	Epoch   drawbridge.Epoch  // tenure spoken of; an answer copies it
	Micros  uint32            // ask, renew, grant: term; refuse: until the obstacle ends, 0 unknown
	Peer    drawbridge.PeerID // refuse: who has the promise; release: heir, 0 anybody
	Seen    drawbridge.Epoch  // refuse: highest epoch known; with Tenured, the epoch of the tenure in the way
}

// Message is a datagram without what protects it.
type Message struct {
	Class             Class
	Generation, Floor uint32  // of the sender's configuration
	Stamp             Instant // sender's clock before sending; an answer copies it
	Clock             Instant // answerer's clock
	Entries           []Entry
}

// Send is an entry on its way to a peer.
type Send struct {
	To    drawbridge.PeerID
	Entry Entry
}

// Do says what is to be done with a gate.
type Do uint8

// What is to be done.
const (
	Open  Do = 1 // let frames pass under Epoch until Until; also every renewal
	Shut  Do = 2 // stop frames now
	Fence Do = 3 // Epoch is a tenure of somebody else; nothing older may pass
	Over  Do = 4 // Peer said that its tenure Epoch is over: its gate is shut, and what had passed it is through
)

// Cause says why a gate was shut.
type Cause uint8

// Causes.
const (
	Lapsed   Cause = 1 // no majority renewed in time
	Fenced   Cause = 2 // somebody else has a later tenure
	Yielded  Cause = 3 // release was wanted
	Handed   Cause = 4 // handover to a named peer
	Retired  Cause = 5 // no longer a candidate
	BadClock Cause = 6 // this node's clock departs from the others'
)

func (c Cause) String() string {
	names := [...]string{"", "lease ended without a majority", "later tenure elsewhere", "released", "handed over", "no longer a candidate", "clock not trusted"}
	if int(c) < len(names) {
		return names[c]
	}
	return "unknown"
}

// Action is one thing to be done with a gate.
type Action struct {
	Do      Do
	First   bool  // Open: the tenure begins
	Cause   Cause // Shut: why
	Segment drawbridge.SegmentID
	Epoch   drawbridge.Epoch
	Until   Instant           // Open: the gate's deadline
	Peer    drawbridge.PeerID // Over: who said so
}

// Output collects what a call wants done. The caller carries out Actions in order, reports Node.WasShut with a fresh time if
// there was a Shut, and then sends. It empties and reuses the value.
type Output struct {
	Actions  []Action
	Requests []Send  // stamp: the now of the call
	Answers  []Entry // to the sender of the message that was received; stamp: copied from it
}

// Reset empties o and keeps its memory.
func (o *Output) Reset() {
	o.Actions, o.Requests, o.Answers = o.Actions[:0], o.Requests[:0], o.Answers[:0]
}

func micros(d time.Duration) uint32 { return uint32(max(0, (d+time.Microsecond-1)/time.Microsecond)) }

func fromMicros(us uint32) time.Duration { return time.Duration(us) * time.Microsecond }
