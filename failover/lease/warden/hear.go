package warden

import (
	"context"
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// hearingPriority is below the canary's and the agent's. What is heard is little and short: the gate may open, a gate has opened.
const hearingPriority = 50

// listenTo hears an agent's reports until there are no more. It makes the thread of its goroutine one of real-time priority that waits in
// the kernel, and leaves it so: the goroutine ends with it. By way of the runtime's poller a goroutine gets to know of a report two wake-ups of
// ordinary threads later, 1 to 3 ms on a busy host, and both the opening of a gate and the news of it to the peers wait for that.
func (w *Warden) listenTo(l *life) error {
	runtime.LockOSThread() // never unlocked: the thread ends with its priority
	realTime(hearingPriority)
	conn, err := l.pipe.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = w.listenOn(int(fd), l) })
	return errors.Join(err, failed)
}

func (w *Warden) listenOn(fd int, l *life) error {
	b := make([]byte, pipe.MaxMessage)
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, _, err := pipe.Receive(fd, b)
		if errors.Is(err, pipe.ErrGone) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == 0 {
			if _, err := unix.Poll(ready, -1); err != nil && err != unix.EINTR {
				return os.NewSyscallError("poll", err)
			}
			continue
		}
		var r pipe.Report
		if err := r.Parse(b[:n]); err != nil {
			return err
		}
		w.hear(l, &r)
	}
}

// hear takes note of one report.
func (w *Warden) hear(l *life, r *pipe.Report) {
	switch r.Kind {
	case pipe.Running:
		w.hearRunning(l, r.Text)
	case pipe.Won:
		w.hearWon(r)
	case pipe.Opened, pipe.Ended:
		if c, news := w.hearChange(r); news {
			w.cfg.Tell(c)
		}
	case pipe.Yielded, pipe.Floored, pipe.Told:
		w.mu.Lock()
		if answer := w.waiting[r.Number]; answer != nil {
			answer <- *r // has room for one
			delete(w.waiting, r.Number)
		}
		w.mu.Unlock()
	case pipe.Over:
		if w.cfg.Over != nil {
			w.cfg.Over(r.Segment, drawbridge.PeerID(r.Number), r.Epoch)
		}
	case pipe.Noted:
		w.cfg.Log.Log(context.Background(), r.Level, "lease agent", "text", r.Text)
	}
}

func (w *Warden) hearRunning(l *life, problem string) {
	if problem != "" {
		w.cfg.Log.Warn("the lease agent does not run as it should", "err", problem)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l.running, w.problem = true, problem
	w.lifeChanged()
}

// hearWon notes that a lease is held; the gate opens as soon as nobody here has anything against it.
func (w *Warden) hearWon(r *pipe.Report) {
	w.mu.Lock()
	if d := w.doors[r.Segment]; d != nil {
		d.held, d.open = r.Epoch, 0
	}
	w.mu.Unlock()
	if w.cfg.Won != nil {
		w.cfg.Won(r.Segment, r.Epoch)
	}
	w.permitSoon()
	select {
	case w.nudge <- struct{}{}: // serve goes on asking
	default:
	}
}

func (w *Warden) hearChange(r *pipe.Report) (c Change, news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.doors[r.Segment]
	if d == nil || d.held != r.Epoch {
		return c, false
	}
	c = Change{Segment: r.Segment, Epoch: r.Epoch, Held: r.Kind == pipe.Opened, Cause: r.Text, Unused: d.open == 0, At: failover.Boottime(r.At)}
	if c.Held {
		c.Unused = false
		d.open = r.Epoch
		return c, true
	}
	news = r.Yes || d.open != 0
	d.open = 0
	if r.Yes {
		d.held = 0
		w.board.Allow[d.slot].Store(0)
	}
	return c, news
}

// Problem says why the agent does not run as it should; empty when it does.
func (w *Warden) Problem() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}
