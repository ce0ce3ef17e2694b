// The race detector crashes in bubbles of synctest that hold many timers (golang/go issue 78156): it sees the
// router in real_test.go, over real sockets.
//go:build !race

package mesh_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/meshtest"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// intruder speaks the protocol by hand, with the credentials of a peer that does not run.
type intruder struct {
	t       *testing.T
	p       *meshtest.Peer
	session *yamux.Session
	stream  net.Conn
}

func intrude(t *testing.T, p, at *meshtest.Peer) *intruder {
	t.Helper()
	raw, err := p.Host.Dial(t.Context(), "tcp", at.Addr())
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := p.Credentials.Connect(t.Context(), raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := yamux.DefaultConfig()
	c.EnableKeepAlive, c.LogOutput = false, io.Discard
	session, err := yamux.Client(conn, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	s, err := session.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	s.SetDeadline(time.Now().Add(time.Minute))
	return &intruder{t, p, session, s}
}

func (i *intruder) hello() wire.Hello {
	c := i.p.Credentials
	return wire.Hello{ID: c.ID(), UID: 1, Network: c.Network.ID, Serial: 1, Name: c.Name}
}

func (i *intruder) send(k wire.Kind, body []byte) {
	i.t.Helper()
	if _, err := i.stream.Write(wire.AppendMessage(nil, k, body)); err != nil {
		i.t.Fatal(err)
	}
}

// greet says hello properly and waits for the answer.
func (i *intruder) greet() *intruder {
	i.t.Helper()
	h := i.hello()
	i.send(wire.KindHello, h.Append(nil))
	if k, _, err := wire.ReadMessage(i.stream, nil); k != wire.KindHello {
		i.t.Fatal(k, err)
	}
	return i
}

func (i *intruder) records(signed ...[]byte) {
	body, _ := wire.AppendRecords(nil, signed)
	i.send(wire.KindRecords, body)
}

// hungUp reports whether the far end closes the connection at once, not for want of pings.
func (i *intruder) hungUp() bool {
	i.stream.SetReadDeadline(time.Now().Add(3 * time.Second))
	for {
		if _, _, err := wire.ReadMessage(i.stream, nil); err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, yamux.ErrConnectionReset)
		}
	}
}

// mustBeRefused fails the test unless a refusal comes, for this reason and with this word, and then the end.
func (i *intruder) mustBeRefused(reason wire.Reason, word string) {
	i.t.Helper()
	k, body, err := wire.ReadMessage(i.stream, nil)
	if err != nil || k != wire.KindRefuse {
		i.t.Fatalf("%s: got %s, %v", word, k, err)
	}
	if why, err := wire.ParseRefuse(body); err != nil || why.Reason != reason || !strings.Contains(why.Text, word) {
		i.t.Errorf("%s: refused with %+v, %v", word, why, err)
	}
	if !i.hungUp() {
		i.t.Errorf("%s: refused, and kept", word)
	}
}

// hears returns what comes within a while, by kind, and answers pings.
func (i *intruder) hears(d time.Duration) map[wire.Kind][][]byte {
	i.stream.SetReadDeadline(time.Now().Add(d))
	got := map[wire.Kind][][]byte{}
	for {
		k, body, err := wire.ReadMessage(i.stream, nil)
		if err != nil {
			return got
		}
		if k == wire.KindPing {
			i.send(wire.KindPong, body)
		}
		got[k] = append(got[k], body)
	}
}

// victims starts host1 and host2, and leaves host3 to an intruder.
func victims(t *testing.T) (c *meshtest.Cluster, a, b, evil *meshtest.Peer) {
	t.Helper()
	c, p := lan(t, 3)
	p[0].Start()
	p[1].Start(p[0])
	c.Await(patience, "linked", c.Whole)
	return c, p[0], p[1], p[2]
}

func TestRecordsOfOthersCannotBeForged(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, evil := victims(t)
		key, cert := evil.Credentials.Private, evil.Credentials.Certificate().Raw
		lie := wire.Record{Name: "host2", ID: b.Credentials.ID(), UID: 9, Version: 1 << 40, Software: "forged"}
		mine := wire.Record{Name: "host3", ID: evil.Credentials.ID(), UID: 9, Version: 7}
		broken := wire.SealRecord(&wire.Record{Name: "host3", ID: evil.Credentials.ID(), UID: 9, Version: 8}, cert, key)
		broken[10] ^= 1
		i := intrude(t, evil, a).greet()
		i.records(
			wire.SealRecord(&lie, cert, key),                            // a good certificate, but not host2's
			wire.SealRecord(&lie, b.Credentials.Certificate().Raw, key), // host2's, but not its key
			broken, []byte("no record at all"),
			wire.SealRecord(&mine, cert, key),
		)
		c.Await(patience, "the good one came through", func() bool { return a.State(evil).Version == 7 })
		for reason, n := range map[string]uint64{"record: claim": 1, "record: signature": 2, "record: malformed": 1} {
			if got := a.Drops()[reason]; got != n {
				t.Errorf("%s: %d, want %d: %v", reason, got, n, a.Drops())
			}
		}
		c.Pass(5 * time.Second)
		if a.State(b).Software == "forged" || a.State(b).State != mesh.StateDirect {
			t.Errorf("believed: %+v", a.State(b))
		}
		if got := b.State(evil).Version; got != 7 {
			t.Errorf("host2 has version %d", got)
		}
	})
}

