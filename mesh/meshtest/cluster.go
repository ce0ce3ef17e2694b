package meshtest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// Run runs f in fake time. yamux keeps timers in a pool of the process (sync.Pool); a timer of one bubble must
// not be used in another or outside of any, so the pool is emptied before and after.
func Run(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	emptyPools()
	defer emptyPools()
	synctest.Test(t, f)
}

// emptyPools empties every sync.Pool: what survives one collection, the second one takes.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// Cluster is a network of peers.
type Cluster struct {
	T   *testing.T
	Net *Net
	Log *slog.Logger

	name    string
	founder *secure.Credentials
	tokens  *secure.Tokens
	Peers   []*Peer
}

// Peer is one peer of a cluster. Its router is nil while it does not run.
type Peer struct {
	*mesh.Router
	Host        *Host
	Plane       *Plane
	Credentials *secure.Credentials
	Config      mesh.Config // for the next Start; Credentials, Plane, Dial, ListenFunc and Log are filled in

	cluster *Cluster
	cancel  context.CancelFunc
	done    chan error

	mu     sync.Mutex
	events []string
}

// NewCluster prepares a network of this name. Call it inside of Run. It stops all peers when the test ends.
func NewCluster(t *testing.T, name string, network *Net) *Cluster {
	t.Helper()
	c := &Cluster{T: t, Net: network, name: name, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if testing.Verbose() && os.Getenv("MESH_LOG") != "" {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	t.Cleanup(func() {
		for _, p := range c.Peers {
			p.Stop()
		}
		c.Pass(30 * time.Second) // memberlist's last probes and suspicions
	})
	return c
}

// Add makes a host and a peer on it: the first founds the network, the others join it with a token.
func (c *Cluster) Add(name string) *Peer {
	c.T.Helper()
	p := &Peer{Host: c.Net.Host(name), cluster: c}
	var err error
	if c.founder == nil {
		if p.Credentials, err = secure.Found(c.T.TempDir(), c.name, drawbridge.PeerName(name), time.Now()); err == nil {
			c.founder = p.Credentials
			c.tokens, err = secure.OpenTokens(p.Credentials)
		}
		p.Config.Tokens = c.tokens
	} else {
		p.Credentials, err = c.join(drawbridge.PeerName(name))
	}
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(func() { p.Credentials.Close() })
	p.Config.Listen = []string{netip.AddrPortFrom(p.Host.Addr, mesh.DefaultPort).String()}
	c.Peers = append(c.Peers, p)
	return p
}

// Copy makes a peer with the identity of p on another host, as a copied virtual machine would be.
func (c *Cluster) Copy(p *Peer, host string) *Peer {
	h := c.Net.Host(host)
	q := &Peer{Host: h, cluster: c, Credentials: p.Credentials}
	q.Config.Listen = []string{netip.AddrPortFrom(h.Addr, mesh.DefaultPort).String()}
	c.Peers = append(c.Peers, q)
	return q
}

// join admits a peer over a connection of its own.
func (c *Cluster) join(name drawbridge.PeerName) (*secure.Credentials, error) {
	token, err := c.tokens.Create(secure.TokenSpec{Addrs: []string{"door:1"}, Life: time.Hour, Uses: 1}, time.Now())
	if err != nil {
		return nil, err
	}
	n := NewNet(0)
	door := n.Host("door")
	l, err := door.Listen("tcp", "0.0.0.0:1")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	admission := secure.Admission{Credentials: c.founder, Tokens: c.tokens}
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			conn, _, err := c.founder.Accept(context.Background(), raw, nil)
			if err == nil {
				admission.Admit(context.Background(), conn)
			}
		}
	}()
	return secure.Join(c.T.Context(), token, name, c.T.TempDir(), secure.JoinOptions{Dial: door.Dial})
}

// Hide puts the peer behind a NAT. Call it before Start.
func (p *Peer) Hide() {
	p.Host.Hide()
	p.Config.Listen = []string{netip.AddrPortFrom(p.Host.Addr, mesh.DefaultPort).String()}
	p.Config.Advertise = []string{}
}

