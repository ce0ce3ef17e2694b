package forwarder

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func macKey(number int) key { return key{mac: uint64(number) + 2<<40, vni: 7} }

func TestAnAddressAgesByItsSilence(t *testing.T) {
	f, g := hosts(t, 2)
	n := f.nodes[0]
	g[0].say(drawbridge.Broadcast, 0)
	g[1].say(drawbridge.Broadcast, 0)
	for range 10 { // one of them goes on speaking
		f.now += maxAge / 10
		g[0].say(g[1].mac, 1)
		n.sw.Age()
	}
	if n.sw.Len() != 2 {
		t.Fatalf("%d addresses at exactly %v", n.sw.Len(), maxAge)
	}
	f.now++
	n.sw.Age()
	if all := n.sw.MACs(); len(all) != 1 || all[0].MAC != g[0].mac || all[0].Learned != maxAge+1 || all[0].Seen > time.Second {
		t.Errorf("%+v", all)
	}
	g[1].heard(0)
	g[0].say(g[1].mac, 2) // it is flooded now
	if h := f.log[len(f.log)-1].header; h.Dest != 0 {
		t.Errorf("sent as %+v", h)
	}
	g[1].expect(2, 1)
}

func TestAnAddressMovesWhenItWasSilent(t *testing.T) {
	f, g := hosts(t, 3)
	w := f.wires[2]
	g[1].say(drawbridge.Broadcast, 0)
	guest := &station{port: w.Attach("moved"), mac: g[1].mac, wire: w} // it is at peer 3 now
	w.stations = append(w.stations, guest)
	f.now += settle - 1
	guest.say(drawbridge.Broadcast, 1)
	g[0].expect(1, 0) // too soon: it looks like an echo
	if n := w.ports[0].dropped(dropEcho); n != 1 {
		t.Errorf("%d echoes at the port", n)
	}
	f.now++
	guest.say(drawbridge.Broadcast, 2)
	g[0].expect(2, 1)
	for i, n := range f.nodes {
		for _, m := range n.sw.MACs() {
			if m.MAC == guest.mac && (m.Moves != 1 || m.Learned != 0 || (i == 2) == (m.Port == "") || (i != 2) != (m.Peer == 3)) {
				t.Errorf("peer %d: %+v", i+1, m)
			}
		}
	}
	if a, b := f.wires[1].ports[0].Status().MACs, w.ports[0].Status().MACs; a != 0 || b != 1 {
		t.Errorf("%d addresses at the old port, %d at the new", a, b)
	}
	g[0].say(guest.mac, 3)
	guest.expect(3, 1)
	g[1].expect(3, 0)
}

// TestASpeakingAddressStays: the time that counts is that of the last frame, to within seenEvery.
func TestASpeakingAddressStays(t *testing.T) {
	sw := newTable()
	c := cache{table: &sw}
	here, there := &place{peer: 1}, &place{peer: 2}
	now := time.Second
	for range 100 {
		if pass, learned := c.learn(macKey(1), here, now); !pass || !learned {
			t.Fatal("refused where it is")
		}
		now += settle - seenEvery - 1
		if pass, _ := c.learn(macKey(1), there, now); pass {
			t.Fatal("moved while it spoke")
		}
	}
	now += settle
	if pass, learned := c.learn(macKey(1), there, now); !pass || !learned {
		t.Fatal("did not move")
	}
	if pass, _ := c.learn(macKey(1), here, now-time.Second); pass { // another goroutine's clock, behind
		t.Fatal("moved back into the past")
	}
}

