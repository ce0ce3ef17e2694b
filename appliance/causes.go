package appliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/mesh"
)

// because joins a cause chain: what happened first, what led to it after each arrow.
const because = " <- "

// instant is how a chain writes when something happened.
const instant = "15:04:05.000"

// chain joins what is not empty.
func chain(links ...string) string {
	return strings.Join(slices.DeleteFunc(links, func(s string) bool { return s == "" }), because)
}

// whyShut is the cause chain of the end of a tenure, in one text for log, command and API.
func (n *Node) whyShut(p *port, epoch drawbridge.Epoch, when time.Time, cause string) string {
	at := when.Format(instant)
	switch cause {
	case lease.Lapsed.String():
		n.lost(p)
		return chain("lease "+epoch.String()+" ended "+at, "no majority", n.whyNoMajority())
	case lease.BadClock.String():
		n.lost(p)
		return chain("lease "+epoch.String()+" given up "+at, cause)
	case lease.Handed.String():
		return chain("handed over "+at, p.mover.take())
	case lease.Retired.String(), lease.Yielded.String():
		p.mu.Lock()
		reasons := append([]string{}, p.reasons...)
		if p.unplugged.Load() && !slices.Contains(reasons, noCarrier) {
			reasons = append(reasons, noCarrier) // it is the news, and not looked at again yet
		}
		if p.problem != nil {
			reasons = append(reasons, p.problem.Error())
		}
		p.mu.Unlock()
		return chain("lease "+epoch.String()+" given up "+at, cause, strings.Join(slices.Compact(reasons), "; "))
	}
	return chain("shut "+at, cause, strings.Join(p.wireReasons(), "; "))
}

// whyOpen is the cause chain of the beginning of one.
func (n *Node) whyOpen(p *port, epoch drawbridge.Epoch, at time.Time) string {
	taken := "lease " + epoch.String() + " taken " + at.Format(instant)
	if from := p.mover.take(); from != "" {
		return chain(taken, from)
	}
	n.mu.Lock()
	was := n.segments[p.segment.Name]
	n.mu.Unlock()
	switch {
	case was.active != "" && was.active != n.creds.Name:
		return chain(taken, "the lease of "+string(was.active)+" had ended", n.whyAway(string(was.active)))
	case was.active == n.creds.Name:
		return chain(taken, "this gateway's own lease had ended")
	}
	return chain(taken, "nobody was active")
}

// whyNoMajority names the voters that do not answer, and what is known of the way to them.
func (n *Node) whyNoMajority() string {
	var silent []string
	names, voters := n.names(), n.voter.agent.Status().Voters
	for _, v := range voters {
		if v.Peer == n.creds.ID() || v.Age >= 0 && v.Age < n.term()/2 { // a lease ends a little before its term is over
			continue
		}
		name := names[v.Peer]
		text := name + " has never answered"
		if v.Age >= 0 {
			text = fmt.Sprintf("%s is silent for %d ms", name, v.Age.Milliseconds())
		}
		if away := n.whyAway(name); away != "" {
			text += " (" + away + ")"
		}
		silent = append(silent, text)
	}
	slices.Sort(silent)
	if len(silent) == 0 {
		return "answers came too late: a busy host or line"
	}
	text := strings.Join(silent, ", ")
	if fellSilentTogether(voters, n.creds.ID()) {
		text += ": all since the same moment, as when this host stands still or its own line is cut"
	}
	return text
}

// fellSilentTogether reports whether all other voters, of whom there are some, answered one and the same round last. Each of
// them may be well then: what they have in common is this host.
func fellSilentTogether(voters []lease.VoterStatus, self drawbridge.PeerID) bool {
	others := slices.DeleteFunc(slices.Clone(voters), func(v lease.VoterStatus) bool { return v.Peer == self })
	return len(others) > 1 && others[0].Age >= 0 && !slices.ContainsFunc(others, func(v lease.VoterStatus) bool { return v.Age != others[0].Age })
}

// whyAway says what is wrong with the way to a peer; nothing when it is reached.
func (n *Node) whyAway(peer string) string {
	_, others := n.peers()
	for _, p := range others {
		switch {
		case string(p.Name) != peer:
		case p.State == mesh.StateLeft:
			return peer + " has left"
		case p.State == mesh.StateUnreachable && p.Membership == mesh.MemberDead:
			return peer + " is dead"
		case p.State == mesh.StateUnreachable:
			return "no link leads to " + peer + " since " + p.Since.Format(instant)
		case !p.Control:
			return "link to " + peer + " down"
		}
	}
	return ""
}

// lost notes that this gateway lost a lease that it wanted.
func (n *Node) lost(p *port) {
	p.damping.mu.Lock()
	defer p.damping.mu.Unlock()
	p.damping.Lost(n.elapsed())
}

// asksLast answers whether a gateway asks for a lease after all others, and why: it lost it often, or its port has just
// come back. That never leaves a segment to nobody.
func (n *Node) asksLast(p *port) (why string, last bool) {
	p.damping.mu.Lock()
	damped, left := p.damping.Damped(n.elapsed())
	p.damping.mu.Unlock()
	if damped {
		return fmt.Sprintf("lost the lease again and again; first again in %d s", int(left.Seconds())+1), true
	}
	if why := p.recusal(); why != "" {
		return why, true
	}
	p.mu.Lock()
	back := time.Since(p.since)
	fresh := p.epoch == 0 && p.problem == nil && p.cause == startedCause && back < handover.HoldDown
	p.mu.Unlock()
	if fresh {
		return fmt.Sprintf("settling: the port came up %.1f s ago", back.Seconds()), true
	}
	return "", false
}

// standing is the same for people.
func (n *Node) standing(p *port) string {
	if why, last := n.asksLast(p); last {
		return why
	}
	return "no"
}

// damped answers whether a gateway lost the lease so often that it asks last. Settling is not that: it is how every
// gateway begins.
func (n *Node) damped(p *port) bool {
	p.damping.mu.Lock()
	defer p.damping.mu.Unlock()
	damped, _ := p.damping.Damped(n.elapsed())
	return damped
}
