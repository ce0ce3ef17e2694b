// Package mesh joins a peer to its network: it keeps control links to other peers, gossips over them who
// there is and which links they have, asks memberlist who is alive, and steers the data plane
// (docs/protocol/mesh.md). It carries no frames.
package mesh

import (
	"cmp"
	"context"
	"crypto/rand"
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
	kept      []string // addresses of other peers on disk; of keepContacts alone once it runs
	members   *members
	journal   *journal
	ctx       context.Context // of Run; set before ready is closed and before any link is
	all       sync.WaitGroup  // every goroutine that Run is to outlive

	mu       sync.Mutex
	topo     *topology.Topology // constant; what it holds is guarded, but for RolesOf
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
	if err := callable(config.Join); err != nil {
		return nil, err
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
	if r.kept, err = config.Credentials.Contacts(); err != nil {
		r.log.Warn("the addresses that an earlier run knew are not called", "err", err)
	}
	r.maker = newMaker(r)
	r.members = newMembers(r)
	r.Handle(membership, r.members.receiveStream)
	return r, nil
}

func callable(addrs []string) error {
	for _, target := range addrs {
		if _, _, err := net.SplitHostPort(target); err != nil {
			return fmt.Errorf("join %q: want host:port, for example gw1.example.net:%d: %w", target, DefaultPort, err)
		}
	}
	return nil
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
	r.all.Go(func() { r.keepContacts(ctx) })
	close(r.ready)
	r.steer(ctx)
	for _, l := range listeners {
		l.Close()
	}
	return nil
}

// Ready is closed when the router listens.
func (r *Router) Ready() <-chan struct{} { return r.ready }

// voters are the addresses of peers that can admit others.
func (r *Router) voters() []string {
	voters, _ := r.others()
	return voters
}

// others are the addresses of other peers that are there: of voters, which can admit and decide, and of the rest.
func (r *Router) others() (voters, rest []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.topo.Records() {
		if rec.ID == r.id || rec.Gone || !r.topo.Reachable(rec.ID) {
			continue
		}
		of := &rest
		if secure.Roles(rec.Roles).Has(secure.Voter) {
			of = &voters
		}
		for _, e := range rec.Endpoints {
			*of = append(*of, e.String())
		}
	}
	return voters, rest
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