func TestTheTableHasLimits(t *testing.T) {
	port := &Attached{}
	seg := newSegment(segmentKey{1, 7}, &Config{})
	for name, c := range map[string]struct {
		at   *place
		most int
	}{
		"port": {&place{port: port}, maxPerPort}, "segment": {&seg.at, maxPerSegment}, "peer": {&place{peer: 9}, maxPerPeer},
	} {
		tab := newTable()
		u := cache{table: &tab}
		for i := range c.most {
			if _, learned := u.learn(macKey(i), c.at, 1); !learned {
				t.Fatalf("%s: %d addresses", name, i)
			}
		}
		if pass, learned := u.learn(macKey(c.most), c.at, 1); !pass || learned {
			t.Errorf("%s: one too many: passes %v, is learned %v", name, pass, learned)
		}
		other := &place{peer: 10}
		if _, learned := u.learn(macKey(c.most), other, 1); !learned {
			t.Errorf("%s: it has taken the room of others", name)
		}
		if pass, learned := u.learn(macKey(c.most), c.at, time.Second); !pass || learned { // by moving it
			t.Errorf("%s: took one that it has no room for", name)
		}
		tab.forget(StepFlushed, 0, func(k key, _ *entry) bool { return k == macKey(0) })
		if _, learned := u.learn(macKey(c.most), c.at, time.Second); !learned {
			t.Errorf("%s: no room although one was forgotten", name)
		}
		tab.forget(StepFlushed, 0, func(key, *entry) bool { return true })
		if n := int(port.macs.Load()+seg.macs.Load()) + len(tab.peers); n != 0 {
			t.Errorf("%s: %d left", name, n)
		}
	}
	tab := newTable()
	u := cache{table: &tab}
	for i := range maxMACs {
		u.learn(macKey(i), &place{peer: drawbridge.PeerID(1 + i%10)}, 1)
	}
	if pass, learned := u.learn(macKey(maxMACs), &place{peer: 99}, 1); tab.len() != maxMACs || !pass || learned {
		t.Errorf("%d addresses, one more passes %v, is learned %v", tab.len(), pass, learned)
	}
}

func TestAFullTableOnlyFloods(t *testing.T) {
	f, g := hosts(t, 2)
	f.wires[0].ports[0].macs.Store(maxPerPort)
	g[0].say(drawbridge.Broadcast, 1)
	g[1].expect(1, 1)
	if n := f.wires[0].ports[0].dropped(dropMACLimit); n != 1 || f.nodes[0].sw.Len() != 0 {
		t.Errorf("counted %d times, %d addresses", n, f.nodes[0].sw.Len())
	}
}

func TestAFlushForgetsWhatMatches(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	for _, s := range o.everywhere {
		s.say(drawbridge.Broadcast, 0)
	}
	sw := o.nodes[1].sw
	for i, c := range []struct {
		match func(MAC) bool
		want  int
	}{
		{func(m MAC) bool { return m.VNI != 7 }, 0},
		{func(m MAC) bool { return m.Segment != 0 && m.Port == o.a.name && m.Peer == 2 }, 1},
		{func(m MAC) bool { return m.MAC == o.guest.mac && m.Peer == 1 && m.Port == "" }, 1},
		{func(m MAC) bool { return m.Port == "p2.0" && m.Peer == 0 }, 1},
		{func(MAC) bool { return true }, 1},
	} {
		if n := sw.Flush(c.match); n != c.want {
			t.Errorf("step %d: %d forgotten, want %d", i, n, c.want)
		}
	}
	if sw.Len() != 0 || o.a.Status().MACs != 0 {
		t.Errorf("%d left", sw.Len())
	}
}

func TestACacheForgetsWithTheTable(t *testing.T) {
	tab := newTable()
	a, b := cache{table: &tab}, cache{table: &tab}
	here, there := &place{peer: 1}, &place{peer: 2}
	a.learn(macKey(1), here, 1)
	if a.find(macKey(1)) == nil || b.find(macKey(1)) == nil {
		t.Fatal("not found")
	}
	tab.forget(StepFlushed, 0, func(key, *entry) bool { return true })
	if a.find(macKey(1)) != nil || b.find(macKey(1)) != nil {
		t.Fatal("found after it was forgotten")
	}
	if _, learned := a.learn(macKey(1), there, 2); !learned { // at once: nobody remembers where it was
		t.Fatal("not learned again")
	}
	if e := b.find(macKey(1)); e == nil || e.at.Load() != there {
		t.Fatal("the old entry was found")
	}
	for i := range 4 * cacheSize { // many to a slot, also the same address in several overlays
		k := key{mac: uint64(i / 4), vni: drawbridge.VNI(i % 4)}
		a.learn(k, &place{peer: drawbridge.PeerID(i + 1)}, 3)
	}
	for i := range 4 * cacheSize {
		k := key{mac: uint64(i / 4), vni: drawbridge.VNI(i % 4)}
		if e := a.find(k); e == nil || e.at.Load().peer != drawbridge.PeerID(i+1) {
			t.Fatalf("%+v found as %+v", k, e)
		}
	}
}

