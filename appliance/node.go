// Package appliance is one node: it builds the parts that a node file asks for, starts and stops them in
// order, and tells how they are.
package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/errand"
	"github.com/drawbridge-net/drawbridge/appliance/installer"
	"github.com/drawbridge-net/drawbridge/appliance/lastword"
	"github.com/drawbridge-net/drawbridge/appliance/microscope"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/failover/alone/runner"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/web"
)

// ageEvery is how often the MAC table is swept.
const ageEvery = 10 * time.Second

// Node is one running peer.
type Node struct {
	// Set at construction, then constant.
	cfg     *config.Config
	version string
	log     *slog.Logger
	started time.Time
	creds   *secure.Credentials
	tokens  *secure.Tokens // nil unless this peer can admit others
	plane   *transit.Plane
	sw      *forwarder.Switch
	router  *mesh.Router
	journal *web.Journal
	ports   []*port
	changed notifier
	network *networkConfig
	alone   *runner.Runner
	moves   moves

	departure departure
	backing   sync.Mutex // held while a backup is made
	rolling   rolling
	loopsOn   loopsOn
	loopNews  *lastword.Channel[microscope.Told] // what others hear come round
	ownAPI    ownAPI
	updating  updating
	browsers  net.Listener  // for the console, from systemd; nil: none
	restart   chan struct{} // closed when the daemon is to start again
	again     func()        // closes it
	reloadOn  <-chan os.Signal
	reloading reloading

	addresses *addresses
	alerting  *alerting

	operations operations
	flushes    flushWaits
	drills     drills
	announcing chan announceOrder
	wireNews   chan wireNews
	readiness  readiness
	engines    *engines

	timersWatch timersWatch
	steer       chan chan<- struct{} // regents are to be told what they go by; who sends is told when they were

	// Set by Run before anything else runs; nil on a peer that does not vote.
	voter *voter
	life  context.Context // ends with the run

	mu       sync.Mutex // guards what follows
	segments map[string]segmentNews
}

// New opens the identity and the sockets that the node file names. Nothing runs before Run.
func New(cfg *config.Config, version string, log *slog.Logger) (*Node, error) {
	creds, err := secure.Open(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, version: version, log: log, started: time.Now(), creds: creds,
		journal: web.NewJournal(time.Now), segments: map[string]segmentNews{}, announcing: make(chan announceOrder, 64),
		wireNews: make(chan wireNews, 256), steer: make(chan chan<- struct{}),
	}
	n.updating.installer, n.updating.machine, n.updating.orders = installer.Client{Path: installer.Socket}, slot.This, errand.Dir
	n.reloading.running = cfg
	n.restart = make(chan struct{})
	n.again = sync.OnceFunc(func() { close(n.restart) })
	if err := n.build(); err != nil {
		_ = creds.Close()
		return nil, err
	}
	return n, nil
}

func (n *Node) build() (err error) {
	if n.cfg.Name != "" && n.cfg.Name != n.creds.Name {
		return fmt.Errorf("%s says name = %q, but the identity in %s is of peer %s: correct the one that is wrong",
			n.cfg.Path, n.cfg.Name, n.creds.Dir(), n.creds.Name)
	}
	if n.creds.CA != nil {
		if n.tokens, err = secure.OpenTokens(n.creds); err != nil {
			return err
		}
	}
	lay := &overlay{}
	n.sw = forwarder.New(forwarder.Config{
		Self: n.creds.ID(), Overlay: lay, Batch: n.cfg.Data.Batch, MayBridge: n.mayBridge, Strayed: n.strayed,
		Foreign: n.foreignAnswer, Claimed: n.claimed,
	})
	if err := n.listen(); err != nil {
		return err
	}
	lay.plane = n.plane
	n.router, err = mesh.New(mesh.Config{
		Credentials: n.creds, Tokens: n.tokens,
		Listen: n.cfg.Listen, Advertise: n.cfg.Advertise, Join: n.cfg.Join,
		Profile: profiles[n.cfg.Profile], Plane: plane{n.plane}, Software: n.version, Log: n.log, Event: n.meshEvent,
	})
	if err != nil {
		return err
	}
	n.router.Register(flushChannel, flushes{n})
	if n.creds.CA != nil {
		n.router.Handle(aloneKeyService, n.giveAloneKey)
	}
	n.alone = n.openALONE()
	n.engines = n.openEngines()
	n.handleMoves()
	for _, s := range n.cfg.Segments {
		n.ports = append(n.ports, n.segmentPort(s))
	}
	for _, g := range n.cfg.Guests {
		n.ports = append(n.ports, n.guestPort(g))
	}
	n.startByHand()
	if err := n.openConfiguration(); err != nil {
		return err
	}
	n.alerting = n.openAlerting()
	return n.openAddresses()
}

// profiles are the words of the node file.
var profiles = map[string]mesh.Profile{config.ProfileLAN: mesh.LAN, config.ProfileWAN: mesh.WAN}

func (n *Node) listen() (err error) {
	cfg := transit.Config{
		Self: n.creds.ID(), Receiver: func() transit.Receiver { return n.sw.Receiver() },
		NoOffload: !n.cfg.Data.Offload, Batch: n.cfg.Data.Batch, Log: n.log,
	}
	if n.cfg.Data.Cipher == config.CipherNone {
		cfg.Cipher = secure.CipherNone
	}
	for _, l := range n.cfg.Listen {
		addr, err := netip.ParseAddrPort(l)
		if err != nil {
			return fmt.Errorf("listen address %q: %w", l, err)
		}
		cfg.Listen = append(cfg.Listen, addr)
	}
	n.plane, err = transit.Listen(cfg)
	return err
}

// overlay is the data plane as the switch needs it.
type overlay struct{ plane *transit.Plane }

func (o *overlay) Sender() forwarder.Sender      { return o.plane.Sender() }
func (o *overlay) MTU(dst drawbridge.PeerID) int { return o.plane.MTU(dst) }

// plane is the data plane as the mesh needs it.
type plane struct{ *transit.Plane }

func (p plane) AddLink(cfg transit.LinkConfig) mesh.DataLink { return p.Plane.AddLink(cfg) }

// keepHouse does what is due now and then.
func (n *Node) keepHouse(ctx context.Context) error {
	age := time.NewTicker(ageEvery)
	defer age.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-age.C:
			n.sw.Age()
		}
	}
}

// followMesh passes on changes of the mesh to whoever watches the node.
func (n *Node) followMesh(ctx context.Context) error {
	passOn(ctx, n.router.Watch, n.changed.tell)
	return nil
}

// elapsed is the clock of this run: it begins at 0 and is never set.
func (n *Node) elapsed() time.Duration { return time.Since(n.started) }

func (n *Node) event(e web.Event) {
	n.journal.Add(e)
	n.changed.tell()
}

// meshEvent puts what the mesh tells into the journal.
func (n *Node) meshEvent(kind string, peer drawbridge.PeerName, text string) {
	if peer != "" {
		text = fmt.Sprintf("%s: %s", peer, text)
	}
	n.event(web.Event{Level: levelOf(kind), Kind: kind, Peer: string(peer), Text: text})
}
