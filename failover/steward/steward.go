// Package steward keeps a network's voters in step with its peers: whoever has the voter's certificate and
// answers gets a vote in the Raft group and a promise in the lease, and whoever was removed loses both, in
// the order of docs/protocol/lease.md, "Configuration". It also enters segments that a gateway names. One
// steward acts at a time: the one beside the Raft leader.
package steward

import (
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
)

// maxVoters is how many voters a network has at most; more peers with the role are spares.
const maxVoters = 7

// driftBound is e of docs/protocol/lease.md: how much faster one clock may run than another.
const driftBound = 0.005

// Member is a peer whose certificate makes it a voter, as the mesh knows it.
type Member struct {
	Name      drawbridge.PeerName
	ID        drawbridge.PeerID
	Address   string // of its Raft port; "": cannot be called
	Reachable bool
}

// Wanted is a segment that a gateway's node file names.
type Wanted struct {
	Name string
	VNI  drawbridge.VNI
}

// View is all that the next step follows from.
type View struct {
	State   raftgroup.State
	Voters  []raftgroup.Voter // of the Raft group
	Members []Member
	// Removed are the peers that were removed from the network for good. The mesh forgets them at once, so they are seldom
	// among Members.
	Removed  map[drawbridge.PeerID]drawbridge.PeerName
	Segments []Wanted
	// FloorHeld is for how long a majority of the former set is known to have refused all generations below
	// the floor; negative: it is not known to yet.
	FloorHeld time.Duration
	// TimersHeld is for how long every voter of the lease's sets is known to go by the present timers; negative: not
	// all of them are.
	TimersHeld time.Duration
}

// Step is one thing to be done, and why. At most one of the pointers is set; none: wait.
type Step struct {
	Why     string
	Add     *raftgroup.Voter
	Remove  drawbridge.PeerName
	Propose *raftgroup.Command
}

// Idle reports whether there is nothing to do.
func (s Step) Idle() bool { return s.Add == nil && s.Remove == "" && s.Propose == nil }

// Next is the one next step. Steps may be lost, repeated, or taken by another leader: each is derived anew
// from what is in force.
func Next(v View) Step {
	for _, part := range []func(View) (Step, bool){finishChange, dropVoter, addVoter, changeSet, addSegment, retireTimers} {
		if s, ok := part(v); ok {
			return s
		}
	}
	return Step{Why: "the voters are those that should be"}
}

// finishChange takes the second and third step of a change of the lease's voters.
func finishChange(v View) (Step, bool) {
	s := v.State.Sets
	if len(s.Former) == 0 {
		return Step{}, false
	}
	if s.Floor < s.Changed {
		return propose("requests of before the change of voters get no promise any more",
			raftgroup.Command{RaiseFloor: &raftgroup.RaiseFloor{From: v.State.Generation}}), true
	}
	wait := outlived(v.State.Timers.Longest)
	if v.FloorHeld < wait {
		return Step{Why: fmt.Sprintf("waiting until leases of the former voters have ended: %v of %v", max(v.FloorHeld, 0), wait)}, true
	}
	return propose("leases of the former voters have ended",
		raftgroup.Command{RetireSet: &raftgroup.RetireSet{From: v.State.Generation}}), true
}

// outlived is how long after the last promise of that length it is surely over, on any clock.
func outlived(longest time.Duration) time.Duration {
	return time.Duration(float64(longest) * (1 + 2*driftBound))
}

func propose(why string, c raftgroup.Command) Step { return Step{Why: why, Propose: &c} }

// dropVoter takes the vote of a peer that the lease does not count on any more and that was removed.
func dropVoter(v View) (Step, bool) {
	for _, voter := range v.Voters {
		if id, removed := v.removed(voter.Name); removed && !slices.Contains(v.State.Sets.Present, id) {
			return Step{Why: fmt.Sprintf("peer %s was removed from the network", voter.Name), Remove: voter.Name}, true
		}
	}
	return Step{}, false
}

