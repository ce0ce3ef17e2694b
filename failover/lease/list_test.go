package lease

import (
	"errors"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// held are renewals of so many segments, of tenures from different generations.
func held(n int) (all []Entry) {
	for i := range n {
		all = append(all, Entry{Kind: Renew, Segment: drawbridge.SegmentID(1000 + i), Epoch: drawbridge.MakeEpoch(uint32(1+i%3), uint32(i)), Micros: 40000})
	}
	return all
}

// carried seals entries in as many datagrams as they take, and opens those.
func carried(t *testing.T, from, to *Channel, all []Entry) (got []Entry, datagrams int) {
	t.Helper()
	var m Message
	for rest := all; len(rest) > 0; datagrams++ {
		n := from.Fits(rest)
		b := from.Seal(nil, &Message{Class: Request, Generation: 3, Floor: 2, Stamp: 5, Entries: rest[:n]})
		if len(b) > MaxDatagram {
			t.Fatalf("%d octets for %d entries", len(b), n)
		}
		if err := to.Open(b, &m); err != nil {
			t.Fatal(err)
		}
		got, rest = append(got, m.Entries...), rest[n:]
	}
	return got, datagrams
}

// TestSixtyFourRenewalsAreOneDatagram, and so are their grants. Whatever does not fit a list is as long as ever, in its place.
func TestSixtyFourRenewalsAreOneDatagram(t *testing.T) {
	a, b := channel(t, peerA, peerB, 1), channel(t, peerB, peerA, 2)
	meet(t, a, b)
	granted := held(64)
	for i := range granted {
		granted[i].Kind = Grant
	}
	refused := slices.Clone(granted)
	refused[30] = Entry{Kind: Refuse, Reason: Promised, Flags: Tenured, Segment: 1030, Micros: 7, Peer: peerW, Seen: 9}
	asked := append(held(10), Entry{Kind: Ask, Segment: 1, Micros: 40000}, Entry{Kind: Release, Segment: 2, Peer: peerW})
	other := append(held(2), Entry{Kind: Renew, Segment: 2, Epoch: 3, Micros: 20000})
	for _, c := range []struct {
		name      string
		all       []Entry
		datagrams int
	}{
		{"one renewal", held(1), 1},
		{"renewals", held(64), 1},
		{"as many as fit", held(91), 1},
		{"one more", held(92), 2},
		{"grants", granted, 1},
		{"a refusal among them", refused, 1},
		{"asks and releases", asked, 1},
		{"another term", other, 1},
		{"asks alone", slices.Repeat(asked[10:11], 64), 2},
	} {
		got, n := carried(t, a, b, c.all)
		if n != c.datagrams {
			t.Errorf("%s: %d datagrams, want %d", c.name, n, c.datagrams)
		}
		for i := range c.all {
			if i >= len(got) || got[i] != c.all[i] {
				t.Errorf("%s: entry %d of %d is not what was sent: %+v", c.name, i, len(got), c.all[i])
				break
			}
		}
	}
}

// TestListsAreForThoseWhoReadThem: a peer of a former version does not say that it does, and when one starts instead of one that did, it is
// sent none from the first datagram on.
func TestListsAreForThoseWhoReadThem(t *testing.T) {
	a, b := channel(t, peerA, peerB, 1), channel(t, peerB, peerA, 2)
	if a.Fits(held(64)) != maxEntries {
		t.Error("a list before first contact")
	}
	meet(t, a, b)
	if a.Fits(held(64)) != 64 {
		t.Error("no list for a peer that reads them")
	}
	var m Message
	again := channel(t, peerB, peerA, 3)
	if err := again.Open(a.Seal(nil, &example), &m); !errors.Is(err, ErrSession) {
		t.Fatal(err)
	}
	if err := a.Open(again.Challenge(nil), &m); err != nil {
		t.Fatal(err)
	}
	if a.Fits(held(64)) != maxEntries {
		t.Error("a list for a peer that has started again and has not said what it reads")
	}
	if err := a.Open(again.Seal(nil, &example), &m); err != nil || a.Fits(held(64)) != 64 {
		t.Errorf("no list for a peer that has said again that it reads them, %v", err)
	}
	former := again.Seal(nil, &example)
	former[headerLen+3] &^= byte(readsLists)
	copy(former[len(former)-tagLen:], again.tag(former[:len(former)-tagLen]))
	if err := a.Open(former, &m); err != nil || a.Fits(held(64)) != maxEntries {
		t.Errorf("a list for a peer of a former version, %v", err)
	}
}

// TestAListThatIsLongerThanItsDatagram is refused whatever it claims.
func TestAListThatIsLongerThanItsDatagram(t *testing.T) {
	b := appendList(nil, held(20))
	for _, c := range []struct {
		count byte
		want  error
	}{{19, nil}, {21, nil}, {22, ErrDatagram}, {255, ErrDatagram}} {
		b[23] = c.count
		if _, err := appendParsed(nil, b); !errors.Is(err, c.want) {
			t.Errorf("%d more entries: %v, want %v", c.count, err, c.want)
		}
	}
	b[20], b[23] = 255, 0
	if _, err := appendParsed(nil, b); !errors.Is(err, ErrDatagram) {
		t.Errorf("four thousand million entries: %v", err)
	}
}

// TestAllSegmentsAreRenewedInOneRound: nothing of theirs wakes a holder in between, however many they are and whenever they were won.
func TestAllSegmentsAreRenewedInOneRound(t *testing.T) {
	r := newRound(t, 32)
	for i := range 32 {
		r.holder.SetCandidate(r.now, drawbridge.SegmentID(i+33), 0, true, &r.out)
	}
	for range 10 {
		r.renew(t)
	}
	r.now = r.holder.Deadline()
	r.out.Reset()
	r.holder.Tick(r.now, &r.out)
	renewed := map[Send]int{}
	for _, s := range r.out.Requests {
		if s.Entry.Kind == Renew {
			renewed[s]++
		}
	}
	if next := r.holder.Deadline().Sub(r.now); len(renewed) != 64*2 || len(r.out.Requests) != 64*2 || next < Default.Renew/2 { // half of it after a late one
		t.Errorf("%d renewals in %d requests, and the next round %v later", len(renewed), len(r.out.Requests), next)
	}
}
