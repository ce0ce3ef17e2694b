package appliance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/web"
)

// Modes of a gateway's part in a segment.
const (
	modeAuto    = config.ModeAuto
	modePassive = config.ModePassive
	modeManual  = config.ModeActiveManual
)

// The gate of mode active-manual is opened for handTerm at a time and asked about every handEvery, so that it is shut
// when this process hangs, and when ALONE speaks against it.
const (
	handTerm  = 500 * time.Millisecond
	handEvery = 50 * time.Millisecond
)

// byHand is what an operator, or a coordinator, wants of a port.
type byHand struct {
	mu    sync.Mutex // guards what follows
	mode  string     // chosen at run time; empty: the node file's
	by    string
	since time.Time
	open  bool             // in mode active-manual: the gate is to be open
	epoch drawbridge.Epoch // under this
	shown bool             // it was told as open
}

// mode is the one in force.
func (p *port) mode() string {
	p.hand.mu.Lock()
	defer p.hand.mu.Unlock()
	return p.modeHeld()
}

func (p *port) modeHeld() string {
	if p.hand.mode != "" {
		return p.hand.mode
	}
	return p.segment.Mode
}

// whyMode says why a gateway takes no lease in its mode.
func (p *port) whyMode(mode string) string {
	p.hand.mu.Lock()
	defer p.hand.mu.Unlock()
	if p.hand.mode == "" {
		return fmt.Sprintf("mode = %q in the node file", mode)
	}
	return fmt.Sprintf("mode = %q, set by %s", mode, p.hand.by)
}

// ending reports whether the daemon stops, and no gate opens any more.
func (p *port) ending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping
}

// startByHand wants the gate open from the start where the node file says so.
func (n *Node) startByHand() {
	for _, p := range n.ports {
		if p.segment != nil && p.segment.Mode == modeManual {
			p.hand.since, p.hand.open, p.hand.by = time.Now(), true, "the node file"
		}
	}
}

// followHands keeps gates open that are opened by hand, for as long as ALONE has nothing against it.
func (n *Node) followHands(ctx context.Context) error {
	for {
		watch, next, some := n.changed.watch(), time.Hour, false
		for _, p := range n.ports {
			if p.segment != nil && p.handle() {
				some = true
			}
		}
		if some {
			next, watch = handEvery, nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch:
		case <-time.After(next):
		}
	}
}

// handle does what is wanted of a port, and reports whether that is to be looked at again soon.
func (p *port) handle() (again bool) {
	n := p.node
	well := p.usable.Load() && !p.unplugged.Load() && !p.ending() && n.alive() // takes locks under which modes are asked for
	p.hand.mu.Lock()
	defer p.hand.mu.Unlock()
	if p.modeHeld() != modeManual || !p.hand.open {
		p.letGo("it is not wanted any more")
		return false
	}
	if p.hand.epoch == 0 {
		p.hand.epoch = p.nextByHand()
	}
	epoch := p.hand.epoch
	if p.toldEpoch.Swap(uint64(epoch)) != uint64(epoch) {
		n.alone.Lease(p.aloneID(), epoch)
	}
	if !well || !n.alone.IsClear(p.aloneID(), epoch) {
		if p.hand.shown {
			p.hand.shown = false
			p.gate.Shut()
			go p.handOver(epoch, chain("shut "+time.Now().Format(instant), "ALONE or the port speaks against it"))
		}
		return true
	}
	p.gate.Fence(epoch) // no lease of before opens it again
	if !p.gate.Open(epoch, gate.Now().Add(handTerm)) {
		return true
	}
	if !p.hand.shown {
		p.hand.shown = true
		go n.openedByHand(p, epoch, p.hand.by)
	}
	return true
}

// letGo shuts what was opened by hand. The caller holds mu.
func (p *port) letGo(why string) {
	if p.hand.epoch == 0 {
		return
	}
	if under, open := p.gate.Permit(); open && under == p.hand.epoch {
		p.gate.Shut()
	}
	if p.hand.shown {
		go p.handOver(p.hand.epoch, chain("shut "+time.Now().Format(instant), why, "by "+p.hand.by))
	}
	p.hand.epoch, p.hand.shown = 0, false
	p.toldEpoch.Store(0)
	p.node.alone.Lease(p.aloneID(), 0)
}

// handOver tells that a gate that was opened by hand is shut.
func (p *port) handOver(epoch drawbridge.Epoch, why string) {
	p.mu.Lock()
	was := p.epoch
	if was == epoch {
		p.epoch, p.cause, p.since = 0, why, time.Now()
	}
	p.mu.Unlock()
	if was != epoch {
		return
	}
	p.node.event(web.Event{
		Level: web.LevelWarn, Kind: "gate_shut", Port: p.name(), Segment: p.segment.Name, Epoch: epoch.String(),
		Text: fmt.Sprintf("gate of segment %s shut: %s", p.segment.Name, why), Reason: why,
	})
	p.node.publish()
}

// nextByHand numbers a tenure by hand: from the clock, in generation 0, so that a later choice outranks an earlier one;
// above all that is known, where leases were given before.
func (p *port) nextByHand() drawbridge.Epoch {
	_, known := p.node.sw.Tenure(drawbridge.SegmentIDOf(p.segment.Name), p.vni())
	return max(drawbridge.MakeEpoch(0, uint32(time.Now().Unix())), max(known, p.gate.State().Fence)+1)
}

