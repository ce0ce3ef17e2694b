package transit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// pairOfStills is a sender 1 and a hearer 2 with a link between them.
func pairOfStills(t testing.TB) (a, b *still) {
	t.Helper()
	a, b = newStill(t, 1), newStill(t, 2)
	a.neighbour(2, 7)
	b.neighbour(1, 7)
	return a, b
}

// frameDatagram is a whole frame from a to b, sealed.
func frameDatagram(a *still) []byte {
	a.s.Send(&drawbridge.Header{Dest: 2, VNI: 5}, &drawbridge.Packet{Frame: frameOf(60)})
	return a.sealed()[0].data
}

// since is what n dropped beyond before.
func since(n *still, before map[string]uint64) map[string]uint64 {
	d := n.Drops()
	for reason, count := range before {
		if d[reason] -= count; d[reason] == 0 {
			delete(d, reason)
		}
	}
	return d
}

func wantDrops(t *testing.T, n *still, before map[string]uint64, want map[string]uint64) {
	t.Helper()
	if d := since(n, before); !maps.Equal(d, want) {
		t.Errorf("dropped %v, want %v", d, want)
	}
}

// TestTruncatedAndChangedDatagrams cuts a datagram at every length and changes each of its octets: nothing is
// delivered, everything is counted under the reason that one sees at that place, and the link lives on.
func TestTruncatedAndChangedDatagrams(t *testing.T) {
	a, b := pairOfStills(t)
	d := frameDatagram(a)
	hear := func(what, reason string, d []byte) {
		t.Helper()
		before := b.Drops()
		if got := b.hear(d); len(got) != 0 {
			t.Errorf("%s: delivered %+v", what, got)
		}
		wantDrops(t, b, before, map[string]uint64{reason: 1})
	}
	for n := range d {
		reason := "forged"
		if n < clearLen+secure.TagLen {
			reason = "short_datagram"
		}
		hear(fmt.Sprint("cut at ", n), reason, d[:n])
	}
	hear("one octet more", "forged", append(bytes.Clone(d), 0))
	for i := range d {
		reason := "forged"
		switch {
		case i == 0:
			reason = "unknown_version"
		case i < 5:
			reason = "unknown_key"
		}
		for bit := range 8 {
			c := bytes.Clone(d)
			c[i] ^= 1 << bit
			want := reason
			if c[0] == version<<4|kindHeartbeat || c[0] == version<<4|kindBundle {
				want = "forged"
			}
			hear(fmt.Sprintf("octet %d bit %d", i, bit), want, c)
		}
	}
	if got := b.hear(d); len(got) != 1 {
		t.Errorf("what was sent is no longer taken: %v", b.Drops())
	}
}

// TestReplays hears datagrams again, late and much too late.
func TestReplays(t *testing.T) {
	a, b := pairOfStills(t)
	const window = 8192
	var all [][]byte
	for range window + 2 {
		all = append(all, frameDatagram(a))
	}
	if got := b.hear(all[3], all[2], all[1]); len(got) != 3 {
		t.Fatalf("three that were reordered: %d came", len(got))
	}
	for i := 1; i <= 3; i++ {
		if got := b.hear(all[i]); len(got) != 0 {
			t.Errorf("%d came twice", i)
		}
	}
	if got := b.hear(all[window+1], all[4], all[window+1]); len(got) != 2 {
		t.Errorf("the newest, and one as old as may be: %d came", len(got))
	}
	if got := b.hear(all[0]); len(got) != 0 {
		t.Error("one from below the window came")
	}
	wantDrops(t, b, nil, map[string]uint64{"replayed": 5})
}

// TestThreadsHaveWindowsOfTheirOwn sends by two threads under one key: the one that is far ahead does not
// make the other's datagrams old.
func TestThreadsHaveWindowsOfTheirOwn(t *testing.T) {
	a, b := pairOfStills(t)
	a.links[2].tx.Load().counters[a.s.thread].n = 1 << 20
	if got := b.hear(frameDatagram(a)); len(got) != 1 {
		t.Fatal("lost")
	}
	a.s = a.Sender()
	d := frameDatagram(a)
	if got := b.hear(d); len(got) != 1 {
		t.Error("the slower thread is taken for a replay")
	}
	if got := b.hear(d); len(got) != 0 {
		t.Error("the slower thread can be replayed")
	}
}