func TestHelloMustMatchTheCertificate(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		_, a, b, evil := victims(t)
		for what, change := range map[string]func(*wire.Hello){
			"id":      func(h *wire.Hello) { h.ID = b.Credentials.ID() },
			"name":    func(h *wire.Hello) { h.Name = "host2" },
			"network": func(h *wire.Hello) { h.Network[0]++ },
		} {
			i := intrude(t, evil, a)
			h := i.hello()
			change(&h)
			i.send(wire.KindHello, h.Append(nil))
			i.mustBeRefused(wire.RefuseProtocol, map[string]string{"id": "claims", "name": "claims", "network": "network"}[what])
		}
		i := intrude(t, evil, a)
		h := i.hello()
		later := h.Append(nil)
		later[0]++
		i.send(wire.KindHello, later)
		i.mustBeRefused(wire.RefuseProtocol, "update")
		if len(a.Links()) != 1 {
			t.Errorf("%+v", a.Links())
		}
	})
}

func TestBadMessagesEndTheLink(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, _, evil := victims(t)
		for _, bad := range []string{
			"\x00\x00\x00\x00\x01",         // no length
			"\xff\xff\xff\xff\x03",         // 4 GiB
			"\x00\x00\x00\x02\x03\x00",     // half a count
			"\x00\x00\x00\x01\x04",         // empty digest
			"\x00\x00\x00\x02\x09\x00",     // short ping
			"\x00\x00\x00\x03\x06\x00\x00", // short packet
			"\x00\x00\x00\x01\x01",         // another hello
		} {
			i := intrude(t, evil, a).greet()
			if _, err := i.stream.Write([]byte(bad)); err != nil {
				t.Fatal(err)
			}
			if !i.hungUp() {
				t.Errorf("%q is accepted", bad)
			}
			c.Await(patience, "the link is gone", func() bool { return len(a.Links()) == 1 })
		}
	})
}

func TestStrangeMessagesAreCountedAndIgnored(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, evil := victims(t)
		i := intrude(t, evil, a).greet()
		i.send(200, []byte("of a later version"))
		looped := wire.Routed{From: evil.Credentials.ID(), To: b.Credentials.ID(), Hops: 0}
		i.send(wire.KindChannel, looped.Append(nil))
		lost := wire.Routed{From: evil.Credentials.ID(), To: 12345, Hops: 9}
		i.send(wire.KindChannel, lost.Append(nil))
		i.send(wire.KindRevocations, []byte("nonsense"))
		packet := wire.Routed{From: evil.Credentials.ID(), To: a.Credentials.ID(), Payload: []byte("\x09 not memberlist's")}
		i.send(wire.KindPacket, packet.Append(nil))
		for _, head := range []string{"", "\x01\x03...", "\x02", string(wire.Stream{From: 1, To: 12345, Hops: 3, Service: "x"}.Append(nil)), string(wire.Stream{From: 1, To: b.Credentials.ID(), Service: "x"}.Append(nil))} {
			s, err := i.session.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write([]byte(head))
			s.Close()
		}
		s, _ := i.session.OpenStream()
		s.Write(wire.Stream{From: 1, To: a.Credentials.ID(), Service: "membership"}.Append(nil))
		s.Write([]byte("\x06\x83\xa5Nodes\xd2\xff\xff\xff\xff\xacUserStateLen\x00\xa4Join\xc2")) // -1 nodes: memberlist would panic
		s, _ = i.session.OpenStream()
		s.Write(wire.Stream{From: 1, To: a.Credentials.ID(), Service: "membership"}.Append(nil))
		s.Write([]byte("\x06\x83\xa5Nodes\xce\x7f\xff\xff\xff\xacUserStateLen\x00\xa4Join\xc2")) // two billion
		c.Pass(3 * time.Second)
		want := map[string]uint64{
			"message: unknown kind": 1, "relay: too many hops": 1, "relay: unreachable": 1, "revocations: certificate": 1,
			"stream: malformed": 3, "stream: unreachable": 1, "stream: too many hops": 1, "membership stream: refused": 2,
		}
		for reason, n := range want {
			if got := a.Drops()[reason]; got != n {
				t.Errorf("%s: %d, want %d", reason, got, n)
			}
		}
		if len(a.Links()) != 2 {
			t.Errorf("%d links: %v", len(a.Links()), a.Drops())
		}
	})
}

func TestSilentCallersDoNotStay(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, _, evil := victims(t)
		for range 40 {
			if _, err := evil.Host.Dial(t.Context(), "tcp", a.Addr()); err != nil {
				t.Fatal(err)
			}
		}
		c.Pass(time.Second)
		if n := a.Drops()["caller: too many at once"]; n != 40-16 {
			t.Errorf("%d were sent away", n)
		}
		other := c.Add("host4")
		other.Start(a)
		c.Await(5*time.Second, "another host gets in", c.Whole)
		c.Pass(15 * time.Second) // the limit of a handshake is 10 s
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		raw, err := evil.Host.Dial(ctx, "tcp", a.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := evil.Credentials.Connect(ctx, raw, nil); err != nil {
			t.Errorf("the silent ones are still there: %v", err)
		}
	})
}

