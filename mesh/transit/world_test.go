package transit

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// end is one of the two ends of a link in a world.
type end struct {
	*still
	link  *Link
	heard []LinkState // what Changed told
}

// world is two planes with a link, a network between them that a test makes as bad as it likes, and a clock
// that runs only when a test says. It needs a synctest bubble.
type world struct {
	t       testing.TB
	a, b    *end
	udp     func(from *end, d []byte) bool // whether a datagram arrives; nil: all do
	control func(from *end, msg []byte) bool
	delay   time.Duration // of datagrams, one way
	late    bool          // the timers were held up

	inFlight []flight
}

type flight struct {
	at      time.Time
	to      *end
	data    []byte
	control bool
}

// inWorld runs f in a bubble with the ends of a link that has just begun. Heartbeats are as often as in the
// product.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, a: &end{still: newStill(t, 1)}, b: &end{still: newStill(t, 2)}}
		w.link()
		f(t, w)
	})
}

// link begins the link, anew if there was one.
func (w *world) link() {
	exporter := bytes.Repeat([]byte{byte(time.Now().Unix())}, secure.ExporterLength)
	for _, e := range []*end{w.a, w.b} {
		far := w.far(e)
		e.link = e.AddLink(LinkConfig{
			Peer: far.self, Exporter: exporter, Dialler: e == w.a, Endpoints: far.Addrs(),
			Changed: func(s LinkState) { e.heard = append(e.heard, s) },
			Control: func(msg []byte) error {
				if w.control != nil && !w.control(e, msg) {
					return errors.New("full")
				}
				w.inFlight = append(w.inFlight, flight{time.Now(), far, bytes.Clone(msg), true})
				return nil
			},
		})
	}
}

func (w *world) far(e *end) *end {
	if e == w.a {
		return w.b
	}
	return w.a
}

// run lets d pass, in steps of the plane's own timer.
func (w *world) run(d time.Duration) {
	w.runUntil(d, func() bool { return false })
}

// runUntil lets at most d pass, and says how long it took until ok.
func (w *world) runUntil(d time.Duration, ok func() bool) time.Duration {
	began := time.Now()
	for !ok() && time.Since(began) < d {
		<-time.After(w.a.cfg.Heartbeat / 4)
		for _, e := range []*end{w.a, w.b} {
			e.link.tick(e.s, e.now(), w.late)
		}
		w.carry()
	}
	return time.Since(began)
}

// carry brings what was sent and is due, and what answers that, until nothing is left.
func (w *world) carry() {
	for {
		for _, e := range []*end{w.a, w.b} {
			for _, d := range e.sealed() {
				if w.udp == nil || w.udp(e, d.data) {
					w.inFlight = append(w.inFlight, flight{time.Now().Add(w.delay), w.far(e), d.data, false})
				}
			}
		}
		due := slices.IndexFunc(w.inFlight, func(f flight) bool { return !f.at.After(time.Now()) })
		if due < 0 {
			return
		}
		f := w.inFlight[due]
		w.inFlight = slices.Delete(w.inFlight, due, due+1)
		f.to.take(f)
	}
}

func (e *end) take(f flight) {
	if !f.control {
		e.got = append(e.got, e.hear(f.data)...)
		return
	}
	e.link.HandleControl(f.data)
	for len(e.tcp) > 0 {
		e.r.control(<-e.tcp)
	}
	e.got = append(e.got, e.finish()...)
}

// path waits until both ends are on path, and fails when that takes more than within.
func (w *world) path(path string, within time.Duration) (took time.Duration) {
	w.t.Helper()
	on := func() bool { return w.a.link.State().Path == path && w.b.link.State().Path == path }
	took = w.runUntil(within+w.a.cfg.Heartbeat, on)
	if !on() || took > within {
		w.t.Fatalf("not on path %s after %v: %+v and %+v, dropped %v %v", path, took, w.a.link.State(), w.b.link.State(), w.a.Drops(), w.b.Drops())
	}
	return took
}

