package forwarder

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// sentTo is a frame as a gateway sends it to peer 1 alone.
func sentTo(dst drawbridge.MAC, origin drawbridge.PeerID, epoch drawbridge.Epoch, note int) carried {
	c := captured(origin, address(100+note), epoch, note)
	copy(c.packet.Frame, dst[:])
	c.header.Dest = 1
	return c
}

// TestAFrameThatWasOvertakenArrives: once, if its own gateway sent it to us alone, and soon after the next tenure was heard of.
func TestAFrameThatWasOvertakenArrives(t *testing.T) {
	elected := drawbridge.MakeEpoch(0, drawbridge.Elections)
	for name, c := range map[string]struct {
		before, after, of drawbridge.Epoch
		origin            drawbridge.PeerID
		wait              time.Duration
		flood, group      bool
		arrives           bool
	}{
		"at once":                          {before: 5, after: 6, of: 5, origin: 2, arrives: true},
		"at the last moment":               {before: 5, after: 6, of: 5, origin: 2, wait: lateFor - 1, arrives: true},
		"a moment later":                   {before: 5, after: 6, of: 5, origin: 2, wait: lateFor},
		"of another gateway":               {before: 5, after: 6, of: 5, origin: 4},
		"of the new gateway":               {before: 5, after: 6, of: 5, origin: 3},
		"of the tenure before that":        {before: 5, after: 6, of: 4, origin: 2},
		"of none":                          {before: 5, after: 6, of: 0, origin: 2},
		"of none, which was before":        {before: 0, after: 1, of: 0, origin: 2},
		"a tenure was missed":              {before: 5, after: 7, of: 5, origin: 2, arrives: true},
		"a tenure was missed, of that one": {before: 5, after: 7, of: 6, origin: 2},
		"of another generation":            {before: drawbridge.MakeEpoch(1, 5), after: drawbridge.MakeEpoch(2, 1), of: drawbridge.MakeEpoch(1, 5), origin: 2, arrives: true},
		"of an elected gateway":            {before: elected + 2, after: drawbridge.MakeEpoch(1, 1), of: elected + 2, origin: 2},
		"before an elected gateway":        {before: 5, after: elected, of: 5, origin: 2},
		"sent to everybody":                {before: 5, after: 6, of: 5, origin: 2, flood: true},
		"for a group":                      {before: 5, after: 6, of: 5, origin: 2, group: true},
	} {
		for _, news := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, by news %v", name, news), func(t *testing.T) {
				f, g := hosts(t, 1)
				n := f.nodes[0]
				if news {
					n.sw.SetSegment(drawbridge.SegmentIDOf("office"), 7, 2, c.before)
					n.sw.SetSegment(drawbridge.SegmentIDOf("office"), 7, 3, c.after)
				} else {
					n.deliver(sentTo(g[0].mac, 2, c.before, 1))
					n.deliver(sentTo(g[0].mac, 3, c.after, 2))
				}
				f.now += c.wait
				x := sentTo(g[0].mac, c.origin, c.of, 3)
				if c.flood {
					x.header.Dest = 0
				}
				if c.group {
					copy(x.packet.Frame, drawbridge.Broadcast[:])
				}
				n.deliver(x)
				f.settle()
				want := 0
				if c.arrives {
					want = 1
				}
				g[0].expect(3, want)
				if n.dropped(dropStaleEpoch) == 0 && !c.arrives {
					t.Errorf("%v, want it counted as stale", n.sw.Drops())
				}
				if active, epoch := n.sw.Tenure(drawbridge.SegmentIDOf("office"), 7); active != 3 || epoch != c.after {
					t.Errorf("the segment is behind %d since %v", active, epoch)
				}
			})
		}
	}
}

// TestALateFrameOpensNothing: neither does the old gateway capture, nor write, nor does a late frame go back to its segment.
func TestALateFrameOpensNothing(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	for _, n := range o.nodes {
		n.sw.SetSegment(o.a.cfg.Segment, 7, 3, 6) // while the gate of the old one still is open
	}
	o.host.say(o.guest.mac, 1)
	o.guest.expect(1, 0)
	if n := o.a.dropped(dropStaleEpoch); n == 0 {
		t.Error("the old gateway captures")
	}
	x := sentTo(o.host.mac, 2, 5, 2)
	x.header.Dest = 3
	o.nodes[2].deliver(x)
	o.settle()
	o.host.expect(2, 0)
	if n := o.nodes[2].dropped(dropSplitHorizon); n != 1 {
		t.Errorf("%v, want split horizon", o.nodes[2].sw.Drops())
	}
}

// TestTenuresOnlyFollowEachOther: whatever is heard and told in any order, the known number only rises, a frame that passes is of it
// or of the one before, and of that one not later than lateFor after it was superseded.
func TestTenuresOnlyFollowEachOther(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		f, _ := hosts(t, 1)
		sw := f.nodes[0].sw
		s := sw.segment(drawbridge.SegmentIDOf("office"), 7)
		var rose time.Duration
		var before drawbridge.Epoch
		var holder [32]drawbridge.PeerID // first of each number that was believed
		for range 60 {
			f.now += time.Duration(rnd.Int64N(int64(lateFor)))
			from, epoch := drawbridge.PeerID(2+rnd.IntN(2)), drawbridge.Epoch(1+rnd.IntN(12))
			was := s.tenure.Load()
			if rnd.IntN(3) == 0 {
				sw.SetSegment(s.id, 7, from, epoch)
			} else {
				h := drawbridge.Header{Origin: from, Dest: 1, VNI: 7, Segment: s.id, Epoch: epoch}
				_, ok := s.heard(from, epoch, f.now)
				late := !ok && s.late(&h, frame(address(1), address(2), 0), f.now)
				switch now := s.tenure.Load(); {
				case ok && epoch != now.epoch, late && epoch != before:
					t.Fatalf("%v passes while %v is known", epoch, now.epoch)
				case late && (f.now-rose >= lateFor || holder[epoch] != from):
					t.Fatalf("%v of %d passes %v after %v was heard of", epoch, from, f.now-rose, now.epoch)
				}
			}
			now := s.tenure.Load()
			if now.epoch < was.epoch {
				t.Fatalf("%v after %v", now.epoch, was.epoch)
			}
			if now.epoch > was.epoch {
				rose, before, holder[now.epoch] = f.now, was.epoch, now.active
			}
		}
	}
}
