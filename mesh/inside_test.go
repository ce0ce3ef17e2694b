package mesh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

func TestQueueIsBoundedAndKeepsControlBeforeData(t *testing.T) {
	q := newQueue()
	n := 0
	for ; q.push(wire.KindTransit, make([]byte, 1400)) == nil; n++ {
		if n > 1000 {
			t.Fatal("no bound")
		}
	}
	if err := q.push(wire.KindTransit, make([]byte, 1400)); !errors.Is(err, errQueueFull) {
		t.Error(err)
	}
	if err := q.push(wire.KindPing, nil); err != nil {
		t.Error(err)
	}
	if err := q.push(wire.KindRecords, make([]byte, wire.MaxMessage)); !errors.Is(err, wire.ErrMessage) {
		t.Error(err)
	}
	buf := q.take(nil)
	if k, _, err := wire.ReadMessage(bytes.NewReader(buf), nil); k != wire.KindPing {
		t.Errorf("first came %v, %v", k, err)
	}
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.flush(expired); err == nil {
		t.Error("flushed before all was written")
	}
	if buf = q.take(buf); len(buf) != 0 {
		t.Errorf("%d bytes left", len(buf))
	}
	if err := q.flush(expired); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	q.finish(errLeft)
	if err := q.push(wire.KindPing, nil); !errors.Is(err, errLinkGone) || q.finished() != errLeft {
		t.Error(err)
	}
	q.close()
	if q.finished() != errLeft {
		t.Error("the first reason counts")
	}
}

