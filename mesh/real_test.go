package mesh_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// adapted makes a transit.Plane one of ours.
type adapted struct{ *transit.Plane }

func (a adapted) AddLink(c transit.LinkConfig) mesh.DataLink { return a.Plane.AddLink(c) }

// sink hands on what arrives.
type sink struct{ frames chan string }

func (s sink) Deliver(h *drawbridge.Header, p *drawbridge.Packet) {
	select {
	case s.frames <- fmt.Sprintf("%s %s", h.Origin, p.Frame[drawbridge.MinFrame:]):
	default:
	}
}

func (s sink) Flush() {}

// onLoopback is a peer on real sockets.
type onLoopback struct {
	*mesh.Router
	plane  *transit.Plane
	frames chan string
	addr   string
}

func startOnLoopback(t *testing.T, ctx context.Context, all *sync.WaitGroup, c *secure.Credentials, join ...string) *onLoopback {
	t.Helper()
	p := &onLoopback{frames: make(chan string, 100)}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	local := netip.MustParseAddr("127.0.0.1")
	plane, err := transit.Listen(transit.Config{
		Self: c.ID(), Listen: []netip.AddrPort{netip.AddrPortFrom(local, 0)}, Log: quiet,
		Receiver: func() transit.Receiver { return sink{p.frames} },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.plane, p.addr = plane, plane.Addrs()[0].String() // the control port has the number of the data port
	p.Router, err = mesh.New(mesh.Config{Credentials: c, Plane: adapted{plane}, Listen: []string{p.addr}, Join: join, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	all.Go(func() { plane.Run(ctx) })
	all.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-p.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("not listening")
	}
	return p
}

// TestFramesCrossRealSockets runs two routers with real data planes over loopback, in real time.
func TestFramesCrossRealSockets(t *testing.T) {
	one, err := secure.Found(t.TempDir(), "lab", "host1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two := admit(t, one, "host2")
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer all.Wait()
	defer cancel()
	a := startOnLoopback(t, ctx, &all, one)
	b := startOnLoopback(t, ctx, &all, two, a.addr)
	until(t, a.Router, "host2 is direct", func() bool { return stateOf(a, two) == mesh.StateDirect && stateOf(b, one) == mesh.StateDirect })

	s := a.plane.Sender()
	defer s.Close()
	frame := append(make([]byte, drawbridge.MinFrame), "over the drawbridge"...)
	s.Send(&drawbridge.Header{Origin: one.ID(), Dest: two.ID(), VNI: 1}, &drawbridge.Packet{Frame: frame})
	s.Flush()
	select {
	case got := <-b.frames:
		if !strings.HasPrefix(got, fmt.Sprintf("%s over the drawbridge", one.ID())) {
			t.Errorf("got %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no frame came: %v %v", a.plane.Drops(), b.plane.Drops())
	}
	leaving, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	if err := b.Leave(leaving); err != nil {
		t.Error(err)
	}
	until(t, a.Router, "host2 has left", func() bool { return stateOf(a, two) == mesh.StateLeft })
}

func stateOf(p *onLoopback, c *secure.Credentials) string {
	for _, s := range p.Peers() {
		if s.ID == c.ID() {
			return s.State
		}
	}
	return ""
}

// until waits for cond, which depends on what r watches.
func until(t *testing.T, r *mesh.Router, what string, cond func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for again := time.NewTicker(50 * time.Millisecond); ; {
		watch := r.Watch()
		if cond() {
			return
		}
		select {
		case <-watch:
		case <-again.C:
		case <-limit:
			t.Fatalf("never: %s\n%+v\n%+v", what, r.Peers(), r.Attempts())
		}
	}
}

// admit gives a new peer an identity without a network.
func admit(t testing.TB, ca *secure.Credentials, name drawbridge.PeerName) *secure.Credentials {
	t.Helper()
	tokens, err := secure.OpenTokens(ca)
	if err != nil {
		t.Fatal(err)
	}
	token, err := tokens.Create(secure.TokenSpec{Addrs: []string{"host1:6630"}, Life: time.Hour, Uses: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	admission := secure.Admission{Credentials: ca, Tokens: tokens}
	c, err := secure.Join(t.Context(), token, name, t.TempDir(), secure.JoinOptions{Dial: dialTo(t, ca, &admission)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialTo calls a door that is nowhere.
func dialTo(t testing.TB, ca *secure.Credentials, door *secure.Admission) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			if conn, _, err := ca.Accept(t.Context(), far, nil); err == nil {
				door.Admit(t.Context(), conn)
			}
		}()
		return near, nil
	}
}
