package appliance

import (
	"slices"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// answersWithin is how long ago a voter that answers has done so: a node that holds nothing asks every tenth of a second.
const answersWithin = time.Second

// answering reports whether a voter does.
func answering(v *lease.VoterStatus) bool { return v.Age >= 0 && v.Age < answersWithin }

// Voters implements web.Node.
func (n *Node) Voters() web.Voters {
	out := web.Voters{Voters: []web.Voter{}}
	gateways := map[string]bool{}
	self, others := n.peers()
	for _, p := range append(others, self) {
		gateways[string(p.Name)] = slices.ContainsFunc(p.Ports, func(w wire.Port) bool { return w.Kind == wire.PortSegment })
		if n.voter == nil && p.Roles.Has(secure.Voter) {
			out.Voters = append(out.Voters, web.Voter{Name: string(p.Name), Gateway: gateways[string(p.Name)], State: web.VoterVotes})
		}
	}
	if n.voter != nil {
		n.countVotes(&out, gateways)
	}
	slices.SortFunc(out.Voters, func(a, b web.Voter) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// countVotes fills in what a voter knows of the others.
func (n *Node) countVotes(out *web.Voters, gateways map[string]bool) {
	status, names := n.voter.agent.Status(), n.names()
	leader, _ := n.voter.group.Leader()
	out.Here, out.Leader, out.Generation, out.Quorum = true, string(leader), status.Generation, status.Quorum
	answers := map[string]lease.VoterStatus{}
	for _, v := range status.Voters {
		answers[names[v.Peer]] = v
	}
	voting, learning, err := n.voter.group.Members()
	if err != nil {
		return
	}
	alive := 0
	for _, v := range voting {
		row := web.Voter{Name: string(v.Name), Gateway: gateways[string(v.Name)], State: web.VoterVotes, Address: v.Address}
		if a, known := answers[row.Name]; known {
			row.Answers = answering(&a)
			if row.Answers {
				row.RTT = web.MillisecondsOf(a.RTT)
				alive++
			} else if a.Age >= 0 {
				row.SilentS = a.Age.Seconds()
			}
		}
		out.Voters = append(out.Voters, row)
	}
	for _, v := range learning {
		out.Voters = append(out.Voters, web.Voter{Name: string(v.Name), Gateway: gateways[string(v.Name)], State: web.VoterLearns, Address: v.Address})
	}
	out.Spare = max(0, alive-len(voting)/2-1)
}
