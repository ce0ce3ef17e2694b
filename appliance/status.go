package appliance

import (
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

var _ web.Node = (*Node)(nil)

// Version implements web.Node.
func (n *Node) Version() web.Version {
	v := web.Version{Version: n.version, Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		v.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return v
}

// packetMTU is the largest IP packet in a frame of that size.
func packetMTU(frame int) int { return max(frame-drawbridge.MinFrame, 0) }

// Status implements web.Node.
func (n *Node) Status() web.Status {
	self, others := n.peers()
	s := web.Status{
		Name: string(n.creds.Name), ID: n.creds.ID().String(), UID: self.UID.String(), Roles: n.creds.Self().Roles.Words(),
		Network: web.Network{Name: n.creds.Network.Name, ID: n.creds.Network.ID.String()},
		Version: n.version, Started: n.started.UTC(), UptimeS: time.Since(n.started).Seconds(),
		Listen: slices.Clone(n.cfg.Listen), Advertise: texts(self.Endpoints), DataPath: n.dataPath(),
		MTU: packetMTU(n.plane.MTU(0)), MACs: n.sw.Len(), Drops: n.drops(), Clone: self.Clone,
	}
	for _, p := range others {
		s.Peers.Total++
		switch p.State {
		case mesh.StateDirect:
			s.Peers.Direct++
		case mesh.StateRelayed:
			s.Peers.Relayed++
		default:
			s.Peers.Unreachable++
		}
	}
	ready := n.Ready()
	s.Ready = ready.Ready
	s.Problems = n.problems(&self, others)
	return s
}

func (n *Node) peers() (self mesh.PeerStatus, others []mesh.PeerStatus) {
	all := n.router.Peers()
	if len(all) == 0 {
		return mesh.PeerStatus{}, nil
	}
	return all[0], all[1:]
}

func texts[T fmt.Stringer](values []T) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, v.String())
	}
	return out
}

func (n *Node) dataPath() web.DataPath {
	d := web.DataPath{Engine: web.EngineUser, Vnet: true, Gate: web.GateNone, Cipher: n.cfg.Data.Cipher, Notes: []string{}}
	d.GSO, d.GRO = n.plane.Offload()
	if !n.cfg.Data.Offload {
		d.Notes = append(d.Notes, "offload = false in the node file: datagrams are cut and joined in user space")
	}
	if n.voter != nil {
		if problem := n.voter.agent.Problem(); problem != "" {
			d.Notes = append(d.Notes, problem)
		}
	}
	n.enginesOf(&d)
	for _, p := range n.ports {
		p.mu.Lock()
		vnet, open := p.vnet, p.device != nil
		p.mu.Unlock()
		if open && !vnet {
			d.Vnet = false
			d.Notes = append(d.Notes, fmt.Sprintf("port %s has no virtio-net headers: super-frames are cut in software", p.name()))
		}
		if p.gate != nil {
			d.Gate = worse(d.Gate, p.gateKind())
		}
		if p.note != "" {
			d.Notes = append(d.Notes, fmt.Sprintf("the gate of port %s is soft: %s", p.name(), p.note))
		}
	}
	return d
}

// worse is the weaker of two kinds of gate; one soft gate makes a soft node.
func worse(a, b string) string {
	if a == web.GateSoft || b == web.GateSoft {
		return web.GateSoft
	}
	return b
}

func (p *port) gateKind() string {
	switch {
	case p.gate == nil:
		return web.GateNone
	case p.kernel == nil:
		return web.GateSoft
	}
	return web.GateHard
}

// snake makes a part's words for a reason those of the API.
var snake = strings.NewReplacer(": ", "_", " ", "_", "-", "_")

// drops are those of all parts; the words of the parts are different.
func (n *Node) drops() map[string]uint64 {
	all := map[string]uint64{}
	add := func(more map[string]uint64) {
		for reason, count := range more {
			all[snake.Replace(reason)] += count
		}
	}
	add(n.plane.Drops())
	add(n.router.Drops())
	add(n.rolling.news.Drops())
	add(n.loopNews.Drops())
	add(n.readiness.news.Drops())
	add(n.sw.Drops())
	for _, p := range n.engines.all() {
		add(p.drops())
	}
	for _, p := range n.ports {
		add(p.drops())
	}
	return all
}

// drops of a port are the switch's and the device's.
func (p *port) drops() map[string]uint64 {
	p.mu.Lock()
	a, d := p.attached, p.device
	p.mu.Unlock()
	all := map[string]uint64{}
	if a != nil {
		maps.Copy(all, a.Status().Drops)
		for reason, count := range d.Drops() {
			all[snake.Replace(reason)] += count
		}
	}
	return all
}

