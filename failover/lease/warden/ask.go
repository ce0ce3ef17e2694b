package warden

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// answerFor is how long an answer of the agent may take. It takes a tenth of a millisecond.
const answerFor = time.Second

// ask has a question answered; false when there is nobody to do so.
func (w *Warden) ask(o *pipe.Order) (pipe.Report, bool) {
	answer := make(chan pipe.Report, 1)
	w.mu.Lock()
	if w.life == nil || w.life.err != nil {
		w.mu.Unlock()
		return pipe.Report{}, false
	}
	w.numbers++
	o.Number = w.numbers
	w.waiting[o.Number] = answer
	w.order(o)
	patience := w.life.patience(answerFor)
	w.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r, ok := <-answer: // closed: it died
		return r, ok
	case <-timer.C:
		w.mu.Lock()
		delete(w.waiting, o.Number)
		w.mu.Unlock()
		return pipe.Report{}, false
	}
}

// Yield gives a tenure up, to heir if that is not 0. It answers whether there was one, once the gate is shut.
func (w *Warden) Yield(segment drawbridge.SegmentID, heir drawbridge.PeerID) bool {
	w.mu.Lock()
	if d := w.doors[segment]; d != nil {
		w.forbid(d) // a renewal must not open it again meanwhile
	}
	w.mu.Unlock()
	r, ok := w.ask(&pipe.Order{Kind: pipe.Yield, Segment: segment, Peer: heir})
	return ok && r.Yes
}

// FloorSince is since when a majority of set is known to refuse every generation below floor.
func (w *Warden) FloorSince(set []drawbridge.PeerID, floor uint32) (since failover.Boottime, ok bool) {
	r, ok := w.ask(&pipe.Order{Kind: pipe.Floor, Set: set, Floor: floor})
	return failover.Boottime(r.At), ok && r.Yes
}

// Status is what an operator sees of the leases.
type Status struct {
	Generation uint32
	Quorum     bool
	Voters     []lease.VoterStatus
	Segments   []lease.SegmentStatus
	Drops      map[string]uint64
	Life       uint64        // number of the agent
	Process    int           // its id
	Turns      uint64        // of its loop
	Late       time.Duration // by how much it woke up too late at most
	Still      time.Duration // how long this process gave it no sign of life at most; agent.Stuck ends tenures
	Problem    string        // why it does not run as it should
}

// Status asks the agent how the leases stand. While there is none, only Problem says something.
func (w *Warden) Status() Status {
	r, ok := w.ask(&pipe.Order{Kind: pipe.Tell})
	w.mu.Lock()
	defer w.mu.Unlock()
	if !ok || w.life == nil {
		return Status{Problem: w.problem}
	}
	t := r.Status
	s := Status{
		Generation: t.Generation, Quorum: t.Quorum, Voters: t.Voters, Segments: t.Segments, Drops: map[string]uint64{},
		Life: w.lives, Process: w.life.process.Process.Pid, Turns: t.Turns, Late: t.Late, Still: t.Still, Problem: w.problem,
	}
	for i, n := range t.Drops {
		s.Drops[pipe.DropNames[i]] = n
	}
	return s
}

func sortParties(all []pipe.Party) {
	slices.SortFunc(all, func(a, b pipe.Party) int { return cmp.Compare(a.Peer, b.Peer) })
}

func sameParties(a, b []pipe.Party) bool {
	return slices.EqualFunc(a, b, func(a, b pipe.Party) bool {
		return a.Peer == b.Peer && a.Addr == b.Addr && bytes.Equal(a.Key, b.Key)
	})
}
