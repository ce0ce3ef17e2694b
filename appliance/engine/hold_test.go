package engine

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// row is three peers, 1 to 3, and the segment's gateway at the third (13), as the first sees them.
func row(others ...kernel.Short) kernel.Table {
	t := kernel.Table{
		Peers:    map[kernel.Short]kernel.Peer{1: {Local: true, MaySend: true}},
		Children: map[kernel.Short][]kernel.Short{}, Gateways: map[drawbridge.SegmentID]kernel.Short{},
	}
	for _, s := range others {
		p := kernel.Peer{MaySend: true, Remote: netip.AddrFrom4([4]byte{10, 0, 0, 2}), Via: 2, Parent: 2}
		if s > 10 {
			p.Segment = 7
			t.Gateways[7] = s
		}
		t.Peers[s] = p
	}
	if len(others) > 0 {
		t.Children[1] = []kernel.Short{2}
	}
	return t
}

func named(kernel.Short) bool { return true }

func TestWhatIsGoneIsHeldForAWhile(t *testing.T) {
	now := time.Unix(1000, 0)
	all := row(2, 3, 13)
	var h Hold
	h.table(all, named, now)
	if got := h.table(row(), named, now.Add(time.Second)); !reflect.DeepEqual(got, all) {
		t.Errorf("gone: %+v", got)
	}
	if got := h.table(row(), named, now.Add(time.Second+HoldFor-1)); !reflect.DeepEqual(got, all) {
		t.Errorf("nearly over: %+v", got)
	}
	if got := h.table(row(), named, now.Add(time.Second+HoldFor)); len(got.Peers) != 1 || len(got.Children[1]) != 0 || len(got.Gateways) != 0 {
		t.Errorf("over: %+v", got)
	}
	if got := h.table(all, named, now.Add(5*time.Second)); !reflect.DeepEqual(got, all) {
		t.Errorf("back: %+v", got)
	}
	if got := h.table(row(), named, now.Add(7*time.Second)); !reflect.DeepEqual(got, all) {
		t.Errorf("gone again: %+v", got)
	}
}

// TestFloodsGoOneWay: what is flooded goes to who is there, and to the neighbour who is gone nothing of it.
func TestFloodsGoOneWay(t *testing.T) {
	now := time.Unix(1000, 0)
	before := row(2, 3)
	before.Children[3] = []kernel.Short{5}
	after := row()
	for _, table := range []kernel.Table{before, after} {
		table.Peers[5] = kernel.Peer{MaySend: true, Remote: netip.AddrFrom4([4]byte{10, 0, 0, 5}), Via: 5, Parent: 5}
		table.Children[1] = append(table.Children[1], 5)
	}
	var h Hold
	h.table(before, named, now)
	got := h.table(after, named, now.Add(time.Second))
	if !reflect.DeepEqual(got.Children, map[kernel.Short][]kernel.Short{1: {5}, 3: {5}}) || got.Peers[2].Via != 2 || got.Peers[3].Via != 2 {
		t.Errorf("%+v", got)
	}
}

func TestWhoTakesOverIsNotHeldUp(t *testing.T) {
	now := time.Unix(1000, 0)
	var h Hold
	h.table(row(2, 3, 13), named, now)
	other := row(2, 3) // the third is reached; the segment is the second's now
	other.Peers[12], other.Gateways[7] = kernel.Peer{MaySend: true, Segment: 7, Remote: other.Peers[2].Remote, Via: 2, Parent: 2}, 12
	got := h.table(other, named, now)
	if got.Gateways[7] != 12 || got.Peers[13].MaySend {
		t.Errorf("two gateways: %+v", got)
	}
	again := row(4) // the second under a new number
	again.Peers[4] = kernel.Peer{MaySend: true, Remote: other.Peers[2].Remote, Via: 4, Parent: 4}
	again.Children[1] = []kernel.Short{4}
	if got := h.table(again, named, now); !reflect.DeepEqual(got, again) {
		t.Errorf("two numbers for one neighbour: %+v", got)
	}
}

func TestWhoWasForgottenIsNotHeld(t *testing.T) {
	now := time.Unix(1000, 0)
	var h Hold
	h.table(row(2, 3), named, now)
	if got := h.table(row(), func(s kernel.Short) bool { return s != 2 }, now); len(got.Peers) != 1 || len(got.Children[1]) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestHeldTablesAreTables: whatever goes and comes, neighbours are neighbours, and nothing is flooded to anybody else.
func TestHeldTablesAreTables(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var h Hold
		now := time.Unix(1000, 0)
		var d Decisions
		for range 20 {
			u := newUnderlay(rng, 2+rng.IntN(6))
			if d.Attachments = nil; true {
				for i := range 8 {
					d.Attachments = append(d.Attachments, Attachment{drawbridge.PeerID(i + 1), 0, kernel.Short(i + 1 + 8*rng.IntN(2))})
				}
			}
			now = now.Add(time.Duration(rng.Int64N(int64(2 * time.Second))))
			sound(t, seed, h.Table(d, u.view(1), now))
		}
	}
}

func sound(t *testing.T, seed uint64, table kernel.Table) {
	t.Helper()
	at := map[netip.Addr]kernel.Short{}
	for short, p := range table.Peers {
		via, parent := table.Peers[p.Via], table.Peers[p.Parent]
		if !p.Local && (via.Via != p.Via || via.Remote != p.Remote || parent.Via != p.Parent || via.Local || parent.Local) {
			t.Fatalf("seed %d: %d goes by %d, its floods come from %d: %+v", seed, short, p.Via, p.Parent, table)
		}
		if old, twice := at[p.Remote]; !p.Local && p.Via == short && twice {
			t.Fatalf("seed %d: %d and %d are the same neighbour", seed, old, short)
		} else if p.Via == short {
			at[p.Remote] = short
		}
	}
	for origin, children := range table.Children {
		for _, c := range children {
			if p, ok := table.Peers[c]; !ok || p.Local || p.Via != c || table.Peers[origin].Parent == c {
				t.Fatalf("seed %d: %d's floods go to %d: %+v", seed, origin, c, table)
			}
		}
	}
}