func (n *Node) problems(self *mesh.PeerStatus, others []mesh.PeerStatus) []web.Problem {
	all := []web.Problem{}
	add := func(remedy, summary string, args ...any) {
		all = append(all, web.Problem{Summary: fmt.Sprintf(summary, args...), Remedy: remedy})
	}
	if self.Clone != "" {
		add("stop the copy, remove its state directory and join anew there", "another host runs with this peer's identity: %s", self.Clone)
	}
	for _, p := range n.ports {
		if err := p.broken(); err != nil {
			add("correct the interface, or the node file "+n.cfg.Path, "port %s does not work: %v", p.name(), err)
		}
	}
	linked := map[string]bool{}
	for _, p := range others {
		for _, e := range p.Endpoints {
			linked[e.String()] = p.State == mesh.StateDirect // perhaps it called us
		}
	}
	for _, a := range n.router.Attempts() {
		if a.Join && !linked[a.Target] && a.Err != nil && a.State != mesh.AttemptConnected && a.State != mesh.AttemptSelf {
			add("see whether that peer runs, and TCP and UDP reach it", "no link to %s: %v", a.Target, a.Err)
		}
	}
	for _, l := range n.router.Links() {
		if l.Path == transit.PathTCP {
			add("let UDP pass between the two", "UDP to %s is blocked: frames take the slower control connection", l.Peer)
		}
	}
	for _, p := range others {
		if p.State == mesh.StateUnreachable {
			add("see whether it runs; drawbridge peers forget "+string(p.Name)+" removes it for good", "peer %s is unreachable since %s", p.Name, p.Since.UTC().Format(time.RFC3339))
		}
	}
	all = append(all, n.reloading.problems(n.cfg.Path)...)
	for _, failure := range n.updating.orders.Failures() {
		add("mend what it names, and give the order again; or use the boot menu", "%s", failure)
	}
	all = append(all, n.policyProblems()...)
	all = append(all, n.wireProblems()...)
	all = append(all, n.engineProblems()...)
	all = append(all, n.loopProblems()...)
	all = append(all, n.rolloutProblems()...)
	return append(all, n.takeoverProblems()...)
}

// broken is why the port does not work; nil when it does.
func (p *port) broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem
}

// Ready implements web.Node.
func (n *Node) Ready() web.Readiness {
	r := web.Readiness{Reasons: []string{}}
	select {
	case <-n.router.Ready():
	default:
		r.Reasons = append(r.Reasons, "the control port is not open yet")
	}
	for _, p := range n.ports {
		if err := p.broken(); err != nil {
			r.Reasons = append(r.Reasons, fmt.Sprintf("port %s does not work: %v", p.name(), err))
		}
	}
	r.Ready = len(r.Reasons) == 0
	return r
}

// Watch implements web.Node.
func (n *Node) Watch() <-chan struct{} { return n.changed.watch() }

// Events implements web.Node.
func (n *Node) Events(after uint64) []web.Event { return n.journal.After(after) }

// Peers implements web.Node.
func (n *Node) Peers() []web.Peer {
	traffic := map[drawbridge.PeerID]mesh.LinkStatus{}
	for _, l := range n.router.Links() {
		traffic[l.ID] = l
	}
	n.router.Survey()
	all := []web.Peer{}
	for _, p := range n.router.Peers() {
		w := web.Peer{
			Name: string(p.Name), ID: p.ID.String(), UID: p.UID.String(), State: p.State, Membership: p.Membership, Since: p.Since.UTC(),
			Path: p.Path, Via: string(p.Via), Remote: remoteText(p.Remote), RTT: web.MillisecondsOf(p.RTT), MTU: packetMTU(p.MTU),
			Roles: p.Roles.Words(), Segments: segmentsOf(p.Ports), Software: p.Software, Version: p.Version, Endpoints: texts(p.Endpoints),
		}
		if l, ok := traffic[p.ID]; ok {
			w.Jitter, w.Loss = web.MillisecondsOf(l.Jitter), l.Loss
			w.Traffic = trafficOf(&l.LinkState)
		}
		all = append(all, w)
	}
	return all
}

func remoteText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func segmentsOf(ports []wire.Port) []string {
	names := []string{}
	for _, p := range ports {
		if p.Kind == wire.PortSegment {
			names = append(names, p.SegmentName)
		}
	}
	return names
}

func trafficOf(l *transit.LinkState) web.Traffic {
	return web.Traffic{RxFrames: l.RxFrames, RxBytes: l.RxBytes, TxFrames: l.TxFrames, TxBytes: l.TxBytes}
}

