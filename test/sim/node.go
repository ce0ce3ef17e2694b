package sim

import (
	"math/rand/v2"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/mesh/topology"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// thread is one of the threads of a process; each takes up its work on its own after a stop, in any order.
type thread uint8

const (
	leases   thread = iota // the lease agent
	watching               // ALONE
	capture                // frames of ports
	overlay                // frames of the mesh
	control                // everything else
	threads
)

// backlogs bounds what waits for a stopped thread: a receive ring.
const backlogs = 256

// node is one machine and the process on it.
type node struct {
	w     *world
	index int
	id    drawbridge.PeerID
	name  string
	clock clock
	wall  int64 // seconds that the wall clock is ahead of true time

	run     int           // of the process; odd while there is one
	stopped [threads]bool // its work waits
	asleep  [threads]bool // it is stopped, and not only about to go on
	backlog [threads][]func()

	lease     *lease.Node
	leaseWake int64
	born      uint32 // generation before the run
	bornAsked bool
	alone     *alone.Machine
	aloneWake int64
	topo      *topology.Topology
	mesh      mesh
	sw        forwarder
	ports     []*port
	out       lease.Output

	pausedAt int64 // clock, when the machine was paused with it last; 0: never
	wokenAt  int64 // true time, when it went on

	compareAt int64 // true time
	movedAt   int64 // clock, when the data path was last seen to move
	unwell    bool  // the agent has seen the data path stand still
}

// port is one port of a node: on a segment, with a gate, or to a guest.
type port struct {
	n       *node
	id      alone.PortID
	segment *segment // nil: guest port
	vni     drawbridge.VNI
	jack    *jack
	gate    *failover.Gate
	forced  bool // an operator opened the gate by hand, whatever everybody says

	usable      bool             // the driver has a device with carrier
	held        drawbridge.Epoch // of the lease
	until       lease.Instant    // the gate's deadline
	asRegent    bool             // which rests on the promises of other gateways, not on a lease
	opened      drawbridge.Epoch // the gate is open under it
	regent      drawbridge.Epoch // the gate is open under it without a lease
	since       lease.Instant    // behind a gate that ALONE keeps shut since then
	told        drawbridge.Epoch // what ALONE was told of held
	last        drawbridge.Epoch // that the gate was open under
	shutAt      int64            // true time; -1: open until its deadline
	mac         mac
	echoes      [64]echo
	nextEcho    int
	keeper      *keeper // of a planned move; nil: none
	stuck       bool    // the data path does not work although everything else does
	rank        int
	maintenance bool
	comparison  alone.Comparison
	cut         handover.CutOff
}

func (w *world) newNode(i int, name string) *node {
	n := &node{w: w, index: i, id: drawbridge.PeerID(i + 1), name: name}
	w.nodes = append(w.nodes, n)
	if i < w.plan.Gateways {
		for k, s := range w.segments {
			p := &port{n: n, mac: w.newMAC(), id: alone.PortID(k + 1), segment: s, vni: s.vni, rank: (i + k) % w.plan.Gateways}
			p.gate = n.newGate()
			p.jack = []*ethernet{s.near, s.far}[i%2].plug(p.hears)
			n.ports = append(n.ports, p)
		}
	}
	if i > w.plan.Gateways {
		n.addGuests()
	}
	return n
}

// addGuests gives a peer a guest in every overlay.
func (n *node) addGuests() {
	w := n.w
	for k, s := range w.segments {
		if k > 0 && s.vni == w.segments[0].vni {
			continue
		}
		l := &lan{ethernet: w.newSwitch()}
		l.guest = w.newStation("guest"+n.name, l.ethernet)
		l.port = &port{n: n, mac: w.newMAC(), id: alone.FirstGuest + alone.PortID(k), vni: s.vni}
		l.port.jack = l.plug(l.port.hears)
		l.patch = cable(l.ethernet, s.near)
		n.ports = append(n.ports, l.port)
		w.lans = append(w.lans, l)
	}
}

func (n *node) alive() bool { return n.run%2 == 1 }

func (n *node) read() int64 { return n.clock.read(n.w.now) }

// instant is the same reading in the lease's words.
func (n *node) instant() lease.Instant { return lease.Instant(n.read()) }

// enter does something in a thread of the process: now, or when it goes on.
func (n *node) enter(t thread, do func()) {
	switch {
	case !n.alive():
	case !n.stopped[t]:
		do()
	case len(n.backlog[t]) < backlogs:
		n.backlog[t] = append(n.backlog[t], do)
	}
}

// later plans something for this run of the process.
func (n *node) later(at int64, t thread, do func()) {
	run := n.run
	n.w.at(at, func() {
		switch {
		case n.run != run || !n.alive():
		case n.stopped[t]:
			n.backlog[t] = append(n.backlog[t], do) // a timer does not get lost
		default:
			do()
		}
	})
}

// start begins a run of the process, which knows nothing of its last one.
func (n *node) start() {
	if n.alive() {
		return
	}
	w := n.w
	n.run++
	n.w.note("%s starts", n.name)
	n.stopped, n.asleep, n.backlog, n.unwell = [threads]bool{}, [threads]bool{}, [threads][]func(){}, false
	began := n.instant()
	if w.plan.Without.RestartRule {
		began = began.Add(-20 * w.raft.config.Longest)
	}
	n.lease = lease.NewNode(n.id, began, w.rnd.Uint64())
	n.born, n.bornAsked = w.raft.config.Generation, false
	if w.plan.Without.Births {
		n.born = 0
	}
	n.alone = alone.New(alone.Config{
		Peer: n.id, Boot: uint32(n.run), Timers: timersOfALONE, Random: rand.New(rand.NewPCG(w.rnd.Uint64(), 1)),
	})
	n.topo = topology.New(wire.Record{ID: n.id, Name: drawbridge.PeerName(n.name), UID: drawbridge.PeerUID(w.rnd.Uint64()), StartedAt: w.now / second})
	n.mesh.reset(n)
	n.sw.reset(n)
	for _, p := range n.ports {
		p.reset()
	}
	n.leaseWake, n.aloneWake = -1, -1
	n.beat()
	n.poll()
	n.movedAt = n.read()
	n.guard()
	n.look()
	n.compare()
	n.watchOverlay()
	n.tickALONE()
}

// reset begins the part of a port in a run: the gate of the last one is shut first.
func (p *port) reset() {
	p.usable, p.held, p.opened, p.since, p.told, p.stuck, p.keeper, p.regent = false, 0, 0, 0, 0, false, nil, 0
	p.echoes, p.comparison, p.cut = [64]echo{}, alone.Comparison{}, handover.CutOff{}
	if p.gate != nil {
		p.gate.Shut()
		p.noteShut()
	}
	s := drawbridge.SegmentID(0)
	if p.segment != nil {
		s = p.segment.id
	}
	p.n.alone.AddPort(alone.Port{ID: p.id, Segment: s, Score: 100})
}

// crash ends the process, or the machine with it: no clock, no gate survives that.
func (n *node) crash(machine bool) {
	if n.alive() {
		n.run++
		n.w.note("%s crashes", n.name)
	}
	if machine {
		n.clock = clock{at: n.w.now, value: 100*ms + n.w.rnd.Int64N(200*ms), ppm: n.w.someRate()}
		n.pausedAt = 0
		for _, p := range n.ports {
			if p.gate != nil {
				p.gate = n.newGate()
				p.until = 0
			}
		}
	}
}

// noteShut remembers when the gate was shut: from d later on nothing comes out of it.
func (p *port) noteShut() {
	if p.shutAt < 0 {
		p.shutAt = p.n.w.now
	}
}

func (n *node) newGate() *failover.Gate {
	return failover.NewGate(nil, func() failover.Boottime { return failover.Boottime(n.read()) })
}

// freeze stops threads of the process; with the clock it is a paused machine.
func (n *node) freeze(clock bool, which ...thread) {
	if len(which) == 0 {
		which = []thread{leases, watching, capture, overlay, control}
	}
	for _, t := range which {
		n.stopped[t], n.asleep[t] = true, true
	}
	if clock && !n.clock.stopped {
		n.clock.stop(n.w.now)
		n.pausedAt = n.clock.value
	}
	n.w.note("%s stops, its clock too: %v", n.name, clock)
}

// thaw lets them go on, each after a moment of its own.
func (n *node) thaw() {
	if n.clock.stopped {
		n.clock.goOn(n.w.now)
		n.wokenAt = n.w.now
		n.w.excused(thawed)
	}
	if n.w.excuse.standing > 0 {
		n.w.excuse.loose = n.w.now + noticed // a cable may have been plugged in while nobody said hello
	}
	n.w.note("%s goes on", n.name)
	for t := range threads {
		if n.asleep[t] {
			n.asleep[t] = false
			n.goOn(t)
		}
	}
}

func (n *node) goOn(t thread) {
	run := n.run
	n.w.after(n.w.rnd.Int64N(300e3), func() {
		if n.run != run || n.asleep[t] {
			return
		}
		all := n.backlog[t]
		n.stopped[t], n.backlog[t] = false, nil
		for _, do := range all {
			do()
		}
	})
}

// others calls f with every other node.
func (n *node) others(f func(*node)) {
	for _, o := range n.w.nodes {
		if o != n {
			f(o)
		}
	}
}
