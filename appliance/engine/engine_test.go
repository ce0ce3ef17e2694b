package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

const lan = drawbridge.VNI(7)

// group is some peers and a leader. Peers follow when they are told to.
type group struct {
	t     *testing.T
	some  bool // all know the phase Some
	world World
	d     Decisions
}

func newGroup(t *testing.T, peers int) *group {
	g := &group{t: t, world: World{Now: time.Unix(1_000_000, 0), Wanted: []drawbridge.VNI{lan}}}
	for i := range peers {
		g.world.Peers = append(g.world.Peers, Peer{
			ID: drawbridge.PeerID(i + 1), Name: drawbridge.PeerName(fmt.Sprint("p", i+1)), Live: true, Since: g.world.Now,
		})
		g.says(i, "")
	}
	return g
}

// says has a peer speak of where it is.
func (g *group) says(i int, lacks string) {
	o := g.d.Overlay(lan)
	g.world.Peers[i].Word = Word{Some: g.some, Overlays: []Standing{{VNI: lan, Phase: o.Phase, Number: o.Number, Lacks: lacks, Able: lacks == ""}}}
}

// run lets time pass; peers follow, unless they hang.
func (g *group) run(d time.Duration, hang ...int) {
	for end := g.world.Now.Add(d); g.world.Now.Before(end); g.world.Now = g.world.Now.Add(250 * time.Millisecond) {
		for i := range g.world.Peers {
			hangs := false
			for _, h := range hang {
				hangs = hangs || h == i
			}
			if s, said := g.world.Peers[i].Word.Of(lan); said && !hangs {
				g.says(i, s.Lacks)
			}
		}
		before := g.d.Overlay(lan).Phase
		g.d, _ = g.d.Next(g.world)
		if after := g.d.Overlay(lan).Phase; before != after && before != Both && after != Both {
			g.t.Fatalf("from %s to %s without a pause", before, after)
		}
	}
}

func (g *group) expect(p Phase, reason string) {
	g.t.Helper()
	if o := g.d.Overlay(lan); o.Phase != p || !strings.Contains(o.Reason, reason) || reason == "" && o.Reason != "" {
		g.t.Fatalf("%s because of %q, want %s because of %q", o.Phase, o.Reason, p, reason)
	}
}

func TestTheKernelIsEnteredInTwoSteps(t *testing.T) {
	g := newGroup(t, 3)
	g.run(4 * time.Second)
	g.expect(User, "")
	g.run(2*time.Second, 1) // one does not say that it delivers for both
	g.expect(Both, "")
	g.run(5*time.Second, 1)
	g.expect(Both, "")
	g.run(500 * time.Millisecond)
	g.expect(Kernel, "")
	g.run(time.Hour)
	g.expect(Kernel, "")

	g.world.Wanted = nil
	g.run(time.Second, 2)
	g.expect(Both, "wants user space")
	g.run(500 * time.Millisecond)
	g.expect(User, "wants user space")
}

func TestOneThatCannotKeepsAllInUserSpace(t *testing.T) {
	g := newGroup(t, 3)
	g.says(2, "no VXLAN")
	g.run(20 * time.Second)
	g.expect(User, "p3: no VXLAN")
	g.world.Peers[2].Live = false // nobody waits for who is gone
	g.run(6 * time.Second)
	g.expect(Kernel, "")
	g.world.Peers[2].Live = true
	g.run(time.Second)
	g.expect(User, "p3: no VXLAN")
	g.says(2, "")
	g.run(3 * time.Second)
	g.expect(User, "")
	g.run(4 * time.Second)
	g.expect(Kernel, "")
}

func TestWhoNeverLeavesMakesItUserSpace(t *testing.T) {
	g := newGroup(t, 2)
	g.run(6*time.Second, 1)
	g.expect(Both, "")
	g.run(leaveMost, 1)
	g.expect(User, stuck)
	g.run(stuckFor - 10*time.Second)
	g.expect(User, stuck)
	g.run(11 * time.Second)
	g.expect(Kernel, "")
}

func TestANewPeerMaySpeakFirst(t *testing.T) {
	g := newGroup(t, 2)
	g.run(7 * time.Second)
	g.expect(Kernel, "")
	g.world.Peers = append(g.world.Peers, Peer{ID: 3, Name: "p3", Live: true, Since: g.world.Now})
	g.run(wordMost - time.Second)
	g.expect(Kernel, "")
	g.run(2 * time.Second)
	g.expect(User, "p3 has not said that it can")
}

