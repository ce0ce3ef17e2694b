package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

const (
	// pingEvery keeps NAT bindings alive and gives a silent link something to answer. The data link's own
	// heartbeats judge the path (100 ms); this judges the TCP connection under it.
	pingEvery = time.Second

	// deadAfter is how long a link may be silent: five pings. A connection that TCP itself would keep for
	// 15 minutes of retransmissions (RFC 9293 §3.8.3) is given up then.
	deadAfter = 5 * time.Second

	// writeLimit bounds the writing of one chunk. At 13 kB/s and less a link is no use to anybody.
	writeLimit = 5 * time.Second
	chunk      = 64 << 10

	// maxWindow is yamux's receive window: 1 MiB carries 80 Mbit/s over a round trip of 100 ms, for frames
	// that ride the control link where UDP is blocked.
	maxWindow = 1 << 20

	// backlog bounds streams that nobody has accepted yet; memberlist opens a few in a minute.
	backlog = 32
)

// link is the control connection to one adjacent peer, and the data link beside it.
type link struct {
	// Set before the link is shown to anybody, then constant.
	peer    secure.Peer
	hello   wire.Hello // the far end's
	dialled bool       // by us
	local   net.Addr
	remote  net.Addr
	since   time.Time
	session *yamux.Session
	stream  net.Conn // the messages
	secret  []byte   // exported from TLS, for the data link
	queue   *queue

	data  DataLink     // written once, before run, with Router.mu held
	heard atomic.Int64 // age at which bytes came last, ns
	rtt   atomic.Int64 // of the last ping, ns

	closing sync.Once
	done    chan struct{} // closed when the link ends
	reason  error         // why; set before done is closed
	gone    chan struct{} // closed when nothing of it is left

	state transit.LinkState // guarded by Router.mu
}

// muxConfig is yamux without its own opinion of when a connection is dead: we have one.
func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = backlog
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = writeLimit
	c.StreamOpenTimeout = 0 // a peer that is slow to accept one stream is no reason to drop all
	c.StreamCloseTimeout = time.Minute
	c.MaxStreamWindowSize = maxWindow
	c.LogOutput, c.Logger = nil, log.New(io.Discard, "", 0) // its errors come back from Read and Write, too
	return c
}

// handler is what a link does with what it receives. Both are called from goroutines of the link.
type handler struct {
	message func(*link, wire.Kind, []byte) error // the body is valid until it returns; an error ends the link
	stream  func(net.Conn)                       // owns the stream; must not block
}

// run serves the link until it ends, and returns why it did.
func (l *link) run(ctx context.Context, h handler) error {
	l.heard.Store(int64(l.age()))
	stop := context.AfterFunc(ctx, func() { l.end(ctx.Err()) })
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { l.end(l.write()) })
	all.Go(func() { l.end(l.read(h.message)) })
	all.Go(func() { l.end(l.accept(h.stream)) })
	<-l.done
	l.session.Close()
	all.Wait()
	return l.reason
}

// end closes the link. The first reason counts.
func (l *link) end(reason error) {
	l.closing.Do(func() {
		l.reason = reason
		close(l.done)
		l.queue.close()
		go l.session.Close() // may wait for the goroutine that called end
	})
}

// send queues a message; it never blocks.
func (l *link) send(k wire.Kind, body []byte) error {
	if err := l.queue.push(k, body); err != nil {
		return fmt.Errorf("%s to peer %s: %w", k, l.peer.Name, err)
	}
	return nil
}

func (l *link) write() error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var buf []byte
	for {
		select {
		case <-l.done:
			return nil
		case <-ping.C:
			if err := l.beat(); err != nil {
				return err
			}
		case <-l.queue.wake:
			for buf = l.queue.take(buf); len(buf) > 0; buf = l.queue.take(buf) {
				if err := l.writeAll(buf); err != nil {
					return err
				}
			}
			buf = shrink(buf)
			if err := l.queue.finished(); err != nil {
				l.linger()
				return err
			}
		}
	}
}

// finish ends the link when all that waits has been written and the far end has had time to read it.
func (l *link) finish(reason error) { l.queue.finish(reason) }

// linger waits for the far end to hang up: closing earlier could destroy what is still on its way
// (RFC 1122 §4.2.2.13).
func (l *link) linger() {
	select {
	case <-l.done:
	case <-time.After(lingerLimit):
	}
}

// age is how old the link is by the monotonic clock. The wall clock of a machine that has just started is set, by years
// sometimes: that must end no link, nor keep a dead one.
func (l *link) age() time.Duration { return time.Since(l.since) }

// beat asks for a sign of life, and gives up when none came for too long.
func (l *link) beat() error {
	now := l.age()
	if silent := now - time.Duration(l.heard.Load()); silent > deadAfter {
		return fmt.Errorf("nothing heard for %s", silent.Round(time.Second))
	}
	err := l.send(wire.KindPing, wire.AppendNonce(nil, uint64(now)))
	if errors.Is(err, errQueueFull) {
		return nil // plenty is on its way that shows the far end we live
	}
	return err
}

func (l *link) writeAll(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), chunk)
		if err := l.stream.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
			return err
		}
		if _, err := l.stream.Write(b[:n]); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		b = b[n:]
	}
	return nil
}

func (l *link) read(message func(*link, wire.Kind, []byte) error) error {
	r := hearing{l.stream, l}
	buf := make([]byte, 64<<10)
	for {
		k, body, err := wire.ReadMessage(r, buf)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		switch k {
		case wire.KindPing:
			err = l.pong(body)
		case wire.KindPong:
			err = l.ponged(body)
		default:
			err = message(l, k, body)
		}
		if err != nil {
			return err
		}
	}
}

func (l *link) pong(body []byte) error {
	n, err := wire.ParseNonce(wire.KindPing, body)
	if err != nil {
		return err
	}
	if err := l.send(wire.KindPong, wire.AppendNonce(nil, n)); !errors.Is(err, errQueueFull) {
		return err
	}
	return nil
}

func (l *link) ponged(body []byte) error {
	n, err := wire.ParseNonce(wire.KindPong, body)
	if err != nil {
		return err
	}
	if now := uint64(l.age()); n <= now { // or it is none of our nonces
		l.rtt.Store(int64(now - n))
	}
	return nil
}

func (l *link) accept(stream func(net.Conn)) error {
	for {
		s, err := l.session.AcceptStream()
		if err != nil {
			return fmt.Errorf("connection: %w", err)
		}
		stream(s)
	}
}

// hearing notes when bytes came.
type hearing struct {
	r io.Reader
	l *link
}

func (h hearing) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	if n > 0 {
		h.l.heard.Store(int64(h.l.age()))
	}
	return n, err
}

func (l *link) id() drawbridge.PeerID { return l.peer.ID }