// TestCachesNeverFindWhatWasForgotten: one goroutine forgets entries and then tells which, while others learn and
// find. An entry that was told of must not be found by who begins to look afterwards.
func TestCachesNeverFindWhatWasForgotten(t *testing.T) {
	const addresses, rounds = 8, 400
	tab := newTable()
	var forgotten [addresses]atomic.Pointer[entry]
	var group sync.WaitGroup
	stop := make(chan struct{})
	for seed := range uint64(3) {
		group.Go(func() {
			c, r := cache{table: &tab}, rand.New(rand.NewPCG(seed, 0))
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := r.IntN(addresses)
				old := forgotten[i].Load()
				if e := c.find(macKey(i)); e != nil && e == old {
					t.Errorf("address %d: found after it was forgotten", i)
					return
				}
				c.learn(macKey(i), &place{peer: 1}, 1)
				runtime.Gosched()
			}
		})
	}
	for round := range rounds {
		i := round % addresses
		e, _ := tab.insert(macKey(i), &place{peer: 1}, 1) // or what another has inserted
		runtime.Gosched()
		tab.forget(StepFlushed, 0, func(k key, _ *entry) bool { return k == macKey(i) })
		forgotten[i].Store(e)
	}
	close(stop)
	group.Wait()
}

// TestCountsAreRightAfterMovesAndForgetting has goroutines learn, move and forget the same addresses at once.
func TestCountsAreRightAfterMovesAndForgetting(t *testing.T) {
	tab := newTable()
	ports := []*Attached{{}, {}}
	seg := newSegment(segmentKey{1, 7}, &Config{})
	places := []*place{{port: ports[0]}, {port: ports[1]}, &seg.at, {peer: 1}, {peer: 2}}
	var clock atomic.Int64
	var group sync.WaitGroup
	for seed := range uint64(4) {
		group.Go(func() {
			c, r := cache{table: &tab}, rand.New(rand.NewPCG(seed, 1))
			for i := range 5000 {
				now := time.Duration(clock.Add(int64(settle)))
				c.learn(macKey(r.IntN(32)), places[r.IntN(len(places))], now)
				if i%16 == 0 {
					one := r.IntN(32)
					tab.forget(StepFlushed, 0, func(k key, _ *entry) bool { return k == macKey(one) })
				}
			}
		})
	}
	group.Wait()
	want := map[place]int{}
	for _, e := range tab.entries {
		want[*e.at.Load()]++
	}
	got := map[place]int{*places[0]: int(ports[0].macs.Load()), *places[1]: int(ports[1].macs.Load()), seg.at: int(seg.macs.Load())}
	for id, n := range tab.peers {
		got[place{peer: id}] = n
	}
	for _, p := range places {
		if got[*p] != want[*p] {
			t.Errorf("%+v: counted %d, are %d", *p, got[*p], want[*p])
		}
	}
}

func TestADetachedPortTakesNoAddresses(t *testing.T) {
	f, g := hosts(t, 2)
	at := f.wires[0].ports[0]
	at.Detach()
	g[0].say(drawbridge.Broadcast, 1) // its pump is still running
	g[1].expect(1, 0)
	var c cache
	c.table = &f.nodes[0].sw.table
	c.learn(macKey(1), &place{port: at.Attached}, f.now) // it had passed the check
	c.learn(macKey(2), &place{peer: 2}, f.now)
	c.learn(macKey(2), &place{port: at.Attached}, f.now+time.Second)
	if all := f.nodes[0].sw.MACs(); len(all) != 1 || all[0].Peer != 2 || at.macs.Load() != 0 {
		t.Errorf("%+v", all)
	}
}

