package appliance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

const (
	// renewEvery and renewFor bound for how long the kernel forwards when this process is gone: guests have no lease.
	renewEvery = time.Second
	renewFor   = 3 * time.Second
	// quiet is how long one engine goes on before the other takes frames in or ends: an echo of what it has written comes back within
	// milliseconds, and meanwhile each hears from the other of every address that speaks.
	quiet = 300 * time.Millisecond
	// probeAgain is when a kernel that could not is asked again.
	probeAgain = time.Minute
	// probePort is beside those of the overlays' tunnels (package engine).
	probePort = 6639
)

// engines is this peer's part in the kernel engine (docs/protocol/kernel.md, "Which engine").
type engines struct {
	node   *Node
	claims engine.Claims

	// Owned by followEngines, and by inheritKernel before it.
	probed  time.Time
	lacking string          // why this kernel cannot; empty: it can
	ways    engine.Patience // with ways that are no good for the tunnel
	pinned  bool            // it was found out whether that is possible
	pins    string          // where the kernel's state is kept for the next process; empty: nowhere

	protection protection

	mu        sync.Mutex        // guards what follows
	known     raftgroup.Engines // number 0: this run has not heard of any
	decisions engine.Decisions
	paths     map[drawbridge.VNI]*kernelPath
}

func (n *Node) openEngines() *engines {
	return &engines{node: n, paths: map[drawbridge.VNI]*kernelPath{}, protection: protection{node: n}}
}

// inKernel are the overlays that the configuration wants in the kernel.
func (n *Node) inKernel() (all []drawbridge.VNI) {
	for _, o := range n.network.inForce().Overlays {
		if o.InKernel() {
			all = append(all, o.VNI)
		}
	}
	slices.Sort(all)
	return all
}

