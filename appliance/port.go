package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease/warden"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/afpacket"
	"github.com/drawbridge-net/drawbridge/forwarder/tap"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// reopenEvery is how often a port whose interface is missing looks for it.
const reopenEvery = 500 * time.Millisecond

// device is a port of the forwarder that can tell more of itself.
type device interface {
	forwarder.Port
	MTU() int
	Drops() map[string]uint64
}

// port is one [[segment]] or [[guest]] of the node file. It opens the interface, attaches it to the switch,
// and does so again when the interface was away.
type port struct {
	// Set at construction, then constant.
	node    *Node
	segment *config.Segment // exactly one of the two
	guest   *config.Guest
	gate    *failover.Gate // nil on a guest port
	shared  warden.Gate    // the same for the lease agent; nil when its memory cannot be shared
	kernel  *gate.Kernel   // nil when the gate is soft
	note    string         // why it is

	usable    atomic.Bool                       // the device is open
	unplugged atomic.Bool                       // its interface has no carrier
	wire      atomic.Pointer[hostnet.Interface] // as the kernel last described it; nil before
	toldEpoch atomic.Uint64                     // the epoch that ALONE was last told of
	heard     chan drawbridge.Frame             // what neighbours on a guest port's wire said, for ALONE
	comparing comparing                         // with the ports of other gateways
	stations  stationsTold                      // by the active gateway
	leaving   leaving                           // for maintenance
	damping   damping                           // of leases that were lost
	preempt   preempting                        // where the network wants the preferred gateway to take over
	rehearsed atomic.Int32                      // drills of others that it takes part in
	drilled   lately                            // when a drill on schedule was last begun, here or elsewhere
	mover     mover                             // who has the segment moved
	hand      byHand                            // what an operator wants
	regent    atomic.Uint64                     // epoch under which the gate is open without a majority; 0: it is not
	policy    atomic.Uint32                     // what becomes of the segment without a majority
	moving    atomic.Uint64                     // epoch of the tenure that is being handed over; 0: none is

	mu       sync.Mutex // guards what follows
	attached *forwarder.Attached
	blocked  bool         // by ALONE, on a guest port
	guests   *gate.Kernel // by which ALONE blocks a guest port in the kernel engine; nil before that carries it
	device   device
	vnet     bool
	epoch    drawbridge.Epoch // under which an operator's choice opened the gate; 0: not open
	cause    string
	since    time.Time
	problem  error
	reasons  []string // why this peer would not take the segment's lease
	stopping bool
}

func (n *Node) segmentPort(s config.Segment) *port {
	p := &port{node: n, segment: &s, since: time.Now(), cause: "started", problem: errOpening, reasons: []string{notReady}}
	k, err := gate.New()
	if err != nil {
		n.log.Warn("the gate is soft: only this process obeys it", "port", p.name(), "err", err)
		p.softGate(err)
		return p
	}
	p.kernel, p.gate, p.shared = k, k.Gate, k
	return p
}

// softGate is what remains when the kernel has no gate.
func (p *port) softGate(why error) {
	p.note = why.Error()
	s, err := gate.NewSoft()
	if err != nil {
		p.note, p.gate = err.Error(), failover.NewGate(nil, gate.Now)
		p.node.log.Error("no lease can be kept: the lease agent cannot share the gate", "port", p.name(), "err", err)
		return
	}
	p.gate, p.shared = s.Gate, s
}

func (n *Node) guestPort(g config.Guest) *port {
	return &port{node: n, guest: &g, since: time.Now(), problem: errOpening, heard: make(chan drawbridge.Frame, overheardFrames)}
}

var errOpening = errors.New("not open yet")

// name is the same as the device's, so that it is known before there is one.
func (p *port) name() string {
	switch {
	case p.segment != nil && p.segment.VLAN != 0:
		return fmt.Sprintf("%s.%d", p.segment.Interface, p.segment.VLAN)
	case p.segment != nil:
		return p.segment.Interface
	}
	return p.interfaceName()
}

func (p *port) interfaceName() string {
	switch {
	case p.segment != nil:
		return p.segment.Interface
	case p.guest.TAP != "":
		return p.guest.TAP
	}
	return p.guest.Interface
}

func (p *port) vni() drawbridge.VNI {
	if p.segment != nil {
		return p.segment.VNI
	}
	return p.guest.VNI
}

// run keeps the port open until ctx ends.
func (p *port) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := p.once(ctx)
		if ctx.Err() != nil {
			break
		}
		p.failed(err)
		pause(ctx, reopenEvery)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range []*gate.Kernel{p.kernel, p.guests} {
		if k != nil {
			return k.Close()
		}
	}
	return nil
}

