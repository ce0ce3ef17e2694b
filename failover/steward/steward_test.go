package steward

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
)

// network is a Raft group and a mesh in memory. Steps may be lost.
type network struct {
	state   raftgroup.State
	voters  []raftgroup.Voter
	members []Member
	gone    map[drawbridge.PeerID]drawbridge.PeerName
	held    time.Duration
	timers  time.Duration // TimersHeld
}

func (n *network) view() View {
	return View{
		State: n.state, Voters: n.voters, Members: n.members, Removed: n.gone,
		Segments: []Wanted{{"office", 1}}, FloorHeld: n.held, TimersHeld: n.timers,
	}
}

func (n *network) take(t interface{ Fatal(...any) }, s Step) {
	switch {
	case s.Add != nil:
		n.voters = slices.DeleteFunc(n.voters, func(v raftgroup.Voter) bool { return v.Name == s.Add.Name })
		n.voters = append(n.voters, *s.Add)
	case s.Remove != "":
		n.voters = slices.DeleteFunc(n.voters, func(v raftgroup.Voter) bool { return v.Name == s.Remove })
	case s.Propose != nil:
		next, err := n.state.Apply(n.state.Index+1, *s.Propose)
		if err != nil {
			t.Fatal(err)
		}
		n.state = next
	}
}

func peer(i int) Member {
	name := drawbridge.PeerName("peer" + string(rune('a'+i)))
	return Member{Name: name, ID: drawbridge.PeerID(i + 1), Address: string(name) + ":6631", Reachable: true}
}

func founded() raftgroup.State {
	return raftgroup.State{
		Generation: 1, Timers: raftgroup.DefaultTimers, Policy: raftgroup.CloseGates,
		Segments: map[string]raftgroup.Segment{}, Gateways: map[drawbridge.PeerName]raftgroup.Gateway{},
		Facts: map[string]raftgroup.Fact{}, Revoked: map[drawbridge.PeerID]raftgroup.RevokedEntry{},
	}
}

// TestVotersFollowTheMesh lets peers come, go and be removed in any order, with steps lost and repeated, and
// checks after every step that the lease never counts on somebody without a Raft vote having been given, that
// a former set is kept until its leases are over, and that in the end voters, lease and mesh agree.
func TestVotersFollowTheMesh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := &network{state: founded(), gone: map[drawbridge.PeerID]drawbridge.PeerName{}, members: []Member{peer(0)}}
		n.voters = []raftgroup.Voter{{Name: "peera", Address: "peera:6631"}}
		settle := func() {
			for range 200 {
				n.held += 10 * time.Millisecond
				s := Next(n.view())
				if s.Idle() && len(n.state.Sets.Former) == 0 {
					return
				}
				before := n.state.Sets
				n.take(t, s)
				if len(before.Former) > 0 && len(n.state.Sets.Former) == 0 && n.held < outlived(n.state.Timers.Longest) {
					t.Fatalf("former set retired after %v", n.held)
				}
				if n.state.Sets.Floor != before.Floor {
					n.held = -1
				}
			}
			t.Fatal("does not come to rest")
		}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			i := rapid.IntRange(1, 8).Draw(t, "peer")
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				if _, gone := n.gone[peer(i).ID]; !gone && !slices.ContainsFunc(n.members, func(m Member) bool { return m.ID == peer(i).ID }) {
					n.members = append(n.members, peer(i))
				}
			case 1:
				n.gone[peer(i).ID] = peer(i).Name
				n.members = slices.DeleteFunc(n.members, func(m Member) bool { return m.ID == peer(i).ID }) // as the mesh does
			case 2:
				if len(n.members) > i {
					n.members[i].Reachable = !n.members[i].Reachable
				}
			case 3:
				n.take(t, Next(n.view())) // one step of a leader that then dies
			}
		}
		settle()
		want := []drawbridge.PeerID{}
		for _, v := range n.voters {
			for _, m := range n.members {
				if m.Name == v.Name {
					want = append(want, m.ID)
				}
			}
			for _, name := range n.gone {
				if name == v.Name {
					t.Fatalf("%s was removed and still votes", name)
				}
			}
		}
		slices.Sort(want)
		if !slices.Equal(n.state.Sets.Present, want) {
			t.Fatalf("the lease counts on %v, voters are %v", n.state.Sets.Present, want)
		}
		if n.state.Segments["office"].VNI != 1 {
			t.Fatal("the segment is not known")
		}
	})
}

// TestAVoterThatIsAwayKeepsItsVote: being unreachable is no reason to change who decides.
func TestAVoterThatIsAwayKeepsItsVote(t *testing.T) {
	n := &network{state: founded(), members: []Member{peer(0), peer(1), peer(2)}}
	for range 50 {
		n.held += 10 * time.Millisecond
		n.take(t, Next(n.view()))
	}
	if len(n.voters) != 3 || len(n.state.Sets.Present) != 3 {
		t.Fatalf("voters %v, lease %v", n.voters, n.state.Sets.Present)
	}
	n.members = n.members[:1] // the mesh has restarted and heard of nobody yet
	if s := Next(n.view()); !s.Idle() {
		t.Errorf("a leader that knows nobody does %+v", s)
	}
}

// TestLongTimersAreRetired: a longest lease sinks when everybody has gone by shorter ones for longer than it, not before,
// and never on the strength of timers that were changed again since.
func TestLongTimersAreRetired(t *testing.T) {
	n := &network{state: founded(), members: []Member{peer(0)}, voters: []raftgroup.Voter{{Name: "peera", Address: "peera:6631"}}}
	for range 50 {
		n.held += 10 * time.Millisecond
		n.take(t, Next(n.view()))
	}
	set := func(renew, length time.Duration) {
		n.take(t, Step{Propose: &raftgroup.Command{SetTimers: &raftgroup.SetTimers{Renew: renew, Length: length}}})
	}
	before := n.state.Generation
	set(50*time.Millisecond, 250*time.Millisecond)
	if n.state.Generation == before {
		t.Fatal("no agent takes timers without a generation of their own")
	}
	set(10*time.Millisecond, 40*time.Millisecond)
	for _, held := range []time.Duration{-1, 0, 40 * time.Millisecond, 250 * time.Millisecond} {
		n.timers = held
		if s := Next(n.view()); !s.Idle() {
			t.Fatalf("after %v: %+v", held, s)
		}
	}
	n.timers = 260 * time.Millisecond
	late := Next(n.view())
	if late.Propose == nil || late.Propose.RetireTimers == nil {
		t.Fatalf("after %v: %+v", n.timers, late)
	}
	set(5*time.Millisecond, 20*time.Millisecond)
	if _, err := n.state.Apply(n.state.Index+1, *late.Propose); !errors.Is(err, raftgroup.ErrConflict) {
		t.Fatalf("a step of before the last change was taken: %v", err)
	}
	n.take(t, Next(n.view()))
	if got := n.state.Timers.Longest; got != 20*time.Millisecond {
		t.Fatalf("longest is %v", got)
	}
	if s := Next(n.view()); !s.Idle() {
		t.Fatalf("then %+v", s)
	}
}
