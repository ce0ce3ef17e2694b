package appliance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/lastword"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/alone/runner"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// readinessChannel is the name under which gateways tell everybody how ready they are.
const readinessChannel = "readiness"

// tellReadiness is how often they do so, changed or not; the measurements in it move all the time.
const tellReadiness = 2 * time.Second

// readiness is what gateways know of each other's.
type readiness struct {
	news *lastword.Channel[[]web.Takeover] // of the other gateways

	mu      sync.Mutex               // guards what follows
	planned map[string]time.Duration // how long the last planned move to a gateway held frames, by segment and gateway
}

// checkDamped is the one check that is advice: a damped gateway is as able as any other.
const checkDamped = "damped"

// checks looks at everything that a gateway needs to take a segment over. from is the gateway that it would take it
// from; 0: whoever is active.
func (n *Node) checks(p *port, from drawbridge.PeerID) []web.Check {
	c := checklist{peer: string(n.creds.Name)}
	if err := p.broken(); err != nil {
		c.bad("port", err.Error(), "an interface that works")
	} else {
		c.good("port", p.name()+" works")
	}
	c.check("certificate", n.creds.Self().Roles.Has(secure.Gateway), strings.Join(n.creds.Self().Roles.Words(), ", "), "gateway")
	c.check("mode", p.mode() != modePassive, p.mode(), "mode = \"auto\" in the node file")
	if n.voter == nil {
		c.bad("voter", "no", "the role voter")
		return c.all
	}
	state, _ := n.voter.group.State()
	n.checkDecisions(&c, p, &state)
	n.checkLease(&c)
	c.check(checkDamped, !n.damped(p), n.standing(p), "a while without a loss")
	n.checkWire(&c, p, from)
	n.checkOverlay(&c)
	n.checkStations(&c, p)
	return c.all
}

type checklist struct {
	peer string
	all  []web.Check
}

func (c *checklist) good(name, value string) { c.check(name, true, value, "") }

func (c *checklist) bad(name, value, need string) { c.check(name, false, value, need) }

func (c *checklist) check(name string, ok bool, value, need string) {
	if ok {
		need = ""
	}
	c.all = append(c.all, web.Check{Name: name, Peer: c.peer, OK: ok, Value: value, Need: need})
}

// checkDecisions looks at what was decided about this gateway.
func (n *Node) checkDecisions(c *checklist, p *port, state *raftgroup.State) {
	if !n.voter.isCurrent() {
		c.bad("voter", "has started, and no majority of the voters has told it yet what was decided", "a majority of the voters")
	} else {
		c.check("voter", slices.Contains(state.Sets.Present, n.creds.ID()),
			fmt.Sprintf("generation %d, %s", state.Generation, drawbridge.Counted(len(state.Sets.Present), "voter")), "this gateway among the voters")
	}
	if n.departure.begun.Load() {
		c.bad("stopping", departingReason, "a peer that goes on running")
	}
	if g := state.Gateways[n.creds.Name]; g.Maintenance {
		c.bad("maintenance", "since "+g.Since.UTC().Format(time.RFC3339)+" by "+g.By, "drawbridge maintenance off "+string(n.creds.Name))
	} else {
		c.good("maintenance", "off")
	}
	s, known := state.Segments[p.segment.Name]
	if known && len(s.Eligible) > 0 {
		c.check("eligible", slices.Contains(s.Eligible, n.creds.Name), fmt.Sprint(s.Eligible), "this gateway among them")
	} else {
		c.good("eligible", "every gateway of the segment")
	}
}

// checkLease looks whether a majority would answer, and how fast.
func (n *Node) checkLease(c *checklist) {
	status := n.voter.agent.Status()
	var worst time.Duration
	answers := 0
	for _, v := range status.Voters {
		if answering(&v) {
			answers++
			worst = max(worst, v.RTT)
		}
	}
	c.check("lease-round-trip", status.Quorum, fmt.Sprintf("%d of %d voters answer, the slowest in %.2f ms", answers, len(status.Voters), worst.Seconds()*1000), "a majority")
}

// checkWire looks whether the segment is heard and hears us.
func (n *Node) checkWire(c *checklist, p *port, from drawbridge.PeerID) {
	s, ok := n.wire(p)
	switch {
	case !ok:
		c.bad("vlan", "not watched", "a port that works")
		return
	case s.Problem != "":
		c.bad("vlan", s.Problem, "hellos on the wire")
		return
	case s.State == alone.Blocked:
		c.bad("vlan", "blocked: "+string(s.Reason), "an end of its reason, then drawbridge ports clear "+p.name())
	case s.State == alone.Init || s.State == alone.Listen:
		c.bad("vlan", "listening", "the end of listening")
	default:
		c.good("vlan", s.State.String())
	}
	c.check("carrier", s.Carrier, fmt.Sprint(s.Carrier), "true")
	if from == 0 {
		from = n.activeOf(p.segment.Name)
	}
	if from != 0 && from != n.creds.ID() {
		n.checkNeighbour(c, &s, from)
	}
}

// checkNeighbour looks whether the active gateway is heard on the wire, both ways.
func (n *Node) checkNeighbour(c *checklist, s *runner.PortStatus, from drawbridge.PeerID) {
	name := string(n.names()[from])
	for _, b := range s.Neighbours {
		if b.Peer != from {
			continue
		}
		c.check("vlan-both-ways", b.BothWays, fmt.Sprintf("%s was heard %d ms ago; it hears us: %v", name, b.Silent.Milliseconds(), b.BothWays), "hellos both ways")
		return
	}
	c.bad("vlan-both-ways", name+" is not heard on the segment", "hellos both ways: one layer-2 domain")
}

