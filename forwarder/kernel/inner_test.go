package kernel

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func outside6(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd00:77::%d", i)) }

// TestOnlyTheInnerAddressIsServed: a known source is believed at the address that a protecting device has, and at no other of this host.
func TestOnlyTheInnerAddressIsServed(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b, d := l.nodes[1].host, l.nodes[2].host, l.nodes[2]
	for s, n := range l.nodes {
		must(t, n.ns.Address("wan0", netip.PrefixFrom(outside6(int(s)), 64)))
	}
	toOld, toInner := l.table(1), l.table(1)
	toInner = six(toInner, 2)
	must(t, d.e.Remove(), d.ns.Do(func() (err error) {
		d.e, err = Load(Options{Device: "dbk0", Port: 4790, Settle: 300 * time.Millisecond, Inner: outside6(2)})
		return err
	}))
	must(t, d.e.Take(Everything), d.e.Renew(time.Hour), d.addPort("lan0", Port{Self: 2, Gate: -1}))

	must(t, d.e.Apply(l.table(2))) // 1 is known by its IPv4 address, and sends to another one than the inner
	f, mark := a.frame(drawbridge.Broadcast), a.frame(drawbridge.Broadcast)
	must(t, l.nodes[1].e.Apply(toOld))
	l.dropped(a, f)

	must(t, d.ns.Address("wan0", netip.PrefixFrom(outside6(3), 64)), d.e.Apply(six(l.table(2), 1)))
	toOther := six(l.table(1), 2)
	p := toOther.Peers[2]
	p.Remote = outside6(3)
	toOther.Peers[2] = p
	must(t, l.nodes[1].e.Apply(toOther))
	l.dropped(a, f)

	must(t, l.nodes[1].e.Apply(toInner))
	a.send(mark)
	if b.copies(f, mark) != 0 {
		t.Error("a frame to another address of this host arrived")
	}
}

// six has the neighbour reached by IPv6.
func six(t Table, neighbour Short) Table {
	p := t.Peers[neighbour]
	p.Remote = outside6(int(neighbour))
	t.Peers[neighbour] = p
	return t
}

// dropped sends a frame that peer 2 must take for a stranger's.
func (l *lab) dropped(a *station, f drawbridge.Frame) {
	l.t.Helper()
	before := l.count(2, "unknown_peer")
	a.send(f)
	for deadline := time.Now().Add(patience); l.count(2, "unknown_peer") == before; {
		if time.Now().After(deadline) {
			l.t.Fatal("unknown_peer counts nothing")
		}
	}
}