// Addr is where the peer can be called.
func (p *Peer) Addr() string { return fmt.Sprintf("%s:%d", p.Host.Name, mesh.DefaultPort) }

// Start runs the peer's router; it joins the given peers.
func (p *Peer) Start(join ...*Peer) {
	t := p.cluster.T
	t.Helper()
	for _, j := range join {
		p.Config.Join = append(p.Config.Join, j.Addr())
	}
	p.mu.Lock()
	p.events = nil
	p.mu.Unlock()
	p.Plane = NewPlane(netip.AddrPortFrom(p.Host.Addr, mesh.DefaultPort))
	config := p.Config
	config.Credentials, config.Plane = p.Credentials, p.Plane
	config.Dial, config.ListenFunc = p.Host.Dial, p.Host.Listen
	config.Log = p.cluster.Log.With("at", p.Credentials.Name)
	config.Event = p.event
	r, err := mesh.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.Router, p.cancel, p.done = r, cancel, make(chan error, 1)
	go func() { p.done <- r.Run(ctx) }()
	select {
	case <-r.Ready():
	case err := <-p.done:
		t.Fatalf("%s: %v", p.Host.Name, err)
	}
}

// Stop ends the peer's router, as a crash would: nobody is told.
func (p *Peer) Stop() {
	if p.cancel == nil {
		return
	}
	p.cancel()
	<-p.done
	p.cancel = nil
}

// Restart stops the router and starts another with the same configuration.
func (p *Peer) Restart() {
	p.cluster.T.Helper()
	p.Stop()
	p.Start()
}

func (p *Peer) event(kind string, peer drawbridge.PeerName, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, fmt.Sprintf("%s %s: %s", kind, peer, text))
}

// Events are all events since Start.
func (p *Peer) Events() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.events...)
}

// Pass lets time pass.
func (c *Cluster) Pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Await lets time pass until cond holds, and fails the test when it does not within limit.
func (c *Cluster) Await(limit time.Duration, what string, cond func() bool) time.Duration {
	c.T.Helper()
	began := time.Now()
	synctest.Wait()
	for !cond() {
		if time.Since(began) > limit {
			c.T.Fatalf("not within %s: %s\n%s", limit, what, c.describe())
		}
		c.Pass(5 * time.Millisecond)
	}
	return time.Since(began)
}

// describe is what every running peer thinks of every other.
func (c *Cluster) describe() (s string) {
	for _, p := range c.Peers {
		if p.cancel == nil {
			continue
		}
		s += fmt.Sprintf("%s (%s):", p.Host.Name, p.Credentials.ID())
		p.Router.Survey()
		for _, q := range p.Router.Peers() {
			s += fmt.Sprintf(" %s=%s/%s(v%d)", q.Name, q.State, q.Membership, q.Version)
		}
		s += fmt.Sprintf(" drops=%v\n", p.Drops())
		for _, a := range p.Attempts() {
			s += fmt.Sprintf("   %s %s tries %d err %v\n", a.Target, a.State, a.Tries, a.Err)
		}
	}
	return s
}

// State is what p thinks of q.
func (p *Peer) State(q *Peer) mesh.PeerStatus {
	p.Router.Survey()
	for _, s := range p.Router.Peers() {
		if s.ID == q.Credentials.ID() {
			return s
		}
	}
	return mesh.PeerStatus{}
}

// Whole reports whether all running peers know and reach each other, and agree on every record.
func (c *Cluster) Whole() bool {
	for _, p := range c.Peers {
		for _, q := range c.Peers {
			if p.cancel == nil || q.cancel == nil || p == q {
				continue
			}
			s := p.State(q)
			if s.State != mesh.StateDirect && s.State != mesh.StateRelayed || s.Version != q.State(q).Version || s.UID != q.State(q).UID {
				return false
			}
		}
	}
	return true
}
