package raftgroup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/drawbridge-net/drawbridge"
)

// The first octet of a connection between voters says what it is for (docs/protocol/raft.md, "Transport").
const (
	forRaft     = 1
	forProposal = 2
	forStatus   = 3
)

const (
	// maxMessage bounds a forwarded command or an answer. The largest is a backup to restore.
	maxMessage = 8<<20 + 1024
	// maxCommand bounds any other: a configuration of maxDocument, as JSON may escape it.
	maxCommand = 1 << 20

	// exchangeTimeout bounds one proposal or status, and how long a stranger may take to say who it is.
	exchangeTimeout = 5 * time.Second
)

// transport gives raft its connections, and carries proposals and status.
type transport struct {
	listener net.Listener
	address  advertised
	accept   func(context.Context, net.Conn) (net.Conn, error)
	dial     func(context.Context, string) (net.Conn, error)
	propose  func(context.Context, []byte) answer
	status   func() status

	raft    chan net.Conn
	ctx     context.Context // ends when the transport is closed
	cancel  context.CancelFunc
	serving sync.WaitGroup

	mu   sync.Mutex
	open map[*conn]struct{} // nil once closed
}

func newTransport(c Config) *transport {
	t := &transport{listener: c.Listener, address: advertised(c.Address), accept: c.Accept, dial: c.Dial, raft: make(chan net.Conn), open: map[*conn]struct{}{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// conn is a connection that ends with the transport, whoever holds it: raft does not close what it has accepted.
type conn struct {
	net.Conn
	of *transport
}

// own makes c one of ours, or closes it when the transport is closed.
func (t *transport) own(c net.Conn) (*conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	owned := &conn{c, t}
	t.open[owned] = struct{}{}
	return owned, nil
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// run accepts until the transport is closed, and returns when every connection has been handed on or has ended.
func (t *transport) run() {
	defer t.serving.Wait()
	for {
		raw, err := t.listener.Accept()
		if err == nil {
			t.serving.Go(func() { t.receive(raw) })
			continue
		}
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(50 * time.Millisecond): // out of descriptors, most likely
		}
	}
}

// receive finds out who called and what for.
func (t *transport) receive(raw net.Conn) {
	ctx, cancel := context.WithTimeout(t.ctx, exchangeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	authentic, err := t.accept(ctx, raw)
	if err != nil {
		raw.Close()
		return
	}
	c, err := t.own(authentic)
	if err != nil {
		return
	}
	var kind [1]byte
	if _, err := io.ReadFull(c, kind[:]); err != nil {
		c.Close()
		return
	}
	if kind[0] == forRaft && stop() {
		t.hand(c)
		return
	}
	defer c.Close()
	t.serve(ctx, c, kind[0])
}

// hand gives a connection to raft.
func (t *transport) hand(c *conn) {
	select {
	case t.raft <- c:
	case <-t.ctx.Done():
		c.Close()
	}
}

// serve answers one question. Whoever hears no answer asks again, a proposal with the same id.
func (t *transport) serve(ctx context.Context, c net.Conn, kind byte) {
	switch kind {
	case forProposal:
		var command json.RawMessage
		if err := json.NewDecoder(io.LimitReader(c, maxMessage)).Decode(&command); err != nil {
			return
		}
		json.NewEncoder(c).Encode(t.propose(ctx, command))
	case forStatus:
		json.NewEncoder(c).Encode(t.status())
	}
}

// ask calls a voter, says what for and what, and reads the answer.
func (t *transport) ask(ctx context.Context, addr string, kind byte, question []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	raw, err := t.dial(ctx, addr)
	if err != nil {
		return fmt.Errorf("call %s: %w", addr, err)
	}
	c, err := t.own(raw)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := c.Write(append([]byte{kind}, question...)); err != nil {
		return fmt.Errorf("ask %s: %w", addr, err)
	}
	if err := json.NewDecoder(io.LimitReader(c, maxMessage)).Decode(into); err != nil {
		return fmt.Errorf("hear from %s: %w", addr, err)
	}
	return nil
}

// status is what a voter says of itself.
type status struct {
	Name   drawbridge.PeerName `json:"name"`
	Index  uint64              `json:"index"`          // of the newest entry that it has applied
	Member bool                `json:"member"`         // votes in a group, as far as it knows
	Mute   bool                `json:"mute,omitempty"` // but would not, as it has yet to learn what was decided
}

func (t *transport) statusOf(ctx context.Context, addr string) (s status, err error) {
	err = t.ask(ctx, addr, forStatus, nil, &s)
	return s, err
}

// answer is what became of a forwarded proposal.
type answer struct {
	Index uint64 `json:"index"`
	Error string `json:"error,omitempty"`
	Kind  string `json:"kind,omitempty"` // which condition Error is
}

// conditions are the errors that survive being forwarded.
var conditions = map[string]error{"conflict": ErrConflict, "command": ErrCommand, "unknown": ErrUnknown, "no_leader": ErrNoLeader}

func answerOf(index uint64, err error) answer {
	if err == nil {
		return answer{Index: index}
	}
	for kind, condition := range conditions {
		if errors.Is(err, condition) {
			return answer{index, err.Error(), kind}
		}
	}
	return answer{Index: index, Error: err.Error()}
}

func (a answer) err() error {
	if a.Error == "" {
		return nil
	}
	return forwardedError{a.Error, conditions[a.Kind]}
}

// forwardedError is the leader's error as another voter reports it.
type forwardedError struct {
	text      string
	condition error // may be nil
}

func (e forwardedError) Error() string { return e.text }
func (e forwardedError) Unwrap() error { return e.condition }

// forward sends a proposal to the leader.
func (t *transport) forward(ctx context.Context, leader string, command []byte) (uint64, error) {
	var a answer
	if err := t.ask(ctx, leader, forProposal, command, &a); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	return a.Index, a.err()
}

// Accept, Dial, Addr and Close make transport a raft.StreamLayer.

func (t *transport) Accept() (net.Conn, error) {
	select {
	case c := <-t.raft:
		return c, nil
	case <-t.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (t *transport) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, min(timeout, exchangeTimeout))
	defer cancel()
	raw, err := t.dial(ctx, string(addr))
	if err != nil {
		return nil, err
	}
	c, err := t.own(raw)
	if err != nil {
		return nil, err
	}
	c.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := c.Write([]byte{forRaft}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, c.SetWriteDeadline(time.Time{})
}

func (t *transport) Addr() net.Addr { return t.address }

// advertised is where others reach this voter. A leader names itself by it, and the listener's own address may
// be that of all interfaces.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// sever closes a connection without waiting until the far end has read TLS's good-bye.
func sever(c net.Conn) {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = over.NetConn()
	}
	c.Close()
}

// Close ends every connection; again is harmless.
func (t *transport) Close() error {
	t.mu.Lock()
	open := t.open
	t.open = nil
	t.mu.Unlock()
	if open == nil {
		return nil
	}
	t.cancel()
	for c := range open {
		sever(c.Conn)
	}
	return t.listener.Close()
}
