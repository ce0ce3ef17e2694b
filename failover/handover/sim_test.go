package handover

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// world is a giver, a taker, the stream between them and a lease that at most one of them has. It moves in steps of
// random length, may lose the stream or either gateway at any of them, and counts every frame.
type world struct {
	r    *rand.Rand
	now  time.Duration
	log  []string
	seed uint64

	giver            Giver
	taker            Taker
	giverUp, takerUp bool
	linkUp           bool

	// The lease: who has it, and who is to be its heir from when on.
	holder string // "giver", "taker", "" nobody
	heirAt time.Duration
	heir   bool
	stream [2][]func() // what is on its way: to the giver, to the taker

	holdG, holdT bool
}

const term = 40 * time.Millisecond

func (w *world) fail(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Fatalf("seed %d at %v: %s\n%v", w.seed, w.now, fmt.Sprintf(format, args...), w.log)
}

func (w *world) send(to int, f func()) {
	if w.linkUp {
		w.stream[to] = append(w.stream[to], f)
	}
}

func (w *world) give(do []Do) {
	for _, d := range do {
		w.log = append(w.log, fmt.Sprintf("%v giver %v", w.now, d))
		switch d {
		case DoPrepare:
			w.send(1, func() {
				refusal := ""
				if w.r.IntN(20) == 0 {
					refusal = "no"
				}
				w.take(w.taker.Prepare(w.now, refusal))
			})
		case DoHold:
			w.holdG = true
			w.give(w.giver.Held(w.now))
		case DoYield:
			had := w.holder == "giver"
			if had {
				w.holder, w.heir, w.heirAt = "", true, w.now+time.Millisecond+time.Duration(w.r.IntN(3))*time.Millisecond
			}
			w.give(w.giver.Yielded(w.now, had))
		case DoNarrow:
			w.send(1, func() { w.take(w.taker.End(w.now, 1)) })
		case DoEnd, DoDrop:
			w.holdG = false
			w.send(1, func() { w.take(w.taker.End(w.now, 2)) })
		case DoAbort:
			w.send(1, func() { w.take(w.taker.Broken("the giver gave up")) })
		case DoClose:
			w.send(1, func() { w.take(w.taker.Broken("closed")) })
		}
	}
}

func (w *world) take(do []Do) {
	for _, d := range do {
		w.log = append(w.log, fmt.Sprintf("%v taker %v", w.now, d))
		switch d {
		case DoHold:
			w.holdT = true
		case DoReady:
			w.send(0, func() { w.give(w.giver.Ready(w.now)) })
		case DoRefuse:
			w.send(0, func() { w.give(w.giver.Refused(w.taker.Reason)) })
		case DoOpen:
			w.send(0, func() { w.give(w.giver.Opened(w.now)) })
			if w.r.IntN(4) > 0 {
				w.send(0, func() { w.give(w.giver.Marked(w.now)) })
			}
		case DoRelease, DoDrop:
			w.holdT = false
		case DoAbort:
			w.send(0, func() { w.give(w.giver.Refused(w.taker.Reason)) })
		case DoClose:
			w.holdT = false
			w.send(0, func() { w.give(w.giver.Broken("closed")) })
		}
	}
}

// step lets one thing happen.
func (w *world) step(mishaps bool) {
	w.now += time.Duration(w.r.IntN(2000)) * time.Microsecond
	if mishaps && w.r.IntN(60) == 0 {
		switch w.r.IntN(4) {
		case 0:
			w.linkUp, w.stream = false, [2][]func(){}
			w.log = append(w.log, fmt.Sprintf("%v the stream ends", w.now))
			if w.giverUp {
				w.give(w.giver.Broken("stream"))
			}
			if w.takerUp {
				w.take(w.taker.Broken("stream"))
			}
		case 1:
			w.crashGiver()
		case 2:
			w.crashTaker()
		case 3: // a long stall of both
			w.now += time.Duration(w.r.IntN(300)) * time.Millisecond
			if w.holder == "giver" && w.r.IntN(2) == 0 {
				w.holder = "" // the lease has run out meanwhile
			}
		}
	}
	for to := range w.stream {
		if up := to == 0 && w.giverUp || to == 1 && w.takerUp; up && len(w.stream[to]) > 0 && w.r.IntN(2) == 0 {
			f := w.stream[to][0]
			w.stream[to] = w.stream[to][1:]
			f()
		}
	}
	if w.heir && w.now >= w.heirAt && w.takerUp && w.holder == "" {
		w.holder, w.heir = "taker", false
		w.take(w.taker.Opened(w.now))
	}
	if w.giverUp {
		w.give(w.giver.Tick(w.now))
	}
	if w.takerUp {
		w.take(w.taker.Tick(w.now))
	}
}

