package appliance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// segmentNews is what was last told of a segment.
type segmentNews struct {
	active drawbridge.PeerName
	epoch  drawbridge.Epoch
}

// followSegments keeps the switch's view of who bridges what in step with what the gateways say, and tells
// the journal of changes.
func (n *Node) followSegments(ctx context.Context) error {
	for {
		watch := n.changed.watch()
		for _, s := range n.segmentViews() {
			epoch := s.epoch
			if s.activeID == 0 { // the tenure that is known is over
				_, epoch = n.sw.Tenure(s.id, s.vni)
			}
			n.sw.SetSegment(s.id, s.vni, s.activeID, epoch)
			if n.voter != nil && s.activeID != 0 && s.activeID != n.creds.ID() {
				n.voter.agent.Heard(s.id, s.epoch)
			}
			n.tellSegment(s)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch:
		}
	}
}

func (n *Node) tellSegment(s segmentView) {
	n.mu.Lock()
	was, known := n.segments[s.name]
	is := segmentNews{s.active, s.epoch}
	n.segments[s.name] = is
	n.mu.Unlock()
	if was == is || !known && s.active == "" {
		return
	}
	e := web.Event{
		Level: web.LevelInfo, Kind: "segment_active", Segment: s.name, Peer: string(s.active), Epoch: s.epoch.String(), Reason: s.cause,
		Text: fmt.Sprintf("%s is the active gateway of segment %s", s.active, s.name),
	}
	if s.active == "" {
		e = web.Event{
			Level: web.LevelWarn, Kind: "segment_inactive", Segment: s.name, Peer: string(was.active), Epoch: was.epoch.String(), Reason: s.cause,
			Text: fmt.Sprintf("segment %s has no active gateway", s.name),
		}
	}
	n.event(e)
}

// segmentView is one segment as all records together tell it.
type segmentView struct {
	name     string
	id       drawbridge.SegmentID
	vni      drawbridge.VNI
	active   drawbridge.PeerName
	activeID drawbridge.PeerID
	epoch    drawbridge.Epoch
	since    time.Time
	cause    string
	gateways []web.Gateway
}

// segmentViews reads what all peers say of their ports: the reachable gateway whose gate is open under the
// highest epoch is the active one. It comes out the same on every peer that sees the same peers.
func (n *Node) segmentViews() []segmentView {
	views := map[string]*segmentView{}
	for _, r := range n.router.Peers() {
		for _, p := range r.Ports {
			if p.Kind == wire.PortSegment && r.State != mesh.StateLeft {
				viewOf(views, &p).add(&r, &p)
			}
		}
	}
	var all []segmentView
	for _, v := range views {
		slices.SortFunc(v.gateways, func(a, b web.Gateway) int { return cmp.Compare(a.Peer, b.Peer) })
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b segmentView) int { return cmp.Compare(a.name, b.name) })
	return all
}

func viewOf(views map[string]*segmentView, p *wire.Port) *segmentView {
	v := views[p.SegmentName]
	if v == nil {
		v = &segmentView{name: p.SegmentName, id: p.Segment, vni: p.VNI}
		views[p.SegmentName] = v
	}
	return v
}

func (v *segmentView) add(r *mesh.PeerStatus, p *wire.Port) {
	g := web.Gateway{Peer: string(r.Name), Gate: web.GateShut, Ready: p.Ready, Reasons: append([]string{}, p.Reasons...)}
	if r.State == mesh.StateUnreachable {
		g.Ready, g.Reasons = false, append(g.Reasons, "the peer is unreachable")
	}
	open := p.Open && r.State != mesh.StateUnreachable
	if open && p.Cause != causeHanding {
		g.Gate = web.GateOpen
	}
	v.gateways = append(v.gateways, g)
	newer := open && (v.active == "" || p.Epoch > v.epoch)
	if newer {
		v.active, v.activeID, v.epoch = r.Name, r.ID, p.Epoch
	}
	if newer || v.active == "" && time.UnixMilli(p.Since).After(v.since) {
		v.since, v.cause = time.UnixMilli(p.Since).UTC(), p.Cause
	}
}

// Segments implements web.Node.
func (n *Node) Segments() []web.Segment {
	all := []web.Segment{}
	for _, v := range n.segmentViews() {
		set := n.network.inForce().Segment(v.name)
		s := web.Segment{
			Name: v.name, Overlay: fmt.Sprint(uint32(v.vni)), VNI: uint32(v.vni), Since: v.since, Cause: v.cause,
			Epoch: v.epoch.String(), Gateways: v.gateways,
			QuorumLoss: set.QuorumLoss, Unsafe: n.unsafeText(v.name), Drill: set.Drill,
		}
		if table, err := netconfig.ParseTimetable(set.Drill); err == nil {
			next := table.Next(time.Now())
			s.NextDrill = &next
		}
		if v.active != "" {
			active := string(v.active)
			s.Active, s.Cause = &active, n.wholeCause(&v)
		}
		all = append(all, s)
	}
	return all
}

// wholeCause is why the active gateway's gate is open. What peers tell of their ports has room for the beginning of it only;
// the rest comes with the readiness, a moment later.
func (n *Node) wholeCause(v *segmentView) string {
	whole := ""
	if v.activeID == n.creds.ID() {
		for _, p := range n.ports {
			if p.segment != nil && p.segment.Name == v.name {
				whole = p.why()
			}
		}
	}
	told, _ := n.readiness.news.Of(v.activeID)
	for _, t := range told.Said {
		if t.Segment == v.name {
			whole = t.Cause
		}
	}
	if strings.HasPrefix(whole, v.cause) {
		return whole
	}
	return v.cause
}

// mayBridge says whether frames of a peer may claim to come from a segment: its certificate must make it a
// gateway. It is asked when a tenure is new, not for every frame.
func (n *Node) mayBridge(origin drawbridge.PeerID, _ drawbridge.SegmentID, _ drawbridge.VNI) bool {
	roles, known := n.router.Roles(origin)
	return known && roles.Has(secure.Gateway)
}
