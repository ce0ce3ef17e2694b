// Package meshtest runs whole networks of routers in one process and in fake time: hosts with addresses, a
// network between them that can be cut, slowed and put behind NAT, and a data plane whose links are up when
// their control links are.
package meshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing/synctest"
	"time"
)

// Net is a network of hosts in a synctest bubble. Its methods may be called while routers run.
type Net struct {
	mu        sync.Mutex
	latency   time.Duration
	hosts     map[string]*Host
	listeners map[netip.AddrPort]*listener
	conns     map[*pair]bool
	cut       map[[2]*Host]bool
	port      uint16
}

// NewNet returns a network in which every byte takes latency from host to host.
func NewNet(latency time.Duration) *Net {
	return &Net{
		latency: latency, hosts: map[string]*Host{}, listeners: map[netip.AddrPort]*listener{}, conns: map[*pair]bool{},
		cut: map[[2]*Host]bool{}, port: 40000,
	}
}

// Host is a machine.
type Host struct {
	net  *Net
	Name string
	Addr netip.Addr
	Seen netip.Addr // the address others see: another than Addr behind a NAT, which lets nobody in
}

// Host adds a machine with a public address.
func (n *Net) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{net: n, Name: name, Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + len(n.hosts))})}
	h.Seen = h.Addr
	n.hosts[name] = h
	return h
}

// Hide puts the machine behind a NAT: it can call, and cannot be called.
func (h *Host) Hide() {
	h.Seen, h.Addr = h.Addr, netip.AddrFrom4([4]byte{10, 0, 0, h.Addr.As4()[3]})
}

func both(a, b *Host) [2]*Host {
	if a.Name > b.Name {
		a, b = b, a
	}
	return [2]*Host{a, b}
}

// Cut makes everything between two hosts vanish silently, in both directions.
func (n *Net) Cut(a, b *Host) { n.set(a, b, true) }

// Heal ends a Cut. What was under way arrives, as TCP would send it again.
func (n *Net) Heal(a, b *Host) { n.set(a, b, false) }

func (n *Net) set(a, b *Host, cut bool) {
	synctest.Wait() // no frame is cut in two: see window
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[both(a, b)] = cut
	for p := range n.conns {
		if both(p.from, p.to) == both(a, b) {
			p.there.stop(cut)
			p.back.stop(cut)
		}
	}
}

// Reset breaks all connections between two hosts, as a router that forgot them would.
func (n *Net) Reset(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.conns {
		if both(p.from, p.to) == both(a, b) {
			p.there.close(syscall.ECONNRESET)
			p.back.close(syscall.ECONNRESET)
		}
	}
}

// Slow changes the latency of everything that is sent from now on.
func (n *Net) Slow(latency time.Duration) {
	synctest.Wait() // as in set
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = latency
	for p := range n.conns {
		p.there.slow(latency)
		p.back.slow(latency)
	}
}

// Listen is net.Listen on this host. The address may be unspecified.
func (h *Host) Listen(_, addr string) (net.Listener, error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(h.Addr, a.Port())
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.net.listeners[at] != nil {
		return nil, fmt.Errorf("listen %s: %w", addr, syscall.EADDRINUSE)
	}
	l := &listener{host: h, at: at, says: a, calls: make(chan net.Conn, 16), closed: make(chan struct{})}
	h.net.listeners[at] = l
	return l, nil
}

// Dial is net.Dialer.DialContext from this host. Hosts can be called by name.
func (h *Host) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	at, err := h.net.resolve(addr)
	if err != nil {
		return nil, err
	}
	p, l, err := h.net.connect(h, at)
	if errors.Is(err, errSilent) {
		<-ctx.Done()
		return nil, fmt.Errorf("dial %s: %w", addr, ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	near := &conn{in: p.back, out: p.there, local: p.near, remote: at, pair: p}
	far := &conn{in: p.there, out: p.back, local: at, remote: p.seen, pair: p}
	select {
	case <-time.After(2 * p.there.latency): // SYN and its answer
	case <-ctx.Done():
		near.Close()
		return nil, ctx.Err()
	}
	select {
	case l.calls <- far:
		return near, nil
	case <-l.closed:
		near.Close()
		return nil, fmt.Errorf("dial %s: %w", addr, syscall.ECONNREFUSED)
	case <-ctx.Done():
		near.Close()
		return nil, ctx.Err()
	}
}

var errSilent = errors.New("no answer")

func (n *Net) resolve(addr string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[host]; h != nil {
		host = h.Addr.String()
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return at, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return at, nil
}

func (n *Net) connect(h *Host, at netip.AddrPort) (*pair, *listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[at]
	switch {
	case l == nil:
		return nil, nil, syscall.ECONNREFUSED
	case n.cut[both(h, l.host)] || l.host.Addr != l.host.Seen && l.host != h:
		return nil, nil, errSilent
	}
	n.port++
	p := &pair{
		net: n, from: h, to: l.host, near: netip.AddrPortFrom(h.Addr, n.port), seen: netip.AddrPortFrom(h.Seen, n.port),
		there: newHalf(n.latency), back: newHalf(n.latency),
	}
	if h == l.host {
		p.seen = p.near
	}
	n.conns[p] = true
	return p, l, nil
}

// pair is one connection.
type pair struct {
	net         *Net
	from, to    *Host
	near, seen  netip.AddrPort // the caller's address, there and as seen from the far end
	there, back *half
	ends        sync.Map
}

type listener struct {
	host   *Host
	at     netip.AddrPort
	says   netip.AddrPort
	calls  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.host.net.mu.Lock()
		delete(l.host.net.listeners, l.at)
		l.host.net.mu.Unlock()
	})
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.says) }

