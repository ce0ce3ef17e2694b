// Package mesh joins a peer to its network: it keeps control links to other peers, gossips over them who
// there is and which links they have, asks memberlist who is alive, and steers the data plane
// (docs/protocol/mesh.md). It carries no frames.
package mesh

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/topology"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// Profile says how far apart the peers are, and so how soon silence is suspicious.
type Profile uint8

// Profiles.
const (
	LAN Profile = iota
	WAN
)

const (
	// DefaultLinks is how many links a peer of a large network looks for. Ten make 100 peers three hops
	// wide, and their heartbeats cost 100 datagrams in a second.
	DefaultLinks = 10

	// DefaultMaxLinks bounds links that others ask for.
	DefaultMaxLinks = 256

	// DefaultPort is the port of control links (TCP) and of frames (UDP).
	DefaultPort = 6630
)

// Config is what a Router needs. Credentials, Plane and Listen or Join are required.
type Config struct {
	Credentials *secure.Credentials
	Tokens      *secure.Tokens // nil unless this peer can admit others

	Listen []string // TCP addresses, addr:port
	// Advertise are the addresses (addr:port) where others can call this peer. nil: the listening addresses
	// that say where they are, and those under which other peers see us without a NAT between. Empty but
	// not nil: this peer cannot be called.
	Advertise []string
	Join      []string // host:port of peers to keep a link to; looked up anew at every attempt

	Plane    Plane
	Profile  Profile
	Links    int // links to look for in a large network; 0: DefaultLinks
	MaxLinks int // links to allow; 0: DefaultMaxLinks

	Software string
	Features uint64

	Log *slog.Logger // nil: slog.Default
	// Event is for the operator's journal; nil: nobody listens. It is called from one goroutine, in order, and
	// may ask the router anything. Kinds: link, peer, member, join, forget, clone.
	Event func(kind string, peer drawbridge.PeerName, text string)

	// Dial and ListenFunc make the connections; nil: TCP of this host.
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error)
	ListenFunc func(network, addr string) (net.Listener, error)
}

// Router keeps one peer in its network.
type Router struct {
	config    Config
	log       *slog.Logger
	id        drawbridge.PeerID
	uid       drawbridge.PeerUID
	started   time.Time
	fixed     []netip.AddrPort // Config.Advertise
	admission secure.Admission
	ready     chan struct{}
	ended     chan struct{}      // closed when Run returns
	kick      chan struct{}      // one slot: something changed, settle
	asks      chan chan struct{} // settle, then close this
	door      door
	maker     *maker
	members   *members
	journal   *journal
	ctx       context.Context // of Run; set before ready is closed and before any link is
	all       sync.WaitGroup  // every goroutine that Run is to outlive

	mu       sync.Mutex
	topo     *topology.Topology
	links    map[drawbridge.PeerID]*link
	calling  map[drawbridge.PeerID]bool // our hello is on its way there
	serial   uint64                     // of the last hello
	listens  []netip.AddrPort           // where we really listen
	seen     []netip.AddrPort           // where others can call us, as links have shown
	outbox   []rumour
	own      []byte // the own record, signed
	announce pace
	flow     flow
	channels map[string]Channel
	services map[string]func(drawbridge.PeerID, net.Conn)
	drops    map[string]uint64
	warned   map[string]time.Time // when a reason was last logged
	since    map[drawbridge.PeerID]change
	clone    string // who else runs with our key; empty: nobody
	leaving  bool
	changed  chan struct{} // closed and replaced when a status changes
}

// New checks the configuration and prepares a router; Run starts it.
func New(config Config) (*Router, error) {
	if config.Credentials == nil || config.Plane == nil {
		return nil, errors.New("mesh: Credentials and Plane are required")
	}
	if len(config.Listen) == 0 && len(config.Join) == 0 {
		return nil, errors.New("mesh: nothing to listen on and nobody to join: configure an address to listen on, or a peer to join")
	}
	config.defaults()
	fixed, err := addresses("advertise", config.Advertise)
	if err != nil {
		return nil, err
	}
	for _, target := range config.Join {
		if _, _, err := net.SplitHostPort(target); err != nil {
			return nil, fmt.Errorf("join %q: want host:port, for example gw1.example.net:%d: %w", target, DefaultPort, err)
		}
	}
	r := &Router{
		config: config, log: config.Log, id: config.Credentials.ID(), uid: newUID(), started: time.Now(), fixed: fixed,
		ready: make(chan struct{}), ended: make(chan struct{}), kick: make(chan struct{}, 1), asks: make(chan chan struct{}),
		links: map[drawbridge.PeerID]*link{}, calling: map[drawbridge.PeerID]bool{},
		channels: map[string]Channel{}, drops: map[string]uint64{}, warned: map[string]time.Time{}, services: map[string]func(drawbridge.PeerID, net.Conn){}, since: map[drawbridge.PeerID]change{},
		changed: make(chan struct{}),
	}
	r.journal = newJournal(config.Log, config.Event)
	r.topo = topology.New(r.firstRecord())
	for _, v := range config.Credentials.Revocations.List() {
		r.topo.Forget(v.ID)
	}
	r.admission = secure.Admission{Credentials: config.Credentials, Tokens: config.Tokens, Voters: r.voters, Peers: r.names}
	r.maker = newMaker(r)
	r.members = newMembers(r)
	r.Handle(membership, r.members.receiveStream)
	return r, nil
}

func (c *Config) defaults() {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Links == 0 {
		c.Links = DefaultLinks
	}
	if c.MaxLinks == 0 {
		c.MaxLinks = DefaultMaxLinks
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: -1}).DialContext // pings of our own tell sooner
	}
	if c.ListenFunc == nil {
		c.ListenFunc = net.Listen
	}
}