// removed finds a voter that is no longer of the network, unless another peer has its name by now. One of whom the mesh
// knows nothing stays: it may be away for long.
func (v View) removed(name drawbridge.PeerName) (drawbridge.PeerID, bool) {
	if slices.ContainsFunc(v.Members, func(m Member) bool { return m.Name == name && !v.gone(m.ID) }) {
		return 0, false
	}
	for id, removed := range v.Removed {
		if removed == name {
			return id, true
		}
	}
	return 0, false
}

func (v View) gone(id drawbridge.PeerID) bool {
	_, gone := v.Removed[id]
	return gone
}

// addVoter gives a vote to one more peer, or follows one to another address.
func addVoter(v View) (Step, bool) {
	for _, m := range v.candidates() {
		i := slices.IndexFunc(v.Voters, func(o raftgroup.Voter) bool { return o.Name == m.Name })
		switch {
		case i >= 0 && v.Voters[i].Address != m.Address && m.Reachable:
			return Step{Why: fmt.Sprintf("voter %s moved to %s", m.Name, m.Address), Add: &raftgroup.Voter{Name: m.Name, Address: m.Address}}, true
		case i < 0 && m.Reachable && len(v.Voters) < maxVoters:
			return Step{Why: fmt.Sprintf("peer %s has a voter's certificate", m.Name), Add: &raftgroup.Voter{Name: m.Name, Address: m.Address}}, true
		}
	}
	return Step{}, false
}

// candidates are the members that may vote, in order of name, so that every leader sees the same.
func (v View) candidates() []Member {
	all := slices.DeleteFunc(slices.Clone(v.Members), func(m Member) bool { return m.Address == "" || v.gone(m.ID) })
	slices.SortFunc(all, func(a, b Member) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

// changeSet makes the lease count on exactly the Raft voters that are of the network.
func changeSet(v View) (Step, bool) {
	var set []drawbridge.PeerID
	for _, voter := range v.Voters {
		i := slices.IndexFunc(v.Members, func(m Member) bool { return m.Name == voter.Name })
		if i < 0 || v.gone(v.Members[i].ID) {
			continue
		}
		set = append(set, v.Members[i].ID)
	}
	set = append(set, v.unknown()...)
	slices.Sort(set)
	set = slices.Compact(set)
	if len(set) == 0 || slices.Equal(set, v.State.Sets.Present) {
		return Step{}, false
	}
	return propose(fmt.Sprintf("the lease counts on %d voters instead of %d", len(set), len(v.State.Sets.Present)),
		raftgroup.Command{ChangeSet: &raftgroup.ChangeSet{From: v.State.Generation, Set: set}}), true
}

// unknown are voters of the present set of whom the mesh has not heard since it began: they stay.
func (v View) unknown() (ids []drawbridge.PeerID) {
	for _, id := range v.State.Sets.Present {
		known := slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == id })
		if !known && !v.gone(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// addSegment enters a segment that nobody decided about yet.
func addSegment(v View) (Step, bool) {
	for _, w := range v.Segments {
		if _, known := v.State.Segments[w.Name]; !known {
			return propose(fmt.Sprintf("a gateway is on segment %s", w.Name),
				raftgroup.Command{SetSegment: &raftgroup.SetSegment{Name: w.Name, Segment: raftgroup.Segment{VNI: w.VNI}}}), true
		}
	}
	return Step{}, false
}

// retireTimers ends what longer leases of former timers ask of a voter that starts: to wait for the longest. Every holder
// is a voter, so when all voters go by the present timers nobody asks for a longer lease any more, and a moment later no
// promise of one lives.
func retireTimers(v View) (Step, bool) {
	t := v.State.Timers
	if t.Longest <= t.Length || v.TimersHeld < outlived(t.Longest) {
		return Step{}, false
	}
	return propose(fmt.Sprintf("leases of %v have ended: the longest is %v", t.Longest, t.Length),
		raftgroup.Command{RetireTimers: &raftgroup.RetireTimers{Since: t.Since}}), true
}
