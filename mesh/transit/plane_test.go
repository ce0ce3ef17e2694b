package transit

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"

	"golang.org/x/sys/unix"
)

// TestMain lets more tests run side by side than there are processors: those with real sockets mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "6")
	os.Exit(m.Run())
}

// got is one delivered frame.
type got struct {
	header drawbridge.Header
	packet drawbridge.Packet
}

// node is a plane under test and what it delivered.
type node struct {
	*Plane
	id    drawbridge.PeerID
	mu    sync.Mutex
	got   []got
	links map[drawbridge.PeerID]*Link
	end   func() // ends Run and waits for it
}

// Deliver keeps a copy.
func (n *node) Deliver(h *drawbridge.Header, p *drawbridge.Packet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got = append(n.got, got{*h, drawbridge.Packet{Frame: bytes.Clone(p.Frame), Offload: p.Offload}})
}

func (n *node) Flush() {}

func (n *node) take() (all []got) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all, n.got = n.got, nil
	return all
}

func start(t testing.TB, id drawbridge.PeerID, change ...func(*Config)) *node {
	t.Helper()
	n := &node{id: id, links: map[drawbridge.PeerID]*Link{}}
	// A busy machine holds goroutines up for longer than the product's 3.5 intervals of 100 ms.
	cfg := Config{Self: id, Heartbeat: time.Second, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Receiver: func() Receiver { return n }}
	for _, c := range change {
		c(&cfg)
	}
	p, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Plane = p
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	n.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		n.end()
		if t.Failed() {
			t.Log(n.id, n.Drops())
		}
	})
	return n
}

// quick is for tests whose links may go down for a moment: a busy machine is not told from a silent peer.
func quick(c *Config) { c.Heartbeat = time.Second / 4 }

// control is one direction of a control link: in order, in a goroutine of its own.
type control struct {
	to    *Link
	msgs  chan []byte
	ready chan struct{}
}

func (c *control) send(msg []byte) error {
	select {
	case c.msgs <- bytes.Clone(msg):
		return nil
	default:
		return fmt.Errorf("full")
	}
}

func (c *control) run(t testing.TB) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		<-c.ready
		for {
			select {
			case m := <-c.msgs:
				c.to.HandleControl(m)
			case <-stop:
				return
			}
		}
	}()
}

// connect links a and b; udp tells whether they know each other's addresses.
func connect(t testing.TB, a, b *node, udp bool) {
	t.Helper()
	if !udp {
		connectBy(t, a, b, nil, nil)
		return
	}
	connectBy(t, a, b, b.Addrs(), a.Addrs())
}

// connectBy links a, which reaches b at toB, and b, which reaches a at toA.
func connectBy(t testing.TB, a, b *node, toB, toA []netip.AddrPort) {
	t.Helper()
	exporter := bytes.Repeat([]byte{byte(a.id), byte(b.id)}, 16)
	ab := &control{msgs: make(chan []byte, 1000), ready: make(chan struct{})}
	ba := &control{msgs: make(chan []byte, 1000), ready: make(chan struct{})}
	cfg := func(peer *node, c *control, dialler bool, at []netip.AddrPort) LinkConfig {
		return LinkConfig{Peer: peer.id, Name: drawbridge.PeerName(peer.id.String()), Exporter: exporter, Dialler: dialler, Control: c.send, Endpoints: at}
	}
	ba.to = a.AddLink(cfg(b, ab, true, toB))
	ab.to = b.AddLink(cfg(a, ba, false, toA))
	close(ab.ready)
	close(ba.ready)
	ab.run(t)
	ba.run(t)
	a.links[b.id], b.links[a.id] = ba.to, ab.to
}

// patience is long enough for a machine that does ten other things, with tests in parallel.
const patience = 30 * time.Second

// eventually waits for ok, and fails the test when it does not come.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func up(t testing.TB, path string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		for _, l := range n.links {
			eventually(t, fmt.Sprintf("link of %s to %s by %s", n.id, l.cfg.Peer, path), func() bool {
				s := l.State()
				return s.Up && s.Path == path && (path == PathTCP || s.MTU > 8000)
			})
		}
	}
}

func frameOf(n int) drawbridge.Frame {
	f := make([]byte, n, n+256)
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	for i := 14; i < n; i++ {
		f[i] = byte(i * 7)
	}
	return f
}

