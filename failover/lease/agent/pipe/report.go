package pipe

import (
	"log/slog"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// Reports, and which fields they have.
const (
	Running Kind = 64 + iota // Text: why it does not run as it should, or nothing
	Won                      // Segment, Epoch: the lease is held; the gate waits for the board
	Opened                   // Segment, Epoch, At: no frame passed before that
	Ended                    // Segment, Epoch, At: no frame passed after that, Text: why the gate was shut; Yes: the lease is over too
	Yielded                  // Number, Yes: there was a tenure
	Floored                  // Number, Yes, At
	Told                     // Number, Status
	Noted                    // Level, Text: for the log
	Over                     // Number: the peer that said so; Segment, Epoch: its tenure, which is over
)

// Report is what the agent tells the daemon.
type Report struct {
	Kind    Kind
	Number  uint64
	Segment drawbridge.SegmentID
	Epoch   drawbridge.Epoch
	At      lease.Instant
	Level   slog.Level
	Yes     bool
	Text    string
	Status  Status
}

// Status is what an operator sees of the leases.
type Status struct {
	Generation uint32
	Quorum     bool
	Voters     []lease.VoterStatus
	Segments   []lease.SegmentStatus
	Drops      [Drops]uint64
	Turns      uint64        // of the agent's loop
	Late       time.Duration // by how much the agent woke up too late at most
	Still      time.Duration // how long the daemon gave no sign of life at most
}

// Reasons for not using a datagram.
const (
	Malformed = iota
	UnknownPeer
	Forged
	Replayed
	NotSent
	Drops
)

// DropNames are the reasons in words.
var DropNames = [Drops]string{"malformed", "unknown_peer", "forged", "replayed", "not_sent"}

// Append writes p.
func (p *Report) Append(b []byte) []byte {
	w := writer{append(b, byte(p.Kind))}
	w.u64(p.Number)
	w.u32(uint32(p.Segment))
	w.u64(uint64(p.Epoch))
	w.u64(uint64(p.At))
	w.u16(uint16(p.Level))
	w.flag(p.Yes)
	w.text(p.Text)
	if p.Kind == Told {
		w.status(&p.Status)
	}
	return w.b
}

// Parse reads a report into p.
func (p *Report) Parse(b []byte) error {
	r := reader{b: b}
	*p = Report{
		Kind: Kind(r.u8()), Number: r.u64(), Segment: drawbridge.SegmentID(r.u32()), Epoch: drawbridge.Epoch(r.u64()),
		At: lease.Instant(r.u64()), Level: slog.Level(int16(r.u16())), Yes: r.flag(), Text: string(r.octets()),
	}
	if p.Kind == Told {
		r.status(&p.Status)
	}
	r.must(p.Kind >= Running && p.Kind <= Over)
	return r.end("report")
}

func (w *writer) status(s *Status) {
	w.u32(s.Generation)
	w.flag(s.Quorum)
	w.u16(uint16(len(s.Voters)))
	for i := range s.Voters {
		v := &s.Voters[i]
		w.u32(uint32(v.Peer))
		w.u64(uint64(v.Age))
		w.u64(uint64(v.RTT))
		w.u32(v.Generation)
	}
	w.u16(uint16(len(s.Segments)))
	for i := range s.Segments {
		w.segment(&s.Segments[i])
	}
	for _, n := range s.Drops {
		w.u64(n)
	}
	w.u64(s.Turns)
	w.u64(uint64(s.Late))
	w.u64(uint64(s.Still))
}

func (r *reader) status(s *Status) {
	s.Generation, s.Quorum = r.u32(), r.flag()
	for n := r.count(); n > 0; n-- {
		s.Voters = append(s.Voters, lease.VoterStatus{
			Peer: drawbridge.PeerID(r.u32()), Age: r.duration(), RTT: r.duration(), Generation: r.u32(),
		})
	}
	for n := r.count(); n > 0; n-- {
		s.Segments = append(s.Segments, r.segment())
	}
	for i := range s.Drops {
		s.Drops[i] = r.u64()
	}
	s.Turns, s.Late, s.Still = r.u64(), r.duration(), r.duration()
}

func (w *writer) segment(s *lease.SegmentStatus) {
	w.u32(uint32(s.Segment))
	w.u16(uint16(s.State))
	w.flag(s.Candidate)
	w.u16(uint16(s.Rank))
	w.u64(uint64(s.Epoch))
	w.u32(uint32(s.Holder))
	for _, v := range [...]int64{int64(s.Since), int64(s.Margin), int64(s.Takeover)} {
		w.u64(uint64(v))
	}
}

func (r *reader) segment() lease.SegmentStatus {
	s := lease.SegmentStatus{Segment: drawbridge.SegmentID(r.u32())}
	state := r.u16()
	r.must(state <= uint16(lease.Closing))
	s.State, s.Candidate, s.Rank = lease.State(state), r.flag(), int(r.u16())
	s.Epoch, s.Holder = drawbridge.Epoch(r.u64()), drawbridge.PeerID(r.u32())
	s.Since, s.Margin, s.Takeover = lease.Instant(r.u64()), r.duration(), r.duration()
	return s
}
