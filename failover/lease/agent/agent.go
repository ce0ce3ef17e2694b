// Package agent is the process that keeps the leases: it carries the datagrams of lease.Node, keeps its clock and opens
// and shuts the gates. It is one thread of real-time priority that shares nothing with anybody but a pipe, a page
// and the gates, so that nothing stands between the decision that a lease is over and the store that shuts the
// gate. Package warden starts it. docs/protocol/lease.md, "Agent", says what it relies on.
package agent

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// Agent is one run of this peer's part in the leases. One thread owns all of it.
type Agent struct {
	pipe    int
	board   *pipe.Board
	link    *link
	answers *inlet // of answers; nil: they come with everything else
	canary  int    // descriptor; negative: none
	guard   guard
	pace    pace

	self    drawbridge.PeerID
	node    *lease.Node
	out     lease.Output
	doors   map[drawbridge.SegmentID]*door
	moved   failover.Boottime // when gates were last moved
	peers   []*peer
	session uint64
	msg     lease.Message
	buf     []byte

	order   pipe.Order
	inbox   []byte
	reports reports
	status  pipe.Status
	ending  lease.Instant // when to end whatever has not been released; 0: not yet
	unwell  string        // why the daemon behind the gates must not hold a lease; empty: it is well
}

// peer is one other party.
type peer struct {
	id      drawbridge.PeerID
	to      address
	key     string
	channel *lease.Channel
	batch   []lease.Entry
	rtt     time.Duration // of the last answer that was read at once
}

// Serve is the life of the process. The descriptor is its end of the pipe; when the other end closes, the daemon is gone
// or wants it to go, and it gives everything up in order: shut, wait, release.
func Serve(fd int) error {
	a := &Agent{
		pipe: fd, canary: -1, doors: map[drawbridge.SegmentID]*door{}, session: random(),
		buf: make([]byte, 0, lease.MaxDatagram), inbox: make([]byte, pipe.MaxMessage),
	}
	problem := settle()
	if err := a.meet(); err != nil {
		if errors.Is(err, pipe.ErrGone) {
			return nil
		}
		return fmt.Errorf("lease agent: %w", err)
	}
	a.node = lease.NewNode(a.self, a.now(), random())
	a.tell(pipe.Report{Kind: pipe.Running, Text: problem})
	defer a.shutAll()
	if err := a.keep(); err != nil {
		return fmt.Errorf("lease agent: %w", err)
	}
	return nil
}

// random never answers 0, which is no session.
func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return max(binary.BigEndian.Uint64(b[:]), 1)
}

func (a *Agent) now() lease.Instant { return lease.Instant(gate.Now()) }

// meet waits for the first messages: who we are, with the sockets, and the board.
func (a *Agent) meet() error {
	for a.board == nil {
		n, passed, err := pipe.Receive(a.pipe, a.inbox)
		switch {
		case err != nil:
			return err
		case n == 0:
			_ = wait([]unix.PollFd{{Fd: int32(a.pipe), Events: unix.POLLIN}}, longestWait)
		default:
			if err := a.greet(n, passed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Agent) greet(n, passed int) (err error) {
	if err := a.order.Parse(a.inbox[:n]); err != nil {
		return err
	}
	switch {
	case a.order.Kind == pipe.Hello && passed >= 0:
		a.self = a.order.Peer
		a.link, err = newLink(passed)
	case a.order.Kind == pipe.Answers && passed >= 0:
		a.answers = newInlet(passed)
	case a.order.Kind == pipe.Canary && passed >= 0:
		a.canary = passed
	case a.order.Kind == pipe.Shared && passed >= 0 && a.link != nil:
		a.board, err = pipe.JoinBoard(passed)
		_ = unix.Close(passed)
		a.guard = watch(unix.Getppid(), &a.board.Daemon)
	default:
		err = fmt.Errorf("order %d before the first ones: %w", a.order.Kind, pipe.ErrMessage)
	}
	return err
}

// keep keeps the leases until the daemon is gone and everything is given up. A turn reads what has come, does what the
// clock demands, and sleeps.
func (a *Agent) keep() error {
	events := a.events()
	for {
		if events.gone && a.ending == 0 {
			a.leave()
		}
		if events.orders && a.ending == 0 {
			if err := a.obey(); err != nil {
				return err
			}
		}
		if err := a.receive(events.requests); err != nil {
			return err
		}
		now := a.now()
		a.watchDaemon(now)
		a.node.Tick(now, &a.out)
		a.act(now)
		a.flush()
		if a.ending != 0 && (now >= a.ending || !a.node.Leaving()) {
			return nil
		}
		a.reports.send(a.pipe)
		a.board.Agent.Add(1)
		a.rest(&events)
	}
}

// endFor is how long an orderly end may take: closing and three releases are done in a few milliseconds.
const endFor = 100 * time.Millisecond

// leave gives everything up. The gates come first, whatever the node thinks of them.
func (a *Agent) leave() {
	a.shutAll()
	now := a.now()
	a.ending, a.guard.next, a.guard.due = now.Add(endFor), lease.Never, lease.Never
	a.stand(now, false)
	a.act(now)
}

// stand has this peer be, or be no longer, a candidate where the daemon wants it to be one.
func (a *Agent) stand(now lease.Instant, may bool) {
	for _, d := range a.doors {
		a.node.SetCandidate(now, d.segment, d.rank, d.wanted && may, &a.out)
	}
}

func (a *Agent) shutAll() {
	for _, d := range a.doors {
		if d.gate != nil {
			d.gate.Shut()
		}
	}
}

// watchDaemon gives the leases up while the daemon, which moves the frames, is stopped or stuck.
func (a *Agent) watchDaemon(now lease.Instant) {
	if now < a.guard.next {
		return
	}
	why := a.guard.look(now, a.holds())
	if why == a.unwell {
		return
	}
	a.unwell = why
	if why != "" {
		a.shutAll()
		a.note(slog.LevelError, "leases are given up: "+why)
	} else {
		a.note(slog.LevelWarn, "the daemon is back: this peer may hold leases again")
	}
	a.stand(now, why == "")
	a.act(now)
}

func (a *Agent) holds() bool {
	for _, d := range a.doors {
		if d.held != 0 {
			return true
		}
	}
	return false
}

// act does what the node wants done, in its order: gates first, then datagrams.
func (a *Agent) act(now lease.Instant) {
	a.moveGates()
	a.send(now)
	a.out.Reset()
}

// boottime is the same number in the words of package failover.
func boottime(i lease.Instant) failover.Boottime { return failover.Boottime(i) }