func (n *Node) wire(p *port) (runner.PortStatus, bool) {
	if n.alone != nil {
		for _, s := range n.alone.Ports() {
			if s.ID == p.aloneID() {
				return s, true
			}
		}
	}
	return runner.PortStatus{}, false
}

func (n *Node) activeOf(segment string) drawbridge.PeerID {
	for _, v := range n.segmentViews() {
		if v.name == segment {
			return v.activeID
		}
	}
	return 0
}

// checkOverlay looks whether every peer is reached.
func (n *Node) checkOverlay(c *checklist) {
	_, others := n.peers()
	reached, total := 0, 0
	var worst time.Duration
	var missing []string
	for _, p := range others {
		if p.State == mesh.StateLeft || p.Membership == mesh.MemberDead {
			continue
		}
		total++
		if p.State == mesh.StateUnreachable {
			missing = append(missing, string(p.Name))
			continue
		}
		reached++
		worst = max(worst, p.RTT)
	}
	value := fmt.Sprintf("%d of %d peers, the farthest in %.2f ms", reached, total, worst.Seconds()*1000)
	if len(missing) > 0 {
		value += "; not " + strings.Join(missing, ", ")
	}
	c.check("overlay", reached == total, value, "all peers that are alive")
}

// moved notes how long a planned move held frames.
func (n *Node) moved(segment, to string, pause time.Duration) {
	n.readiness.mu.Lock()
	defer n.readiness.mu.Unlock()
	if n.readiness.planned == nil {
		n.readiness.planned = map[string]time.Duration{}
	}
	n.readiness.planned[segment+"\x00"+to] = pause
}

// ownTakeovers says how ready this gateway is, for each of its segments.
func (n *Node) ownTakeovers() (all []web.Takeover) {
	leases := map[drawbridge.SegmentID]lease.SegmentStatus{}
	if n.voter != nil {
		for _, s := range n.voter.agent.Status().Segments {
			leases[s.Segment] = s
		}
	}
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		_, open := p.gate.Permit()
		t := web.Takeover{Segment: p.segment.Name, Peer: string(n.creds.Name), Active: open, Told: time.Now().UTC(), Checks: n.checks(p, 0)}
		t.Ready = !slices.ContainsFunc(t.Checks, func(c web.Check) bool { return !c.OK })
		if open {
			t.Cause = p.why()
		} else {
			t.Predicted = web.MillisecondsOf(leases[drawbridge.SegmentIDOf(p.segment.Name)].Takeover)
		}
		t.Preempts, t.Preempted = p.preempt.tell(n.elapsed())
		if ago := p.drilled.ago(n.elapsed()); ago >= 0 {
			t.Drilled = ago.Seconds()
		}
		all = append(all, t)
	}
	return all
}

// Takeovers implements web.Node.
func (n *Node) Takeovers() []web.Takeover {
	all := n.ownTakeovers()
	for id, w := range n.readiness.news.All() {
		if id != n.creds.ID() {
			all = append(all, w.Said...)
		}
	}
	n.readiness.mu.Lock()
	defer n.readiness.mu.Unlock()
	for i := range all {
		all[i].Planned = web.MillisecondsOf(n.readiness.planned[all[i].Segment+"\x00"+all[i].Peer])
	}
	slices.SortFunc(all, func(a, b web.Takeover) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Peer, b.Peer))
	})
	return all
}

// takeoverProblems tells of segments that nobody could take over, before it is needed.
func (n *Node) takeoverProblems() (all []web.Problem) {
	why := map[string][]string{}
	var segments []string
	ready := map[string]bool{}
	for _, t := range n.Takeovers() {
		if !slices.Contains(segments, t.Segment) {
			segments = append(segments, t.Segment)
		}
		switch bad := firstBad(t.Checks); {
		case t.Active:
		case bad == "" && time.Since(t.Told) < 5*tellReadiness:
			ready[t.Segment] = true
		case bad == "":
			why[t.Segment] = append(why[t.Segment], t.Peer+" has not told of itself lately")
		default:
			why[t.Segment] = append(why[t.Segment], bad)
		}
	}
	for _, s := range segments {
		if !ready[s] && len(why[s]) > 0 {
			all = append(all, web.Problem{
				Summary: "no gateway is ready to take segment " + s + " over: " + strings.Join(why[s], "; "),
				Remedy:  "drawbridge switchover " + s + " --dry-run shows every check",
			})
		}
	}
	return all
}

// tellTakeovers tells everybody how ready this gateway is, now and then.
func (n *Node) tellTakeovers(ctx context.Context) error {
	if n.voter != nil {
		n.voter.current(ctx) // what is told before is not good enough for two seconds
	}
	tick := time.NewTicker(tellReadiness)
	defer tick.Stop()
	for {
		if own := n.ownTakeovers(); len(own) > 0 {
			if msg, err := json.Marshal(own); err == nil && len(msg) <= mesh.MaxBroadcast {
				if err := n.router.Broadcast(readinessChannel, msg); err != nil {
					n.log.Debug("readiness was not told", "err", err)
				}
			}
			n.tellStations()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// openReadinessNews makes the channel on which others tell, each of itself and nobody else.
func (n *Node) openReadinessNews() *lastword.Channel[[]web.Takeover] {
	return lastword.New(lastword.Topic[[]web.Takeover]{
		Name: readinessChannel, Now: n.elapsed, Log: n.log,
		Read: func(from drawbridge.PeerID, msg []byte) (told []web.Takeover, err error) {
			if err = json.Unmarshal(msg, &told); err != nil {
				return nil, err
			}
			name := string(n.names()[from])
			return slices.DeleteFunc(told, func(t web.Takeover) bool { return t.Peer != name || name == "" }), nil
		},
		Heard: func(_, told []web.Takeover) {
			for _, t := range told {
				n.doneElsewhere(&t)
			}
		},
	})
}
