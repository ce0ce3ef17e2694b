package kernel

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// meet lets the stations know of each other.
func meet(l *lab, a, b *station) {
	l.t.Helper()
	for _, d := range [][2]*station{{a, b}, {b, a}} {
		f := d[0].frame(drawbridge.Broadcast)
		d[0].send(f)
		d[1].copies(nil, f)
	}
}

func TestGuestsReachEachOther(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	meet(l, a, b)
	before := l.count(1, "sent")
	f := a.frame(b.mac)
	a.send(f)
	b.copies(nil, f)
	if sent := l.count(1, "sent") - before; sent != 1 {
		t.Errorf("%d frames sent for one", sent)
	}
}

// star is peer 2 in the middle of three.
var star = [][2]Short{{1, 2}, {2, 3}, {2, 4}}

func TestFloodsArriveExactlyOnce(t *testing.T) {
	l := newLab(t, 4, star...)
	for _, from := range l.nodes {
		f, mark := from.host.frame(drawbridge.Broadcast), from.host.frame(drawbridge.Broadcast)
		from.host.send(f)
		from.host.send(mark)
		for s, d := range l.nodes {
			if d == from {
				continue
			}
			if n := d.host.copies(f, mark); n != 1 {
				t.Errorf("peer %d has %d copies of a flood of %d, want 1", s, n, from.short)
			}
			sign := d.host.frame(drawbridge.Broadcast)
			d.host.send(sign)
			if n := from.host.copies(f, sign); n != 0 {
				t.Errorf("%d has its own flood back %d times", from.short, n)
			}
		}
	}
	if t.Failed() {
		l.dump()
	}
}

func TestUnicastIsRelayedByTheMiddle(t *testing.T) {
	l := newLab(t, 4, star...)
	a, b, other := l.nodes[1].host, l.nodes[3].host, l.nodes[4].host
	meet(l, a, b)
	f, mark := a.frame(b.mac), a.frame(drawbridge.Broadcast)
	a.send(f)
	a.send(mark)
	if n := b.copies(f, mark); n != 1 {
		t.Errorf("%d copies at the destination, want 1", n)
	}
	if n := other.copies(f, mark); n != 0 {
		t.Errorf("%d copies elsewhere, want none", n)
	}
	if n := l.count(2, "relayed"); n != 1 {
		t.Errorf("the middle relayed %d frames, want 1", n)
	}
}

func TestTagsAreKept(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	meet(l, a, b)
	for _, tags := range [][]uint32{{0x8100002a}, {0x8100e02a}, {0x88a80064, 0x8100002a}, {0x81000001, 0x81000002}} {
		for _, to := range []drawbridge.MAC{b.mac, drawbridge.Broadcast} {
			f, mark := a.frame(to, tags...), a.frame(drawbridge.Broadcast)
			a.send(f)
			a.send(mark)
			if n := b.copies(f, mark); n != 1 {
				t.Errorf("tags %x to %s: %d copies that have them, want 1", tags, to, n)
			}
		}
	}
}

func TestSegmentIsReachedThroughItsGateway(t *testing.T) {
	l := newLab(t, 3, [2]Short{1, 2}, [2]Short{2, 3})
	v := l.onSegment(1, 2)
	l.gateway(1)
	guest := l.nodes[3].host
	meet(l, guest, v)
	for _, d := range [][2]*station{{guest, v}, {v, guest}} {
		f, mark := d[0].frame(d[1].mac), d[0].frame(drawbridge.Broadcast)
		d[0].send(f)
		d[0].send(mark)
		if n := d[1].copies(f, mark); n != 1 {
			t.Errorf("%s to %s: %d copies, want 1", d[0].name, d[1].name, n)
		}
	}
	if t.Failed() {
		l.dump()
	}
}

// Both gates stand open, which must never be: what was captured on a segment still does not go back to it.
func TestSplitHorizonHoldsWithTwoGatesOpen(t *testing.T) {
	l := newLab(t, 3, [2]Short{1, 2}, [2]Short{2, 3})
	v := l.onSegment(1, 2)
	l.gateway(2)
	l.gateway(1)
	guest := l.nodes[3].host
	f, mark := v.frame(drawbridge.Broadcast), v.frame(drawbridge.Broadcast)
	v.send(f)
	v.send(mark)
	guest.copies(nil, mark)
	back := l.nodes[1].host.frame(drawbridge.Broadcast) // its arrival says that all before it is done with
	l.nodes[1].host.send(back)
	if n := v.copies(f, back); n != 0 {
		t.Errorf("the segment has its own frame back %d times", n)
	}
	if n := l.count(2, "split_horizon"); n == 0 {
		t.Error("split horizon had nothing to do: the test tests nothing")
	}
}

