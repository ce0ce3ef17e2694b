package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/forwarder/wireguard"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// hearEvery is how often the switch is told what the kernel has heard: often enough for whoever announces stations.
const hearEvery = 5 * time.Second

// kernelPath is one overlay's way through the kernel, here.
type kernelPath struct {
	// Set at construction, then constant.
	node *Node
	vni  drawbridge.VNI

	// Owned by followEngines.
	table kernel.Table // that the kernel has
	hold  engine.Hold  // of what has just gone from it
	heard time.Time    // when the switch was told
	left  inheritance  // by an earlier process
	since time.Time    // of reached
	end   func()       // of listening to the kernel

	hushed bool       // what ports hear is not even shown to the switch
	beside *companion // of the switch

	mu      sync.Mutex // guards what follows; they are changed by followEngines only
	reached engine.Phase
	silent  bool   // nobody takes in what ports hear: the kernel has ended a moment ago
	number  uint32 // of the decision that was reached
	reason  string // that was decided, why the kernel does not carry it
	lacks   string // why the kernel cannot carry it here
	failed  string // why it did not the last time
	tried   time.Time
	unable  time.Time                    // since when either is so; zero: it is not
	blocked []engine.Blocked             // links that the kernel cannot use
	entered time.Time                    // when the kernel began to deliver
	ways    map[drawbridge.PeerID]string // in phase Some: why user space takes in what is for a peer; empty: the kernel does
	kernel  *kernel.Engine
	ports   map[*port]installed

	protected bool // the kernel sends to inner addresses of the WireGuard device
}

// installed is a port that the kernel serves.
type installed struct {
	attached *forwarder.Attached
	port     kernel.Port
	storm    int            // limit of its floods
	counted  kernel.Traffic // that the switch was told of
}

// lack notes why the kernel cannot carry the overlay here, and which links it cannot use. What failed is tried again after a while.
func (p *kernelPath) lack(why string, blocked []engine.Blocked, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != "" && now.Sub(p.tried) > probeAgain {
		p.failed = ""
	}
	p.lacks, p.blocked = why, blocked
	switch {
	case p.able():
		p.unable = time.Time{}
	case p.unable.IsZero():
		p.unable = now
	}
}

// able reports whether nothing but links speaks against the kernel. The caller holds mu.
func (p *kernelPath) able() bool { return p.lacks == "" && p.failed == "" }

func (p *kernelPath) isAble() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.able()
}

// standing is what the others are told.
func (p *kernelPath) standing(now time.Time) engine.Standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := engine.Standing{
		VNI: p.vni, Phase: p.reached, Number: p.number, Lacks: cmp.Or(p.lacks, p.failed), Able: p.able(), Blocked: p.blocked, Protected: p.protected,
		Delivers: p.able() && p.reached != engine.User && now.Sub(p.entered) >= quiet,
	}
	for _, b := range p.blocked {
		s.Lacks = cmp.Or(s.Lacks, b.Why)
	}
	for _, id := range slices.Sorted(maps.Keys(p.ways)) {
		if p.ways[id] == "" {
			s.To = append(s.To, id)
		}
	}
	return s
}

// carry listens to the engine from now on.
func (p *kernelPath) carry(k *kernel.Engine) {
	ctx, cancel := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() {
		if err := k.Run(ctx, p); err != nil {
			p.node.log.Warn("the kernel engine is not listened to", "vni", p.vni, "err", err)
		}
	})
	p.end = func() { cancel(); listening.Wait() }
	p.mu.Lock()
	p.kernel = k
	p.mu.Unlock()
	p.beside = &companion{path: p, kernel: k}
	p.node.sw.Accompany(p.vni, p.beside)
}

// guestEntry is how a frame is flooded as a guest's here while the kernel takes frames in; nil: user space does. It is an error when no
// guest port is there that it could come from.
func (p *kernelPath) guestEntry() (enter func(drawbridge.Frame) error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.reached != engine.Kernel {
		return nil, nil
	}
	k := p.kernel
	for q, i := range p.ports {
		if q.segment == nil {
			return func(f drawbridge.Frame) error { return k.Enter(i.port.Ifindex, f) }, nil
		}
	}
	return nil, fmt.Errorf("the kernel carries overlay %d, and no guest port is here that a frame could come from", p.vni)
}

// close has the kernel end. What it cannot tell of the last second's frames is not counted.
func (p *kernelPath) close() {
	for _, q := range p.node.ports {
		_ = p.account(q, p.kernel)
	}
	p.mu.Lock()
	k := p.kernel
	p.kernel, p.ports = nil, map[*port]installed{}
	p.mu.Unlock()
	if k == nil {
		return
	}
	if err := k.Take(kernel.Nothing); err != nil {
		p.node.log.Error("the kernel engine goes on to take frames in until it is removed", "vni", p.vni, "err", err)
		p.silence(true)
	}
	p.node.sw.Accompany(p.vni, nil)
	p.beside.end()
	p.end()
	if err := p.disown(k); err != nil {
		p.node.log.Error("ports of an earlier run were not cleared: drawbridge doctor --clean", "vni", p.vni, "err", err)
	}
	if err := k.Remove(); err != nil && !errors.Is(err, os.ErrClosed) {
		p.node.log.Error("the kernel engine was not removed: drawbridge doctor --clean", "vni", p.vni, "err", err)
	}
}