// flows sends a frame each way and wants both to arrive.
func (w *world) flows() {
	w.t.Helper()
	for _, e := range []*end{w.a, w.b} {
		far := w.far(e)
		far.got = nil
		f := frameOf(1000)
		e.s.Send(&drawbridge.Header{Dest: far.self, VNI: 5}, &drawbridge.Packet{Frame: slices.Clone(f)})
		w.carry()
		w.runUntil(2*w.delay+time.Second, func() bool { return len(far.got) > 0 })
		if len(far.got) != 1 || !bytes.Equal(far.got[0].packet.Frame, f) {
			w.t.Errorf("from %v: %d frames arrived, dropped %v %v", e.self, len(far.got), e.Drops(), far.Drops())
		}
		far.got = nil
	}
}

func onlyHeartbeatsBelow(limit int) func(*end, []byte) bool {
	return func(_ *end, d []byte) bool { return len(d) <= limit }
}

func nothing(*end, []byte) bool { return false }

// TestALinkComesUp and goes down after 3.5 heartbeats of silence, and says so both times.
func TestALinkComesUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if s := w.a.link.State(); s.Up || s.Path != PathNone || s.MTU != 0 {
			t.Errorf("at the beginning %+v", s)
		}
		w.path(PathUDP, 200*time.Millisecond)
		w.flows()
		w.run(time.Second)
		s := w.a.link.State()
		if !s.Up || s.Remote != w.b.Addrs()[0] || s.Loss != 0 || s.TxFrames != 1 || s.RxFrames != 1 {
			t.Errorf("up as %+v", s)
		}
		w.udp = nothing
		w.control = nothing
		took := w.path(PathNone, time.Second)
		if took < 325*time.Millisecond || took > 475*time.Millisecond {
			t.Errorf("down after %v of silence", took)
		}
		for _, e := range []*end{w.a, w.b} {
			last := e.heard[len(e.heard)-1]
			if !slices.ContainsFunc(e.heard, func(s LinkState) bool { return s.Up }) || last.Up || last.Path != PathNone || last.MTU != 0 {
				t.Errorf("told %+v", e.heard)
			}
		}
		w.udp, w.control = nil, nil
		w.path(PathUDP, 500*time.Millisecond)
		w.flows()
	})
}

// TestFramesAreALifeSign keeps a link up whose heartbeats get lost.
func TestFramesAreALifeSign(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		w.udp = func(_ *end, d []byte) bool { return d[0]&0xf == kindFrame }
		for range 20 {
			w.flows()
			w.run(100 * time.Millisecond)
		}
		if s := w.a.link.State(); s.Path != PathUDP {
			t.Errorf("path %s", s.Path)
		}
	})
}

// TestSilenceProvesNothingWhenTheTimerIsLate holds the timers up.
func TestSilenceProvesNothingWhenTheTimerIsLate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		w.udp, w.control, w.late = nothing, nothing, true
		w.run(2 * time.Second)
		if s := w.a.link.State(); !s.Up {
			t.Error("judged by a timer that was held up")
		}
		w.late = false
		w.path(PathNone, 100*time.Millisecond)
	})
}

// TestOneWay lets datagrams through in one direction only: neither end uses UDP, and both know it.
func TestOneWay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		w.udp = func(from *end, _ []byte) bool { return from == w.a }
		w.path(PathTCP, 2*time.Second)
		w.flows()
		w.run(time.Minute)
		if s := w.b.link.State(); s.Path != PathTCP {
			t.Errorf("the end that hears is on %s", s.Path)
		}
		w.udp = nil
		w.path(PathUDP, time.Second)
	})
}

// TestUDPIsBlocked from the beginning, comes and goes: frames flow all the time but for a moment.
func TestUDPIsBlocked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.udp = nothing
		began := time.Now()
		w.control = func(_ *end, msg []byte) bool {
			if d := time.Since(began); msg[0] == controlHeartbeat && d <= tcpAfter {
				t.Errorf("UDP was given %v", d)
			}
			return true
		}
		w.path(PathTCP, 1500*time.Millisecond)
		w.flows()
		if s := w.a.link.State(); s.MTU != controlDatagram-Overhead || !s.Up {
			t.Errorf("over the control link %+v", s)
		}
		w.run(time.Minute)
		w.flows()
		w.udp = nil
		w.path(PathUDP, 500*time.Millisecond)
		w.flows()
		w.udp = nothing
		w.path(PathTCP, 1500*time.Millisecond)
		w.flows()
		w.control = nothing
		took := w.path(PathNone, 4*time.Second)
		if took < 2*time.Second {
			t.Errorf("the control link was given up after %v", took)
		}
		w.udp = nil
		w.path(PathUDP, 500*time.Millisecond)
	})
}