func TestLinksAreBounded(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 4)
		p[0].Config.MaxLinks = 2
		for _, q := range p[1:] {
			q.Config.Advertise = []string{} // only host1 can be called
		}
		p[0].Start()
		p[1].Start(p[0])
		p[2].Start(p[0])
		c.Await(patience, "two are in", func() bool { return len(p[0].Links()) == 2 })
		p[3].Start(p[0])
		c.Await(patience, "the third is told", func() bool {
			err := p[3].Attempts()[0].Err
			return err != nil && strings.Contains(err.Error(), "as many links")
		})
		p[1].Stop()
		c.Await(patience, "there is room", func() bool { return p[0].State(p[3]).State == mesh.StateDirect })
	})
}

// TestAntiEntropy plays a neighbour that says nothing by itself, and then one that knows something.
func TestAntiEntropy(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		_, a, _, evil := victims(t)
		i := intrude(t, evil, a).greet()
		first := i.hears(100 * time.Millisecond)
		if len(first[wire.KindRecords]) == 0 || len(first[wire.KindDigest]) == 0 {
			t.Errorf("at first came %v", first)
		}
		later := i.hears(20 * time.Second)
		if n := len(later[wire.KindDigest]); n < 3 { // half of 20, to one of two neighbours
			t.Errorf("%d digests in 20 s", n)
		}
		if n := len(later[wire.KindRecords]); n > 0 {
			t.Errorf("nothing is news, and %d messages tell it", n)
		}

		i.send(wire.KindDigest, wire.Digest{Answer: true, Entries: []wire.DigestEntry{{ID: 1, UID: 1, Version: 1}}}.Append(nil))
		got := i.hears(100 * time.Millisecond)
		d, err := wire.ParseDigestMessage(got[wire.KindDigest][0])
		if err != nil || d.Answer || len(d.Entries) != 2 {
			t.Errorf("the answer is %+v, %v", d, err)
		}
		records, err := wire.ParseRecords(got[wire.KindRecords][0])
		if err != nil || len(records) != 2 {
			t.Errorf("%d records, %v", len(records), err)
		}
		i.send(wire.KindDigest, wire.Digest{Entries: []wire.DigestEntry{{ID: 1, UID: 1, Version: 1}}}.Append(nil))
		if got := i.hears(100 * time.Millisecond); len(got[wire.KindDigest]) > 0 {
			t.Error("a digest that wants no answer got one")
		}
	})
}

// TestHelloSerials makes a second connection to a peer that believes in the first.
func TestHelloSerials(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, _, evil := victims(t)
		connect := func(uid drawbridge.PeerUID, serial uint64) (*intruder, wire.Kind) {
			i := intrude(t, evil, a)
			h := i.hello()
			h.UID, h.Serial = uid, serial
			i.send(wire.KindHello, h.Append(nil))
			k, _, err := wire.ReadMessage(i.stream, nil)
			if err != nil {
				t.Fatal(err)
			}
			return i, k
		}
		first, _ := connect(1, 5)
		if late, k := connect(1, 3); k != wire.KindRefuse || !late.hungUp() {
			t.Errorf("an older hello got %s", k)
		}
		if len(a.Links()) != 2 || first.session.IsClosed() {
			t.Error("the link is gone")
		}
		second, k := connect(1, 6)
		if k != wire.KindHello || !first.hungUp() {
			t.Errorf("a newer hello got %s", k)
		}
		third, k := connect(2, 1)
		if k != wire.KindHello || !second.hungUp() {
			t.Errorf("the hello of a new run got %s", k)
		}
		c.Pass(time.Second)
		if len(a.Links()) != 2 || third.session.IsClosed() || a.Plane.Doubled() > 0 {
			t.Errorf("%d links, %d doubled", len(a.Links()), a.Plane.Doubled())
		}
	})
}

func TestRemovedPeerIsCutOffEvenIfItStays(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, _, evil := victims(t)
		i := intrude(t, evil, a).greet()
		record := wire.Record{Name: "host3", ID: evil.Credentials.ID(), UID: 1, Version: 1}
		i.records(wire.SealRecord(&record, evil.Credentials.Certificate().Raw, evil.Credentials.Private))
		c.Await(patience, "known", func() bool { return a.State(evil).Version == 1 })
		if err := a.Forget(t.Context(), "host3"); err != nil {
			t.Fatal(err)
		}
		got := i.hears(2500 * time.Millisecond)
		if len(got[wire.KindRefuse]) != 1 || !i.session.IsClosed() {
			t.Errorf("got %v", got)
		}
		raw, err := evil.Host.Dial(t.Context(), "tcp", a.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := evil.Credentials.Connect(t.Context(), raw, nil); !errors.Is(err, secure.ErrRevoked) {
			t.Errorf("calling again: %v", err)
		}
	})
}