// TestAForgedCounterDoesNotMoveTheWindow tries to make true datagrams look old.
func TestAForgedCounterDoesNotMoveTheWindow(t *testing.T) {
	a, b := pairOfStills(t)
	d := frameDatagram(a)
	forged := bytes.Clone(d)
	forged[6] = 0xff // counter
	b.hear(forged)
	if got := b.hear(d); len(got) != 1 {
		t.Errorf("refused after a forged one: %v", b.Drops())
	}
}

// TestMalformedMetaIsCounted seals metas that contradict themselves.
func TestMalformedMetaIsCounted(t *testing.T) {
	_, b := pairOfStills(t)
	l := b.links[1]
	good := meta{hops: 16, origin: 1, total: 1}
	for name, change := range map[string]func(m *meta){
		"no origin":                func(m *meta) { m.origin = 0 },
		"eighth flag":              func(m *meta) { m.flags = 0x80 },
		"piece 1 of 1":             func(m *meta) { m.flags, m.index, m.total = flagPiece, 1, 1 },
		"piece 0 of 0":             func(m *meta) { m.flags, m.total = flagPiece, 0 },
		"headers longer than all":  func(m *meta) { m.flags, m.total, m.headerLen = flagPiece, 2, 61 },
		"nothing but headers":      func(m *meta) { m.flags, m.total, m.headerLen = flagPiece, 2, 60 },
		"flood to one":             func(m *meta) { m.flags, m.dest = flagFlood|flagDest, 3 },
		"mark without flood":       func(m *meta) { m.flags = flagMark },
		"segments of nothing":      func(m *meta) { m.flags = flagMSS },
		"super-frame in one piece": func(m *meta) { m.flags, m.offload, m.csumStart = flagOffload, owedChecksum|1, 34 },
		"sum outside":              func(m *meta) { m.flags, m.offload, m.csumStart = flagOffload, owedChecksum, 50 },
		"slices without offload":   func(m *meta) { m.flags, m.total, m.headerLen = flagPiece, 2, 54 },
	} {
		m, before := good, b.Drops()
		change(&m)
		if got := b.hear(b.seal(l, kindFrame, m.append(make([]byte, 60)))); len(got) != 0 {
			t.Errorf("%s: delivered", name)
		}
		if d := since(b, before); d["malformed"] != 1 {
			t.Errorf("%s: dropped %v", name, d)
		}
	}
	for n := range fixedLen {
		b.hear(b.seal(l, kindFrame, make([]byte, n)))
	}
	before := b.Drops()
	b.hear(b.seal(l, kindFrame, good.append(make([]byte, 13))))
	b.hear(b.seal(l, kindHeartbeat, make([]byte, heartbeatLen-1)))
	wantDrops(t, b, before, map[string]uint64{"malformed": 2})
	if got := b.hear(b.seal(l, kindFrame, good.append(make([]byte, 14)))); len(got) != 1 {
		t.Error("the shortest frame is not taken")
	}
}

// TestMetaThatDoesNotFit cuts metas with every combination of parts at every length.
func TestMetaThatDoesNotFit(t *testing.T) {
	for flags := range uint8(0x20) {
		whole := (&meta{flags: flags, origin: 1, mss: 1, total: 1}).append(nil)
		for n := range whole {
			if _, ok := new(meta).parse(whole[n:]); ok != (n == 0) {
				t.Errorf("flags %02x without the first %d octets: %v", flags, n, ok)
			}
		}
	}
	for _, m := range []meta{{flags: flagPiece, origin: 1, index: 1, total: 1}, {flags: flagPiece, origin: 1, index: 200, total: 100}, {flags: flagPiece, origin: 1}} {
		if _, ok := new(meta).parse(m.append(nil)); ok {
			t.Errorf("piece %d of %d", m.index, m.total)
		}
	}
}

// TestARunCannotTakeAllMemory begins one of more octets than a frame may have.
func TestARunCannotTakeAllMemory(t *testing.T) {
	_, b := pairOfStills(t)
	f := superFrame{payload: 1000, mss: 500}.packet().Frame
	m := meta{flags: flagPiece | flagOffload, hops: 9, origin: 1, offload: owedChecksum | 1, csumStart: 34, total: 128, headerLen: 54}
	if got := b.hear(b.seal(b.links[1], kindFrame, m.append(append(bytes.Clone(f[54:]), f[:54]...)))); len(got) != 0 {
		t.Error("delivered")
	}
	wantDrops(t, b, nil, map[string]uint64{"malformed": 1})
}

