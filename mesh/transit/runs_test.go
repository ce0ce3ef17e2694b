package transit

import (
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"

	"pgregory.net/rapid"
)

func drawSuperFrame(t *rapid.T) superFrame {
	s := superFrame{
		v6: rapid.Bool().Draw(t, "v6"), udp: rapid.Bool().Draw(t, "udp"), tags: rapid.IntRange(0, 2).Draw(t, "tags"),
		mss: rapid.SampledFrom([]int{64, 100, 536, 1000, 1340, 1400, 1448, 4000, 8948}).Draw(t, "mss"),
		seq: rapid.Uint32().Draw(t, "seq"), id: rapid.Uint16().Draw(t, "id"),
	}
	s.payload = min(s.mss*rapid.IntRange(1, 60).Draw(t, "segments")+rapid.IntRange(1, s.mss).Draw(t, "rest"), 64000)
	if s.udp && s.payload > 60*s.mss {
		s.payload = 60 * s.mss
	}
	if !s.udp {
		s.options = 4 * rapid.IntRange(0, 10).Draw(t, "options")
		s.flags = rapid.Byte().Draw(t, "flags")
		s.ecn = s.flags&0x80 != 0
	}
	return s
}

// TestRunsAreTrue cuts super-frames of all kinds, loses, repeats and reorders datagrams, and wants every
// frame that is delivered to be one that the sender's own kernel could have made, with nothing missing but
// what was lost.
func TestRunsAreTrue(t *testing.T) {
	a, b := newStill(t, 1), newStill(t, 2)
	out := a.neighbour(2, 7)
	b.neighbour(1, 7)
	rapid.Check(t, func(t *rapid.T) {
		s := drawSuperFrame(t)
		out.max.Store(int32(rapid.SampledFrom([]int{1232, 1352, 1412, 1452, 1472, 8972}).Draw(t, "datagram")))
		p := s.packet()
		before := b.Drops()["malformed"]
		a.s.Send(&drawbridge.Header{Dest: 2, VNI: 5}, &p)
		all := a.sealed()
		slices := sliceable(s, int(out.max.Load()))
		lost, order := disturb(t, len(all))
		var got []got
		for _, i := range order {
			b.r.now = b.now()
			b.r.datagram(all[i].data, -1)
			if rapid.IntRange(0, 9).Draw(t, "batch ends") == 0 {
				got = append(got, b.finish()...)
			}
		}
		got = append(got, b.finish()...)
		covered := make([]bool, s.payload)
		for i := range got {
			g := &got[i]
			from, to, wrong := s.check(&g.packet)
			if wrong != nil {
				t.Fatalf("%s: run %d of %d: %v", s, i, len(got), wrong)
			}
			for at := from; at < to; at++ {
				if covered[at] {
					t.Fatalf("%s: octet %d delivered twice", s, at)
				}
				covered[at] = true
			}
		}
		missing := 0
		for _, c := range covered {
			if !c {
				missing++
			}
		}
		if slices && !lost && missing > 0 || !slices && !lost && len(got) != 1 {
			t.Fatalf("%s: %d octets missing, nothing was lost", s, missing)
		}
		if slices && lost && missing >= s.payload && len(order) > 0 {
			t.Fatalf("%s: everything is missing, %d datagrams arrived", s, len(order))
		}
		if b.Drops()["malformed"] != before {
			t.Fatalf("%s: malformed", s)
		}
	})
}

// sliceable says whether s travels in slices: a UDP segment must fit a datagram whole.
func sliceable(s superFrame, datagram int) bool { return !s.udp || s.mss+s.headers()+45 <= datagram }

// disturb draws which of n datagrams arrive in which order, and whether any is missing.
func disturb(t *rapid.T, n int) (lost bool, order []int) {
	mode := rapid.IntRange(0, 3).Draw(t, "disturbed")
	for i := range n {
		if mode > 0 && rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
			lost = true
			continue
		}
		order = append(order, i)
		if mode > 1 && rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
			order = append(order, i)
		}
	}
	for i := range order {
		if mode > 2 && rapid.IntRange(0, 9).Draw(t, "moved") == 0 {
			j := rapid.IntRange(0, len(order)-1).Draw(t, "to")
			order[i], order[j] = order[j], order[i]
		}
	}
	return lost, order
}
