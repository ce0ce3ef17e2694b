package dissect

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// deaf hears frames and does nothing.
type deaf struct{}

func (deaf) Deliver(*drawbridge.Header, *drawbridge.Packet) {}
func (deaf) Flush()                                         {}

// tap is a wire between two planes that shows what crosses it from the first.
type tap struct {
	toward [2]*net.UDPConn // sockets that the first and the second plane send to
	peers  [2]netip.AddrPort
	seen   chan []byte
}

func newTap(t *testing.T, peers [2]netip.AddrPort) *tap {
	t.Helper()
	w := &tap{peers: peers, seen: make(chan []byte, 4096)}
	for i := range w.toward {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{127, 0, 0, 1}})
		if err != nil {
			t.Fatal(err)
		}
		w.toward[i] = c
	}
	var ends sync.WaitGroup
	for i := range w.toward {
		ends.Go(func() { w.carry(i) })
	}
	t.Cleanup(func() {
		_ = w.toward[0].Close()
		_ = w.toward[1].Close()
		ends.Wait()
	})
	return w
}

// carry passes on what plane i sends: to the other, from the socket that the other knows.
func (w *tap) carry(i int) {
	b := make([]byte, 65536)
	for {
		n, err := w.toward[i].Read(b)
		if err != nil {
			return
		}
		if i == 0 {
			select {
			case w.seen <- bytes.Clone(b[:n]):
			default:
			}
		}
		_, _ = w.toward[1-i].WriteToUDPAddrPort(b[:n], w.peers[1-i]) // the end is gone: the test is over
	}
}

func (w *tap) addr(i int) netip.AddrPort { return w.toward[i].LocalAddr().(*net.UDPAddr).AddrPort() }

// exchange links two planes and returns one datagram of each kind that the first sends.
func exchange(t *testing.T, cipher secure.Cipher) map[string][]byte {
	t.Helper()
	ids := [2]drawbridge.PeerID{0x0a0a0a0a, 0x0b0b0b0b}
	var planes [2]*transit.Plane
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for i := range planes {
		p, err := transit.Listen(transit.Config{
			Self: ids[i], Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Receiver: func() transit.Receiver { return deaf{} },
			Cipher: cipher, NoOffload: true, Heartbeat: 20 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		planes[i] = p
		running.Go(func() { _ = p.Run(ctx) })
	}
	w := newTap(t, [2]netip.AddrPort{planes[0].Addrs()[0], planes[1].Addrs()[0]})
	up := join(ctx, t, w, planes, ids)
	<-up
	return send(t, w, planes[0])
}

// join links the planes; the channel is closed when the first can send.
func join(ctx context.Context, t *testing.T, w *tap, planes [2]*transit.Plane, ids [2]drawbridge.PeerID) <-chan struct{} {
	t.Helper()
	up := make(chan struct{})
	var once sync.Once
	var control [2]chan []byte
	for i := range control {
		control[i] = make(chan []byte, 1024)
	}
	for i, p := range planes {
		l := p.AddLink(transit.LinkConfig{
			Peer: ids[1-i], Name: drawbridge.PeerName(ids[1-i].String()), Exporter: bytes.Repeat([]byte{9}, secure.ExporterLength), Dialler: i == 0,
			Endpoints: []netip.AddrPort{w.addr(i)},
			Control: func(msg []byte) error {
				select {
				case control[1-i] <- bytes.Clone(msg):
				default:
				}
				return nil
			},
			Changed: func(s transit.LinkState) {
				if i == 0 && s.Path == transit.PathUDP {
					once.Do(func() { close(up) })
				}
			},
		})
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case msg := <-control[i]:
					l.HandleControl(msg)
				}
			}
		}()
		p.SetRoutes(&transit.Routes{
			Next:     map[drawbridge.PeerID]drawbridge.PeerID{ids[1-i]: ids[1-i]},
			Children: map[drawbridge.PeerID][]drawbridge.PeerID{ids[i]: {ids[1-i]}},
		})
	}
	return up
}

// send has the plane send frames of every kind, and takes from the wire what that makes.
func send(t *testing.T, w *tap, p *transit.Plane) map[string][]byte {
	t.Helper()
	s := p.Sender()
	defer s.Close()
	found := map[string][]byte{}
	take := func(name string, kind byte) {
		for d := range w.seen {
			if d[0]&15 == kind {
				found[name] = d
				return
			}
		}
	}
	to := func(h drawbridge.Header, frames ...drawbridge.Packet) {
		for i := range frames {
			one := h
			one.VNI += drawbridge.VNI(i)
			s.Send(&one, &frames[i])
		}
		s.Flush()
	}
	take("heartbeat", 2)
	to(drawbridge.Header{Dest: 0x0b0b0b0b, VNI: 77, Segment: 2, Epoch: drawbridge.MakeEpoch(3, 7)}, whole(t))
	take("frame", 1)
	to(drawbridge.Header{VNI: 78}, whole(t))
	take("flood", 1)
	to(drawbridge.Header{Dest: 0x0b0b0b0b, VNI: 79}, whole(t), whole(t))
	take("bundle", 3)
	to(drawbridge.Header{Dest: 0x0b0b0b0b, VNI: 81}, super(t))
	take("slice", 1)
	return found
}

// room is what senders want in front of and behind a frame.
const room = 300

func whole(t *testing.T) drawbridge.Packet {
	arp := built(t, &layers.Ethernet{SrcMAC: here, DstMAC: net.HardwareAddr{255, 255, 255, 255, 255, 255}, EthernetType: layers.EthernetTypeARP}, &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: 1,
		SourceHwAddress: here, SourceProtAddress: net.IP{192, 0, 2, 1}, DstHwAddress: make([]byte, 6), DstProtAddress: net.IP{192, 0, 2, 2},
	})[:42] // without padding
	return drawbridge.Packet{Frame: append(make(drawbridge.Frame, 0, room), arp...)}
}

// super is a TCP segment of 4,000 octets that stands for three.
func super(t *testing.T) drawbridge.Packet {
	ip := ends
	ip.Protocol = layers.IPProtocolTCP
	tcp := &layers.TCP{SrcPort: 1, DstPort: 2, ACK: true, Window: 1000}
	if err := tcp.SetNetworkLayerForChecksum(&ip); err != nil {
		t.Fatal(err)
	}
	f := built(t, &layers.Ethernet{SrcMAC: here, DstMAC: there, EthernetType: layers.EthernetTypeIPv4}, &ip, tcp, gopacket.Payload(make([]byte, 4000)))
	return drawbridge.Packet{
		Frame:   append(make(drawbridge.Frame, 0, len(f)+room), f...),
		Offload: drawbridge.Offload{Flags: drawbridge.NeedsChecksum, GSO: drawbridge.GSOTCPv4, HeaderLen: 54, SegmentSize: 1340, ChecksumStart: 34, ChecksumOffset: 16},
	}
}