// TestAnEchoOfNothing hears that the far end heard what was never said.
func TestAnEchoOfNothing(t *testing.T) {
	_, b := pairOfStills(t)
	h := make([]byte, heartbeatLen)
	for _, echo := range []uint64{uint64(time.Hour.Microseconds()) + 1, 1 << 63, ^uint64(0)} {
		binary.BigEndian.PutUint64(h[12:], echo)
		b.r.now = time.Hour
		b.r.datagram(b.seal(b.links[1], kindHeartbeat, h), -1)
	}
	wantDrops(t, b, nil, map[string]uint64{"malformed": 3})
	if l := b.links[1]; l.beat.echoed || l.beat.rtt != 0 {
		t.Errorf("believed: %+v", l.beat)
	}
}

// TestOnlyTheNewestHeartbeatMovesALink hears some from other addresses: late ones, as after a reordering, and
// what is no heartbeat at all.
func TestOnlyTheNewestHeartbeatMovesALink(t *testing.T) {
	n := newStill(t, 1)
	l := n.neighbour(2, 7)
	heartbeat := func(seq uint32, from string) netip.AddrPort {
		h := make([]byte, heartbeatLen)
		binary.BigEndian.PutUint32(h, seq)
		l.takeHeartbeat(h, netip.MustParseAddrPort(from), 0, 100, time.Second)
		return l.State().Remote
	}
	for _, tc := range []struct {
		seq        uint32
		from, want string
	}{
		{10, "192.0.2.1:1000", "192.0.2.1:1000"},
		{9, "192.0.2.2:1000", "192.0.2.1:1000"},
		{10, "192.0.2.2:1000", "192.0.2.1:1000"},
		{11, "192.0.2.1:2000", "192.0.2.1:2000"},
		{13, "192.0.2.3:2000", "192.0.2.3:2000"},
		{12, "192.0.2.1:2000", "192.0.2.3:2000"},
	} {
		if got := heartbeat(tc.seq, tc.from); got != netip.MustParseAddrPort(tc.want) {
			t.Errorf("number %d from %s: sends to %v, want %s", tc.seq, tc.from, got, tc.want)
		}
	}
}

// TestOwnFrames hears what it sent, as a loop of routes or of floods would bring it back.
func TestOwnFrames(t *testing.T) {
	n := newStill(t, 1)
	l := n.neighbour(2, 7)
	for _, m := range []meta{
		{hops: 9, origin: 1, total: 1},
		{hops: 9, origin: 1, total: 1, flags: flagFlood},
		{hops: 9, origin: 1, total: 1, flags: flagDest, dest: 2},
	} {
		if got := n.hear(n.seal(l, kindFrame, m.append(frameOf(60)))); len(got) != 0 || len(n.sealed()) != 0 {
			t.Errorf("%v was delivered or passed on", &m)
		}
	}
	wantDrops(t, n, nil, map[string]uint64{"own_frame": 3})
}

// TestKeyExhausted lets a thread use up its counters: it stops and says so, and a nonce is never used twice.
func TestKeyExhausted(t *testing.T) {
	a, b := pairOfStills(t)
	c := &a.links[2].tx.Load().counters[a.s.thread]
	c.n = lastCounter - 2
	s := superFrame{payload: 3000, mss: 1000}
	p := s.packet()
	a.s.Send(&drawbridge.Header{Dest: 2}, &p) // three datagrams, two counters are left
	if all := a.sealed(); len(all) != 0 || c.n != lastCounter-2 {
		t.Errorf("%d were sealed, counter %d", len(all), c.n)
	}
	wantDrops(t, a, nil, map[string]uint64{"key_exhausted": 3})
	for range 2 {
		if got := b.hear(frameDatagram(a)); len(got) != 1 {
			t.Error("one of the last two did not come")
		}
	}
	a.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: frameOf(60)})
	a.links[2].adopt(b.Addrs()[0])
	a.s.heartbeat(a.links[2], 0, false)
	if len(a.sealed()) != 0 {
		t.Error("sealed beyond the last counter")
	}
}