// conn is one end of a connection.
type conn struct {
	in, out       *half
	local, remote netip.AddrPort
	pair          *pair
}

func (c *conn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }

func (c *conn) Close() error {
	c.out.finish()
	c.in.close(net.ErrClosed)
	n := c.pair.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, other := c.pair.ends.Swap(c.local, true); !other && c.pair.there.over() && c.pair.back.over() {
		delete(n.conns, c.pair)
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.change(func(h *half) { h.readBy = t })
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.change(func(h *half) { h.writeBy = t })
	return nil
}

// window is how much one direction holds before its writer waits. It never does: yamux holds a lock while it
// reads a frame, and fake time stands still while somebody waits for a lock, so a frame has to arrive whole.
const window = 1 << 30

// half is one direction of a connection.
type half struct {
	mu              sync.Mutex
	latency         time.Duration
	chunks          []chunk
	size            int
	stopped         bool  // cut: nothing comes out
	ended           bool  // the writer has closed
	broken          error // for reader and writer, at once
	readBy, writeBy time.Time
	moved           chan struct{} // closed and replaced at every change
}

type chunk struct {
	b  []byte
	at time.Time
}

func newHalf(latency time.Duration) *half { return &half{latency: latency, moved: make(chan struct{})} }

// change applies f and wakes who waits.
func (h *half) change(f func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	close(h.moved)
	h.moved = make(chan struct{})
}

func (h *half) stop(cut bool)        { h.change(func(h *half) { h.stopped = cut }) }
func (h *half) slow(l time.Duration) { h.change(func(h *half) { h.latency = l }) }
func (h *half) finish()              { h.change(func(h *half) { h.ended = true }) }

func (h *half) close(err error) {
	h.change(func(h *half) {
		if h.broken == nil {
			h.broken = err
		}
	})
}

func (h *half) over() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broken != nil || h.ended
}

// try runs f with the lock held until it is done, and waits in between until something changes, until the
// time that f says, or by.
func (h *half) try(by func() time.Time, f func(now time.Time) (done bool, until time.Time)) error {
	for {
		now := time.Now()
		h.mu.Lock()
		limit := by()
		if h.broken != nil {
			defer h.mu.Unlock()
			return h.broken
		}
		if !limit.IsZero() && !now.Before(limit) {
			h.mu.Unlock()
			return os.ErrDeadlineExceeded
		}
		done, until := f(now)
		moved := h.moved
		h.mu.Unlock()
		if done {
			return nil
		}
		if until.IsZero() || !limit.IsZero() && limit.Before(until) {
			until = limit
		}
		wait(moved, until)
	}
}

func wait(moved <-chan struct{}, until time.Time) {
	if until.IsZero() {
		<-moved
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-moved:
	case <-t.C:
	}
}

func (h *half) read(b []byte) (n int, err error) {
	eof := false
	err = h.try(func() time.Time { return h.readBy }, func(now time.Time) (bool, time.Time) {
		switch {
		case h.stopped:
			return false, time.Time{}
		case len(h.chunks) == 0:
			eof = h.ended
			return eof || len(b) == 0, time.Time{}
		case h.chunks[0].at.After(now):
			return false, h.chunks[0].at
		}
		n = copy(b, h.chunks[0].b)
		h.chunks[0].b = h.chunks[0].b[n:]
		if len(h.chunks[0].b) == 0 {
			h.chunks = h.chunks[1:]
		}
		h.size -= n
		close(h.moved)
		h.moved = make(chan struct{})
		return true, time.Time{}
	})
	if err == nil && eof {
		err = io.EOF
	}
	return n, err
}

func (h *half) write(b []byte) (int, error) {
	err := h.try(func() time.Time { return h.writeBy }, func(now time.Time) (bool, time.Time) {
		if h.size >= window && !h.ended {
			return false, time.Time{}
		}
		h.size += len(b)
		h.chunks = append(h.chunks, chunk{append([]byte(nil), b...), now.Add(h.latency)})
		close(h.moved)
		h.moved = make(chan struct{})
		return true, time.Time{}
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}