// tcpFrame is a TCP/IPv4 super-frame with payload bytes, as AF_PACKET would give it.
func tcpFrame(payload, mss int) drawbridge.Packet {
	f := make([]byte, 54+payload, 54+payload+256)
	copy(f, frameOf(14))
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip := f[14:34]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(40+payload))
	binary.BigEndian.PutUint16(ip[4:], 1000)
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(ip[10:], drawbridge.InternetChecksum(drawbridge.InternetSum(0, ip)))
	tcp := f[34:]
	binary.BigEndian.PutUint32(tcp[4:], 5000)
	tcp[12], tcp[13] = 5<<4, 0x18
	binary.BigEndian.PutUint16(tcp[16:], drawbridge.FoldSum(drawbridge.InternetSum(uint64(26+payload), ip[12:20])))
	for i := range payload {
		f[54+i] = byte(i * 13)
	}
	o := drawbridge.Offload{Flags: drawbridge.NeedsChecksum, ChecksumStart: 34, ChecksumOffset: 16}
	if payload > mss {
		o.GSO, o.SegmentSize, o.HeaderLen = drawbridge.GSOTCPv4, uint16(mss), 54
	}
	return drawbridge.Packet{Frame: f, Offload: o}
}

// send sends a copy, since sealing overwrites, and returns the original.
func send(s *Sender, h drawbridge.Header, p drawbridge.Packet) drawbridge.Packet {
	c := drawbridge.Packet{Frame: append(make([]byte, 0, len(p.Frame)+256), p.Frame...), Offload: p.Offload}
	s.Send(&h, &c)
	s.Flush()
	return p
}

// TestFramesArriveAsSent sends every shape of frame over UDP with and without the kernel's help, and over
// the control link.
func TestFramesArriveAsSent(t *testing.T) {
	t.Parallel()
	plain := func(c *Config) { c.NoOffload, c.Batch = true, 1 }
	for name, tc := range map[string]struct {
		path   string
		change []func(*Config)
	}{"udp": {path: PathUDP}, "one by one": {PathUDP, []func(*Config){plain}}, "tcp": {path: PathTCP}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := start(t, 1, tc.change...), start(t, 2, tc.change...)
			connect(t, a, b, tc.path == PathUDP)
			up(t, tc.path, a, b)
			s := a.Sender()
			h := drawbridge.Header{Dest: 2, VNI: 77, Segment: 5, Epoch: drawbridge.MakeEpoch(3, 9)}
			packets := []drawbridge.Packet{
				{Frame: frameOf(14)},
				{Frame: frameOf(60)},
				{Frame: frameOf(1414)},
				{Frame: frameOf(9014)},
				{Frame: frameOf(30000)},
				tcpFrame(100, 1448), tcpFrame(65000, 1448), tcpFrame(65000, 536), tcpFrame(65000, 9000), tcpFrame(20000, 10000), tcpFrame(3000, 1448),
			}
			for i, p := range packets {
				p = send(s, h, p)
				var all []got
				header := 0
				if p.Offload.GSO != 0 {
					header = 54
				}
				eventually(t, fmt.Sprint("arrival of frame ", i, " with ", len(p.Frame), " bytes"), func() bool {
					all = append(all, b.take()...)
					n := header
					for _, g := range all {
						n += len(g.packet.Frame) - header
					}
					return len(all) > 0 && n >= len(p.Frame)
				})
				g := all[0]
				want := drawbridge.Header{Origin: 1, Dest: 2, VNI: 77, Segment: 5, Epoch: drawbridge.MakeEpoch(3, 9)}
				if g.header != want {
					t.Errorf("frame %d: header %+v", i, g.header)
				}
				if len(all) == 1 && (!bytes.Equal(g.packet.Frame, p.Frame) || g.packet.Offload != p.Offload) {
					t.Errorf("frame %d of %d bytes: arrived with %d bytes, offload %+v, want %+v", i, len(p.Frame), len(g.packet.Frame), g.packet.Offload, p.Offload)
				}
				if len(all) > 1 {
					checkRuns(t, p, all)
				}
			}
		})
	}
}

