package forwarder

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// fabric is some switches, joined by an ideal overlay, and the wires that their ports are on. Nothing in it runs by
// itself: settle moves frames in a fixed order until nothing moves.
type fabric struct {
	t     testing.TB
	now   time.Duration
	mtu   map[drawbridge.PeerID]int // 0 is the key of floods
	nodes []*node
	sent  []delivery // by the overlay, not delivered yet
	log   []carried  // everything that the overlay ever took
	wires []*wire

	without rules // of the switches
	// choose picks the next of n things that wait; nil: the first. Everything that waits has had its turn before what
	// it leads to gets one.
	choose func(n int) int
}

// delivery is a frame on its way to one peer.
type delivery struct {
	carried
	to *node
}

// node is one peer.
type node struct {
	fabric *fabric
	id     drawbridge.PeerID
	sw     *Switch
	r      *Receiver
}

// carried is a frame in the overlay.
type carried struct {
	header drawbridge.Header
	packet drawbridge.Packet
}

// wire is a layer-2 segment in memory, with what is attached to it.
type wire struct {
	*porttest.Segment
	fabric   *fabric
	ports    []*attachment
	stations []*station
}

// attachment is a port of a switch on a wire.
type attachment struct {
	*Attached
	port *porttest.Port
	pump *pump
	gate *failover.Gate
	came []drawbridge.Packet // and was not taken yet
}

// station is a machine on a wire.
type station struct {
	port *porttest.Port
	mac  drawbridge.MAC
	wire *wire
	got  []drawbridge.Frame // so far
}

func newFabric(t testing.TB) *fabric {
	return &fabric{t: t, now: time.Second, mtu: map[drawbridge.PeerID]int{}}
}

// node adds a peer.
func (f *fabric) node() *node {
	n := &node{fabric: f, id: drawbridge.PeerID(len(f.nodes) + 1)}
	n.sw = New(Config{Self: n.id, Overlay: overlay{n}, Now: func() time.Duration { return f.now }, without: f.without})
	n.r = n.sw.Receiver()
	f.nodes = append(f.nodes, n)
	return n
}

// overlay is the fabric as a node sees it.
type overlay struct{ *node }

func (o overlay) Sender() Sender { return &sender{o.node} }

func (o overlay) MTU(dst drawbridge.PeerID) int {
	if mtu := o.fabric.mtu[dst]; mtu != 0 {
		return mtu
	}
	return 1500
}

type sender struct{ *node }

// Send makes use of its right to overwrite the frame, and what lies behind it.
func (s *sender) Send(h *drawbridge.Header, p *drawbridge.Packet) {
	c := carried{*h, drawbridge.Packet{Frame: bytes.Clone(p.Frame), Offload: p.Offload}}
	s.fabric.log = append(s.fabric.log, c)
	for _, n := range s.fabric.nodes {
		if n.id != h.Origin && (h.Dest == 0 || h.Dest == n.id) {
			s.fabric.sent = append(s.fabric.sent, delivery{c, n})
		}
	}
	used := p.Frame[:min(len(p.Frame)+256, cap(p.Frame))]
	for i := range used {
		used[i] = 0xee
	}
	p.Offload = drawbridge.Offload{}
}

func (s *sender) Flush() {}
func (s *sender) Close() {}

// wire adds a wire.
func (f *fabric) wire() *wire {
	w := &wire{Segment: porttest.NewSegment(uint64(len(f.wires) + 1)), fabric: f}
	f.wires = append(f.wires, w)
	return w
}

// guest attaches a guest port of n to the wire.
func (w *wire) guest(n *node, vni drawbridge.VNI) *attachment {
	w.fabric.t.Helper()
	return w.attach(n, PortConfig{VNI: vni}, nil)
}

// gateway attaches a segment port of n to the wire, with its gate shut.
func (w *wire) gateway(n *node, vni drawbridge.VNI, name string) *attachment {
	w.fabric.t.Helper()
	g := failover.NewGate(nil, func() failover.Boottime { return failover.Boottime(w.fabric.now) })
	return w.attach(n, PortConfig{VNI: vni, Segment: drawbridge.SegmentIDOf(name), SegmentName: name, Gate: g}, g)
}

func (w *wire) attach(n *node, cfg PortConfig, g *failover.Gate) *attachment {
	w.fabric.t.Helper()
	at := &attachment{port: w.Attach(fmt.Sprintf("p%d.%d", n.id, len(n.sw.all()))), gate: g}
	cfg.Port = at.port
	var err error
	if at.Attached, err = n.sw.Attach(cfg); err != nil {
		w.fabric.t.Fatal(err)
	}
	at.pump = newPump(at.Attached, at.port)
	w.ports = append(w.ports, at)
	return at
}