// TestSomeInTheKernel: those that can go by the kernel among themselves, by way of a phase in which all take in by user space.
func TestSomeInTheKernel(t *testing.T) {
	g := newGroup(t, 3)
	g.some = true
	g.says(0, "")
	g.says(1, "")
	g.says(2, "no VXLAN")
	g.run(4 * time.Second)
	g.expect(User, "p3: no VXLAN")
	g.run(2*time.Second, 1) // one does not say that it delivers for both
	g.expect(Both, "p3: no VXLAN")
	g.run(500 * time.Millisecond)
	g.expect(Some, "p3: no VXLAN")
	g.run(time.Hour)
	g.expect(Some, "p3: no VXLAN")
	g.says(2, "")
	g.run(4 * time.Second)
	g.expect(Some, "")
	g.run(2*time.Second, 1)
	g.expect(Both, "")
	g.run(500 * time.Millisecond)
	g.expect(Kernel, "")

	g.says(1, "a TAP device")
	g.run(500*time.Millisecond, 0)
	g.expect(Both, "p2: a TAP device")
	g.run(500 * time.Millisecond)
	g.expect(Some, "p2: a TAP device")
	g.world.Peers = append(g.world.Peers, Peer{ID: 4, Name: "p4", Live: true, Since: g.world.Now})
	g.run(wordMost - time.Second) // one that has not spoken yet is served by user space, whatever its version
	g.expect(Some, "p2: a TAP device")
	g.world.Peers[3].Word = Word{Overlays: []Standing{{VNI: lan, Phase: User, Number: 100}}}
	g.run(time.Second, 0, 1, 2, 3)
	g.expect(Both, "p2: a TAP device") // and one of an earlier version has user space for all
	g.run(time.Second, 3)
	g.expect(User, "p2: a TAP device")
	g.world.Peers[3].Live = false
	g.run(7 * time.Second)
	g.expect(Some, "p2: a TAP device")
	g.says(0, "a TAP device")
	g.run(time.Second)
	g.expect(User, "p1: a TAP device") // one alone has nobody to go by the kernel to
}

func TestWhoNeverFollowsKeepsSomeOut(t *testing.T) {
	g := newGroup(t, 3)
	g.some = true
	g.says(0, "")
	g.says(1, "")
	g.says(2, "no VXLAN")
	g.run(6*time.Second, 1)
	g.expect(Both, "p3")
	g.run(leaveMost, 1)
	g.expect(User, stuck)
	g.run(stuckFor - 10*time.Second)
	g.expect(User, stuck)
	g.run(11 * time.Second)
	g.expect(Some, "p3")
}

func TestTooManyPeers(t *testing.T) {
	g := newGroup(t, maxPeers+1)
	g.run(20 * time.Second)
	g.expect(User, "33 peers")
}

// TestShortIDs belong to one attachment at a time, and come back into use last of all.
func TestShortIDs(t *testing.T) {
	g := newGroup(t, 3)
	segment := drawbridge.SegmentIDOf("office")
	g.world.Peers[0].Segments = []drawbridge.SegmentID{segment}
	g.run(time.Second)
	first := g.d.Short(1, segment)
	owner := map[kernel.Short]Attachment{}
	rng := rand.New(rand.NewPCG(1, 2))
	for id := drawbridge.PeerID(4); id < 6000; id++ {
		gone := 1 + rng.IntN(2)
		g.world.Peers[gone] = Peer{ID: id, Live: true, Since: g.world.Now}
		g.d, _ = g.d.Next(g.world)
		taken := map[kernel.Short]bool{}
		for _, a := range g.d.Attachments {
			if a.Short == 0 || a.Short > kernel.MaxShort || taken[a.Short] {
				t.Fatalf("short id %d of %d", a.Short, a.Peer)
			}
			taken[a.Short], owner[a.Short] = true, a
		}
	}
	if g.d.Short(1, segment) != first || first == 0 || len(g.d.Attachments) != 4 || len(owner) != int(kernel.MaxShort) {
		t.Errorf("%d became %d; %d attachments, %d numbers were used", first, g.d.Short(1, segment), len(g.d.Attachments), len(owner))
	}
	raw, err := json.Marshal(g.d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(raw)
	if _, more := again.Next(g.world); err != nil || more {
		t.Errorf("after a trip over the wire something is due: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	g := Decisions{Overlays: []Overlay{{VNI: lan, Phase: Kernel, Number: 3, Port: 6640}}, Attachments: []Attachment{{1, 0, 1}}, Last: 1}
	raw, _ := json.Marshal(g)
	f.Add(raw)
	f.Add([]byte(`{"overlays":null,"last":9999}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Parse(raw)
		if err != nil {
			return
		}
		w := World{Now: time.Unix(1, 0), Wanted: []drawbridge.VNI{lan}, Peers: []Peer{{ID: 1, Live: true}, {ID: 2}}}
		d, _ = d.Next(w)
		d.Table(View{Self: 1})
	})
}