// maintain keeps tables and ports in step, and the kernel going.
func (p *kernelPath) maintain(d engine.Decisions, now time.Time) error {
	if t := p.hold.Table(d, p.view(), now); !reflect.DeepEqual(t, p.table) {
		if p.reached == engine.Some { // what goes over to user space must be known there
			if err := p.hear(d); err != nil {
				return err
			}
		}
		if err := p.kernel.Apply(t); err != nil {
			return err
		}
		p.table = t
	}
	for _, q := range p.node.ports {
		if q.vni() != p.vni {
			continue
		}
		if err := p.serve(q, d); err != nil {
			return fmt.Errorf("port %s: %w", q.name(), err)
		}
		if err := p.account(q, p.kernel); err != nil {
			return fmt.Errorf("port %s: %w", q.name(), err)
		}
	}
	if err := p.settle(now); err != nil {
		return err
	}
	p.beside.know(p.attachments(), d)
	if now.Sub(p.heard) >= hearEvery {
		p.heard = now
		if err := p.hear(d); err != nil {
			return err
		}
	}
	return p.kernel.Renew(renewFor)
}

// view is what the table is made from.
func (p *kernelPath) view() engine.View {
	n := p.node
	r := n.router.Routes()
	v := engine.View{Self: n.creds.ID(), Next: r.Next, Children: r.Children, MTU: r.PathMTU}
	v.Segments, v.Remote = map[drawbridge.SegmentID]engine.Gateway{}, map[drawbridge.PeerID]netip.Addr{}
	for _, s := range n.segmentViews() {
		if s.vni != p.vni {
			continue
		}
		g := n.engines.claims.Newest(s.id, s.vni, engine.Gateway{Peer: s.activeID, Epoch: s.epoch})
		if !n.mayBridge(g.Peer, s.id, s.vni) {
			g.Peer = 0
		}
		v.Segments[s.id] = g
	}
	for _, o := range n.router.Peers() {
		if o.Path == transit.PathUDP && o.Remote.IsValid() {
			v.Remote[o.ID] = p.remote(o)
		}
	}
	p.mu.Lock()
	v.Apart, v.Whole = p.reached != engine.Kernel, map[drawbridge.PeerID]bool{}
	for id, why := range p.ways {
		v.Whole[id] = why == ""
	}
	p.mu.Unlock()
	if p.protected {
		v.Less = wireguard.Around - transit.Overhead
	}
	return v
}

// remote is where the tunnel to an adjacent peer goes.
func (p *kernelPath) remote(o mesh.PeerStatus) netip.Addr {
	if p.protected {
		return wireguard.Inner(o.ID)
	}
	return o.Remote.Addr().Unmap().WithZone("")
}

// serve has the kernel serve a port as it is now, or no longer.
func (p *kernelPath) serve(q *port, d engine.Decisions) error {
	q.mu.Lock()
	attached := q.attached
	q.mu.Unlock()
	p.mu.Lock()
	old, was := p.ports[q]
	p.mu.Unlock()
	switch {
	case was && old.attached == attached && old.port.Self == q.short(d), !was && p.leaves(q):
		return nil
	case attached == nil || q.short(d) == 0:
		if !was {
			return nil
		}
		p.install(q, installed{})
		return p.kernel.RemovePort(old.port.Ifindex)
	}
	k, err := q.forKernel(d)
	if err != nil {
		return err
	}
	if was && old.port.Ifindex != k.Ifindex {
		if err := p.kernel.RemovePort(old.port.Ifindex); err != nil {
			return err
		}
	}
	if err := p.kernel.AddPort(k); err != nil {
		return err
	}
	switch err := attached.Share(func(socket int) error { return p.kernel.Share(k.Ifindex, socket) }); {
	case errors.Is(err, os.ErrClosed): // it is being opened anew
		p.install(q, installed{})
		return p.kernel.RemovePort(k.Ifindex)
	case err != nil:
		return err
	}
	p.install(q, installed{attached: attached, port: k})
	return nil
}

// meter is what an engine limits and counts at a port.
type meter interface {
	SetStormLimit(ifindex, perSecond int) error
	Traffic(ifindex int) (kernel.Traffic, error)
}

// account has the kernel limit the floods of a port as the switch would, and the switch count what the kernel has carried.
func (p *kernelPath) account(q *port, k meter) error {
	p.mu.Lock()
	i, serves := p.ports[q]
	p.mu.Unlock()
	if !serves {
		return nil
	}
	limit := i.attached.StormLimit()
	if limit != i.storm {
		if err := k.SetStormLimit(i.port.Ifindex, limit); err != nil {
			return err
		}
	}
	all, err := k.Traffic(i.port.Ifindex)
	if err != nil {
		return err
	}
	t := all.Since(i.counted)
	i.attached.Carried(t.RxFrames, t.RxBytes, t.TxFrames, t.TxBytes)
	p.note(q, i.attached, limit, all)
	return nil
}

