package alone

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// trio is a wire with the active gateway 1, the passive 2, which compares with it, and the passive 3.
type trio struct {
	*world
	x        *wire
	active   Comparison
	passive  Comparison
	random   *rand.Rand
	ear      []Sighting    // what the passive one's has not told yet
	stands   time.Duration // until then the passive one does nothing
	reportAt time.Duration
	left     bool // the active one has been advised to leave
}

func newTrio(t *testing.T, seed uint64) *trio {
	w := &trio{world: newWorld(t, 1, 2, 3), random: rand.New(rand.NewPCG(seed, 1))}
	w.x = w.join(a1, b1, c1)
	w.run(3 * time.Second)
	w.lease(a1, 5)
	w.run(time.Second)
	w.waiter = 2
	return w
}

func (w *trio) own(id Place) Own {
	s := w.machines[id.Peer].Ports(w.now)[0]
	return Own{
		Port: id, Hears: s.Neighbours, Unsure: s.Unsure, Ours: func(drawbridge.MAC) bool { return false },
		Spoke: w.machines[id.Peer].Spoke(id.Port),
	}
}

// look is the active one's part.
func (w *trio) look() {
	own := w.own(a1)
	a := w.active.Look(w.now, &own, []drawbridge.PeerID{2, 3})
	w.left = w.left || a.Yield != 0
}

// compare is the passive one's, which tells at once what is new.
func (w *trio) compare(news bool) {
	own := w.own(b1)
	a := w.passive.Look(w.now, &own, []drawbridge.PeerID{1, 3})
	w.passive.Listen(w.now, a.Apart)
	if !a.Apart || !news && w.now < w.reportAt {
		return
	}
	w.reportAt = w.now + ReportEvery
	r := w.passive.Report(w.now, &own, 1)
	r.Fit = true
	w.active.Told(w.now, r)
	w.look()
}

// step is one thing that the passive gateway does when it comes to it, and answers whether there is anything left to do.
func (w *trio) step() (more bool) {
	var heard []PortID
	switch w.random.IntN(4) {
	case 0:
		out := w.machines[2].Tick(w.now)
		heard = out.Heard
		w.do(2, out)
	case 1:
		if len(w.waiting) > 0 {
			l := w.waiting[0]
			w.waiting = w.waiting[1:]
			f, err := w.codecs[2].Parse(l.payload)
			out := w.machines[2].Hear(w.now, 1, f, err)
			heard = out.Heard
			w.do(2, out)
		}
	case 2:
		for _, m := range w.ear {
			if w.passive.Sight(m.Ago, m.MAC) {
				w.reportAt = w.now
			}
		}
		w.ear = nil
	case 3:
		w.compare(false)
	}
	if len(heard) > 0 {
		w.compare(true)
	}
	return len(w.waiting)+len(w.ear) > 0
}

// pass lets a millisecond go by; stand says for how long the passive one stands still after a step.
func (w *trio) pass(host bool, stand func(more bool) time.Duration) {
	w.arrive()
	for _, id := range []drawbridge.PeerID{1, 3} {
		if w.still[id] <= w.now {
			w.do(id, w.machines[id].Tick(w.now))
		}
	}
	if w.now%ReportEvery == 0 {
		w.look()
	}
	if host && w.now%(10*time.Millisecond) == 0 {
		w.ear = append(w.ear, Sighting{theHost, w.now})
	}
	for range 12 {
		if w.now < w.stands {
			break
		}
		w.stands = w.now + stand(w.step())
	}
	w.now += time.Millisecond
}

// TestWhoStandsStillMissesNobody: whatever a passive gateway comes to do between two times of standing still, of up to 300 ms each,
// it never says of a wire that is whole that the active one's port is mute. Where a host speaks, it comes to read all that waits.
func TestWhoStandsStillMissesNobody(t *testing.T) {
	for seed := range uint64(60) {
		w, host := newTrio(t, seed), seed%2 == 1
		for range 10_000 {
			w.pass(host, func(more bool) time.Duration {
				if host && more || w.random.IntN(4) > 0 {
					return 0
				}
				return time.Duration(w.random.IntN(300)) * time.Millisecond
			})
			if w.left {
				t.Fatalf("seed %d: the active gateway leaves a wire that is whole, at %v", seed, w.now)
			}
		}
	}
}

// TestWhoDoesNotSpeakIsNotMute: the active one's ALONE stands still again and again, for up to 50 ms, and so does the passive one. As the
// wire is whole, the active one does not take itself for mute because its hellos are not heard: it knows that it has not said them.
func TestWhoDoesNotSpeakIsNotMute(t *testing.T) {
	stall := func(w *trio) time.Duration { return time.Duration(w.random.IntN(50)) * time.Millisecond }
	for seed := range uint64(60) {
		w, host := newTrio(t, seed), seed%2 == 1
		w.still = map[drawbridge.PeerID]time.Duration{}
		for range 10_000 {
			if w.still[1] <= w.now && w.random.IntN(20) == 0 {
				w.still[1] = w.now + stall(w)
			}
			w.pass(host, func(more bool) time.Duration {
				if more || w.random.IntN(20) > 0 {
					return 0
				}
				return stall(w)
			})
			if w.left {
				t.Fatalf("seed %d: the active gateway leaves a wire that is whole, at %v", seed, w.now)
			}
		}
	}
}

