package appliance

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/warden"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// bornAgain is how long the first decision of a run may take before it is asked for again.
const bornAgain = 3 * time.Second

// openAgent makes this voter's part in the leases: a process of its own keeps them.
func (n *Node) openAgent(listen netip.AddrPort) (*warden.Warden, error) {
	return warden.New(warden.Config{
		Self: n.creds.ID(), Listen: votersPort(listen), Key: n.leaseKey, Alive: n.alive, Tell: n.leaseChanged, Won: n.leaseWon, Over: n.leaseOver,
		Log: n.log,
	})
}

// leaseKey is the secret that two voters share.
func (n *Node) leaseKey(other drawbridge.PeerID) ([]byte, bool) {
	if n.creds.Revocations.Revoked(other) {
		return nil, false
	}
	a, b := min(n.creds.ID(), other), max(n.creds.ID(), other)
	pair := binary.BigEndian.AppendUint32(nil, uint32(a))
	return n.creds.CA.Secret("lease v1", binary.BigEndian.AppendUint32(pair, uint32(b))), true
}

// leaseChanged hears in the warden's goroutine that a tenure began or ended here. The peers hear of one that begins at once, on
// a thread that nothing ordinary delays: until then they send to whom it was before. The rest is handed on.
func (n *Node) leaseChanged(c warden.Change) {
	if c.Held {
		n.turnPeers(c)
		n.moves.opened(c.Segment, c.Epoch)
	}
	n.lapsed(c)
	select {
	case n.voter.changes <- c:
	default: // the gate is right whatever is told of it; whoever looks next sees it
		n.log.Warn("a change of a gate was not told", "epoch", c.Epoch, "reason", c.Cause)
	}
}

// turnPeers has the peers send to this gateway what is for a segment, by a frame of its own.
func (n *Node) turnPeers(c warden.Change) {
	for _, p := range n.ports {
		if p.segment != nil && drawbridge.SegmentIDOf(p.segment.Name) == c.Segment {
			n.sw.SetSegment(c.Segment, p.vni(), n.creds.ID(), c.Epoch)
			p.hail()
		}
	}
}

// leaseOver hears that another gateway has given a segment up: ALONE need not wait until it falls silent.
func (n *Node) leaseOver(segment drawbridge.SegmentID, by drawbridge.PeerID, epoch drawbridge.Epoch) {
	for _, p := range n.ports {
		if p.segment != nil && drawbridge.SegmentIDOf(p.segment.Name) == segment {
			n.alone.Released(p.aloneID(), by, epoch)
		}
	}
	n.alone.Hurry()
}

// leaseWon hears that this gateway has a lease, and asks ALONE about its gate without waking another thread for that.
func (n *Node) leaseWon(segment drawbridge.SegmentID, epoch drawbridge.Epoch) {
	for _, p := range n.ports {
		if p.segment != nil && drawbridge.SegmentIDOf(p.segment.Name) == segment {
			p.allowed(epoch)
		}
	}
	n.alone.Hurry()
}

// followLeases keeps one agent after another in step with what was decided and with how this peer's ports stand.
func (n *Node) followLeases(ctx context.Context) error {
	n.addGates()
	for ctx.Err() == nil {
		life, over := n.voter.agent.Life()
		if life != 0 {
			if err := n.followAgent(ctx, life, over); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-over:
		case c := <-n.voter.changes:
			n.tellTenure(ctx, c)
		}
	}
	return nil
}

// addGates puts those of all segments under the agent whose lease is for the voters to give.
func (n *Node) addGates() {
	for _, p := range n.ports {
		if p.segment == nil || p.shared == nil {
			continue
		}
		if err := n.voter.agent.AddGate(drawbridge.SegmentIDOf(p.segment.Name), p.shared, p.allowed); err != nil {
			n.log.Error("the gate stays shut", "port", p.name(), "err", err)
		}
	}
}

// followAgent steers one agent until its life is over. It is told of nothing that was decided before it began.
func (n *Node) followAgent(ctx context.Context, life uint64, over <-chan struct{}) error {
	born, err := n.beBorn(ctx)
	if err != nil {
		return err
	}
	v := n.voter
	look := time.NewTicker(lookAtWires)
	defer look.Stop()
	for {
		state, decided := v.group.State()
		watch, wires := n.changed.watch(), n.wires()
		if state.Generation > born {
			n.steerAgent(life, &state)
		}
		for same := true; same; {
			select {
			case <-ctx.Done():
				return nil
			case <-over:
				return nil
			case c := <-v.changes:
				n.tellTenure(ctx, c)
				same = false
			case <-decided:
				same = false
			case <-watch:
				same = false
			case <-look.C:
				same = slices.Equal(n.wires(), wires)
			}
		}
	}
}

