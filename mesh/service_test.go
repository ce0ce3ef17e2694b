// The race detector crashes in bubbles of synctest that hold many timers (golang/go issue 78156): it sees the
// router in real_test.go, over real sockets.
//go:build !race

package mesh_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/meshtest"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// board is a channel that keeps what it hears.
type board struct {
	mu     sync.Mutex
	heard  []string
	merged map[string]bool
	state  string
}

func (b *board) Receive(from drawbridge.PeerID, msg []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, fmt.Sprintf("%s %s", from, msg))
}

func (b *board) State() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return []byte(b.state)
}

func (b *board) Merge(from drawbridge.PeerID, state []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.merged == nil {
		b.merged = map[string]bool{}
	}
	b.merged[fmt.Sprintf("%s %s", from, state)] = true
}

func (b *board) count(from *meshtest.Peer, msg string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.heard {
		if h == fmt.Sprintf("%s %s", from.Credentials.ID(), msg) {
			n++
		}
	}
	return n
}

// boards registers one board at each running peer.
func boards(peers ...*meshtest.Peer) (out []*board) {
	for _, p := range peers {
		b := &board{state: "state of " + p.Host.Name}
		p.Register("board", b)
		out = append(out, b)
	}
	return out
}

func TestBroadcastReachesAllOnce(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 5)
		p[0].Start()
		p[1].Hide()
		for _, q := range p[1:] {
			q.Start(p[0])
		}
		c.Await(patience, "whole", c.Whole)
		b := boards(p...)
		if err := p[1].Broadcast("board", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := p[1].Broadcast("board", []byte("again")); err != nil {
			t.Fatal(err)
		}
		c.Await(5*time.Second, "all others heard", func() bool {
			return !slices.ContainsFunc([]int{0, 2, 3, 4}, func(i int) bool {
				return b[i].count(p[1], "hello") == 0 || b[i].count(p[1], "again") == 0
			})
		})
		c.Pass(10 * time.Second)
		for i := range b {
			want := 1
			if i == 1 {
				want = 0
			}
			if n := b[i].count(p[1], "hello"); n != want {
				t.Errorf("%s heard it %d times", p[i].Host.Name, n)
			}
		}
		if err := p[0].Broadcast("board", make([]byte, mesh.MaxBroadcast+1)); !errors.Is(err, mesh.ErrTooLarge) {
			t.Error(err)
		}
	})
}

// TestBroadcastsReachAllBesideADeadPeer: whoever has died is told, too, as it might live; the others hear it all the same.
func TestBroadcastsReachAllBesideADeadPeer(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 6)
		p[0].Start()
		for _, q := range p[1:] {
			q.Start(p[0])
		}
		c.Await(patience, "whole", c.Whole)
		dead, live := p[5], p[:5]
		b := boards(live...)
		for _, q := range live {
			c.Net.Cut(q.Host, dead.Host)
		}
		const messages = 200
		for i := range messages {
			if err := live[i%5].Broadcast("board", fmt.Appendf(nil, "%d", i)); err != nil {
				t.Fatal(err)
			}
			c.Pass(20 * time.Millisecond)
		}
		c.Pass(2 * time.Second)
		for k, q := range live {
			for i := range messages {
				if from := live[i%5]; from != q && b[k].count(from, fmt.Sprint(i)) != 1 {
					t.Errorf("%s heard broadcast %d of %s %d times", q.Host.Name, i, from.Host.Name, b[k].count(from, fmt.Sprint(i)))
				}
			}
		}
	})
}

