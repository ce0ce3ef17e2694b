package warden

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

const (
	// takeFor is how long the agent may take to read an order; it outranks everything, so it has hung long before. A longer term
	// adds to this, to hungFor and to answerFor.
	takeFor = time.Second
	// endFor is how long it may take to give everything up: it takes 11 ms.
	endFor = 500 * time.Millisecond
	// beatEvery is how often this process gives a sign of life (agent.Stuck is forty times that), and looks for the agent's.
	beatEvery = 50 * time.Millisecond
	// hungFor is how long the agent may give no sign of life. It gives one four times a second with nothing to do.
	hungFor = 3 * time.Second
)

// life is one agent's process, from its start to its end.
type life struct {
	pipe    *os.File
	process *exec.Cmd
	canary  *canary      // nil: the kernel cannot
	running bool         // it has said so
	term    atomic.Int64 // of the lease; 0: it has not been told
	err     error
}

// patience is how long to wait for the agent, which stands still with the machine.
func (l *life) patience(usual time.Duration) time.Duration {
	return failover.Patience(usual, time.Duration(l.term.Load()))
}

// live starts an agent and serves it until it ends, or ctx does.
func (w *Warden) live(ctx context.Context) error {
	l, err := w.begin()
	if err != nil {
		return err
	}
	dead := make(chan error, 1)
	go func() { dead <- l.process.Wait() }()
	heard, served := make(chan error, 1), make(chan struct{})
	go func() { heard <- w.listenTo(l) }() // and nothing else: its thread ends with it
	beating, stop := context.WithCancel(context.Background())
	go func() {
		w.serve(beating, l)
		close(served)
	}()
	err = w.attend(ctx, l, heard, dead)
	stop()
	<-served
	w.bury(l)
	return err
}

// begin starts the process and tells it all that it may know. The gates are shut: by bury, or because they are new.
func (w *Warden) begin() (*life, error) {
	here, there, err := pipe.New()
	if err != nil {
		return nil, err
	}
	l := &life{pipe: os.NewFile(uintptr(here), "pipe to the lease agent")}
	far := os.NewFile(uintptr(there), "pipe to the daemon")
	defer far.Close()
	l.process = exec.Command(w.cfg.Command[0], w.cfg.Command[1:]...)
	l.process.Env = append(os.Environ(), agent.Environment...)
	l.process.ExtraFiles = []*os.File{far} // descriptor 3
	l.process.Stderr = os.Stderr
	// A group of its own: signals for the daemon's group, Ctrl-C or a freeze, are not for who must release its leases.
	l.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := l.process.Start(); err != nil {
		_ = l.pipe.Close()
		return nil, fmt.Errorf("start the lease agent: %w", err)
	}
	bird, watched, err := sing()
	if err != nil {
		w.cfg.Log.Debug("the end of this process will be told some milliseconds later", "err", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lives++
	w.life = l
	l.send(&pipe.Order{Kind: pipe.Hello, Peer: w.cfg.Self}, w.sockets.requests)
	if w.sockets.answers >= 0 {
		l.send(&pipe.Order{Kind: pipe.Answers}, w.sockets.answers)
	}
	if l.canary = bird; bird != nil {
		l.send(&pipe.Order{Kind: pipe.Canary}, int(watched.Fd()))
		_ = watched.Close()
	}
	l.send(&pipe.Order{Kind: pipe.Shared}, w.shared)
	l.order(&pipe.Order{Kind: pipe.Parties, Parties: w.parties})
	for _, d := range w.doors {
		w.introduce(d)
	}
	for segment, c := range w.candidates {
		l.order(candidacy(segment, c))
	}
	if w.resigned {
		l.dismiss()
	}
	return l, nil
}

// introduce hands a gate to the agent.
func (w *Warden) introduce(d *door) {
	if w.life != nil {
		w.life.send(&pipe.Order{Kind: pipe.Gate, Segment: d.segment, Slot: d.slot}, d.memory)
	}
}

// attend waits for the end of a life: its own, or ctx's.
func (w *Warden) attend(ctx context.Context, l *life, heard, dead <-chan error) (err error) {
	select {
	case err = <-dead:
		<-heard
	case err = <-heard: // the pipe is of no use any more
		_ = l.process.Process.Kill()
		err = errors.Join(err, <-dead)
	case <-ctx.Done():
		w.mu.Lock()
		l.dismiss()
		w.mu.Unlock()
		timer := time.AfterFunc(endFor, func() { _ = l.process.Process.Kill() })
		defer timer.Stop()
		err = <-dead
		<-heard
	}
	return err
}

// bury shuts what a dead agent may have left open, and tells that its tenures are over.
func (w *Warden) bury(l *life) {
	w.mu.Lock()
	w.life, w.problem = nil, "the lease agent does not run"
	w.lifeChanged()
	var over []Change
	for _, d := range w.doors {
		w.forbid(d)
		if d.held != 0 {
			over = append(over, Change{Segment: d.segment, Epoch: d.held, Cause: "the lease agent ended", Unused: d.open == 0, At: d.gate.Ended()})
		}
		d.held, d.open = 0, 0
	}
	for number, answer := range w.waiting {
		close(answer)
		delete(w.waiting, number)
	}
	w.mu.Unlock()
	_ = l.pipe.Close()
	if l.canary != nil {
		l.canary.kill()
	}
	for _, c := range over {
		w.cfg.Tell(c)
	}
}

// order says something to the agent. The warden's mu is held, so that orders arrive in the order of what they say.
func (l *life) order(o *pipe.Order) { l.send(o, -1) }

func (l *life) send(o *pipe.Order, pass int) {
	if l.err != nil {
		return
	}
	message := o.Append(nil)
	conn, err := l.pipe.SyscallConn()
	if err == nil {
		_ = l.pipe.SetWriteDeadline(time.Now().Add(l.patience(takeFor)))
		e := conn.Write(func(fd uintptr) (done bool) {
			done, err = pipe.Send(int(fd), message, pass)
			return done || err != nil
		})
		err = errors.Join(err, e)
	}
	if err != nil {
		l.err = err
		_ = l.process.Process.Kill() // what it has not heard it would do wrong
	}
}

// dismiss is the last thing to be said: the agent gives everything up and ends. What it still tells is heard.
func (l *life) dismiss() {
	conn, err := l.pipe.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
	if l.err == nil {
		l.err = errors.Join(err, errDismissed)
	}
}

var errDismissed = errors.New("the lease agent was dismissed")
