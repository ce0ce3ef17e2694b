package appliance

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/handover"
)

// handoverService is the name under which gateways hand segments to each other.
const handoverService = "handover"

// talk is one end of a handover's stream. Messages leave in the order of post.
type talk struct {
	conn  net.Conn
	heard chan handover.Message
	ended chan struct{} // heard is complete

	mu     sync.Mutex // guards what follows
	wake   sync.Cond
	buf    []byte
	closed bool
}

// maxPosted bounds what waits to be sent: 4 MiB, as in docs/protocol/handover.md.
const maxPosted = 4 << 20

func newTalk(conn net.Conn) *talk {
	t := &talk{conn: conn, heard: make(chan handover.Message, 256), ended: make(chan struct{})}
	t.wake.L = &t.mu
	return t
}

// run carries messages both ways until the stream ends or ctx does. hear is called first for each, and keeps what it
// answers true for; the rest is for the move's own goroutine.
func (t *talk) run(ctx context.Context, hear func(*handover.Message) bool) {
	stop := context.AfterFunc(ctx, t.close)
	defer stop()
	var both sync.WaitGroup
	both.Go(t.write)
	both.Go(func() {
		defer close(t.ended)
		defer t.close()
		t.read(ctx, hear)
	})
	both.Wait()
}

func (t *talk) read(ctx context.Context, hear func(*handover.Message) bool) {
	var header [handover.HeaderSize]byte
	var m handover.Message
	buf := make([]byte, 0, handover.HeaderSize+handover.MaxBody)
	for {
		if _, err := io.ReadFull(t.conn, header[:]); err != nil {
			return
		}
		size, err := handover.BodyLen(header[:])
		if err != nil {
			return
		}
		buf = append(buf[:0], header[:]...)
		buf = buf[:handover.HeaderSize+size]
		if _, err := io.ReadFull(t.conn, buf[handover.HeaderSize:]); err != nil || handover.Parse(buf, &m) != nil {
			return
		}
		if hear(&m) {
			continue
		}
		select {
		case t.heard <- m:
		case <-ctx.Done():
			return
		}
	}
}

// post queues a message; false: there is no room, or the stream has ended.
func (t *talk) post(m *handover.Message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.buf) > maxPosted {
		return false
	}
	t.buf = m.Append(t.buf)
	t.wake.Signal()
	return true
}

func (t *talk) write() {
	var out []byte
	for {
		t.mu.Lock()
		for len(t.buf) == 0 && !t.closed {
			t.wake.Wait()
		}
		out, t.buf = t.buf, out[:0]
		closed := t.closed
		t.mu.Unlock()
		if len(out) > 0 {
			if _, err := t.conn.Write(out); err != nil {
				t.close()
				return
			}
		}
		if closed {
			_ = t.conn.Close()
			return
		}
	}
}

// close sends what is queued and then ends the stream.
func (t *talk) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	t.wake.Signal()
	// What hangs must not hang for ever.
	_ = t.conn.SetDeadline(time.Now().Add(talkEnd))
}

// talkEnd is how long the last messages may take.
const talkEnd = time.Second