// followEngines keeps what the kernel does here in step with what was decided, until ctx ends: then the kernel does
// nothing any more.
func (n *Node) followEngines(ctx context.Context) error {
	e := n.engines
	defer e.leave()
	var current <-chan struct{} // until it is closed: what a snapshot has may have been over for long
	if n.voter != nil {
		current = n.voter.group.Current()
	}
	for ctx.Err() == nil {
		watch := n.changed.watch()
		if n.voter != nil && n.voter.isCurrent() {
			state, _ := n.voter.group.State()
			e.take(state.Engines)
			current = nil
		}
		timer := time.NewTimer(e.reconcile(time.Now()))
		select {
		case <-ctx.Done():
		case <-watch:
		case <-current:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// take notes decisions that are newer.
func (e *engines) take(k raftgroup.Engines) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k.Number <= e.known.Number {
		return
	}
	d, err := engine.Parse(k.Decided)
	if err != nil {
		e.node.log.Error("decisions about engines not understood: update this peer", "err", err)
		return
	}
	e.known, e.decisions = k, d
}

// reconcile does what is due now and answers when to look again.
func (e *engines) reconcile(now time.Time) (next time.Duration) {
	wanted := e.node.inKernel()
	e.mu.Lock()
	d, serial := e.decisions, e.known.Number
	e.mu.Unlock()
	e.protect(now)
	word := engine.Word{Serial: serial, WireGuard: e.protection.card, Some: true}
	next = renewEvery
	for _, vni := range e.overlays(wanted, d) {
		want := d.Overlay(vni)
		p := e.path(vni)
		why := cmp.Or(e.lacks(vni, slices.Contains(wanted, vni), now), e.unprotected(p))
		p.lack(why, e.blocked(p, now), now)
		switch {
		case serial > 0 || p.left.until.IsZero():
			p.follow(want, d, now)
		case !p.inherits(): // whether the others are in the kernel nobody has told
			p.stop(now)
		}
		if !p.still(want.Phase, now) {
			next = quiet / 3
		}
		word.Overlays = append(word.Overlays, p.standing(now))
	}
	if text, err := json.Marshal(word); err == nil && (len(word.Overlays) > 0 || serial > 0) {
		e.node.network.acks.Engines(string(text))
	}
	return next
}

// overlays are those that are wanted in the kernel, or were.
func (e *engines) overlays(wanted []drawbridge.VNI, d engine.Decisions) []drawbridge.VNI {
	all := slices.Clone(wanted)
	for _, o := range d.Overlays {
		all = append(all, o.VNI)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (e *engines) path(vni drawbridge.VNI) *kernelPath {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.paths[vni]
	if p == nil {
		p = &kernelPath{node: e.node, vni: vni, reached: engine.User, ports: map[*port]installed{}}
		e.paths[vni] = p
	}
	return p
}

// all lists the overlays' paths.
func (e *engines) all() (all []*kernelPath) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.paths {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *kernelPath) int { return cmp.Compare(a.vni, b.vni) })
	return all
}

// leave ends what the kernel does.
func (e *engines) leave() {
	for _, p := range e.all() {
		p.close()
	}
	e.expose(nil, time.Now())
}

// unprotected is why the kernel cannot carry the overlay as the configuration wants it protected; empty: it can.
func (e *engines) unprotected(p *kernelPath) string {
	o := p.overlay()
	switch {
	case p.kernel != nil && o.InKernel() && o.Protected() != p.protected:
		return "the protection of its underlay is to change"
	case o.Protected():
		return e.protection.against()
	}
	return ""
}

// blocked are the links that the kernel cannot use. While it carries the whole overlay they count only when they have lasted.
func (e *engines) blocked(p *kernelPath, now time.Time) (all []engine.Blocked) {
	carried := p.reached == engine.Kernel
	all = e.ways.Lasting(e.node.underlayBlocks(), carried, now)
	if p.overlay().Protected() {
		all = append(all, e.protection.ways.Lasting(e.protection.blocked, carried, now)...)
	}
	return all
}

// probe finds out, now and then, whether this kernel can at all.
func (e *engines) probe(now time.Time) string {
	if !e.probed.IsZero() && (e.lacking == "" || now.Sub(e.probed) < probeAgain) {
		return e.lacking
	}
	e.probed, e.lacking = now, ""
	k, err := kernel.Load(kernel.Options{Device: "dbkprobe", Port: probePort, Settle: quiet})
	if err == nil {
		err = k.Remove()
	}
	if err != nil {
		e.node.log.Warn("this host cannot forward frames in the kernel", "err", err)
		e.lacking = firstLine(err)
	}
	return e.lacking
}

// lacks is why the kernel cannot carry an overlay here; empty: it can.
func (e *engines) lacks(vni drawbridge.VNI, wanted bool, now time.Time) string {
	if !wanted {
		return "not asked for"
	}
	if why := e.probe(now); why != "" {
		return why
	}
	for _, p := range e.node.ports {
		if p.vni() != vni {
			continue
		}
		if why := p.noKernel(); why != "" {
			return "port " + p.name() + " " + why
		}
	}
	return ""
}

// noKernel is why the port is none for the kernel engine.
func (p *port) noKernel() string {
	switch {
	case p.guest != nil && p.guest.TAP != "":
		return "is a TAP device, whose frames no program sees"
	case p.segment != nil && p.segment.VLAN != 0:
		return "is a VLAN of an interface: name the VLAN's own interface instead"
	case p.segment != nil && p.kernel == nil:
		return "has a soft gate: " + p.note
	}
	return ""
}

// underlayBlocks are the links by which the tunnel would not reach an adjacent peer: it goes to the address that the link goes to, and
// comes from one that the peer must know for ours.
func (n *Node) underlayBlocks() (all []engine.Blocked) {
	for _, p := range n.router.Peers() {
		if p.State != mesh.StateDirect {
			continue
		}
		if p.Path != transit.PathUDP || !p.Remote.IsValid() {
			all = append(all, engine.Blocked{Peer: p.ID, Why: "UDP to " + string(p.Name) + " is blocked"})
			continue
		}
		own := slices.ContainsFunc(p.Endpoints, func(a netip.AddrPort) bool { return a.Addr().Unmap() == p.Remote.Addr().Unmap() })
		if !own {
			all = append(all, engine.Blocked{Peer: p.ID, Why: "the addresses of " + string(p.Name) + " are translated on the way"})
		}
	}
	return all
}

// firstLine is what a peer says of an error that may carry a verifier's log.
func firstLine(err error) string {
	text := err.Error()
	for i, c := range text {
		if c == '\n' || i >= 160 {
			return text[:i]
		}
	}
	return text
}

// fetchEngines has a peer that does not vote hear of decisions, until ctx ends.
func (n *Node) fetchEngines(ctx context.Context) error {
	for ctx.Err() == nil {
		watch := n.changed.watch()
		if n.engines.behind() {
			r, err := n.askVoters(ctx, n.votersNow(), configQuestion{Op: opEngines})
			if err != nil {
				n.log.Debug("no voter has told yet which engines carry the overlays", "err", err)
			} else if r.Engines != nil {
				n.engines.take(*r.Engines)
				n.changed.tell()
			}
			pause(ctx, fetchSoon)
			continue
		}
		select {
		case <-ctx.Done():
		case <-watch:
		}
	}
	return nil
}

// behind reports whether a peer has told of newer decisions, or none has come here yet and the kernel is wanted.
func (e *engines) behind() bool {
	e.mu.Lock()
	known := e.known.Number
	e.mu.Unlock()
	if known == 0 && len(e.node.inKernel()) > 0 {
		return true
	}
	for _, p := range e.node.router.Peers() {
		if e.node.engineWord(p.ID).Serial > known && p.State != mesh.StateUnreachable {
			return true
		}
	}
	return false
}

// engineWord is what a peer said last of its engines.
func (n *Node) engineWord(id drawbridge.PeerID) (w engine.Word) {
	if text := n.network.acks.Of(id).Engines; text != "" {
		_ = json.Unmarshal([]byte(text), &w) // of a newer version: as if it had said nothing
	}
	return w
}

// decideEngines has the voters decide what is due, while this one leads.
func (n *Node) decideEngines(ctx context.Context) error {
	tick := time.NewTicker(decideEvery)
	defer tick.Stop()
	for {
		if _, here := n.voter.group.Leader(); here {
			if err := n.decideEngine(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, raftgroup.ErrConflict) {
				n.log.Warn("which engine carries an overlay was not decided", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// decideEvery is how often the leader looks.
const decideEvery = 250 * time.Millisecond

func (n *Node) decideEngine(ctx context.Context) error {
	state, _ := n.voter.group.State()
	wanted := n.inKernel()
	if len(wanted) == 0 && state.Engines.Number == 0 {
		return nil
	}
	d, err := engine.Parse(state.Engines.Decided)
	if err != nil {
		return err
	}
	next, due := d.Next(n.engineWorld(wanted))
	if !due {
		return nil
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	_, err = n.voter.group.Propose(ctx, raftgroup.Command{
		By: string(n.creds.Name), Time: time.Now(), SetEngines: &raftgroup.SetEngines{From: state.Engines.Number, Decided: raw},
	})
	n.changed.tell()
	return err
}

func (n *Node) engineWorld(wanted []drawbridge.VNI) engine.World {
	w := engine.World{Now: time.Now(), Wanted: wanted}
	for _, r := range n.router.Peers() {
		if r.State == mesh.StateLeft {
			continue
		}
		p := engine.Peer{ID: r.ID, Name: r.Name, Live: r.State != mesh.StateUnreachable, Since: r.Since, Word: n.engineWord(r.ID)}
		for _, port := range r.Ports {
			if port.Kind == wire.PortSegment {
				p.Segments = append(p.Segments, port.Segment)
			}
		}
		w.Peers = append(w.Peers, p)
	}
	return w
}

// forget forgets addresses there.
func (e *engines) forget(match func(forwarder.MAC) bool) {
	for _, p := range e.all() {
		p.forget(match)
	}
}

// claimed hears of a new gateway by a frame of its own, and has the kernel turn to it.
func (n *Node) claimed(id drawbridge.SegmentID, vni drawbridge.VNI, by drawbridge.PeerID, epoch drawbridge.Epoch) {
	n.engines.claims.Heard(id, vni, engine.Gateway{Peer: by, Epoch: epoch})
	n.changed.tell()
}
