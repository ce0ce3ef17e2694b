package appliance

import (
	"errors"
	"fmt"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/forwarder/wireguard"
)

// inheritance is what this process does not know yet of an engine that a killed one left (docs/protocol/kernel.md, "Restart").
type inheritance struct {
	until time.Time // from then on it is as its own; zero: it is already
}

// inheritFor bounds how long ports stay as an earlier process left them: as long as neighbours wait for this peer's links.
const inheritFor = engine.HoldFor

// inheritKernel goes on with what a killed process left in the kernel, before a port is opened. If it is not exactly what this one
// would make, all of it is removed: two engines would carry the same frames until the kernel's time is over.
func (n *Node) inheritKernel() {
	wanted := n.inKernel()
	if len(wanted) > 0 {
		n.engines.pin()
	}
	if n.adoptAll(wanted) || len(n.ports) == 0 && n.engines.pins == "" && !wireguard.Left() {
		return
	}
	removed, err := kernel.Clean(kernel.PinsHere())
	if _, e := wireguard.Clean(); e != nil { // after the engine that sends through it
		err = errors.Join(err, e)
	}
	if len(removed) > 0 {
		n.log.Info("an earlier run's kernel engine was removed", "removed", removed)
	}
	if err != nil {
		n.log.Warn("an earlier run's kernel engine may be left: drawbridge doctor --clean", "err", err)
	}
}

// pin finds out, once, whether the kernel's state can be kept for the next process.
func (e *engines) pin() {
	if e.pinned {
		return
	}
	e.pinned = true
	pins := kernel.PinsHere()
	if err := kernel.CanPin(pins); err != nil {
		e.node.log.Info("nothing is kept in the kernel for the time after a crash", "err", err)
		return
	}
	e.pins = pins
}

// adoptAll goes on with the engines of all overlays or of none, if those are all that is there. One on a WireGuard device is not gone on
// with: its key went with the process.
func (n *Node) adoptAll(wanted []drawbridge.VNI) bool {
	if n.engines.pins == "" || len(wanted) == 0 || n.engines.wantProtection() || wireguard.Left() {
		return false
	}
	found, err := kernel.Pinned(n.engines.pins)
	if err != nil || len(found) != len(wanted) {
		return false
	}
	adopted, tables := map[drawbridge.VNI]*kernel.Engine{}, map[drawbridge.VNI]kernel.Table{}
	for _, vni := range wanted {
		k, err := kernel.Adopt(n.engines.path(vni).options())
		if err == nil {
			adopted[vni] = k
			tables[vni], err = k.Table()
		}
		if err != nil {
			n.log.Info("what an earlier run left in the kernel is not gone on with", "vni", vni, "err", err)
			for _, k := range adopted {
				_ = k.Close() // it is all removed now
			}
			return false
		}
	}
	for vni, k := range adopted {
		n.engines.path(vni).inherit(k, tables[vni], time.Now())
	}
	return true
}

// inherit has the kernel go on with an overlay. It is renewed when it is known that the network is in the kernel still.
func (p *kernelPath) inherit(k *kernel.Engine, t kernel.Table, now time.Time) {
	p.node.sw.Suspend(p.vni, true)
	p.hushed = true
	p.hold.Seed(t)
	p.carry(k)
	p.left = inheritance{until: now.Add(inheritFor)}
	p.node.log.Info("an earlier run's kernel engine goes on", "vni", p.vni)
	p.reach(engine.Kernel, now)
}

// options is how this overlay's engine is made, and known again.
func (p *kernelPath) options() kernel.Options {
	n := p.node
	if p.protected {
		return kernel.Options{Device: fmt.Sprintf("dbk%d", p.vni), Settle: quiet, Inner: wireguard.Inner(n.creds.ID())}
	}
	var ports []string
	for _, q := range n.ports {
		if q.vni() == p.vni {
			i, err := hostnet.Find(q.interfaceName())
			ports = append(ports, fmt.Sprint(q.name(), " ", i.Index, " ", q.segment != nil, " ", err))
		}
	}
	return kernel.Options{
		Device: fmt.Sprintf("dbk%d", p.vni), Settle: quiet, Pins: n.engines.pins,
		Identity: fmt.Sprintf("%v %v %s", n.creds.Network.ID, n.creds.ID(), strings.Join(ports, ",")),
	}
}

// load makes the engine anew. Where nothing can be pinned after all, it is made without.
func (p *kernelPath) load(port uint16) (*kernel.Engine, error) {
	p.node.engines.pin()
	o := p.options()
	o.Port = port
	k, err := kernel.Load(o)
	if errors.Is(err, kernel.ErrNoPins) {
		p.node.log.Warn("nothing is kept in the kernel for the time after a crash", "vni", p.vni, "err", err)
		o.Pins, p.node.engines.pins = "", ""
		k, err = kernel.Load(o)
	}
	return k, err
}

// inherits reports whether the kernel goes on as an earlier process left it: within the time that this was given, while ALONE has nothing
// against a port.
func (p *kernelPath) inherits() bool {
	if p.left.until.IsZero() || p.kernel == nil {
		return false
	}
	for _, q := range p.node.ports {
		if q.vni() == p.vni && q.alone() == alone.Blocked {
			return false
		}
	}
	left, err := p.kernel.Lives()
	return err == nil && left > 0
}

// alone is what ALONE thinks of the port.
func (p *port) alone() alone.State {
	id := p.aloneID()
	for _, s := range p.node.alone.Ports() {
		if s.ID == id {
			return s.State
		}
	}
	return alone.Init
}

// leaves reports whether a guest port stays as it was left while ALONE still listens: a loop that was made meanwhile is found as soon as
// by a daemon that was there. ALONE's first objection shuts the port, as it does any.
func (p *kernelPath) leaves(q *port) bool {
	if p.left.until.IsZero() || q.guest == nil || !time.Now().Before(p.left.until) {
		return false
	}
	s := q.alone()
	return s == alone.Init || s == alone.Listen
}

// settle ends the inheritance once everything in the kernel is this process's, and takes out what was not served again.
func (p *kernelPath) settle(now time.Time) error {
	if p.left.until.IsZero() {
		return nil
	}
	p.mu.Lock()
	served := len(p.ports)
	p.mu.Unlock()
	for _, q := range p.node.ports {
		if q.vni() == p.vni {
			served--
		}
	}
	if served < 0 && now.Before(p.left.until) {
		return nil
	}
	p.left = inheritance{}
	return p.kernel.Prune()
}

// disown takes out the ports that an earlier process left and this one has not served.
func (p *kernelPath) disown(k *kernel.Engine) error {
	if p.left.until.IsZero() {
		return nil
	}
	p.left = inheritance{}
	return k.Prune()
}
