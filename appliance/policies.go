package appliance

import (
	"time"

	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
)

// timersWatch remembers since when all voters go by the present timers. Only the steward's goroutine uses it.
type timersWatch struct {
	decided    uint64 // Timers.Since that it is about
	generation uint32 // one in which they are in force
	since      failover.Boottime
	all        bool
}

// timersHeld is for how long every voter of the lease's sets is known to go by the present timers; negative: not all of
// them are. A voter says its generation in every datagram, and no later run of it takes an older one.
func (n *Node) timersHeld(state *raftgroup.State) time.Duration {
	w := &n.timersWatch
	if state.Timers.Longest <= state.Timers.Length {
		return -1
	}
	if w.decided != state.Timers.Since || w.generation == 0 {
		*w = timersWatch{decided: state.Timers.Since, generation: state.Generation}
	}
	voters := n.voter.agent.Status().Voters
	all := len(voters) > 0
	for _, v := range voters {
		all = all && v.Generation >= w.generation
	}
	if all && !w.all {
		w.since = gate.Now()
	}
	if w.all = all; !all {
		return -1
	}
	return gate.Now().Sub(w.since)
}