func TestSendIsRelayed(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, d := line(t)
		boards := boards(a, b, d)
		for i := range 10 {
			if err := a.Send(d.Credentials.ID(), "board", fmt.Appendf(nil, "%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Send(a.Credentials.ID(), "board", []byte("to myself")); err != nil || boards[0].count(a, "to myself") != 1 {
			t.Error(err)
		}
		c.Pass(100 * time.Millisecond)
		for i := range 10 {
			if boards[2].heard[i] != fmt.Sprintf("%s %d", a.Credentials.ID(), i) {
				t.Fatalf("heard %q", boards[2].heard)
			}
		}
		if err := a.Send(7, "board", nil); !errors.Is(err, mesh.ErrUnreachable) {
			t.Error(err)
		}
		if err := a.Send(b.Credentials.ID(), "board", make([]byte, 1<<20)); !errors.Is(err, mesh.ErrTooLarge) {
			t.Error(err)
		}
		if err := a.Send(b.Credentials.ID(), "nobody", nil); err != nil {
			t.Error(err)
		}
		c.Pass(100 * time.Millisecond)
		if b.Drops()["channel: unknown"] != 1 {
			t.Errorf("%v", b.Drops())
		}
	})
}

func TestStatesAreExchangedWithNewNeighbours(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Start()
		p[1].Start()
		b := boards(p...)
		p[0].Stop()
		p[1].Stop()
		p[0].Start()
		p[1].Start(p[0])
		p[0].Register("board", b[0])
		p[1].Register("board", b[1])
		c.Await(patience, "both states have gone over", func() bool {
			b[0].mu.Lock()
			defer b[0].mu.Unlock()
			return b[0].merged[fmt.Sprintf("%s state of host2", p[1].Credentials.ID())]
		})
		c.Await(patience, "both ways", func() bool {
			b[1].mu.Lock()
			defer b[1].mu.Unlock()
			return b[1].merged[fmt.Sprintf("%s state of host1", p[0].Credentials.ID())]
		})
	})
}

func TestStreamsAreRelayedWithTheirEnds(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, _, d := line(t)
		from := make(chan drawbridge.PeerID, 1)
		d.Handle("echo", func(who drawbridge.PeerID, s net.Conn) {
			from <- who
			defer s.Close()
			all, err := io.ReadAll(s)
			if err == nil {
				s.Write(bytes.ToUpper(all))
			}
		})
		s, err := a.Open(d.Credentials.ID(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		big := bytes.Repeat([]byte("drawbridge "), 200_000) // 2.2 MB: more than any window
		go func() {
			s.Write(big)
			s.Close() // the sending half
		}()
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, bytes.ToUpper(big)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if who := <-from; who != a.Credentials.ID() {
			t.Errorf("from %s", who)
		}
		if _, err := a.Open(9, "echo"); !errors.Is(err, mesh.ErrUnreachable) {
			t.Error(err)
		}
		s, err = a.Open(d.Credentials.ID(), "nothing")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("a service that is not there answers")
		}
		c.Pass(time.Second)
		if d.Drops()["stream: unknown service"] != 1 {
			t.Errorf("%v", d.Drops())
		}
	})
}

// TestJoiningAtTheControlPort admits a peer with a token at a running router, and is told who can at another.
func TestJoiningAtTheControlPort(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Start()
		p[1].Start(p[0])
		c.Await(patience, "linked", c.Whole)
		token, err := p[0].Config.Tokens.Create(secure.TokenSpec{Addrs: []string{p[1].Addr()}, Life: time.Hour, Uses: 1}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		h := c.Net.Host("host3")
		got, err := secure.Join(t.Context(), token, "host3", t.TempDir(), secure.JoinOptions{Dial: h.Dial})
		if err != nil {
			t.Fatal(err) // host2 cannot admit, and says that host1 can
		}
		defer got.Close()
		c.Await(patience, "told", func() bool { return events(p[0], "join host3", "admitted") == 1 })
		if n := p[1].Drops()["caller: refused"]; n != 1 {
			t.Errorf("host2 refused %d", n)
		}
		token, _ = p[0].Config.Tokens.Create(secure.TokenSpec{Addrs: []string{p[0].Addr()}, Life: time.Hour, Uses: 1}, time.Now())
		if _, err := secure.Join(t.Context(), token, "host2", t.TempDir(), secure.JoinOptions{Dial: h.Dial}); !errors.Is(err, secure.ErrNameTaken) {
			t.Errorf("a name that is taken: %v", err)
		}
		if err := p[0].Forget(t.Context(), "host3"); err != nil {
			t.Errorf("it was admitted and never seen: %v", err)
		}
	})
}