func addresses(what string, texts []string) (out []netip.AddrPort, err error) {
	for _, text := range texts {
		a, err := netip.ParseAddrPort(text)
		if err != nil || a.Addr().IsUnspecified() || a.Port() == 0 {
			return nil, fmt.Errorf("%s %q: want an address and a port that others can call, for example 192.0.2.1:%d", what, text, DefaultPort)
		}
		out = append(out, a)
	}
	return out, nil
}

func newUID() drawbridge.PeerUID {
	var b [8]byte
	rand.Read(b[:]) // never fails, by its contract
	return drawbridge.PeerUID(binary.BigEndian.Uint64(b[:]))
}

func (r *Router) firstRecord() wire.Record {
	c := r.config.Credentials
	return wire.Record{
		Name: c.Name, ID: r.id, UID: r.uid, StartedAt: r.started.Unix(), Roles: uint8(c.Self().Roles),
		Software: r.config.Software, Features: r.config.Features, Endpoints: r.fixed,
	}
}

// Run keeps the peer in its network until ctx ends, and then returns nil; an error says why it could not
// begin. It may be called once.
func (r *Router) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer close(r.ended)
	defer r.all.Wait()
	defer cancel()
	r.ctx = ctx
	if err := r.members.start(); err != nil {
		return err
	}
	defer r.members.stop()
	listeners, err := r.open()
	if err != nil {
		return err
	}
	for _, l := range listeners {
		r.all.Go(func() { r.accept(ctx, l) })
	}
	r.all.Go(func() { r.maker.run(ctx) })
	r.all.Go(func() { r.journal.run(ctx) })
	close(r.ready)
	r.steer(ctx)
	for _, l := range listeners {
		l.Close()
	}
	return nil
}

// Ready is closed when the router listens.
func (r *Router) Ready() <-chan struct{} { return r.ready }

// open listens on all addresses, or on none.
func (r *Router) open() (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
		}
	}()
	for _, addr := range r.config.Listen {
		l, err := r.config.ListenFunc("tcp", addr)
		if err != nil {
			return listeners, fmt.Errorf("listen for peers: %w", err)
		}
		listeners = append(listeners, l)
		if a, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
			r.listens = append(r.listens, a)
		}
	}
	return listeners, nil
}

func (r *Router) accept(ctx context.Context, l net.Listener) {
	for {
		raw, err := l.Accept()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				raw.Close()
			}
			return
		case err != nil:
			r.log.Warn("accept a connection", "err", err) // out of descriptors, usually
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		default:
			r.enter(ctx, raw)
		}
	}
}

// enter gives a caller a goroutine, if too many others are not at the door already.
func (r *Router) enter(ctx context.Context, raw net.Conn) {
	if !r.door.enter(raw.RemoteAddr()) {
		r.drop("caller: too many at once")
		raw.Close()
		return
	}
	r.all.Go(func() {
		defer r.door.leave(raw.RemoteAddr())
		if err := r.answer(ctx, raw); err != nil && !errors.Is(err, errDuplicate) && ctx.Err() == nil {
			r.warn("caller: refused", "a caller was refused", "remote", raw.RemoteAddr(), "err", err)
		}
	})
}

func (r *Router) admit(ctx context.Context, conn *tls.Conn) error {
	admitted, err := r.admission.Admit(ctx, conn)
	if err == nil {
		r.journal.tell("join", admitted.Name, "was admitted to the network")
	}
	return err
}

// voters are the addresses of peers that can admit others.
func (r *Router) voters() (addrs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.topo.Records() {
		if secure.Roles(rec.Roles).Has(secure.Voter) && r.topo.Reachable(rec.ID) {
			for _, e := range rec.Endpoints {
				addrs = append(addrs, e.String())
			}
		}
	}
	return addrs
}

// names are the names and ids that are taken.
func (r *Router) names() map[drawbridge.PeerName]drawbridge.PeerID {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := map[drawbridge.PeerName]drawbridge.PeerID{}
	for _, rec := range r.topo.Records() {
		taken[rec.Name] = rec.ID
	}
	return taken
}

// wake makes the router settle soon.
func (r *Router) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

func (r *Router) drop(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops[reason]++
}

// quietFor is how long the log is spared further lines about the same reason: they are counted, and whoever
// can provoke them must not be able to fill a disk.
const quietFor = 10 * time.Second

// warn counts a drop, and logs it when there was no other for this reason lately.
func (r *Router) warn(reason, text string, args ...any) {
	now := time.Now()
	r.mu.Lock()
	r.drops[reason]++
	quiet := now.Before(r.warned[reason].Add(quietFor))
	if !quiet {
		r.warned[reason] = now
	}
	r.mu.Unlock()
	if !quiet {
		r.log.Warn(text, append(args, "reason", reason)...)
	}
}

// Drops counts what was not believed, delivered or passed on, by reason.
func (r *Router) Drops() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.drops)
}

// Watch returns a channel that is closed when a status has changed.
func (r *Router) Watch() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// touch tells who watches; called with mu held.
func (r *Router) touch() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// linksNow are all links, by peer; called with mu held.
func (r *Router) linksNow() []*link {
	return slices.SortedFunc(maps.Values(r.links), func(a, b *link) int { return cmp.Compare(a.id(), b.id()) })
}

// send queues a message on a link and counts it when that is not possible.
func (r *Router) send(l *link, k wire.Kind, body []byte) {
	if err := l.send(k, body); err != nil {
		r.drop("send: " + k.String())
	}
}