// Links implements web.Node.
func (n *Node) Links() []web.Link {
	all := []web.Link{}
	for _, l := range n.router.Links() {
		w := web.Link{
			Peer: string(l.Peer), Up: l.Up, Path: l.Path, Remote: remoteText(l.Remote), Dialled: l.Dialled, Since: l.LinkState.Since.UTC(),
			RTT: web.MillisecondsOf(l.RTT), Jitter: web.MillisecondsOf(l.Jitter), Loss: l.Loss, MTU: packetMTU(l.MTU),
			GSO: l.GSO, GRO: l.GRO, KeyAgeS: l.KeyAge.Seconds(), Problems: []web.Problem{}, Traffic: trafficOf(&l.LinkState),
		}
		if w.Path == "" {
			w.Path = transit.PathNone
		}
		if l.Path == transit.PathTCP {
			w.Problems = append(w.Problems, web.Problem{Summary: "UDP is blocked", Remedy: "let UDP pass between the two"})
		}
		all = append(all, w)
	}
	return all
}

// names are the peers' by their ids.
func (n *Node) names() map[drawbridge.PeerID]string {
	names := map[drawbridge.PeerID]string{}
	for _, p := range n.router.Peers() {
		names[p.ID] = string(p.Name)
	}
	return names
}

// Routes implements web.Node.
func (n *Node) Routes() web.Routes {
	names, routes := n.names(), n.router.Routes()
	out := web.Routes{Unicast: []web.Route{}, Broadcast: []web.Tree{}, Flux: n.plane.Flux()}
	self := n.creds.ID()
	for id, name := range names {
		if id == self {
			continue
		}
		r := web.Route{Peer: name, Hops: []string{}, MTU: packetMTU(routes.PathMTU[id]), Metric: web.Milliseconds(float64(routes.Distance[id]) / 1000)}
		if via, ok := routes.Next[id]; ok {
			r.Via = names[via]
			for _, hop := range routes.Path[id] {
				r.Hops = append(r.Hops, names[hop])
			}
		}
		out.Unicast = append(out.Unicast, r)
	}
	for origin, children := range routes.Children {
		t := web.Tree{Origin: names[origin], Children: []string{}}
		for _, c := range children {
			t.Children = append(t.Children, names[c])
		}
		slices.Sort(t.Children)
		out.Broadcast = append(out.Broadcast, t)
	}
	slices.SortFunc(out.Unicast, func(a, b web.Route) int { return strings.Compare(a.Peer, b.Peer) })
	slices.SortFunc(out.Broadcast, func(a, b web.Tree) int { return strings.Compare(a.Origin, b.Origin) })
	return out
}

// Ports implements web.Node.
func (n *Node) Ports() []web.Port {
	all := []web.Port{}
	for _, p := range n.ports {
		all = append(all, p.status())
	}
	slices.SortFunc(all, func(a, b web.Port) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (p *port) status() web.Port {
	p.mu.Lock()
	a, d := p.attached, p.device
	w := web.Port{
		Name: p.name(), Kind: web.PortGuest, Interface: p.interfaceName(), VNI: uint32(p.vni()), Up: p.problem == nil, Gate: web.GateNone,
		GateKind: p.gateKind(), Since: p.since.UTC(), Vnet: p.vnet, Drops: map[string]uint64{}, Problems: []web.Problem{},
	}
	if p.problem != nil {
		w.Problems = append(w.Problems, web.Problem{Summary: p.problem.Error(), Remedy: "correct the interface, or the node file " + p.node.cfg.Path})
	}
	p.mu.Unlock()
	p.fillVerdict(&w)
	if p.guest != nil {
		w.Bridge = p.guest.Bridge
		p.fillGuest(&w)
	} else {
		w.Kind, w.VLAN, w.Segment, w.Mode, w.Gate = web.PortSegment, p.segment.VLAN, p.segment.Name, p.mode(), web.GateShut
		if epoch, open := p.gate.Permit(); open {
			w.Gate, w.Epoch = web.GateOpen, epoch.String()
		}
	}
	if a != nil {
		p.fill(&w, a.Status(), d)
	}
	return w
}

// fillGuest tells why a guest port that works carries nothing.
func (p *port) fillGuest(w *web.Port) {
	if p.node.alone.IsClear(p.aloneID(), 0) || !w.Up {
		return
	}
	w.Gate = web.GateShut
	if w.Blocked != "" {
		return
	}
	for _, why := range p.wireReasons() {
		w.Problems = append(w.Problems, web.Problem{Summary: why, Remedy: "it opens by itself when it has listened, a second after it is plugged in"})
	}
}

// fillVerdict tells what ALONE holds against the port.
func (p *port) fillVerdict(w *web.Port) {
	if reason, blocked := p.verdict(); blocked {
		w.Blocked = string(reason)
		w.Problems = append(w.Problems, p.blockedProblem(reason))
	}
}

func (p *port) fill(w *web.Port, st forwarder.PortStatus, d device) {
	w.MTU, w.MACs, w.Drops = d.MTU(), st.MACs, p.drops()
	w.Traffic = web.Traffic{RxFrames: st.RxFrames, RxBytes: st.RxBytes, TxFrames: st.TxFrames, TxBytes: st.TxBytes}
}
