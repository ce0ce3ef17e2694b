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
	"github.com/drawbridge-net/drawbridge/web"
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

// follow does the next step to what was decided: first both engines deliver what reaches them, then the kernel takes in what ports hear, or
// no longer delivers. Each frame is taken in by one of them at every moment, here; in the network none takes a frame that others do not
// deliver, since all are waited for (package engine).
func (p *kernelPath) follow(want engine.Overlay, d engine.Decisions, now time.Time) {
	settled := now.Sub(p.since) >= quiet
	elsewhere := p.kernel != nil && p.kernel.Port() != want.Port
	var err error
	switch {
	case p.silent:
		if settled {
			p.node.sw.Suspend(p.vni, false)
			p.setSilent(false)
		}
	case p.reached == engine.User && want.Phase != engine.User && p.isAble():
		p.enter(want, d, now)
	case p.reached == engine.Kernel && (want.Phase != engine.Kernel || elsewhere):
		err = p.give(d, now)
	case p.reached == engine.Some && (want.Phase != engine.Some || elsewhere || !p.isAble()):
		err = p.give(d, now)
	case p.reached == engine.Both && settled && (want.Phase == engine.User || elsewhere || want.Phase == engine.Some && p.released(now)):
		p.leave(d, now)
	case p.reached == engine.Both && settled && want.Phase == engine.Kernel && p.node.sw.Shared(p.vni):
		err = p.take(kernel.Everything, engine.Kernel, now)
	case p.reached == engine.Both && settled && want.Phase == engine.Some && p.isAble() && p.node.sw.Shared(p.vni):
		err = p.take(kernel.Known, engine.Some, now)
	case p.reached == engine.Kernel && settled && !p.hushed && !p.node.sw.Waiting(p.vni):
		p.node.sw.Suspend(p.vni, true)
		p.hushed = true
	}
	p.direct(want, d, now)
	if p.kernel != nil {
		if err = errors.Join(err, p.maintain(d, now)); err != nil {
			p.fail(fmt.Errorf("keep the kernel engine in step: %w", err), now)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason = want.Reason; p.follows(want.Phase, now) {
		p.number = want.Number
	}
}

// follows reports whether a phase is reached here. Both is when each engine knows of what the other has heard for as long as an echo
// takes; and whoever cannot use the kernel hands nothing to it. The caller holds mu.
func (p *kernelPath) follows(want engine.Phase, now time.Time) bool {
	switch {
	case want != engine.Kernel && want != engine.User && p.reached == engine.User:
		return !p.able()
	case want == engine.Both:
		return p.reached == want && now.Sub(p.since) >= quiet
	}
	return p.reached == want
}

// take has the kernel take in what ports hear, or some of it. The switch goes on with what it has got; if the kernel takes everything, it
// is shown nothing more after that.
func (p *kernelPath) take(what kernel.Entry, phase engine.Phase, now time.Time) error {
	if err := p.kernel.Take(what); err != nil {
		return err
	}
	p.hushed = false
	p.reach(phase, now)
	return nil
}

// give has user space take in what ports hear.
func (p *kernelPath) give(d engine.Decisions, now time.Time) error {
	p.node.sw.Suspend(p.vni, false)
	p.hushed = false
	if err := p.kernel.Take(kernel.Nothing); err != nil {
		return err
	}
	p.reach(engine.Both, now)
	return p.hear(d)
}

// leave ends what the kernel does, which has taken nothing in for a while.
func (p *kernelPath) leave(d engine.Decisions, now time.Time) {
	if err := p.hear(d); err != nil {
		p.node.log.Warn("what the kernel engine has heard is not known", "vni", p.vni, "err", err)
	}
	p.close()
	p.reach(engine.User, now)
}

// still reports whether nothing is to be done here for a phase.
func (p *kernelPath) still(want engine.Phase, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.follows(want, now) && !p.silent && (p.reached != engine.Kernel || p.hushed)
}

// takes reports whether the kernel takes in all that ports hear; takesSome, whether it takes in anything.
func (p *kernelPath) takes() bool { return p.is(engine.Kernel) }

func (p *kernelPath) takesSome() bool { return p.is(engine.Kernel, engine.Some) }

func (p *kernelPath) is(phases ...engine.Phase) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(phases, p.reached)
}

func (p *kernelPath) setSilent(on bool) {
	p.mu.Lock()
	p.silent = on
	p.mu.Unlock()
}

func (p *kernelPath) reach(phase engine.Phase, now time.Time) {
	p.mu.Lock()
	p.reached, p.since = phase, now
	p.mu.Unlock()
	p.node.log.Info("engine of an overlay", "vni", p.vni, "phase", phase)
	texts := map[engine.Phase]string{
		engine.User: "user space carries overlay %d here", engine.Kernel: "the kernel carries overlay %d here",
		engine.Both: "overlay %d changes its engine: user space carries what is heard here, and the kernel delivers as well",
		engine.Some: "the kernel carries overlay %d here to those peers that can, and user space the rest",
	}
	p.node.event(web.Event{Level: web.LevelInfo, Kind: "engine_changed", Text: fmt.Sprintf(texts[phase], p.vni)})
}

// fail ends what the kernel does, and says why.
func (p *kernelPath) fail(err error, now time.Time) {
	p.node.log.Error("the kernel does not carry an overlay", "vni", p.vni, "err", err)
	p.mu.Lock()
	p.failed, p.tried = firstLine(err), now
	p.mu.Unlock()
	p.stop(now)
}

// stop ends what the kernel does at once. If it took frames in, nobody does for as long as their echoes may come back: user space would not
// know them for any.
func (p *kernelPath) stop(now time.Time) {
	if p.takesSome() {
		p.node.sw.Suspend(p.vni, true)
		p.setSilent(true)
	}
	p.close()
	p.hushed = false
	if p.reached != engine.User {
		p.reach(engine.User, now)
	}
}

// enter has the kernel begin to deliver.
func (p *kernelPath) enter(want engine.Overlay, d engine.Decisions, now time.Time) {
	if d.Short(p.node.creds.ID(), 0) == 0 {
		return // a new peer; its number comes with the next decision
	}
	protected := p.overlay().Protected()
	p.mu.Lock()
	p.protected, p.entered = protected, now
	p.mu.Unlock()
	k, err := p.load(want.Port)
	if err != nil {
		p.fail(err, now)
		return
	}
	p.table, p.hold = kernel.Table{}, engine.Hold{}
	p.carry(k)
	p.reach(engine.Both, now)
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
		p.node.sw.Suspend(p.vni, true)
		p.setSilent(true)
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

// direct decides to whom the kernel carries what is for one station, in phase Some.
func (p *kernelPath) direct(want engine.Overlay, d engine.Decisions, now time.Time) {
	var ways map[drawbridge.PeerID]string
	if want.Phase == engine.Some {
		ways = p.against(d, now)
	}
	p.mu.Lock()
	p.ways = ways
	p.mu.Unlock()
}

// against is why the kernel does not, by peer.
func (p *kernelPath) against(d engine.Decisions, now time.Time) map[drawbridge.PeerID]string {
	n := p.node
	mine, names, all := p.standing(now), map[drawbridge.PeerID]drawbridge.PeerName{}, map[drawbridge.PeerID]string{}
	for _, o := range n.router.Peers() {
		names[o.ID] = o.Name
	}
	for id, next := range n.router.Routes().Next {
		o := engine.Neighbour{ID: id, Word: n.engineWord(id), Number: d.Short(id, 0) != 0}
		if next != id {
			o.Via = names[next]
		}
		if id != n.creds.ID() {
			all[id] = engine.Against(p.vni, n.creds.ID(), mine, o)
		}
	}
	return all
}

// released reports whether this peer, which cannot any more, may stop to deliver in phase Some.
func (p *kernelPath) released(now time.Time) bool {
	p.mu.Lock()
	unable := p.unable
	p.mu.Unlock()
	if unable.IsZero() {
		return false
	}
	var others []engine.Word
	for _, o := range p.node.router.Peers() {
		if o.ID != p.node.creds.ID() && o.State != mesh.StateUnreachable && o.State != mesh.StateLeft {
			others = append(others, p.node.engineWord(o.ID))
		}
	}
	return engine.Released(p.vni, p.node.creds.ID(), now.Sub(unable), others)
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