// TestSuperFramesOverTheControlLink come in slices of 16 KiB, and in one piece.
func TestSuperFramesOverTheControlLink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.udp = nothing
		w.path(PathTCP, 1500*time.Millisecond)
		for _, s := range []superFrame{{payload: 60000, mss: 1448}, {v6: true, tags: 2, payload: 50000, mss: 1400}, {udp: true, payload: 40000, mss: 1000}} {
			p := s.packet()
			longest := 0
			w.control = func(_ *end, msg []byte) bool { longest = max(longest, len(msg)); return true }
			w.a.s.Send(&drawbridge.Header{Dest: 2}, &p)
			for _, f := range w.inFlight {
				w.b.link.HandleControl(f.data)
			}
			w.inFlight = nil
			for len(w.b.tcp) > 0 {
				w.b.r.control(<-w.b.tcp)
			}
			got := w.b.finish()
			if len(got) != 1 {
				t.Fatalf("%s: %d frames", s, len(got))
			}
			if from, to, wrong := s.check(&got[0].packet); wrong != nil || from != 0 || to != s.payload {
				t.Errorf("%s: %d to %d, %v", s, from, to, wrong)
			}
			if longest > controlDatagram {
				t.Errorf("%s: a message of %d bytes", s, longest)
			}
		}
	})
}

// TestTheControlQueueIsBounded hands over more frames than may wait.
func TestTheControlQueueIsBounded(t *testing.T) {
	n := newStill(t, 1)
	l := n.neighbour(2, 7)
	msg := (&meta{origin: 2, hops: 9, total: 1}).append(append([]byte{controlFrameMsg}, frameOf(60)...))
	for range controlQueue + 10 {
		l.HandleControl(msg)
	}
	wantDrops(t, n, nil, map[string]uint64{"control_full": 10})
	l.path.Store(pathTCP)
	l.cfg.Control = func([]byte) error { return errors.New("full") }
	n.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: frameOf(60)})
	wantDrops(t, n, nil, map[string]uint64{"control_full": 11})
}

// TestRoundTripAndJitter delays datagrams.
func TestRoundTripAndJitter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.delay = 25 * time.Millisecond // a multiple of the world's step
		w.path(PathUDP, time.Second)
		w.run(5 * time.Second)
		for _, e := range []*end{w.a, w.b} {
			s := e.link.State()
			if s.RTT != 50*time.Millisecond || s.MinRTT != s.RTT || s.Jitter > time.Millisecond {
				t.Errorf("round trip %v, least %v, jitter %v", s.RTT, s.MinRTT, s.Jitter)
			}
		}
		w.delay = 75 * time.Millisecond
		w.run(30 * time.Second)
		if s := w.a.link.State(); (s.RTT-150*time.Millisecond).Abs() > time.Millisecond || s.MinRTT != 150*time.Millisecond {
			t.Errorf("round trip %v, least %v", s.RTT, s.MinRTT)
		}
		if last := w.a.heard[len(w.a.heard)-1]; last.MinRTT != 150*time.Millisecond {
			t.Errorf("the mesh was told of %v", last.MinRTT)
		}
	})
}

// TestLoss drops each fourth heartbeat of one direction: both ends tell a quarter.
func TestLoss(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		w.run(10 * time.Second)
		n := 0
		w.udp = func(from *end, d []byte) bool {
			if from == w.a {
				n++
			}
			return from == w.b || n%4 != 0
		}
		w.run(10 * time.Second)
		for _, e := range []*end{w.a, w.b} {
			if s := e.link.State(); s.Loss < 0.2 || s.Loss > 0.3 || s.Path != PathUDP {
				t.Errorf("a quarter lost: %+v", s)
			}
		}
		w.udp = nil
		w.run(10 * time.Second)
		if s := w.a.link.State(); s.Loss != 0 {
			t.Errorf("nothing lost: %v", s.Loss)
		}
	})
}

