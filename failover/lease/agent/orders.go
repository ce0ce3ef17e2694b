package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// SetConfig takes what Raft committed. It must have been committed after New.
func (a *Agent) SetConfig(c lease.Config) {
	a.order(func(now lease.Instant) {
		if err := a.node.SetConfig(now, c, &a.out); err != nil {
			a.cfg.Log.Error("lease configuration refused", "err", err)
		}
	})
}

// SetPeers says where the other parties are. A party that is left out is forgotten.
func (a *Agent) SetPeers(addrs map[drawbridge.PeerID]netip.AddrPort) {
	addrs = maps.Clone(addrs)
	a.order(func(lease.Instant) {
		for id := range a.peers {
			if _, stays := addrs[id]; !stays {
				delete(a.peers, id)
			}
		}
		for id, addr := range addrs {
			if id == a.cfg.Self {
				continue
			}
			if a.peers[id] == nil {
				a.peers[id] = &peer{}
			}
			a.peers[id].addr = addr
		}
	})
}

// AddGate puts a gate under the agent. allow is asked at every renewal whether it may be open under an epoch;
// it is called in the agent's thread and must not wait.
func (a *Agent) AddGate(segment drawbridge.SegmentID, g Gate, allow func(drawbridge.Epoch) bool) {
	a.order(func(lease.Instant) {
		if old := a.gates[segment]; old != nil {
			a.shut(old, "the port was replaced")
		}
		a.gates[segment] = &door{gate: g, allow: allow, name: segment}
	})
}

// SetCandidate says whether this peer would take the lease of a segment; rank 0 asks first.
func (a *Agent) SetCandidate(segment drawbridge.SegmentID, rank int, wanted bool) {
	a.order(func(now lease.Instant) { a.node.SetCandidate(now, segment, rank, wanted, &a.out) })
}

// Yield gives a tenure up, to heir if that is not 0. It answers whether there was one, once that is done.
func (a *Agent) Yield(segment drawbridge.SegmentID, heir drawbridge.PeerID) bool {
	done := make(chan bool, 1)
	a.order(func(now lease.Instant) { done <- a.node.Yield(now, segment, heir, &a.out) })
	select {
	case had := <-done:
		return had
	case <-time.After(endFor * 10):
		return false
	}
}

// Veto shuts a gate because the wire speaks against it; allow keeps it shut from then on.
func (a *Agent) Veto(segment drawbridge.SegmentID) {
	a.order(func(lease.Instant) {
		if d := a.gates[segment]; d != nil {
			a.shut(d, "the segment itself speaks against it")
		}
	})
}

// Heard tells of another peer's tenure that came to light elsewhere.
func (a *Agent) Heard(segment drawbridge.SegmentID, epoch drawbridge.Epoch) {
	a.order(func(now lease.Instant) { a.node.Heard(now, segment, epoch, &a.out) })
}

// FloorSince is since when a majority of set is known to refuse every generation below floor.
func (a *Agent) FloorSince(set []drawbridge.PeerID, floor uint32) (since failover.Boottime, ok bool) {
	set = slices.Clone(set)
	type answer struct {
		at lease.Instant
		ok bool
	}
	done := make(chan answer, 1)
	a.order(func(now lease.Instant) {
		at, ok := a.node.FloorSince(now, set, floor)
		done <- answer{at, ok}
	})
	select {
	case r := <-done:
		return failover.Boottime(r.at), r.ok
	case <-time.After(endFor * 10):
		return 0, false
	}
}

// Status is what an operator sees of the leases.
type Status struct {
	Generation uint32
	Quorum     bool
	Voters     []lease.VoterStatus
	Segments   []lease.SegmentStatus
	Drops      map[string]uint64
}

// showEvery is how old a status may be.
const showEvery = 20 * time.Millisecond

// show publishes the status now and then.
func (a *Agent) show(now lease.Instant) {
	at := failover.Boottime(now)
	if at.Sub(a.shown) < showEvery {
		return
	}
	a.shown = at
	s := Status{Generation: a.node.Generation()}
	s.Quorum, s.Voters = a.node.Quorum(now)
	for _, id := range a.node.Segments() {
		s.Segments = append(s.Segments, a.node.Status(now, id))
	}
	a.mu.Lock()
	s.Drops = a.status.Drops
	a.status = s
	a.mu.Unlock()
}

// Status reads what was shown last.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	s.Drops = maps.Clone(s.Drops)
	return s
}

func (a *Agent) count(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status.Drops == nil {
		a.status.Drops = map[string]uint64{}
	}
	a.status.Drops[reason]++
}
