package engine

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

func TestWhoIsHandedFramesByTheKernel(t *testing.T) {
	good := Standing{VNI: lan, Phase: Both, Able: true, Delivers: true}
	word := func(change func(*Standing)) Neighbour {
		s := good
		change(&s)
		return Neighbour{ID: 2, Word: Word{Overlays: []Standing{s}}, Number: true}
	}
	same := word(func(*Standing) {})
	with := func(change func(*Neighbour)) Neighbour { o := same; change(&o); return o }
	for _, c := range []struct {
		name string
		mine Standing
		o    Neighbour
		want string
	}{
		{"both can", good, same, ""},
		{"this one cannot", Standing{Lacks: "no VXLAN"}, same, "no VXLAN"},
		{"the other cannot", good, word(func(s *Standing) { s.Able, s.Lacks = false, "no VXLAN" }), "no VXLAN"},
		{"the other is of an earlier version", good, word(func(s *Standing) { s.Able, s.Delivers = false, false }), "has not said"},
		{"the other says nothing", good, with(func(o *Neighbour) { o.Word = Word{} }), "has not said"},
		{"the other does not deliver yet, or no longer", good, word(func(s *Standing) { s.Delivers = false }), "about to change"},
		{"the other has no number", good, with(func(o *Neighbour) { o.Number = false }), "about to change"},
		{"a third one is between them", good, with(func(o *Neighbour) { o.Via = "p3" }), "through p3"},
		{"a link that this one finds bad", Standing{Able: true, Blocked: []Blocked{{2, "UDP to p2 is blocked"}}}, same, "UDP to p2"},
		{"another link that it finds bad", Standing{Able: true, Blocked: []Blocked{{3, "UDP to p3 is blocked"}}}, same, ""},
		{"a link that the other finds bad", good, word(func(s *Standing) { s.Blocked = []Blocked{{1, "UDP to p1 is blocked"}} }), "it says: UDP to p1"},
		{"the other is protected", good, word(func(s *Standing) { s.Protected = true }), "protection"},
	} {
		if got := Against(lan, 1, c.mine, c.o); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWhoIsHandedFramesGoesOnToDeliver(t *testing.T) {
	to := func(ids ...drawbridge.PeerID) Word { return Word{Overlays: []Standing{{VNI: lan, To: ids}}} }
	for _, c := range []struct {
		name   string
		stays  time.Duration
		others []Word
		want   bool
	}{
		{"nobody hands it any, but the word may be under way", stayLeast - 1, []Word{to(), to(3)}, false},
		{"nobody hands it any", stayLeast, []Word{to(), to(3), {}}, true},
		{"one hands it frames", stayMost - 1, []Word{to(), to(3, 2)}, false},
		{"one that hangs", stayMost, []Word{to(2)}, true},
	} {
		if got := Released(lan, 2, c.stays, c.others); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestTablesOfSome: what the kernel does not reach is in the table all the same, for tenures; and a neighbour is one although its floods come
// by another.
func TestTablesOfSome(t *testing.T) {
	segment := drawbridge.SegmentID(9)
	d := Decisions{Attachments: []Attachment{{1, 0, 1}, {2, 0, 2}, {3, 0, 3}, {4, 0, 4}, {3, segment, 103}, {5, 0, 5}}}
	v := View{
		Self: 1, Next: map[drawbridge.PeerID]drawbridge.PeerID{2: 3, 3: 3, 4: 2}, Apart: true,
		Segments: map[drawbridge.SegmentID]Gateway{segment: {Peer: 3, Epoch: 7}},
	}
	v.Remote = map[drawbridge.PeerID]netip.Addr{2: address(2)}
	v.Whole = map[drawbridge.PeerID]bool{2: true}
	table := d.Table(v)
	for short, want := range map[kernel.Short]kernel.Peer{
		1:   {Local: true, Whole: true, MaySend: true, MTU: fallbackMTU},
		2:   {Whole: true, MaySend: true, Remote: address(2), Via: 2, Parent: 2, MTU: fallbackMTU},
		3:   {Apart: true, MaySend: true},
		4:   {MaySend: true, Remote: address(2), Via: 2, Parent: 2, MTU: fallbackMTU},
		103: {Apart: true, MaySend: true, Segment: segment, Epoch: 7},
	} {
		if got := table.Peers[short]; got != want {
			t.Errorf("%d: %+v, want %+v", short, got, want)
		}
	}
	if _, there := table.Peers[5]; there || table.Gateways[segment] != 103 {
		t.Errorf("who is not reached is there: %v; the gateway is %d", there, table.Gateways[segment])
	}
	v.Apart = false
	if table := d.Table(v); len(table.Peers) != 2 {
		t.Errorf("all in the kernel: %+v", table.Peers)
	}
}