func TestFramesOfAnOldTenureAreDropped(t *testing.T) {
	l := newLab(t, 3, [2]Short{1, 2}, [2]Short{2, 3})
	v := l.onSegment(1)
	l.gateway(1)
	guest := l.nodes[3].host
	meet(l, guest, v)
	must(t, l.nodes[3].e.Apply(l.table(3))) // without a gateway
	f, mark := v.frame(drawbridge.Broadcast), l.nodes[2].host.frame(drawbridge.Broadcast)
	v.send(f)
	l.nodes[2].host.copies(nil, f)
	l.nodes[2].host.send(mark)
	if n := guest.copies(f, mark); n != 0 {
		t.Errorf("%d frames of a gateway whose tenure is over arrived", n)
	}
	if n := l.count(3, "stale_epoch"); n != 1 {
		t.Errorf("stale_epoch counts %d, want 1", n)
	}
}

func TestEchoesAreDropped(t *testing.T) {
	l := newLab(t, 3, [2]Short{1, 2}, [2]Short{2, 3})
	a, b, c := l.nodes[1].host, l.nodes[2].host, l.nodes[3].host
	f, forged, mark := a.frame(drawbridge.Broadcast), b.frame(drawbridge.Broadcast), b.frame(drawbridge.Broadcast)
	copy(forged[6:], a.mac[:]) // as a loop behind peer 2 would bring it back
	a.send(f)
	b.copies(nil, f)
	b.send(forged)
	b.send(mark)
	for _, s := range []*station{a, c} {
		if n := s.copies(forged, mark); n != 0 {
			t.Errorf("%s has the echo %d times", s.name, n)
		}
	}
	if n := l.count(2, "echo"); n != 1 {
		t.Errorf("echo counts %d at the port, want 1", n)
	}
}

// The middle does not know yet that the address speaks elsewhere; the peer that its station is attached to drops it.
func TestEchoFromTheTunnelIsDropped(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	f, forged, mark := a.frame(a.mac), b.frame(drawbridge.Broadcast), b.frame(drawbridge.Broadcast)
	copy(forged[6:], a.mac[:])
	a.send(f) // to itself: learned at its port, and told nobody
	b.send(forged)
	b.send(mark)
	if n := a.copies(forged, mark); n != 0 {
		t.Errorf("the echo arrived %d times", n)
	}
	if n := l.count(1, "echo"); n != 1 {
		t.Errorf("echo counts %d, want 1", n)
	}
}

func TestFramesOfStrangersAreDropped(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	table := l.table(2)
	p := table.Peers[1]
	p.Remote = underlay(99) // not where peer 1 sends from
	table.Peers[1] = p
	must(t, l.nodes[2].e.Apply(table))
	f := a.frame(drawbridge.Broadcast)
	a.send(f)
	for deadline := time.Now().Add(patience); l.count(2, "unknown_peer") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("unknown_peer counts nothing")
		}
	}
	mark := a.frame(drawbridge.Broadcast)
	must(t, l.nodes[2].e.Apply(l.table(2)))
	a.send(mark)
	if b.copies(f, mark) != 0 {
		t.Error("a frame from an address that is nobody's arrived")
	}
}

// TestEnteredFramesAreFlooded: a drill's probes come from no station.
func TestEnteredFramesAreFlooded(t *testing.T) {
	l := newLab(t, 3, [2]Short{1, 2}, [2]Short{2, 3})
	v := l.onSegment(1)
	l.gateway(1)
	d := l.nodes[3]
	f := d.host.frame(drawbridge.Broadcast)
	enter := func(f drawbridge.Frame) {
		t.Helper()
		must(t, d.ns.Do(func() error { return d.e.Enter(d.ports["lan0"], f) }))
	}
	mark := d.host.frame(drawbridge.Broadcast)
	enter(f)
	enter(mark)
	for _, s := range []*station{v, l.nodes[1].host, l.nodes[2].host} {
		if n := s.copies(f, mark); n != 1 {
			t.Errorf("%s: %d copies, want 1", s.name, n)
		}
	}
	l.nodes[1].gate.Shut()
	refused := l.count(1, "gate_shut")
	enter(f)
	enter(mark)
	l.nodes[1].host.copies(nil, mark)
	if n := l.count(1, "gate_shut") - refused; n != 2 {
		t.Errorf("gate_shut counts %d at the gateway, want 2", n)
	}
	must(t, d.e.RemovePort(d.ports["lan0"]))
	if d.e.Enter(d.ports["lan0"], f) == nil {
		t.Error("a frame entered by a port that is none")
	}
}