// note remembers what was told, unless the port was taken out or served anew meanwhile: what counts then is another's.
func (p *kernelPath) note(q *port, attached *forwarder.Attached, storm int, counted kernel.Traffic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, serves := p.ports[q]; serves && i.attached == attached {
		i.storm, i.counted = storm, counted
		p.ports[q] = i
	}
}

func (p *kernelPath) install(q *port, i installed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ports[q] = i; i.attached == nil {
		delete(p.ports, q)
	}
}

// short is the port's number in the tunnel.
func (p *port) short(d engine.Decisions) kernel.Short {
	segment := drawbridge.SegmentID(0)
	if p.segment != nil {
		segment = drawbridge.SegmentIDOf(p.segment.Name)
	}
	return d.Short(p.node.creds.ID(), segment)
}

// forKernel describes the port to the kernel engine.
func (p *port) forKernel(d engine.Decisions) (k kernel.Port, err error) {
	i, err := hostnet.Find(p.interfaceName())
	if err != nil {
		return k, err
	}
	k = kernel.Port{Ifindex: i.Index, Self: p.short(d)}
	if p.segment != nil {
		k.Segment, k.Gate = drawbridge.SegmentIDOf(p.segment.Name), p.kernel.Memory()
		return k, nil
	}
	k.Gate, err = p.guestGate()
	return k, err
}

// guestGate is the memory of a gate that ALONE alone opens and shuts: a guest port has no lease.
func (p *port) guestGate() (memory int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guests == nil {
		if p.guests, err = gate.New(); err != nil {
			return 0, err
		}
		p.turnGuestGate()
	}
	return p.guests.Memory(), nil
}

// guestEpoch is that of every guest gate: there are no tenures.
const guestEpoch = 1

// turnGuestGate is called with mu held.
func (p *port) turnGuestGate() {
	switch {
	case p.guests == nil:
	case p.blocked:
		p.guests.Shut()
	default:
		p.guests.Open(guestEpoch, failover.Forever)
	}
}

// hear tells the switch what the kernel has heard.
func (p *kernelPath) hear(d engine.Decisions) error {
	if _, err := p.kernel.Age(); err != nil {
		return err
	}
	all, err := p.kernel.MACs()
	if err != nil {
		return err
	}
	here := p.attachments()
	heard := make([]forwarder.Heard, 0, len(all))
	for _, s := range all {
		h := forwarder.Heard{Station: forwarder.Station{MAC: s.MAC, Segment: s.Segment, Age: s.Seen}}
		if s.Segment == 0 {
			h.Port, h.Peer = here[s.Port], peerOf(d, s.Origin)
		}
		heard = append(heard, h)
	}
	p.node.sw.Hear(p.vni, heard)
	return nil
}

func peerOf(d engine.Decisions, short kernel.Short) drawbridge.PeerID {
	for _, a := range d.Attachments {
		if a.Short == short {
			return a.Peer
		}
	}
	return 0
}

// attachments are the ports that the kernel serves, by interface.
func (p *kernelPath) attachments() map[int]*forwarder.Attached {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[int]*forwarder.Attached{}
	for _, i := range p.ports {
		all[i.port.Ifindex] = i.attached
	}
	return all
}

// Learned implements kernel.Listener: the whole table is read now and then.
func (p *kernelPath) Learned(drawbridge.MAC, kernel.Place) {}

// TooBig implements kernel.Listener.
func (p *kernelPath) TooBig(port int, f drawbridge.Frame, mtu int) drawbridge.Frame {
	if a := p.attachments()[port]; a != nil {
		return a.TooBig(f, mtu)
	}
	return nil
}

var _ kernel.Listener = (*kernelPath)(nil)

// forget has the kernel forget the addresses that match.
func (p *kernelPath) forget(match func(forwarder.MAC) bool) {
	p.node.engines.mu.Lock()
	d := p.node.engines.decisions
	p.node.engines.mu.Unlock()
	p.mu.Lock()
	k, names := p.kernel, map[int]string{}
	for q, i := range p.ports {
		names[i.port.Ifindex] = q.name()
	}
	p.mu.Unlock()
	if k == nil {
		return
	}
	_, err := k.Forget(func(s kernel.Station) bool {
		m := forwarder.MAC{MAC: s.MAC, VNI: p.vni, Where: forwarder.Where{Segment: s.Segment, Port: names[s.Port]}}
		if s.Port == 0 {
			m.Peer = peerOf(d, s.Origin)
		}
		return match(m)
	})
	if err != nil {
		p.node.log.Warn("the kernel engine did not forget addresses", "vni", p.vni, "err", err)
	}
}

// drops are frames that went nowhere.
func (p *kernelPath) drops() map[string]uint64 {
	p.mu.Lock()
	k := p.kernel
	p.mu.Unlock()
	if k == nil {
		return nil
	}
	all, err := k.Drops()
	if err != nil {
		return nil
	}
	return all
}