// failed notes why the port does not work; a repetition is not news.
func (p *port) failed(err error) {
	if err == nil {
		err = os.ErrClosed
	}
	p.mu.Lock()
	news := p.problem == nil || p.problem == errOpening || p.problem.Error() != err.Error()
	p.problem = err
	if news {
		p.since = time.Now()
	}
	p.mu.Unlock()
	if news {
		p.node.log.Error("port does not work", "port", p.name(), "err", err)
		p.node.event(web.Event{Level: web.LevelError, Kind: "port_down", Port: p.name(), Text: fmt.Sprintf("port %s does not work: %v", p.name(), err), Reason: err.Error()})
		p.node.publish()
	}
}

// once opens the port and forwards until that ends.
func (p *port) once(ctx context.Context) error {
	d, queues, release, err := p.open()
	if err != nil {
		return err
	}
	defer release()
	cfg := forwarder.PortConfig{Port: d, Queues: queues, VNI: p.vni()}
	if p.segment != nil {
		cfg.Segment, cfg.SegmentName, cfg.Gate = drawbridge.SegmentIDOf(p.segment.Name), p.segment.Name, p.gate
	} else { // until ALONE has listened
		cfg.Blocked, cfg.Overhear, cfg.Serve = true, p.overhear, p.serve
		p.block(true)
	}
	a, err := p.node.sw.Attach(cfg)
	if err != nil {
		return err
	}
	defer a.Detach()
	defer p.watchWire(a)()
	p.opened(d, a)
	defer p.closed()
	stop := context.AfterFunc(ctx, func() { _ = d.Close() })
	defer stop()
	return a.Run(ctx)
}

// open makes the device that the node file names.
func (p *port) open() (d device, queues []forwarder.Port, release func(), err error) {
	switch {
	case p.segment != nil:
		return p.openSegment()
	case p.guest.TAP != "":
		return p.openTAP()
	}
	if err := bringUp(p.guest.Interface); err != nil {
		return nil, nil, nil, err
	}
	// As on segment ports, before there is traffic that it costs frames: when the kernel engine comes, it finds it there.
	if err := hostnet.Hook(p.guest.Interface); err != nil {
		p.node.log.Debug("port is not prepared for the kernel engine", "port", p.name(), "err", err)
	}
	a, err := afpacket.Open(afpacket.Config{Interface: p.guest.Interface, Promiscuous: true})
	if err != nil {
		return nil, nil, nil, err
	}
	return a, nil, func() { _ = a.Close() }, nil
}

func bringUp(name string) error {
	i, err := hostnet.Find(name)
	if err != nil || i.Up {
		return err
	}
	return hostnet.SetUp(name)
}

// openSegment attaches both kernel programs before a frame can be read or written.
func (p *port) openSegment() (device, []forwarder.Port, func(), error) {
	if err := bringUp(p.segment.Interface); err != nil {
		return nil, nil, nil, err
	}
	cfg := afpacket.Config{Interface: p.segment.Interface, VLAN: p.segment.VLAN, Promiscuous: true, Mark: gate.Mark}
	release := func() error { return nil }
	if p.kernel != nil {
		var err error
		if release, err = hostnet.GuardEgress(p.segment.Interface, p.kernel.InjectProgram()); err != nil {
			return nil, nil, nil, err
		}
		cfg.Filter = func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, p.kernel.CaptureFilter())
		}
	}
	a, err := afpacket.Open(cfg)
	if err != nil {
		return nil, nil, nil, errors.Join(err, release())
	}
	return a, nil, func() {
		_ = a.Close()
		if err := release(); err != nil && !errors.Is(err, syscall.ENODEV) {
			p.node.log.Warn("gate program left on the interface", "port", p.name(), "err", err)
		}
	}, nil
}

func (p *port) openTAP() (device, []forwarder.Port, func(), error) {
	mtu := p.guest.MTU
	if mtu == 0 {
		mtu = cmp.Or(p.node.overlayMTU(p.guest.VNI), defaultGuestMTU)
	}
	t, err := tap.Open(tap.Config{Name: p.guest.TAP, MTU: mtu})
	if err != nil {
		return nil, nil, nil, err
	}
	if p.guest.Bridge != "" {
		err = hostnet.Enslave(p.guest.TAP, p.guest.Bridge)
	}
	if err == nil {
		err = hostnet.SetUp(p.guest.TAP)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, t.Close())
	}
	return t, nil, func() { _ = t.Close() }, nil
}

// defaultGuestMTU is what fits one datagram on an underlay of 1,500 octets (docs/protocol/data.md).
const defaultGuestMTU = 1400

