package appliance

import (
	"fmt"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/alone/runner"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/web"
)

// openALONE prepares the watch over the segments' wires, on a peer that shares the key of the hellos.
func (n *Node) openALONE() *runner.Runner {
	if n.creds.CA == nil {
		return nil
	}
	return runner.New(runner.Config{
		Peer: n.creds.ID(), Network: n.creds.Network.ID, Key: [32]byte(n.creds.CA.Secret("alone v1", nil)),
		Boot: uint32(time.Now().Unix()), Timers: alone.Default, Log: n.log,
		Now:   func() time.Duration { return time.Duration(gate.Now()) },
		Hooks: runner.Hooks{Fence: n.fenced, Shut: n.vetoed, Alarm: n.alarmed},
	})
}

// aloneID numbers the segment ports of the node file from 1.
func (p *port) aloneID() alone.PortID {
	for i, other := range p.node.ports {
		if other == p {
			return alone.PortID(i + 1)
		}
	}
	return 0
}

// portOf is the reverse.
func (n *Node) portOf(id alone.PortID) *port {
	if id == 0 || int(id) > len(n.ports) {
		return nil
	}
	return n.ports[id-1]
}

// watchWire has ALONE speak and listen on the port's wire while the port is open.
func (p *port) watchWire() (stop func()) {
	r := p.node.alone
	if r == nil || p.segment == nil {
		return func() {}
	}
	id := p.aloneID()
	err := r.AddPort(runner.PortConfig{
		ID: id, Interface: p.segment.Interface, VLAN: p.segment.VLAN, Segment: drawbridge.SegmentIDOf(p.segment.Name), Score: 100,
	})
	if err != nil {
		p.node.log.Error("the wire is not watched", "port", p.name(), "err", err)
		return func() {}
	}
	r.Carrier(id, true)
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
	if r == nil || !p.usable.Load() {
		return p.usable.Load()
	}
	if p.toldEpoch.Swap(uint64(epoch)) != uint64(epoch) {
		r.Lease(p.aloneID(), epoch)
	}
	return r.IsClear(p.aloneID(), epoch)
}

// released tells ALONE that this peer holds the segment no longer.
func (p *port) released() {
	if p.node.alone != nil && p.segment != nil {
		p.toldEpoch.Store(0)
		p.node.alone.Lease(p.aloneID(), 0)
	}
}

// wireReasons is what speaks against taking the lease, on the wire itself.
func (p *port) wireReasons() (reasons []string) {
	if p.node.alone == nil {
		return nil
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
	n.voter.agent.Heard(segment, epoch)
	n.log.Warn("a newer tenure was heard on the segment", "port", p.name(), "epoch", epoch, "peer", by.Peer)
}

// vetoed hears that the gate of a port must shut.
func (n *Node) vetoed(id alone.PortID, reason alone.Reason) {
	p := n.portOf(id)
	if p == nil || p.gate == nil {
		return
	}
	p.gate.Shut()
	n.voter.agent.Veto(drawbridge.SegmentIDOf(p.segment.Name))
	n.log.Warn("ALONE shut the gate", "port", p.name(), "reason", reason)
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
