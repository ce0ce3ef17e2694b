package web

import (
	"cmp"
	"time"
)

// Loops is what comes round: frames that a peer hears where they cannot have come from. What others hear is told, and as old as it says.
type Loops struct {
	Circling bool       `json:"circling" doc:"Whether frames go round just now: 10 of one kind at least, the last within 10 s"`
	Remedy   string     `json:"remedy,omitempty" doc:"What to do about what goes round just now, here or elsewhere, from what all peers hear"`
	Circles  []Circle   `json:"circles" doc:"Kinds of frames that came round within the last ten minutes, the newest first, 256 at most. Each copy was dropped"`
	Missed   uint64     `json:"missed" doc:"Frames that came round since the start and could not be looked at, as they were too many at once"`
	Blocked  []LoopPort `json:"blocked" doc:"Ports of this peer that ALONE blocks because their wire leads where it must not"`

	Elsewhere []PeerLoops `json:"elsewhere" doc:"What every other peer hears, as it told itself: what goes round first, then who is silent"`
}

// PeerLoops is what another peer hears come round.
type PeerLoops struct {
	Peer     string   `json:"peer" doc:"Who says so"`
	AgeS     float64  `json:"age_s" doc:"Seconds since it said so; 0 with silent: it never did"`
	Silent   bool     `json:"silent" doc:"It has not said for longer than it should: what is here is how it was, or nothing"`
	Circling bool     `json:"circling" doc:"Whether frames go round there just now"`
	Circles  []Circle `json:"circles" doc:"Kinds of frames that came round there within the last ten minutes, the newest first"`
	LeftOut  int      `json:"left_out,omitempty" doc:"Kinds that were too many to tell of; the peer itself lists them"`
}

// Circle is one kind of frame that comes round.
type Circle struct {
	Source      string    `json:"source" doc:"Address of the station that sent it" example:"02:00:5e:10:00:01"`
	Destination string    `json:"destination" doc:"Address that it is for" example:"ff:ff:ff:ff:ff:ff"`
	Type        string    `json:"type" doc:"Its EtherType in hexadecimal; of a tagged frame that of the tag" example:"0806"`
	VNI         uint32    `json:"vni" doc:"Number of the overlay"`
	Heard       LoopEnd   `json:"heard" doc:"Where the copies come in"`
	Known       LoopEnd   `json:"known" doc:"Where the station itself speaks"`
	Loop        bool      `json:"loop" doc:"Whether it is a loop, and no echo of a station that moved: 10 copies at least"`
	Circling    bool      `json:"circling" doc:"Whether it goes round just now"`
	Count       uint64    `json:"count" doc:"How many copies came in since it began"`
	PerSecond   float64   `json:"per_second" doc:"The same for each second from the first copy to the last, of one second at least"`
	Since       time.Time `json:"since" doc:"When the first one came in"`
	Last        time.Time `json:"last" doc:"When the last one came in"`
}

// LoopEnd is one end of the way round.
type LoopEnd struct {
	At      string `json:"at" enum:"port,peer,segment" doc:"At a guest port of this peer, at another peer, or behind a segment"`
	Port    string `json:"port,omitempty" doc:"Port of this peer"`
	Peer    string `json:"peer,omitempty" doc:"Peer where it is, or the segment's active gateway"`
	Segment string `json:"segment,omitempty" doc:"Segment that it is behind"`
}

// String is the end as people call it, wherever in the network they sit.
func (e LoopEnd) String() string {
	switch {
	case e.At == AtSegment:
		return "segment " + e.Segment
	case e.At == AtPort && e.Peer != "":
		return "port " + e.Port + " of " + e.Peer
	case e.At == AtPort:
		return "port " + e.Port
	}
	return "peer " + e.Peer
}

// Name is what the end is called by without saying what it is.
func (e LoopEnd) Name() string { return cmp.Or(e.Segment, e.Port, e.Peer) }

// LoopPort is a port that is blocked.
type LoopPort struct {
	Port    string `json:"port" doc:"Name of the port"`
	Reason  string `json:"reason" doc:"Why, as in ports" example:"same_wire"`
	Problem        // for people
}
