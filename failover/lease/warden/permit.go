package warden

import (
	"context"
	"runtime"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// Who is asked again whether a gate may open is asked all the time for answerSoon, after firstAgain, and then ever later
// up to lastAgain: ALONE answers within some 100 microseconds, or after it has listened.
const (
	answerSoon = 300 * time.Microsecond
	firstAgain = 500 * time.Microsecond
	lastAgain  = 5 * time.Millisecond
)

// serve gives the agent signs of life, looks for its own, and lets it open gates.
func (w *Warden) serve(ctx context.Context, l *life) {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	sign, pause := vigil{moved: time.Now()}, firstAgain
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.nudge:
			pause = firstAgain
		case <-again.C:
			pause = min(2*pause, lastAgain)
		case <-beat.C:
			w.beat()
			if sign.silent(time.Now(), w.board.Agent.Load()) > l.patience(hungFor) {
				w.cfg.Log.Error("the lease agent gives no sign of life and is killed")
				_ = l.process.Process.Kill()
			}
		}
		if w.permit() {
			again.Reset(pause)
		}
	}
}

// vigil watches a sign of life.
type vigil struct {
	seen  uint64
	moved time.Time
}

// silent is for how long the sign has not moved.
func (v *vigil) silent(now time.Time, sign uint64) time.Duration {
	if sign != v.seen {
		v.seen, v.moved = sign, now
	}
	return now.Sub(v.moved)
}

// permitSoon asks again and again for as long as an answer usually takes: timers are coarser than that (a thread's slack
// of 1 ms), and the gate of a segment that nobody else serves waits.
func (w *Warden) permitSoon() {
	for end := time.Now().Add(answerSoon); w.permit() && time.Now().Before(end); {
		runtime.Gosched()
	}
}

// beat says that the data path moves.
func (w *Warden) beat() {
	if w.cfg.Alive == nil || w.cfg.Alive() {
		w.board.Daemon.Add(1)
	}
}

// permit writes on the board what may be open, and reports whether a gate waits for that. The question and the store are
// under mu: a Veto that comes between them comes after.
func (w *Warden) permit() (waits bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.doors {
		if d.held == 0 || w.resigned {
			continue
		}
		word := &w.board.Allow[d.slot]
		was := word.Load() == uint64(d.held)
		switch may := d.allow(d.held); {
		case may && !was:
			word.Store(uint64(d.held))
			w.order(&pipe.Order{Kind: pipe.Look, Segment: d.segment})
		case !may && was:
			w.veto(d)
			waits = true
		case !may:
			waits = true
		}
	}
	return waits
}

// forbid shuts a gate for good: whoever opens it at this moment looks at the board again afterwards.
func (w *Warden) forbid(d *door) {
	w.board.Allow[d.slot].Store(0)
	d.gate.Shut()
}

func (w *Warden) veto(d *door) {
	w.forbid(d)
	w.order(&pipe.Order{Kind: pipe.Veto, Segment: d.segment})
}

// Veto shuts a gate because the wire speaks against it; allow must answer no by now, and keeps it shut from then on.
func (w *Warden) Veto(segment drawbridge.SegmentID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.doors[segment]; d != nil {
		w.veto(d)
	}
}