// wires is what speaks against taking leases, on the wires of all ports.
func (n *Node) wires() (reasons []string) {
	for _, p := range n.ports {
		if p.segment != nil {
			reasons = append(reasons, p.name())
			reasons = append(reasons, p.wireReasons()...)
			if _, last := n.asksLast(p); last {
				reasons = append(reasons, "asks last")
			}
		}
	}
	return reasons
}

// lookAtWires is how often it is seen whether ALONE still has something against a port: what ends in its favour
// is told by nobody.
const lookAtWires = 100 * time.Millisecond

// beBorn has the voters commit a generation after this run began, and answers the one before it: promises of
// earlier runs, which this one has forgotten, are all of older generations than what it takes part in. The
// first decision only brings this voter up to date: what it knows until then may be as old as its snapshot.
func (n *Node) beBorn(ctx context.Context) (before uint32, err error) {
	for range 2 {
		state, _ := n.voter.group.State()
		before = state.Generation
		if !n.advance(ctx, before) {
			break
		}
	}
	return before, nil
}

// advance moves the generation above from, and returns when this voter knows of it; false when the run ends.
func (n *Node) advance(ctx context.Context, from uint32) bool {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, bornAgain)
		index, err := n.voter.group.Propose(asked, raftgroup.Command{
			Time: time.Now(), By: string(n.creds.Name), Generation: &raftgroup.Generation{From: from},
		})
		cancel()
		if err == nil {
			return n.caughtUp(ctx, index)
		}
		if errors.Is(err, raftgroup.ErrClosed) {
			return false
		}
		n.log.Debug("the voters have not heard of this run yet", "err", err)
		pause(ctx, bornAgain/10)
	}
	return false
}