// TestFloodsTellWhenTheyArrived has a reader stand still while floods come, in every shape: they arrived before it went on.
func TestFloodsTellWhenTheyArrived(t *testing.T) {
	t.Parallel()
	for _, path := range []string{PathUDP, PathTCP} {
		a, b := start(t, 1), start(t, 2)
		connect(t, a, b, path == PathUDP)
		up(t, path, a, b)
		a.SetRoutes(&Routes{Children: map[drawbridge.PeerID][]drawbridge.PeerID{1: {2}}})
		s := a.Sender()
		floods := []drawbridge.Packet{{Frame: frameOf(60)}, {Frame: frameOf(9014)}, {Frame: frameOf(30000)}, tcpFrame(65000, 1448)}
		b.mu.Lock()
		send(s, drawbridge.Header{Dest: 2, VNI: 7}, floods[0])
		for _, p := range floods {
			send(s, drawbridge.Header{VNI: 7}, p)
		}
		came := boottime(t)
		b.mu.Unlock()
		var all []got
		eventually(t, "arrival of all floods", func() bool {
			all = append(all, b.take()...)
			return len(all) >= 1+len(floods)
		})
		for _, g := range all {
			switch h := g.header; {
			case h.Dest == 0 && path == PathUDP && (h.Arrived > came || h.Arrived < came-int64(time.Hour)):
				t.Errorf("a flood arrived %d ns after it was sent", h.Arrived-came)
			case (h.Dest != 0 || path == PathTCP) && h.Arrived != 0:
				t.Errorf("%s: %+v tells when it arrived", path, h)
			}
		}
		a.end()
		b.end()
	}
}

func boottime(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano()
}

// checkRuns checks that the runs of a broken-up super-frame are good TCP and make up the whole.
func checkRuns(t *testing.T, whole drawbridge.Packet, runs []got) {
	t.Helper()
	at := 0
	for _, g := range runs {
		p := g.packet
		seq := int(binary.BigEndian.Uint32(p.Frame[38:])) - 5000
		if seq != at || !bytes.Equal(p.Frame[54:], whole.Frame[54+at:54+at+len(p.Frame)-54]) {
			t.Fatalf("run at %d has sequence %d", at, seq)
		}
		at += len(p.Frame) - 54
		checkHeaders(t, &p)
	}
}

func checkHeaders(t *testing.T, p *drawbridge.Packet) {
	t.Helper()
	ip := p.Frame[14:34]
	if drawbridge.InternetChecksum(drawbridge.InternetSum(0, ip)) != 0 || int(binary.BigEndian.Uint16(ip[2:])) != len(p.Frame)-14 {
		t.Errorf("IP header is wrong: % x", ip)
	}
	if want := drawbridge.FoldSum(drawbridge.InternetSum(uint64(len(p.Frame)-28), ip[12:20])); binary.BigEndian.Uint16(p.Frame[50:]) != want {
		t.Errorf("pseudo-header sum %x, want %x", p.Frame[50:52], want)
	}
}

// line makes a - b - c with routes, as the mesh would.
func line(t *testing.T, change ...func(*Config)) (a, b, c *node) {
	a, b, c = start(t, 1, change...), start(t, 2, change...), start(t, 3, change...)
	connect(t, a, b, true)
	connect(t, b, c, true)
	type ids = map[drawbridge.PeerID]drawbridge.PeerID
	type tree = map[drawbridge.PeerID][]drawbridge.PeerID
	a.SetRoutes(&Routes{Next: ids{2: 2, 3: 2}, Children: tree{1: {2}, 2: nil, 3: nil}})
	b.SetRoutes(&Routes{Next: ids{1: 1, 3: 3}, Children: tree{1: {3}, 2: {1, 3}, 3: {1}}})
	c.SetRoutes(&Routes{Next: ids{1: 2, 2: 2}, Children: tree{1: nil, 2: nil, 3: {2}}})
	up(t, PathUDP, a, b, c)
	return a, b, c
}

// TestRelay sends through a peer that is not the destination, whole and in slices.
func TestRelay(t *testing.T) {
	t.Parallel()
	a, b, c := line(t)
	s := a.Sender()
	for _, p := range []drawbridge.Packet{{Frame: frameOf(1000)}, tcpFrame(60000, 1448), {Frame: frameOf(20000)}} {
		send(s, drawbridge.Header{Dest: 3, VNI: 1}, p)
		header := 0
		if p.Offload.GSO != 0 {
			header = 54
		}
		bytesGot := header
		eventually(t, "arrival at c", func() bool {
			for _, g := range c.take() {
				bytesGot += len(g.packet.Frame) - header
				if g.header.Origin != 1 || g.header.Dest != 3 {
					t.Errorf("header %+v", g.header)
				}
			}
			return bytesGot >= len(p.Frame)
		})
	}
	if all := b.take(); len(all) != 0 {
		t.Errorf("the relay took %d frames for itself", len(all))
	}
}