func (w *world) crashGiver() {
	if !w.giverUp {
		return
	}
	w.log = append(w.log, fmt.Sprintf("%v the giver crashes", w.now))
	w.giverUp, w.linkUp, w.stream = false, false, [2][]func(){}
	if w.holder == "giver" {
		w.holder = ""
	}
	w.holdG = false
	if w.takerUp {
		w.take(w.taker.Broken("the giver crashed"))
	}
}

func (w *world) crashTaker() {
	if !w.takerUp {
		return
	}
	w.log = append(w.log, fmt.Sprintf("%v the taker crashes", w.now))
	w.takerUp, w.linkUp, w.stream = false, false, [2][]func(){}
	if w.holder == "taker" {
		w.holder = ""
	}
	w.holdT = false
	if w.giverUp {
		w.give(w.giver.Broken("the taker crashed"))
	}
}

// TestEveryMoveEnds runs many moves with mishaps at every step: each ends within a bounded time, with no frame held
// for ever, and what the giver believes of a completed move is true.
func TestEveryMoveEnds(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(20000) {
		w := &world{r: rand.New(rand.NewPCG(seed, 1)), seed: seed, giverUp: true, takerUp: true, linkUp: true, holder: "giver"}
		w.giver.Term = term
		w.give(w.giver.Begin(w.now))
		for w.now < 12*time.Second {
			w.step(seed%4 != 0)
			if !w.over() && w.now > 10*time.Second {
				w.fail(t, "giver %v, taker %v after ten seconds", w.giver.State, w.taker.State)
			}
			if w.holder == "taker" && w.giverUp && w.giver.State < GiverYielding && w.giver.State != GiverIdle {
				w.fail(t, "the taker holds the lease while the giver is %v", w.giver.State)
			}
			if w.over() {
				break
			}
		}
		if w.holdG || w.holdT {
			w.fail(t, "frames are held after the end: giver %v, taker %v", w.holdG, w.holdT)
		}
		if w.giverUp && w.giver.Result == Moved && w.takerUp && w.taker.Result != Moved {
			w.fail(t, "the giver believes in a move that the taker does not know of")
		}
		if seed%4 == 0 && w.giver.Result != Moved && w.giver.Result != Refused {
			w.fail(t, "without a mishap: %v, %s", w.giver.Result, w.giver.Reason)
		}
		outcomes[fmt.Sprint(w.giver.Result)]++
	}
	for _, r := range []Result{Moved, Refused, Failed} {
		if outcomes[fmt.Sprint(r)] == 0 {
			t.Errorf("no run ended with %v: %v", r, outcomes)
		}
	}
}

func (w *world) over() bool {
	return (!w.giverUp || w.giver.State == GiverDone) && (!w.takerUp || w.taker.State == TakerDone || w.taker.State == TakerIdle && w.giver.State == GiverDone)
}

// TestNoStateLacksADeadline: whoever hears nothing more ends by the clock.
func TestNoStateLacksADeadline(t *testing.T) {
	g := Giver{Term: term}
	g.Begin(0)
	steps := []func(now time.Duration){
		func(now time.Duration) { g.Tick(now) },
		func(now time.Duration) { g.Ready(now) },
		func(now time.Duration) { g.Held(now) },
		func(now time.Duration) { g.Yielded(now, true) },
		func(now time.Duration) { g.Opened(now) },
		func(now time.Duration) { g.Marked(now) },
	}
	now := Watch
	for i, next := range append(steps, nil) {
		alone := g
		for n := 0; alone.State != GiverDone; n++ {
			if d := alone.Deadline(); d == Never || n > 10 {
				t.Fatalf("after step %d: state %v waits until %v", i, alone.State, d)
			}
			alone.Tick(alone.Deadline())
		}
		if next != nil {
			next(now)
		}
	}
	if g.State != GiverTrailing || g.Result != Moved {
		t.Errorf("%v, %v", g.State, g.Result)
	}
}