// TestMutePortIsLeftSoon: a third gateway or a host that speaks meanwhile shows whose port it is.
func TestMutePortIsLeftSoon(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for seed := range uint64(100) {
		w, host := newTrio(t, seed), seed%2 == 1
		if host {
			w.x.places = []Place{a1, b1}
		}
		awake := func(bool) time.Duration { return 0 }
		for range 500 + w.random.IntN(100) {
			w.pass(host, awake)
		}
		w.x.deliver = func(from, to Place) int {
			if from == to || from == a1 {
				return 0
			}
			return 1
		}
		began := w.now
		for !w.left && w.now-began < time.Second {
			w.pass(host, awake)
		}
		took := w.now - began
		least, most = min(least, took), max(most, took)
		if took < 70*time.Millisecond || took > 160*time.Millisecond {
			t.Errorf("seed %d: left after %v", seed, took)
		}
	}
	t.Logf("left after %v to %v", least, most)
}

// TestWitnessSpeaksForLongEnough goes through what is heard beside a neighbour that says nothing any more.
func TestWitnessSpeaksForLongEnough(t *testing.T) {
	type word struct {
		from Place
		said time.Duration // by its clock
		at   time.Duration // since the neighbour was heard
	}
	const ms = time.Millisecond
	other := Place{4, 1}
	for name, c := range map[string]struct {
		words []word
		want  bool
	}{
		"nobody":                              {nil, false},
		"one hello, long after":               {[]word{{c1, 1000 * ms, 1000 * ms}}, false},
		"two hellos":                          {[]word{{c1, 1000 * ms, 5 * ms}, {c1, 1050 * ms, 55 * ms}}, true},
		"two that waited here":                {[]word{{c1, 1000 * ms, 90 * ms}, {c1, 1050 * ms, 90 * ms}}, false},
		"two that waited there":               {[]word{{c1, 1000 * ms, 5 * ms}, {c1, 1001 * ms, 90 * ms}}, false},
		"the neighbour between":               {[]word{{c1, 1000 * ms, 5 * ms}, {b1, 0, 30 * ms}, {c1, 1050 * ms, 55 * ms}}, false},
		"the neighbour after":                 {[]word{{c1, 1000 * ms, 5 * ms}, {c1, 1050 * ms, 55 * ms}, {b1, 0, 60 * ms}}, false},
		"two others, one each":                {[]word{{c1, 1000 * ms, 5 * ms}, {other, 9000 * ms, 55 * ms}}, false},
		"one that began anew":                 {[]word{{c1, 1000 * ms, 5 * ms}, {c1, 1 * ms, 55 * ms}}, false},
		"one that began anew, and went on":    {[]word{{c1, 1000 * ms, 5 * ms}, {c1, 1 * ms, 55 * ms}, {c1, 51 * ms, 105 * ms}}, true},
		"another, when the first has stopped": {[]word{{c1, 1000 * ms, 5 * ms}, {other, 1 * ms, 1100 * ms}, {other, 51 * ms, 1150 * ms}}, true},
	} {
		n := &neighbour{dead: 35 * ms, heardAt: time.Hour}
		p := &port{neighbours: map[Place]*neighbour{b1: n}}
		for _, s := range c.words {
			p.witnessed(time.Hour+s.at, Frame{Kind: Hello, From: s.from, Nonce: uint64(s.said / time.Microsecond)})
		}
		if n.missed != c.want {
			t.Errorf("%s: missed is %v", name, n.missed)
		}
		if sure := len(p.unsure(time.Hour+time.Minute)) == 0; sure != c.want {
			t.Errorf("%s: sure is %v", name, sure)
		}
	}
}

// TestWhatWasHeardBeforeIsNotTold: a host that spoke before the other gateway fell silent does not show that it is that one's doing.
func TestWhatWasHeardBeforeIsNotTold(t *testing.T) {
	var c Comparison
	now, others := time.Hour, []drawbridge.PeerID{2, 3}
	own := Own{Port: a1, Hears: []Neighbour{{Place: b1}, {Place: c1, BothWays: true}}, Spoke: Spoke{Due: 2 * time.Hour}}
	c.Look(now, &own, others)
	c.Listen(now, true)
	c.Sight(now, theHost)
	own.Hears, own.Unsure = own.Hears[1:], []Place{b1}
	c.Look(now+1, &own, others)
	if r := c.Report(now+1, &own, 2); len(r.Hears)+len(r.Stations) > 0 {
		t.Errorf("%+v", r)
	}
	if r := c.Report(now+1, &own, 3); len(r.Hears) != 1 || len(r.Stations) != 1 {
		t.Errorf("to one that is heard: %+v", r)
	}
	own.Unsure = nil
	c.Sight(now+2, theGuest)
	if r := c.Report(now+2, &own, 2); !slices.Equal(r.Hears, []Place{c1}) || len(r.Stations) != 1 || r.Stations[0].MAC != theGuest {
		t.Errorf("since: %+v", r)
	}
}

// TestGatewaysThatAreGoneAreForgotten, whoever they were.
func TestGatewaysThatAreGoneAreForgotten(t *testing.T) {
	var c Comparison
	now, own := time.Hour, Own{Port: a1}
	for id := drawbridge.PeerID(2); id < 1000; id++ {
		c.Told(now, Report{From: Place{id, 1}})
		c.Look(now, &own, []drawbridge.PeerID{id, 2000})
		now += time.Second
	}
	if n, most := len(c.others), int(maxDelay/time.Second)+2; n > most {
		t.Errorf("%d are kept, want at most %d", n, most)
	}
	if now += maxDelay; c.others[2000] == nil {
		t.Error("one that is there was forgotten")
	}
	if c.Look(now, &own, nil); len(c.others) > 0 {
		t.Errorf("%d are kept of none", len(c.others))
	}
}