// TestFloodReachesEveryoneOnce floods in a triangle with loops: tree first, then in flux.
func TestFloodReachesEveryoneOnce(t *testing.T) {
	t.Parallel()
	for _, flux := range []bool{false, true} {
		t.Run(fmt.Sprint("flux ", flux), func(t *testing.T) {
			t.Parallel()
			nodes := []*node{start(t, 1), start(t, 2), start(t, 3)}
			for i, n := range nodes {
				connect(t, n, nodes[(i+1)%3], true)
			}
			for i, n := range nodes {
				r := &Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{}, Children: map[drawbridge.PeerID][]drawbridge.PeerID{}, Flux: flux}
				for j, m := range nodes {
					if i != j {
						r.Next[m.id] = m.id
						r.Children[n.id] = append(r.Children[n.id], m.id)
						r.Children[m.id] = nil
					}
				}
				n.SetRoutes(r)
			}
			up(t, PathUDP, nodes...)
			s := nodes[0].Sender()
			seen := map[drawbridge.PeerID]map[uint32]int{2: {}, 3: {}}
			for i := range 200 {
				f := frameOf(100)
				binary.BigEndian.PutUint32(f[14:], uint32(i))
				send(s, drawbridge.Header{VNI: 1}, drawbridge.Packet{Frame: f})
				if i%20 != 19 { // more might not fit the sockets
					continue
				}
				for _, n := range nodes[1:] {
					eventually(t, "all floods", func() bool {
						for _, g := range n.take() {
							seen[n.id][binary.BigEndian.Uint32(g.packet.Frame[14:])]++
							if g.header.Dest != 0 {
								t.Errorf("a flooded frame came as one to %v", g.header.Dest)
							}
						}
						return len(seen[n.id]) == i+1
					})
				}
			}
			for id, frames := range seen {
				for i, times := range frames {
					if times != 1 {
						t.Errorf("frame %d arrived %d times at %s", i, times, id)
					}
				}
			}
			if all := nodes[0].take(); len(all) > 0 {
				t.Error("the origin got its own flood")
			}
		})
	}
}

// TestALoopIsFinite gives two peers routes that point at each other.
func TestALoopIsFinite(t *testing.T) {
	t.Parallel()
	a, b, c := line(t)
	type ids = map[drawbridge.PeerID]drawbridge.PeerID
	c.SetRoutes(&Routes{Next: ids{1: 2, 2: 2, 9: 2}})
	b.SetRoutes(&Routes{Next: ids{1: 1, 3: 3, 9: 3}})
	a.SetRoutes(&Routes{Next: ids{2: 2, 3: 2, 9: 2}})
	s := a.Sender()
	eventually(t, "the hop limit", func() bool {
		send(s, drawbridge.Header{Dest: 9, VNI: 1}, drawbridge.Packet{Frame: frameOf(100)})
		return b.Drops()["hop_limit"]+c.Drops()["hop_limit"] > 0
	})
}

// TestKeysRotateWithoutLoss rotates both ends' keys again and again under traffic.
func TestKeysRotateWithoutLoss(t *testing.T) {
	t.Parallel()
	a, b := start(t, 1), start(t, 2)
	connect(t, a, b, true)
	up(t, PathUDP, a, b)
	s := a.Sender()
	const count = 3000
	n := 0
	for i := range count {
		if i%500 == 250 {
			eventually(t, "use of the key before", func() bool { return b.links[1].rx[0].used.Load() })
			b.links[1].rotate(b.now())
			a.links[2].rotate(a.now())
			eventually(t, "the new key", func() bool { return a.links[2].tx.Load().index == b.links[1].rx[0].index })
		}
		send(s, drawbridge.Header{Dest: 2, VNI: 1}, drawbridge.Packet{Frame: frameOf(200)})
		if i%100 == 99 { // more might not fit the socket
			eventually(t, "every frame", func() bool { n += len(b.take()); return n == i+1 })
		}
	}
	if d := b.Drops(); d["unknown_key"]+d["forged"] > 0 {
		t.Errorf("rotation dropped frames: %v", d)
	}
}

// TestDeadPeerIsNoticed stops one end and wants the other to say so.
func TestDeadPeerIsNoticed(t *testing.T) {
	t.Parallel()
	a, b := start(t, 1, quick), start(t, 2, quick)
	connect(t, a, b, true)
	upOn(t, PathUDP, a, b)
	b.links[1].Close()
	eventually(t, "link down", func() bool { return !a.links[2].State().Up })
}