func TestKeysAreWhatTheyWereMadeOf(t *testing.T) {
	m := drawbridge.MAC{0x02, 0x5e, 0x81, 0xff, 0x00, 0x7f}
	f := frame(m, address(0x1234), 0)
	k := keyOf(drawbridge.MaxVNI, f, 0)
	if k.address() != m || k.vni != drawbridge.MaxVNI || k.mac != binary.BigEndian.Uint64(append([]byte{0, 0}, m[:]...)) {
		t.Errorf("%+v", k)
	}
	if keyOf(1, f, 6).address() != address(0x1234) {
		t.Error("the source is another")
	}
}

// The story of an address tells where it was, and is bounded in length and number.
func TestStoriesTellOfMovesAndAreBounded(t *testing.T) {
	tab := newTable()
	c := cache{table: &tab}
	places := []*place{{peer: 7}, {peer: 8}}
	k := key{mac: 1, vni: 5}
	now := time.Second
	for i := range 3 {
		c.learn(k, places[i%2], now)
		now += settle
	}
	tab.forget(StepAged, now, func(key, *entry) bool { return true })
	var told []string
	for _, s := range tab.tales.of[k] {
		told = append(told, fmt.Sprint(s.what, " ", s.Peer))
	}
	if want := "[learned 00000007 moved 00000008 moved 00000007 aged 00000007]"; fmt.Sprint(told) != want {
		t.Errorf("%v, want %v", told, want)
	}
	for i := range 3 * maxSteps {
		c.learn(k, places[i%2], now)
		now += settle
	}
	if n := len(tab.tales.of[k]); n != maxSteps {
		t.Errorf("%d steps", n)
	}
	for i := range maxStories + 100 {
		k := key{mac: uint64(100 + i), vni: 5}
		c.learn(k, places[0], now)
		c.learn(k, places[1], now+settle)
	}
	c.learn(key{mac: 2, vni: 5}, places[0], now)
	if _, told := tab.tales.of[key{mac: 2, vni: 5}]; len(tab.tales.of) != maxStories || told {
		t.Errorf("%d stories", len(tab.tales.of))
	}
}

// TestStoriesAreFoundInEveryOverlay: those that have aged as well; and overlays of which nothing is known are forgotten.
func TestStoriesAreFoundInEveryOverlay(t *testing.T) {
	s := New(Config{Now: func() time.Duration { return time.Hour }})
	c := cache{table: &s.table}
	places := []*place{{peer: 7}, {peer: 8}}
	found := func() (vnis []drawbridge.VNI) {
		for _, story := range s.Stories(address(1)) {
			vnis = append(vnis, story.VNI)
		}
		return vnis
	}
	at := func(vni drawbridge.VNI) key { m := address(1); return keyOf(vni, m[:], 0) }
	for vni := range drawbridge.VNI(5) {
		c.learn(at(vni), places[0], time.Second)
		other := address(2)
		c.learn(keyOf(vni+10, other[:], 0), places[0], time.Second)
	}
	c.learn(at(3), places[1], time.Second+settle)
	if got := fmt.Sprint(found()); got != "[0 1 2 3 4]" {
		t.Errorf("found in %s", got)
	}
	s.table.forget(StepAged, time.Minute, func(key, *entry) bool { return true })
	if got := fmt.Sprint(found()); got != "[3]" || len(s.table.known) != 1 {
		t.Errorf("found in %s, %v are known", got, s.table.known)
	}
	for i := range maxStories {
		k := key{mac: uint64(100 + i), vni: 9}
		c.learn(k, places[0], time.Hour)
		c.learn(k, places[1], time.Hour+settle)
	}
	if n := s.table.known[9]; n+s.table.known[3] != len(s.table.entries)+len(s.table.tales.of) {
		t.Errorf("%d are counted of %d addresses and %d stories", n, len(s.table.entries), len(s.table.tales.of))
	}
}