// openedByHand tells of it.
func (n *Node) openedByHand(p *port, epoch drawbridge.Epoch, by string) {
	segment := drawbridge.SegmentIDOf(p.segment.Name)
	p.mu.Lock()
	p.epoch, p.cause, p.since = epoch, "mode = \"active-manual\", opened by "+by, time.Now()
	p.mu.Unlock()
	if n.voter != nil {
		n.voter.agent.Heard(segment, epoch)
	}
	n.sw.SetSegment(segment, p.vni(), n.creds.ID(), epoch)
	n.log.Warn("gate opened by hand: no lease guards it", "port", p.name(), "epoch", epoch, "by", by)
	n.event(web.Event{
		Level: web.LevelWarn, Kind: "gate_open", Port: p.name(), Segment: p.segment.Name, Epoch: epoch.String(),
		Text: fmt.Sprintf("gate of segment %s opened by hand", p.segment.Name), Reason: "mode = active-manual, by " + by,
	})
	p.announce()
	n.publish()
}

// gatewayPort finds this peer's port on a segment.
func (n *Node) gatewayPort(segment string) (*port, error) {
	for _, p := range n.ports {
		if p.segment != nil && p.segment.Name == segment {
			return p, nil
		}
	}
	if slices.ContainsFunc(n.segmentViews(), func(v segmentView) bool { return v.name == segment }) {
		return nil, fmt.Errorf("%w: this peer has no port on segment %s; ask one of its gateways", web.ErrConflict, segment)
	}
	return nil, web.Missing(web.KindSegment, segment)
}

// SegmentMode implements web.Node.
func (n *Node) SegmentMode(segment string) (web.SegmentMode, error) {
	p, err := n.gatewayPort(segment)
	if err != nil {
		return web.SegmentMode{}, err
	}
	p.hand.mu.Lock()
	defer p.hand.mu.Unlock()
	return web.SegmentMode{
		Segment: segment, Peer: string(n.creds.Name), Mode: p.modeHeld(), Configured: p.segment.Mode,
		Network: n.network.inForce().Segment(segment).Mode, By: p.hand.by, Since: p.hand.since.UTC(),
	}, nil
}

// SetSegmentMode implements web.Node. It holds until this peer stops.
func (n *Node) SetSegmentMode(_ context.Context, segment string, r web.ModeRequest) (web.SegmentMode, error) {
	p, err := n.gatewayPort(segment)
	if err != nil {
		return web.SegmentMode{}, err
	}
	if r.Mode == modeManual {
		if err := n.mayBeManual(segment); err != nil {
			return web.SegmentMode{}, err
		}
	}
	was := p.mode()
	p.hand.mu.Lock()
	p.hand.mode, p.hand.by, p.hand.since = r.Mode, r.By, time.Now()
	p.hand.open = r.Mode == modeManual
	if was != modeManual {
		p.hand.epoch = 0
	}
	p.hand.mu.Unlock()
	p.handle() // shut first
	n.log.Warn("mode of a segment set", "port", p.name(), "mode", r.Mode, "by", r.By)
	n.event(web.Event{
		Level: web.LevelWarn, Kind: "segment_mode", Port: p.name(), Segment: segment, Reason: "by " + r.By,
		Text: fmt.Sprintf("mode of segment %s is %s here, until this peer stops", segment, r.Mode),
	})
	n.publish()
	return n.SegmentMode(segment)
}

// mayBeManual refuses a gate by hand beside gateways that follow the voters: they would take the lease, which outranks it.
func (n *Node) mayBeManual(segment string) error {
	for _, t := range n.Takeovers() {
		if t.Segment != segment || t.Peer == string(n.creds.Name) || time.Since(t.Told) > 5*tellReadiness {
			continue
		}
		for _, c := range t.Checks {
			if c.Name == "mode" && c.Value == modeAuto {
				return fmt.Errorf("%w: gateway %s of segment %s is in mode auto, and would take the segment back: set its mode to passive or active-manual first",
					web.ErrConflict, t.Peer, segment)
			}
		}
	}
	return nil
}

// SegmentGate implements web.Node.
func (n *Node) SegmentGate(segment string) (web.SegmentGate, error) {
	p, err := n.gatewayPort(segment)
	if err != nil {
		return web.SegmentGate{}, err
	}
	state := p.gate.State()
	g := web.SegmentGate{
		Segment: segment, Peer: string(n.creds.Name), Mode: p.mode(), Open: state.Open, Left: web.MillisecondsOf(state.Left), Kind: p.gateKind(),
		Reasons: append([]string{}, p.wireReasons()...),
	}
	if state.Open {
		g.Epoch = state.Epoch.String()
	}
	if state.Left > time.Duration(failover.Forever/2) {
		g.Left = 0
	}
	p.mu.Lock()
	g.Since, g.Cause = p.since.UTC(), p.cause
	p.mu.Unlock()
	return g, nil
}

// SetSegmentGate implements web.Node.
func (n *Node) SetSegmentGate(ctx context.Context, segment string, r web.GateRequest) (web.SegmentGate, error) {
	p, err := n.gatewayPort(segment)
	if err != nil {
		return web.SegmentGate{}, err
	}
	if p.mode() != modeManual {
		return web.SegmentGate{}, fmt.Errorf("%w: the mode of segment %s is %s here; a gate is moved by hand in mode active-manual only: drawbridge segments mode %s active-manual",
			web.ErrConflict, segment, p.mode(), segment)
	}
	p.hand.mu.Lock()
	if r.Open && !p.hand.shown {
		p.hand.epoch = 0 // a new choice outranks those of before
	}
	p.hand.open, p.hand.by, p.hand.since = r.Open, r.By, time.Now()
	p.hand.mu.Unlock()
	p.handle()
	n.changed.tell()
	return n.SegmentGate(segment)
}