func (p *port) opened(d device, a *forwarder.Attached) {
	p.mu.Lock()
	p.device, p.attached, p.problem, p.since = d, a, nil, time.Now()
	if v, ok := d.(interface{ Vnet() bool }); ok {
		p.vnet = v.Vnet()
	} else {
		p.vnet = true
	}
	p.mu.Unlock()
	p.usable.Store(true)
	p.node.log.Info("port opened", "port", p.name())
	p.node.event(web.Event{Level: web.LevelInfo, Kind: "port_up", Port: p.name(), Text: "port " + p.name() + " works"})
	p.announceAgain("the port was opened")
	p.node.publish()
}

func (p *port) closed() {
	p.usable.Store(false)
	p.shut("the port does not work")
	p.yield()
	p.mu.Lock()
	p.device, p.attached = nil, nil
	p.mu.Unlock()
}

// shut shuts the gate. It is the first thing to happen when anything ends.
func (p *port) shut(cause string) {
	if p.gate == nil {
		return
	}
	p.gate.Shut()
	p.mu.Lock()
	was := p.epoch
	p.epoch = 0
	p.stopping = cause == stoppingCause
	if was != 0 {
		p.cause, p.since = cause, time.Now()
	}
	p.mu.Unlock()
	p.gate.Shut() // a regent, or a hand, may have looked before
	if was != 0 {
		p.node.event(web.Event{
			Level: web.LevelInfo, Kind: "gate_shut", Port: p.name(), Segment: p.segment.Name, Epoch: was.String(),
			Text: fmt.Sprintf("gate of segment %s shut: %s", p.segment.Name, cause), Reason: cause,
		})
		p.node.publish()
	}
}

// record is what other peers are told of the port.
func (p *port) record() wire.Port {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := wire.Port{Kind: wire.PortGuest, Name: p.name(), VNI: p.vni(), Ready: p.problem == nil, Since: p.since.UnixMilli()}
	if p.problem != nil {
		w.Reasons = []string{p.problem.Error()}
	}
	if p.segment == nil {
		if why := p.wireReasons(); w.Ready && len(why) > 0 {
			w.Ready, w.Reasons = false, why
		}
		return w
	}
	w.Kind, w.Segment, w.SegmentName = wire.PortSegment, drawbridge.SegmentIDOf(p.segment.Name), p.segment.Name
	w.Cause = p.cause
	if epoch, open := p.gate.Permit(); open {
		w.Open, w.Epoch = true, epoch
	} else if epoch := p.moving.Load(); epoch != 0 { // or peers would drop what is kept for them
		w.Open, w.Epoch, w.Cause = true, drawbridge.Epoch(epoch), causeHanding
	}
	if p.mode() != modeManual {
		w.Ready = p.problem == nil && len(p.reasons) == 0
		w.Reasons = append([]string{}, p.reasons...)
	}
	return w
}

// publish tells the mesh how the ports stand.
func (n *Node) publish() {
	ports := make([]wire.Port, 0, len(n.ports))
	for _, p := range n.ports {
		ports = append(ports, p.record())
	}
	n.router.SetPorts(ports)
	n.changed.tell()
}

// notReady is why a gateway that has not been given a vote yet would not take over.
const notReady = "the voters have not answered yet"

// setReasons notes why this peer would not take the lease, and reports whether that is news.
func (p *port) setReasons(reasons []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := !slices.Equal(p.reasons, reasons)
	p.reasons = reasons
	return news
}

// tenured notes that the lease opened the gate.
func (p *port) tenured(epoch drawbridge.Epoch, at time.Time, cause string) {
	p.node.log.Info("gate opened", "port", p.name(), "epoch", epoch, "reason", cause)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch, p.cause, p.since = epoch, cause, at
}

func (p *port) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// over notes that a tenure has ended.
func (p *port) over(epoch drawbridge.Epoch, at time.Time, cause string) {
	p.released(epoch)
	if p.regent.Load() == uint64(epoch) && epoch != 0 {
		return // the lease is over, the tenure goes on
	}
	p.mu.Lock()
	p.epoch, p.cause, p.since = 0, cause, at
	p.mu.Unlock()
	p.node.log.Info("gate shut", "port", p.name(), "epoch", epoch, "reason", cause)
	p.node.event(web.Event{
		Time: at, Level: web.LevelInfo, Kind: "gate_shut", Port: p.name(), Segment: p.segment.Name, Epoch: epoch.String(),
		Text: fmt.Sprintf("gate of segment %s shut: %s", p.segment.Name, cause), Reason: cause,
	})
}

// yield gives the lease of a port away that does not work.
func (p *port) yield() {
	if p.segment != nil && p.node.voter != nil {
		p.node.voter.agent.Yield(drawbridge.SegmentIDOf(p.segment.Name), 0)
	}
}