func TestQueueReusesItsMemory(t *testing.T) {
	q, buf, frame := newQueue(), []byte(nil), make([]byte, 1400)
	turn := func() {
		for range 20 {
			if err := q.push(wire.KindTransit, frame); err != nil {
				t.Fatal(err)
			}
		}
		buf = q.take(buf)
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n > 0 {
		t.Errorf("%v allocations for 20 frames", n)
	}
}

func TestDoorIsFair(t *testing.T) {
	var d door
	at := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	for i := range maxFromOneSite {
		if !d.enter(at(fmt.Sprintf("[2001:db8::%d]:1", i))) {
			t.Fatal(i)
		}
	}
	if d.enter(at("[2001:db8::ffff]:1")) {
		t.Error("one site takes more than its share")
	}
	for i := maxFromOneSite; i < maxCallers; i++ {
		if !d.enter(at(fmt.Sprintf("192.0.2.%d:1", i))) {
			t.Fatal(i)
		}
	}
	if d.enter(at("198.51.100.1:1")) {
		t.Error("no bound for all")
	}
	d.leave(at("[2001:db8::5]:1"))
	if !d.enter(at("198.51.100.1:1")) {
		t.Error("who leaves makes no room")
	}
}

func TestBackOff(t *testing.T) {
	now := time.Unix(0, 0)
	for _, join := range []bool{true, false} {
		tg := target{join: join}
		limit := foundWait
		if join {
			limit = joinWait
		}
		last := time.Duration(0)
		for range 100 {
			tg.backOff(now, 0)
			least := tg.next.Sub(now)
			tg.tries--
			tg.backOff(now, 0.999)
			most := tg.next.Sub(now)
			if least < last || most > limit || most < least {
				t.Fatalf("join %v, try %d: %s to %s", join, tg.tries, least, most)
			}
			last = least
		}
		if last != limit/2 {
			t.Errorf("join %v ends at %s", join, last)
		}
		tg.observe(now, true)
		tg.observe(now.Add(settled), false)
		if wait := tg.next.Sub(now.Add(settled)); wait > firstWait {
			t.Errorf("after a link that held, the next call is in %s", wait)
		}
		tg.tries = 5
		tg.observe(now, true)
		tg.observe(now.Add(settled-1), false)
		if tg.tries != 6 {
			t.Errorf("a link that did not hold is no success")
		}
	}
}

func TestBroadcastsAreRememberedForAWhile(t *testing.T) {
	var r recent
	for i := range uint64(3 * maxRecent) {
		if m := (mark{1, 2, i}); !r.add(m) || r.add(m) {
			t.Fatal(i)
		}
	}
	if len(r.known) > maxRecent {
		t.Errorf("%d known", len(r.known))
	}
}

func TestAddressesOfPeersReadBack(t *testing.T) {
	for _, id := range []drawbridge.PeerID{1, 0x7f000001, 0xe0000001, 0xffffffff} {
		if got, err := peerAt(address(id).String()); got != id || err != nil {
			t.Errorf("%s: %s, %v", id, got, err)
		}
		if got, err := nodeID(id.String()); got != id || err != nil {
			t.Errorf("%s: %s, %v", id, got, err)
		}
	}
	for _, bad := range []string{"", "192.0.2.1:1", "[2001:db8::1]:1", "host:1"} {
		if id, err := peerAt(bad); err == nil {
			t.Errorf("%q is peer %s", bad, id)
		}
		if id, err := nodeID(bad); err == nil {
			t.Errorf("%q is peer %s", bad, id)
		}
	}
}

func TestStatesReadBack(t *testing.T) {
	b := []byte{0, 0, 0, 9, 4, 'i', 'p', 'a', 'm', 0, 0, 0, 2, 'x', 'y', 1, 'z', 0, 0, 0, 0}
	from, states, err := parseStates(b)
	want := []channelState{{"ipam", []byte("xy")}, {"z", []byte{}}}
	if from != 9 || err != nil || !reflect.DeepEqual(states, want) {
		t.Errorf("%v %q %v", from, states, err)
	}
}

// TestRemovedPeersAreNotRemembered: others that are dead are, whatever memberlist forgets.
func TestRemovedPeersAreNotRemembered(t *testing.T) {
	c, err := secure.Found(t.TempDir(), "n", "host1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := New(Config{Credentials: c, Plane: struct{ Plane }{}, Listen: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	dead := func(id drawbridge.PeerID) {
		r.members.note(&memberlist.Node{Name: id.String()}, MemberAlive)
		r.members.note(&memberlist.Node{Name: id.String()}, MemberDead)
	}
	dead(7)
	for id := drawbridge.PeerID(100); id < 200; id++ {
		dead(id)
		if err := c.Revoke("host2", id, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.removed([]secure.Revocation{{ID: id, Name: "host2"}}, nil)
		if known := r.members.known(); len(known) != 1 || known[7] != MemberDead {
			t.Fatalf("%v after peer %s was removed", known, id)
		}
		dead(id) // memberlist finds out later
	}
	if known := r.members.known(); len(known) != 1 {
		t.Errorf("%v", known)
	}
}

// FuzzMembership feeds what reaches us inside of memberlist's messages and streams.
func FuzzMembership(f *testing.F) {
	f.Add([]byte{0, 0, 0, 9, 4, 'i', 'p', 'a', 'm', 0, 0, 0, 2, 'x', 'y'})
	f.Add(broadcast{mark{1, 2, 3}, wire.AppendChannel(nil, "ipam", []byte("x"))}.Message())
	f.Add([]byte("\x06\x83\xa5Nodes\x01\xacUserStateLen\x00\xa4Join\xc2\x82\xa4Name\xa800000001\xa5State\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, states, err := parseStates(b); err == nil {
			size := 4
			for _, s := range states {
				size += 1 + len(s.channel) + 4 + len(s.state)
			}
			if size != len(b) {
				t.Fatalf("%d bytes make %d", len(b), size)
			}
		}
		if got, ok := parseBroadcast(b); ok && !bytes.Equal(got.Message(), b) {
			t.Fatalf("% x reads as % x", b, got.Message())
		}
		readNodes(io.MultiReader(bytes.NewReader(b)), map[drawbridge.PeerID]string{})
	})
}
