package transit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// proxy is a router with NAT between two planes: a calls b at front, and b hears a from back.
type proxy struct {
	t  testing.TB
	to netip.AddrPort // b

	mu    sync.Mutex // guards what follows
	front *net.UDPConn
	back  *net.UDPConn
	from  netip.AddrPort // a, as it last called
	rule  func(toB bool, d []byte) [][]byte
	group sync.WaitGroup
}

func listenUDP(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	return c
}

func newProxy(t testing.TB, to netip.AddrPort) *proxy {
	p := &proxy{t: t, to: to, front: listenUDP(t)}
	p.group.Go(func() { p.pump(p.front, true) })
	p.move()
	t.Cleanup(func() {
		p.mu.Lock()
		_, _ = p.front.Close(), p.back.Close()
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

// move gives a another port towards b, as a router does that forgot it.
func (p *proxy) move() {
	back := listenUDP(p.t)
	p.mu.Lock()
	old := p.back
	p.back = back
	p.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	p.group.Go(func() { p.pump(back, false) })
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func (p *proxy) pump(c *net.UDPConn, toB bool) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.mu.Lock()
		if toB {
			p.from = from
		}
		out := [][]byte{buf[:n]}
		if p.rule != nil {
			out = p.rule(toB, bytes.Clone(buf[:n]))
		}
		for _, d := range out {
			p.send(toB, d)
		}
		p.mu.Unlock()
	}
}

// send passes d on. The caller holds p.mu.
func (p *proxy) send(toB bool, d []byte) {
	if toB {
		_, _ = p.back.WriteToUDPAddrPort(d, p.to)
		return
	}
	_, _ = p.front.WriteToUDPAddrPort(d, p.from)
}

// obey gives the proxy another rule: it answers what is passed on instead of a datagram. nil: everything.
func (p *proxy) obey(rule func(toB bool, d []byte) [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

func drop(bool, []byte) [][]byte { return nil }

// behind makes a plane a that calls b through a proxy, as the only way; b knows no address of a.
func behind(t *testing.T, change ...func(*Config)) (a, b *node, p *proxy) {
	t.Helper()
	a, b = start(t, 1, change...), start(t, 2, change...)
	p = newProxy(t, b.Addrs()[0])
	connectBy(t, a, b, []netip.AddrPort{addrOf(p.front)}, nil)
	return a, b, p
}

func upOn(t *testing.T, path string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		for _, l := range n.links {
			eventually(t, fmt.Sprintf("link of %s by %s", n.id, path), func() bool { return l.State().Path == path })
		}
	}
}

// flow sends frames each way until one has arrived at both ends.
func flow(t *testing.T, a, b *node) {
	t.Helper()
	for _, n := range []struct{ from, to *node }{{a, b}, {b, a}} {
		s := n.from.Sender()
		eventually(t, fmt.Sprintf("a frame from %s to %s", n.from.id, n.to.id), func() bool {
			send(s, drawbridge.Header{Dest: n.to.id, VNI: 1}, drawbridge.Packet{Frame: frameOf(100)})
			return len(n.to.take()) > 0
		})
		s.Close()
	}
}

// whole sends a frame until all of one has arrived, in however many runs.
func whole(t *testing.T, s *Sender, to *node, dest drawbridge.PeerID, p drawbridge.Packet) {
	t.Helper()
	header := 0
	if p.Offload.GSO != 0 {
		header = int(p.Offload.HeaderLen)
	}
	got, sent := header, time.Time{}
	eventually(t, "the whole frame", func() bool {
		if time.Since(sent) > 5*fragmentsFor { // pieces wait for each other no longer than that, which a busy machine may take
			to.take()
			got, sent = header, time.Now()
			send(s, drawbridge.Header{Dest: dest, VNI: 1}, p)
		}
		for _, g := range to.take() {
			got += len(g.packet.Frame) - header
		}
		return got == len(p.Frame)
	})
}

// TestAReplayedExchange records every datagram of an exchange with all kinds of frames and injects all of
// them again, at both ends, from where they came and from elsewhere: nothing is delivered, each is counted,
// and no link moves.
func TestAReplayedExchange(t *testing.T) {
	t.Parallel()
	a, b, p := behind(t)
	recorded := map[bool][][]byte{}
	p.obey(func(toB bool, d []byte) [][]byte {
		recorded[toB] = append(recorded[toB], d)
		return [][]byte{d}
	})
	upOn(t, PathUDP, a, b)
	for _, n := range []struct{ from, to *node }{{a, b}, {b, a}} {
		s := n.from.Sender()
		for _, dest := range []drawbridge.PeerID{n.to.id, 0} {
			for _, packet := range []drawbridge.Packet{{Frame: frameOf(60)}, {Frame: frameOf(5000)}, tcpFrame(20000, 1000)} {
				whole(t, s, n.to, dest, packet)
			}
		}
		n.to.links[n.from.id].rotate(n.to.now()) // the key of before is still good, and so are its windows
		eventually(t, "the new key", func() bool { return n.from.links[n.to.id].tx.Load().index == n.to.links[n.from.id].rx[0].index })
		whole(t, s, n.to, n.to.id, drawbridge.Packet{Frame: frameOf(60)})
		s.Close()
	}

	elsewhere := listenUDP(t)
	defer func() { _ = elsewhere.Close() }()
	p.obey(drop) // so that nothing else is counted
	p.mu.Lock()
	exchange := map[bool][][]byte{true: recorded[true], false: recorded[false]}
	p.mu.Unlock()
	for toB, n := range map[bool]*node{true: b, false: a} {
		remote := n.links[3-n.id].State().Remote
		if len(exchange[toB]) < 20 {
			t.Fatalf("only %d datagrams were recorded", len(exchange[toB]))
		}
		for _, inject := range []func(d []byte){
			func(d []byte) { p.mu.Lock(); p.send(toB, d); p.mu.Unlock() },
			func(d []byte) { _, _ = elsewhere.WriteToUDPAddrPort(d, n.Addrs()[0]) },
		} {
			for _, d := range exchange[toB] {
				before := n.Drops()["replayed"]
				inject(d)
				eventually(t, "a replay is counted", func() bool { return n.Drops()["replayed"] > before })
			}
		}
		if got := n.take(); len(got) != 0 {
			t.Errorf("%d frames were delivered again to %s", len(got), n.id)
		}
		if now := n.links[3-n.id].State().Remote; now != remote {
			t.Errorf("%s sends to %v instead of %v", n.id, now, remote)
		}
	}
	p.obey(nil)
	flow(t, a, b)
}

// TestStrangersAreCounted sends what anybody on the underlay can.
func TestStrangersAreCounted(t *testing.T) {
	t.Parallel()
	a, b := start(t, 1, quick), start(t, 2, quick)
	connect(t, a, b, true)
	upOn(t, PathUDP, a, b)
	c := listenUDP(t)
	defer func() { _ = c.Close() }()
	index := b.links[1].rx[0].index
	forged := make([]byte, 200)
	putClear(forged, kindFrame, index, 0, 1<<39)
	beat := make([]byte, 200)
	putClear(beat, kindHeartbeat, index, 0, 1<<39)
	for _, tc := range []struct {
		d      []byte
		reason string
	}{
		{[]byte{}, "short_datagram"},
		{[]byte{0x11}, "short_datagram"},
		{make([]byte, 100), "unknown_version"},
		{bytes.Repeat([]byte{0x11}, 100), "unknown_key"},
		{forged, "forged"},
		{beat, "forged"},
		{make([]byte, 60000), "unknown_version"},
	} {
		before := b.Drops()[tc.reason]
		_, _ = c.WriteToUDPAddrPort(tc.d, b.Addrs()[0])
		eventually(t, fmt.Sprintf("%d octets are counted as %s", len(tc.d), tc.reason), func() bool { return b.Drops()[tc.reason] > before })
	}
	if s := b.links[1].State(); s.Remote != a.Addrs()[0] {
		t.Errorf("a stranger moved the link to %v", s.Remote)
	}
	flow(t, a, b)
}

// TestABadNetwork drops, repeats and holds back datagrams at random: the link stays up, and every run that is
// delivered is true.
func TestABadNetwork(t *testing.T) {
	t.Parallel()
	a, b, p := behind(t, quick)
	upOn(t, PathUDP, a, b)
	random := rand.New(rand.NewPCG(1, 2))
	var held []byte
	p.obey(func(toB bool, d []byte) [][]byte {
		if !toB || d[0]&0xf != kindFrame {
			return [][]byte{d}
		}
		switch random.IntN(20) {
		case 0:
			return nil
		case 1:
			return [][]byte{d, d}
		case 2:
			out := held
			held = d
			if out == nil {
				return nil
			}
			return [][]byte{out}
		}
		return [][]byte{d}
	})
	s := a.Sender()
	defer s.Close()
	var sent []superFrame
	for i := range 200 {
		f := superFrame{v6: i%2 == 1, udp: i%5 == 4, tags: i % 3, payload: 1000 + 300*i%50000, mss: 1000 + i, flags: 0x99, ecn: true, seq: uint32(i) << 24, id: 7, port: uint16(i)}
		if f.udp {
			f.flags, f.ecn = 0, false
			f.payload = min(f.payload, 60*f.mss)
		}
		sent = append(sent, f)
	}
	runs, frames, next := 0, map[int]bool{}, 0
	eventually(t, "most frames", func() bool {
		send(s, drawbridge.Header{Dest: 2, VNI: 1}, sent[next%len(sent)].packet())
		next++
		for _, g := range b.take() {
			i := portOf(g.packet.Frame)
			if i >= len(sent) {
				t.Fatalf("a frame of nobody: % x", g.packet.Frame[:60])
			}
			if _, _, wrong := sent[i].check(&g.packet); wrong != nil {
				t.Fatalf("frame %d, %s: %v", i, sent[i], wrong)
			}
			runs++
			frames[i] = true
		}
		return len(frames) > 150
	})
	p.obey(nil)
	if runs <= len(frames) {
		t.Errorf("%d runs of %d frames: nothing was disturbed", runs, len(frames))
	}
	if d := b.Drops(); d["malformed"]+d["forged"] > 0 || d["replayed"] == 0 {
		t.Errorf("dropped %v", d)
	}
	upOn(t, PathUDP, a, b)
}

// TestANATMoves changes the port under which b hears a, once in silence and once under traffic.
func TestANATMoves(t *testing.T) {
	t.Parallel()
	a, b, p := behind(t, quick)
	upOn(t, PathUDP, a, b)
	for range 2 {
		flow(t, a, b)
		p.move()
		want := addrOf(p.back)
		eventually(t, "b sends to the new port", func() bool { return b.links[1].State().Remote == want })
		upOn(t, PathUDP, a, b)
	}
	flow(t, a, b)
	if s := a.links[2].State(); s.Remote != addrOf(p.front) {
		t.Errorf("a sends to %v", s.Remote)
	}
}

// TestUDPGoesAndComes blocks UDP between real planes: frames flow over the control link, and over UDP again.
func TestUDPGoesAndComes(t *testing.T) {
	t.Parallel()
	a, b, p := behind(t, quick)
	p.obey(drop)
	upOn(t, PathTCP, a, b)
	flow(t, a, b)
	p.obey(nil)
	upOn(t, PathUDP, a, b)
	flow(t, a, b)
	p.obey(drop)
	upOn(t, PathTCP, a, b)
	flow(t, a, b)
}

// TestANarrowPath passes datagrams up to a width: it is found, and super-frames arrive. That a path becomes
// narrower is noticed after seconds, which TestTheLargestDatagramIsFound has for nothing.
func TestANarrowPath(t *testing.T) {
	t.Parallel()
	a, b, p := behind(t)
	p.obey(func(_ bool, d []byte) [][]byte {
		if len(d) > 1420 {
			return nil
		}
		return [][]byte{d}
	})
	upOn(t, PathUDP, a, b)
	want := 1412 - Overhead
	eventually(t, "datagrams of 1412", func() bool {
		return a.links[2].State().MTU == want && b.links[1].State().MTU == want && a.MTU(2) == want && a.MTU(0) == want
	})
	flow(t, a, b)
	f := superFrame{payload: 30000, mss: 1360, seq: 9}
	got := 0
	s := a.Sender()
	defer s.Close()
	send(s, drawbridge.Header{Dest: 2, VNI: 1}, f.packet())
	eventually(t, "a super-frame", func() bool {
		for _, g := range b.take() {
			if len(g.packet.Frame) == 100 {
				continue
			}
			from, to, wrong := f.check(&g.packet)
			if wrong != nil {
				t.Fatal(wrong)
			}
			got += to - from
		}
		return got == f.payload
	})
}

// TestCloseUnderTraffic ends links and planes while others send, relay, flood and rotate.
func TestCloseUnderTraffic(t *testing.T) {
	t.Parallel()
	var nodes []*node
	for id := range drawbridge.PeerID(3) {
		nodes = append(nodes, start(t, id+1, quick))
	}
	for i, n := range nodes {
		connect(t, n, nodes[(i+1)%3], true)
	}
	upOn(t, PathUDP, nodes...)
	stop := make(chan struct{})
	var group sync.WaitGroup
	for _, n := range nodes {
		for _, dest := range []drawbridge.PeerID{0, n.id%3 + 1} {
			group.Go(func() {
				s := n.Sender()
				defer s.Close()
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					p := superFrame{payload: 20000, mss: 1000}.packet()
					s.Send(&drawbridge.Header{Dest: dest, VNI: 1}, &p)
					s.Send(&drawbridge.Header{Dest: dest, VNI: 1}, &drawbridge.Packet{Frame: frameOf(3000)})
					s.Flush()
					n.take()
				}
			})
		}
	}
	for range 5 {
		old := nodes[0].links[2]
		connect(t, nodes[0], nodes[1], true) // replaces
		nodes[1].links[3].rotate(nodes[1].now())
		nodes[1].SetRoutes(&Routes{Flux: true})
		eventually(t, "the new link", func() bool { return nodes[0].links[2].State().Path == PathUDP })
		if s := old.State(); s.Up {
			t.Error("the old link is up")
		}
	}
	nodes[2].links[1].Close()
	eventually(t, "its end", func() bool { return !nodes[0].links[3].State().Up })
	nodes[1].end() // senders go on
	eventually(t, "the end of a plane", func() bool { return !nodes[0].links[2].State().Up })
	close(stop)
	group.Wait()
	if s := nodes[1].links[1].State(); s.Up || len(*nodes[1].keys.Load()) != 0 {
		t.Errorf("a link of a plane that ended: %+v, %d keys", s, len(*nodes[1].keys.Load()))
	}
}