// TestTheLargestDatagramIsFound on paths of every candidate's width, without any of the probes that are lost
// counting as loss; and a path that becomes narrower, and wider again, is noticed.
func TestTheLargestDatagramIsFound(t *testing.T) {
	for _, limit := range append([]int{1300}, candidates[:]...) {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				fits := baseDatagram
				if slices.Contains(candidates[:], limit) {
					fits = limit
				}
				want := func(datagram int, within time.Duration) {
					t.Helper()
					took := w.runUntil(within, func() bool {
						a, b := w.a.link.State(), w.b.link.State()
						return a.MTU == datagram-Overhead && b.MTU == a.MTU
					})
					if took >= within {
						t.Fatalf("MTU %d and %d, want %d, after %v", w.a.link.State().MTU, w.b.link.State().MTU, datagram-Overhead, took)
					}
				}
				w.udp = onlyHeartbeatsBelow(limit)
				w.path(PathUDP, time.Second)
				want(fits, time.Second)
				for range 700 {
					w.run(100 * time.Millisecond)
					if s := w.a.link.State(); s.Loss != 0 || !s.Up || s.MTU != fits-Overhead {
						t.Fatalf("in the search: %+v", s)
					}
				}
				w.udp = onlyHeartbeatsBelow(1240)
				want(baseDatagram, 10*time.Second)
				if s := w.a.link.State(); !s.Up {
					t.Error("a narrower path is down")
				}
				w.udp = onlyHeartbeatsBelow(limit)
				want(fits, searchAgain+time.Second)
			})
		})
	}
}

// TestASearchSurvivesLoss loses nine of ten datagrams for the first second, all probes among them.
func TestASearchSurvivesLoss(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := 0
		w.udp = func(_ *end, d []byte) bool { n++; return len(d) < 1000 || n%10 == 0 && len(d) <= 1472 }
		w.path(PathUDP, time.Second)
		w.run(time.Second)
		w.udp = onlyHeartbeatsBelow(1472)
		took := w.runUntil(8*time.Second, func() bool { return w.a.link.max.Load() == 1472 && w.b.link.max.Load() == 1472 })
		if took > 7*time.Second {
			t.Errorf("1472 found after %v", took)
		}
	})
}

// TestOurOwnInterfaceRefuses what is longer than it is wide: the next candidate below is used at once.
func TestOurOwnInterfaceRefuses(t *testing.T) {
	m := pathMTU{}
	for _, tc := range []struct{ size, inUse, want int }{
		{1472, 1472, 1464},
		{8972, 8972, 8952},
		{1352, 1352, baseDatagram},
		{1500, 8972, 1472},
		{4068, 1472, 1472}, // a probe
	} {
		got, changed := m.refused(tc.size, tc.inUse)
		if got != tc.want || changed != (tc.want != tc.inUse) {
			t.Errorf("%d refused with %d in use: %d, %v", tc.size, tc.inUse, got, changed)
		}
	}
}

// TestEndpointsAreTriedInTurn gives the far end four addresses of which the last is right.
func TestEndpointsAreTriedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newStill(t, 1)
		var all []netip.AddrPort
		for _, s := range []string{"127.0.0.1:11", "[2001:db8::1]:12", "127.0.0.1:13", "127.0.0.1:14"} {
			all = append(all, netip.MustParseAddrPort(s))
		}
		l := n.AddLink(LinkConfig{Peer: 2, Exporter: make([]byte, 32), Endpoints: all, Control: func([]byte) error { return nil }})
		seen := map[netip.AddrPort]bool{}
		for range 20 {
			l.tick(n.s, n.now(), false)
			seen[l.State().Remote] = true
			<-time.After(n.cfg.Heartbeat)
		}
		if len(seen) != 3 || seen[all[1]] {
			t.Errorf("tried %v by a socket for IPv4", seen)
		}
	})
}