// caughtUp waits until this voter knows what was decided up to an index.
func (n *Node) caughtUp(ctx context.Context, index uint64) bool {
	for {
		state, changed := n.voter.group.State()
		if state.Index >= index {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// steerAgent hands the agent of that life what was decided.
func (n *Node) steerAgent(life uint64, state *raftgroup.State) {
	v := n.voter
	if newest, ok := state.Newest(); ok { // nobody takes a lease under an older configuration
		n.network.take(newest)
	}
	if c, ok := leaseConfig(state); ok {
		v.agent.SetConfig(life, c)
	}
	if peers := n.leasePeers(); len(peers) > 0 {
		v.agent.SetPeers(peers)
	}
	news := false
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		reasons := n.whyNot(p, state)
		news = p.setReasons(reasons) || news
		v.agent.SetCandidate(drawbridge.SegmentIDOf(p.segment.Name), n.rank(p, state), n.takes(p, state, reasons))
	}
	if news { // telling the mesh wakes us up again
		n.publish()
	}
}

// leaseConfig is what was decided, in the lease's words; false while nobody has a promise to give.
func leaseConfig(s *raftgroup.State) (lease.Config, bool) {
	t := lease.Default
	t.Renew, t.Term = s.Timers.Renew, s.Timers.Length
	t.Step = t.Renew / 2
	c := lease.Config{Generation: s.Generation, Floor: s.Sets.Floor, Timing: t, Longest: s.Timers.Longest}
	c.Sets = append(c.Sets, s.Sets.Present)
	if len(s.Sets.Former) > 0 {
		c.Sets = append(c.Sets, s.Sets.Former)
	}
	return c, len(s.Sets.Present) > 0
}

// leasePeers are the addresses of all other voters.
func (n *Node) leasePeers() map[drawbridge.PeerID]netip.AddrPort {
	voters, err := n.voter.group.Voters()
	if err != nil {
		return nil
	}
	addrs := map[drawbridge.PeerID]netip.AddrPort{}
	for _, p := range n.router.Peers() {
		for _, v := range voters {
			if v.Name != p.Name {
				continue
			}
			if addr, err := netip.ParseAddrPort(v.Address); err == nil {
				addrs[p.ID] = addr
			} else if len(p.Endpoints) > 0 {
				addrs[p.ID] = votersPort(p.Endpoints[0])
			}
		}
	}
	return addrs
}

// whyNot lists why this peer would not take the lease of a segment; none: it would.
func (n *Node) whyNot(p *port, state *raftgroup.State) (reasons []string) {
	if err := p.broken(); err != nil {
		reasons = append(reasons, fmt.Sprintf("port %s does not work: %v", p.name(), err))
	}
	if !n.creds.Self().Roles.Has(secure.Gateway) {
		reasons = append(reasons, "the certificate of this peer does not make it a gateway")
	}
	if mode := p.mode(); mode != modeAuto {
		reasons = append(reasons, p.whyMode(mode))
	}
	reasons = append(reasons, n.whyNotConfigured(p.segment.Name)...)
	reasons = append(reasons, p.wireReasons()...)
	if g := state.Gateways[n.creds.Name]; n.departure.begun.Load() {
		reasons = append(reasons, departingReason)
	} else if g.Maintenance {
		reasons = append(reasons, "maintenance since "+g.Since.UTC().Format(time.RFC3339))
	}
	if s, known := state.Segments[p.segment.Name]; known && len(s.Eligible) > 0 && !slices.Contains(s.Eligible, n.creds.Name) {
		reasons = append(reasons, "not among the eligible gateways of the segment")
	}
	if _, gone := state.Revoked[n.creds.ID()]; gone {
		reasons = append(reasons, "removed from the network")
	}
	if !slices.Contains(state.Sets.Present, n.creds.ID()) {
		reasons = append(reasons, "not a voter yet")
	}
	return reasons
}

// rank orders the gateways of a segment: the preferred one, then by priority, then by rendezvous hash, which
// spreads many segments evenly and moves few of them when a gateway comes or goes (Thaler and Ravishankar
// 1998).
func (n *Node) rank(p *port, state *raftgroup.State) int {
	type contender struct {
		name     drawbridge.PeerName
		priority int
		hash     uint64
	}
	s := state.Segments[p.segment.Name]
	var all []contender
	for _, peer := range n.router.Peers() {
		on := slices.ContainsFunc(peer.Ports, func(w wire.Port) bool {
			return w.Kind == wire.PortSegment && w.SegmentName == p.segment.Name && !w.Open // who has it does not ask for it
		})
		if on && peer.State != mesh.StateUnreachable || peer.Name == n.creds.Name {
			h := fnv.New64a()
			h.Write([]byte(p.segment.Name + "\x00" + string(peer.Name))) // never fails, by the contract of hash.Hash
			all = append(all, contender{peer.Name, state.Gateways[peer.Name].Priority, h.Sum64()})
		}
	}
	slices.SortFunc(all, func(a, b contender) int {
		if (a.name == s.Preferred) != (b.name == s.Preferred) {
			if a.name == s.Preferred {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.hash, a.hash))
	})
	rank := max(0, slices.IndexFunc(all, func(c contender) bool { return c.name == n.creds.Name }))
	if _, last := n.asksLast(p); last {
		rank += len(all)
	}
	return rank
}

// tellTenure puts the beginning or end of a tenure here into words, and does what follows from it. The mesh hears of it first: what a
// peer missed of the frame that turned it (turnPeers) it learns from there. Frames that are held for a planned move go first.
//
// The event has the time at which the gate moved: a host that stood still tells of it late, and a reader of two journals
// would see two gates open.
func (n *Node) tellTenure(ctx context.Context, c warden.Change) {
	n.moves.passed(ctx, c.Segment)
	at := wallClock(c.At)
	var opened []*port
	for _, p := range n.ports {
		switch {
		case p.segment == nil || drawbridge.SegmentIDOf(p.segment.Name) != c.Segment:
		case c.Unused:
			p.released(c.Epoch)
		case c.Held:
			p.tenured(c.Epoch, at, n.whyOpen(p, c.Epoch, at))
			opened = append(opened, p)
		default:
			p.over(c.Epoch, at, n.whyShut(p, c.Epoch, at, c.Cause))
		}
	}
	n.publish()
	for _, p := range opened {
		p.announce()
		n.event(web.Event{
			Time: at, Level: web.LevelInfo, Kind: "gate_open", Port: p.name(), Segment: p.segment.Name, Epoch: c.Epoch.String(),
			Text: fmt.Sprintf("gate of segment %s opened: this peer holds the lease", p.segment.Name), Reason: p.why(),
		})
	}
}

// wallClock is an instant of the leases' clock as people read it.
func wallClock(at failover.Boottime) time.Time { return time.Now().Add(at.Sub(gate.Now())).UTC() }
