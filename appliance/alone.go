package appliance

import (
	"context"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/alone/runner"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/web"
)

// openALONE prepares the watch over the wires of all ports.
func (n *Node) openALONE() *runner.Runner {
	boot, err := nextBoot(n.creds.Dir(), time.Now())
	if err != nil {
		n.log.Warn("hellos are numbered by the clock: neighbours would ignore them if it had been set back", "err", err)
	}
	return runner.New(runner.Config{
		Peer: n.creds.ID(), Network: n.creds.Network.ID,
		Boot: boot, Timers: alone.Default, Log: n.log,
		Now:   func() time.Duration { return time.Duration(gate.Now()) },
		Hooks: runner.Hooks{Fence: n.fenced, Shut: n.vetoed, Clear: n.cleared, Alarm: n.alarmed, Stand: n.stands, Stood: n.stood, Changed: n.topologyChanged, Heard: n.heardOtherwise, Listen: n.listens, Stray: n.tellStray},
	})
}

// watchWires runs ALONE from when this peer has its key. Until then no port is clear.
func (n *Node) watchWires(ctx context.Context) error {
	if len(n.ports) == 0 {
		return nil
	}
	key, err := n.aloneKey(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	n.alone.SetKey(key)
	return n.alone.Run(ctx)
}

// aloneID numbers the ports of the node file from 1, and tells guest ports by the number's first bit.
func (p *port) aloneID() alone.PortID {
	first := alone.PortID(1)
	if p.guest != nil {
		first = alone.FirstGuest
	}
	return first + alone.PortID(slices.Index(p.node.ports, p))
}

// portOf is the reverse.
func (n *Node) portOf(id alone.PortID) *port {
	i := int(id) - 1
	if id.Guest() {
		i = int(id - alone.FirstGuest)
	}
	if i < 0 || i >= len(n.ports) || n.ports[i].aloneID() != id {
		return nil
	}
	return n.ports[i]
}

// watchWire has ALONE speak and listen on the port's wire while the port is open.
func (p *port) watchWire(a *forwarder.Attached) (stop func()) {
	r, id := p.node.alone, p.aloneID()
	c := runner.PortConfig{ID: id, Interface: p.interfaceName(), Score: 100}
	if p.segment != nil {
		c.VLAN, c.Segment = p.segment.VLAN, drawbridge.SegmentIDOf(p.segment.Name)
	} else {
		c.Open = p.wireOf(a)
	}
	if err := r.AddPort(c); err != nil {
		p.node.log.Error("the wire is not watched", "port", p.name(), "err", err)
		return func() {}
	}
	r.Carrier(id, !p.unplugged.Load())
	return func() {
		if err := r.RemovePort(id); err != nil {
			p.node.log.Warn("the watch over the wire did not end", "port", p.name(), "err", err)
		}
	}
}

// allowed reports whether the gate may be open under an epoch: while its device works, and ALONE has nothing
// against it. The lease agent asks at every renewal.
func (p *port) allowed(epoch drawbridge.Epoch) bool {
	r := p.node.alone
	if !p.usable.Load() {
		return false
	}
	if p.toldEpoch.Swap(uint64(epoch)) != uint64(epoch) {
		r.Lease(p.aloneID(), epoch)
	}
	return r.IsClear(p.aloneID(), epoch)
}

// released tells ALONE that a tenure of this peer is over. It may be told late, when another has begun, which goes on.
func (p *port) released(epoch drawbridge.Epoch) {
	if p.segment != nil {
		p.toldEpoch.CompareAndSwap(uint64(epoch), 0)
		p.node.alone.Over(p.aloneID(), epoch)
	}
}

// wireReasons is what speaks against taking the lease, on the wire itself.
func (p *port) wireReasons() (reasons []string) {
	if p.unplugged.Load() {
		return []string{noCarrier}
	}
	id := p.aloneID()
	for _, s := range p.node.alone.Ports() {
		switch {
		case s.ID != id:
		case s.Problem != "":
			reasons = append(reasons, "the wire is not watched: "+s.Problem)
		case s.State == alone.Blocked:
			reasons = append(reasons, "ALONE blocks the port: "+string(s.Reason))
		case s.State == alone.Init || s.State == alone.Listen:
			reasons = append(reasons, "listening on the segment before it may be opened")
		}
	}
	return reasons
}

// fenced hears, in ALONE's goroutine, of a newer tenure on the wire: the gate shuts at once.
func (n *Node) fenced(id alone.PortID, segment drawbridge.SegmentID, epoch drawbridge.Epoch, by alone.Place) {
	p := n.portOf(id)
	if p == nil || p.gate == nil {
		return
	}
	p.gate.Fence(epoch)
	if n.voter != nil {
		n.voter.agent.Heard(segment, epoch)
	}
	n.log.Warn("a newer tenure was heard on the segment", "port", p.name(), "epoch", epoch, "peer", by.Peer)
}

// vetoed hears that the gate of a port must shut.
func (n *Node) vetoed(id alone.PortID, reason alone.Reason) {
	p := n.portOf(id)
	switch {
	case p == nil:
		return
	case p.segment == nil:
		p.block(true)
		return
	}
	p.gate.Shut()
	if n.voter != nil {
		n.voter.agent.Veto(drawbridge.SegmentIDOf(p.segment.Name))
	}
	n.log.Warn("ALONE shut the gate", "port", p.name(), "reason", reason)
}

// listens hears that a port may not be opened for a while, or may from now on: whether this gateway asks for leases depends on it.
func (n *Node) listens(alone.PortID) { n.changed.tell() }

// cleared hears that a guest port may carry frames.
func (n *Node) cleared(id alone.PortID) {
	if p := n.portOf(id); p != nil && p.guest != nil {
		p.block(false)
	}
}

// block stops or passes frames on a guest port, and tells so.
func (p *port) block(on bool) {
	p.mu.Lock()
	a := p.attached
	p.blocked = on
	p.turnGuestGate()
	p.mu.Unlock()
	if a != nil {
		a.Block(on)
		go p.node.publish() // it takes locks of the mesh, and ALONE must not wait
	}
}

// strayed hears, from goroutines of the mesh, of a neighbour's frame that came out of the overlay.
func (n *Node) strayed(f drawbridge.Frame) {
	if body := forwarder.ALONE(f); body != nil {
		n.alone.HearOverlay(body)
	}
}

// alarmed puts what ALONE found out into the journal.
func (n *Node) alarmed(a alone.Alarm) {
	e := web.Event{Level: web.LevelWarn, Kind: "alone", Reason: string(a.Reason), Text: a.Text}
	if p := n.portOf(a.Port); p != nil {
		e.Port = p.name()
		if p.segment != nil {
			e.Segment = p.segment.Name
		}
	}
	if e.Text == "" {
		e.Text = fmt.Sprintf("port %s is blocked: %s", e.Port, a.Reason)
	}
	n.log.Warn("alarm on a segment", "port", e.Port, "reason", e.Reason, "text", e.Text)
	n.event(e)
}
