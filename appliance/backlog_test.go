package appliance

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// gatewayPlane is a data plane with a switch behind it, and a segment port on it. Whoever holds its lock has its readers stand still.
type gatewayPlane struct {
	*transit.Plane
	sync.Mutex
	control chan []byte
	gate    *failover.Gate
	host    *porttest.Port // on the segment
}

// standing is a receiver that stands still with its plane.
type standing struct {
	*forwarder.Receiver
	of *gatewayPlane
}

func (s standing) Deliver(h *drawbridge.Header, p *drawbridge.Packet) {
	s.of.Lock()
	defer s.of.Unlock()
	s.Receiver.Deliver(h, p)
}

// meshOverlay has the switch send by the plane.
type meshOverlay struct{ *transit.Plane }

func (o meshOverlay) Sender() forwarder.Sender { return o.Plane.Sender() }
func (meshOverlay) MTU(drawbridge.PeerID) int  { return 1400 }

func startPlane(t *testing.T, id drawbridge.PeerID) *gatewayPlane {
	t.Helper()
	g := &gatewayPlane{control: make(chan []byte, 1024), gate: failover.NewGate(nil, gate.Now)}
	wire := porttest.NewSegment(1)
	var sw *forwarder.Switch
	var err error
	g.Plane, err = transit.Listen(transit.Config{
		Self: id, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Heartbeat: time.Second,
		Receiver: func() transit.Receiver { return standing{sw.Receiver(), g} },
	})
	if err != nil {
		t.Fatal(err)
	}
	sw = forwarder.New(forwarder.Config{Self: id, Overlay: meshOverlay{g.Plane}})
	g.host = wire.Attach("host")
	if _, err := sw.Attach(forwarder.PortConfig{
		Port: wire.Attach("vlan"), VNI: 7, Segment: drawbridge.SegmentIDOf("office"), SegmentName: "office", Gate: g.gate,
	}); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = g.Run(t.Context()) })
	t.Cleanup(running.Wait)
	return g
}

// link joins the plane to another one.
func (g *gatewayPlane) link(t *testing.T, peer, self drawbridge.PeerID, to *gatewayPlane) *transit.Link {
	l := g.AddLink(transit.LinkConfig{
		Peer: peer, Name: drawbridge.PeerName(peer.String()), Exporter: bytes.Repeat([]byte{9}, secure.ExporterLength), Dialler: self < peer, Endpoints: to.Addrs(),
		Control: func(msg []byte) error {
			select {
			case to.control <- bytes.Clone(msg):
			case <-t.Context().Done():
			}
			return nil
		},
	})
	go func() {
		for {
			select {
			case msg := <-g.control:
				l.HandleControl(msg)
			case <-t.Context().Done():
				return
			}
		}
	}()
	g.SetRoutes(&transit.Routes{
		Next: map[drawbridge.PeerID]drawbridge.PeerID{peer: peer}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{self: {peer}},
	})
	return l
}

// TestABacklogIsNotWritten: what lies in the sockets of a gateway when its gate is opened, the gateway before has written. Real sockets,
// the real switch and its gate must mean the same by a moment.
func TestABacklogIsNotWritten(t *testing.T) {
	a, b := startPlane(t, 1), startPlane(t, 2)
	up := a.link(t, 2, 1, b)
	b.link(t, 1, 2, a)
	out := a.Sender()
	defer out.Close()
	say := func(number int) {
		p := porttest.Numbered(number)
		copy(p.Frame, drawbridge.Broadcast[:])
		out.Send(&drawbridge.Header{Origin: 1, VNI: 7}, &p)
		out.Flush()
	}
	heard := map[int]bool{}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for limit := time.Now().Add(30 * time.Second); !ok(); <-time.After(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("%s: not within 30 s; heard %v", what, heard)
			}
		}
	}
	eventually("a link by UDP", func() bool { return up.State().Path == transit.PathUDP })
	b.Lock()
	for number := 1; number <= 100; number++ {
		say(number)
	}
	b.gate.Open(drawbridge.MakeEpoch(1, 2), failover.Forever)
	b.Unlock()
	next := 100
	eventually("a frame that comes to the open gate", func() bool {
		next++
		say(next)
		for _, p := range b.host.Drain() {
			heard[porttest.Number(p.Frame)] = true
		}
		return len(heard) > 0
	})
	for number := range heard {
		if number <= 100 {
			t.Errorf("frame %d was written, which came to a shut gate", number)
		}
	}
}
