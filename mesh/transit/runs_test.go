package transit

import (
	"bytes"
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

// TestWhatContinuesARun follows a slice by one that differs in a single thing: only the true next one joins it.
func TestWhatContinuesARun(t *testing.T) {
	whole := superFrame{payload: 400, mss: 100}.packet().Frame
	base := meta{flags: flagPiece | flagOffload | flagSegment, hops: 9, origin: 1, vni: 5, seq: 70, offload: owedChecksum | 1, csumStart: 34, total: 4, headerLen: 54, segment: 3, epoch: 8}
	for name, tc := range map[string]struct {
		change func(m *meta)
		joined bool
	}{
		"the next":           {func(*meta) {}, true},
		"fewer hops left":    {func(m *meta) { m.hops-- }, true},
		"by another way":     {func(m *meta) { m.flags |= flagDest; m.dest = 2 }, true},
		"another origin":     {func(m *meta) { m.origin = 9 }, false},
		"another overlay":    {func(m *meta) { m.vni++ }, false},
		"another segment":    {func(m *meta) { m.segment++ }, false},
		"another epoch":      {func(m *meta) { m.epoch++ }, false},
		"from no segment":    {func(m *meta) { m.flags &^= flagSegment; m.segment, m.epoch = 0, 0 }, false},
		"another frame":      {func(m *meta) { m.seq++ }, false},
		"one is missing":     {func(m *meta) { m.seq++; m.index++ }, false},
		"of another length":  {func(m *meta) { m.total++ }, false},
		"a flood":            {func(m *meta) { m.flags |= flagFlood }, false},
		"other segment size": {func(m *meta) { m.flags |= flagMSS; m.mss = 50 }, false},
		"longer headers":     {func(m *meta) { m.headerLen++ }, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, b := pairOfStills(t)
			l := b.links[1]
			first, next := base, base
			next.index, next.seq = 1, 71
			tc.change(&next)
			slice := func(m meta) []byte {
				at := 54 + 100*int(m.index)
				return b.seal(l, kindFrame, m.append(append(bytes.Clone(whole[at:at+100]), whole[:m.headerLen]...)))
			}
			got := b.hear(slice(first), slice(next))
			if want := map[bool]int{true: 1, false: 2}[tc.joined]; len(got) != want {
				t.Errorf("%d frames, dropped %v", len(got), b.Drops())
			}
		})
	}
}

// TestABatchLargerThanItsMemory ends the memory of a batch at every place of a run, and fills it several times
// over: everything arrives as it was sent.
func TestABatchLargerThanItsMemory(t *testing.T) {
	a, b := pairOfStills(t)
	s := superFrame{payload: 20000, mss: 1000}
	for left := 0; left < 30000; left += 97 {
		p := s.packet()
		a.s.Send(&drawbridge.Header{Dest: 2}, &p)
		all := a.sealed()
		alone := frameDatagram(a)
		b.r.now = b.now()
		b.r.head = len(b.r.arena) - left
		for i, d := range all {
			b.r.datagram(d.data, -1)
			if i == left%len(all) {
				b.r.datagram(alone, -1)
			}
		}
		got, octets := b.finish(), 0
		for i := range got {
			if len(got[i].packet.Frame) == 60 {
				if !bytes.Equal(got[i].packet.Frame, frameOf(60)) {
					t.Fatalf("%d octets before the end: the frame between is not as it was", left)
				}
				octets++
				continue
			}
			from, to, wrong := s.check(&got[i].packet)
			if wrong != nil {
				t.Fatalf("%d octets before the end: %v", left, wrong)
			}
			octets += to - from
		}
		if octets != s.payload+1 {
			t.Fatalf("%d octets before the end: %d arrived, dropped %v", left, octets, b.Drops())
		}
	}
	const times = 200
	s.payload, s.mss = 60000, 1448
	for range times {
		p := s.packet()
		a.s.Send(&drawbridge.Header{Dest: 2}, &p)
		for _, d := range a.sealed() {
			b.r.datagram(d.data, -1)
		}
	}
	octets := 0
	for _, g := range b.finish() {
		from, to, wrong := s.check(&g.packet)
		if wrong != nil {
			t.Fatal(wrong)
		}
		octets += to - from
	}
	if octets != times*s.payload {
		t.Errorf("%d octets of %d in one batch", octets, times*s.payload)
	}
}