// station adds a machine to the wire. Its number is its address.
func (w *wire) station(number int) *station {
	s := &station{port: w.Attach(fmt.Sprintf("s%d", number)), mac: address(number), wire: w}
	w.stations = append(w.stations, s)
	return s
}

func address(number int) drawbridge.MAC {
	return drawbridge.MAC{2, 0, 0, 0, byte(number >> 8), byte(number)}
}

// frame makes a frame that nothing in the network has an opinion about; note tells it from others.
func frame(dst, src drawbridge.MAC, note int) drawbridge.Frame {
	f := make(drawbridge.Frame, 60, 60+256)
	copy(f, dst[:])
	copy(f[6:], src[:])
	f[12], f[13] = 0x88, 0xb5
	binary.BigEndian.PutUint32(f[14:], uint32(note))
	return f
}

// say sends a frame from the station and waits until nothing moves any more.
func (s *station) say(dst drawbridge.MAC, note int) {
	s.wire.fabric.t.Helper()
	s.send(drawbridge.Packet{Frame: frame(dst, s.mac, note)})
}

func (s *station) send(p drawbridge.Packet) {
	s.wire.fabric.t.Helper()
	if n, err := s.port.WriteBatch([]drawbridge.Packet{p}); n != 1 || err != nil {
		s.wire.fabric.t.Fatalf("station %s: wrote %d, %v, %v", s.mac, n, err, s.port.Drops())
	}
	s.wire.fabric.settle()
}

// rounds bounds settle; a frame that goes in circles needs one a circle.
const rounds = 10000

// settle moves frames until none moves, and reports whether that came to an end.
func (f *fabric) settle() bool {
	defer f.listen()
	for range rounds {
		f.collect()
		todo := f.waiting()
		if len(todo) == 0 {
			return true
		}
		for len(todo) > 0 {
			i := 0
			if f.choose != nil {
				i = f.choose(len(todo))
			}
			todo[i]()
			todo = slices.Delete(todo, i, i+1)
		}
	}
	return false
}

// waiting is what could happen now: each port takes what came to it, and each frame in the overlay arrives.
func (f *fabric) waiting() (todo []func()) {
	for _, at := range f.busy() {
		todo = append(todo, func() { at.take(len(at.came)) })
	}
	for _, d := range f.sent {
		todo = append(todo, func() { d.to.deliver(d.carried) })
	}
	f.sent = nil
	return todo
}

// collect fetches what has come to ports.
func (f *fabric) collect() {
	for _, w := range f.wires {
		for _, at := range w.ports {
			for _, p := range at.port.Drain() {
				own := make(drawbridge.Frame, len(p.Frame), len(p.Frame)+256)
				copy(own, p.Frame)
				at.came = append(at.came, drawbridge.Packet{Frame: own, Offload: p.Offload})
			}
		}
	}
}

// busy lists the ports that have something to take.
func (f *fabric) busy() (all []*attachment) {
	for _, w := range f.wires {
		for _, at := range w.ports {
			if len(at.came) > 0 {
				all = append(all, at)
			}
		}
	}
	return all
}

func (at *attachment) take(n int) {
	ps := at.came[:n]
	at.came = at.came[n:]
	at.pump.now = at.sw.now()
	at.pump.take(ps)
}

func (n *node) deliver(c carried) {
	h, p := c.header, drawbridge.Packet{Frame: bytes.Clone(c.packet.Frame), Offload: c.packet.Offload}
	n.r.Deliver(&h, &p)
	n.r.Flush()
}

// listen has the stations note what arrived.
func (f *fabric) listen() {
	for _, w := range f.wires {
		for _, s := range w.stations {
			for _, p := range s.port.Drain() {
				s.got = append(s.got, p.Frame)
			}
		}
	}
}

// heard is how often the station got the frame with that note since the last call for it.
func (s *station) heard(note int) int {
	before := len(s.got)
	s.got = slices.DeleteFunc(s.got, func(f drawbridge.Frame) bool {
		return len(f) >= 18 && binary.BigEndian.Uint32(f[14:]) == uint32(note)
	})
	return before - len(s.got)
}

// expect fails the test unless the station got the frame that often.
func (s *station) expect(note, want int) {
	s.wire.fabric.t.Helper()
	if got := s.heard(note); got != want {
		s.wire.fabric.t.Errorf("station %s got frame %d %d times, want %d", s.mac, note, got, want)
	}
}

// open opens the gate for good.
func (at *attachment) open(epoch drawbridge.Epoch) {
	at.gate.Open(epoch, failover.Forever)
}

// dropped is how often the port dropped for that reason.
func (at *attachment) dropped(r reason) int { return int(at.drops[r].Load()) }

func (n *node) dropped(r reason) int { return int(n.sw.drops[r].Load()) }
