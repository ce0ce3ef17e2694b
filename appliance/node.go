// Package appliance is one node: it builds the parts that a node file asks for, starts and stops them in
// order, and tells how they are.
package appliance

import (
	"context"
	"errors"
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
	"github.com/drawbridge-net/drawbridge/failover/alone/runner"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/systemd"
	"github.com/drawbridge-net/drawbridge/web"
)

// ageEvery is how often the MAC table is swept.
const ageEvery = 10 * time.Second

// leaveFor is how long saying goodbye may take.
const leaveFor = 2 * time.Second

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
	toldLoops toldLoops
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
	steering    sync.Mutex // held while regents are told what they go by

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
		wireNews: make(chan wireNews, 256),
	}
	n.updating.installer, n.updating.orders = installer.Client{Path: installer.Socket}, errand.Dir
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

// Run is the life of the node, until ctx ends or a part fails that the others need. Its end is ordered:
// segments are handed over, gates shut, then goodbye to the mesh, then everything else.
func (n *Node) Run(ctx context.Context) error {
	defer func() { _ = n.creds.Close() }()
	socket, err := n.apiSocket()
	if err != nil {
		return err
	}
	if err := leftBundles(n.creds.Dir()); err != nil {
		n.log.Warn("a bundle of an earlier run was not removed", "err", err)
	}
	if err := n.loadRollout(); err != nil {
		_ = socket.Close()
		return fmt.Errorf("roll-out: %w", err)
	}
	if n.voter, err = n.openVoter(); err != nil {
		_ = socket.Close()
		return err
	}
	const others = 3 // heartbeats, frames of control links, hellos
	spareProcessors(len(n.cfg.Listen) + len(n.ports) + others)
	if err := takePriority(); err != nil {
		n.log.Warn("running at normal priority: a busy host may make this peer look dead", "err", err)
	}
	if err := relaxTimers(); err != nil {
		n.log.Warn("timers keep the kernel's slack: an idle peer takes a few per cent of a core more", "err", err)
	}
	door := n.openDoor()
	defer door.close()
	n.alerting.certificate = door.validUntil
	n.inheritKernel()
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	n.life = run
	var group sync.WaitGroup
	failed := make(chan error, 8)
	start := func(what string, part func(context.Context) error) {
		group.Go(func() {
			if err := part(run); err != nil && run.Err() == nil {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	start("data plane", n.plane.Run)
	start("mesh", n.router.Run)
	start("API", func(ctx context.Context) error { return web.Serve(ctx, socket, door.handler(), n.log) })
	start("access", door.access.Run)
	start("users", door.users.Run)
	if door.listener != nil {
		start("console", door.serve)
	}
	start("ALONE", n.watchWires)
	start("carriers", n.followCarriers)
	if n.voter != nil {
		start("voters", n.voter.run)
		start("unconfirmed configurations", n.voter.group.RevertUnconfirmed)
		start("lease agent", n.voter.agent.Run)
		start("leases", n.followLeases)
		start("quorum loss", n.followPolicies)
		start("preemption", n.followPreemptions)
		start("drills", n.followDrills)
		start("comparing wires", n.compareWires)
		start("address space", n.decideAddresses)
		start("roll-out", n.roll)
		start("word of the roll-out", n.tellRollouts)
		start("choice of engines", n.decideEngines)
	} else {
		start("choice of engines", n.fetchEngines)
	}
	start("engines", n.followEngines)
	start("network configuration", n.followConfig)
	start("addresses", n.runAddresses)
	start("subnets", n.followSubnets)
	start("housekeeping", n.keepHouse)
	start("loops", n.followLoops)
	start("word of loops", n.tellLoops)
	start("alerts", n.alerting.tellSinks)
	start("alert conditions", n.alerting.watchState)
	start("segments", n.followSegments)
	start("readiness", n.tellTakeovers)
	start("announcements", n.announceStations)
	start("gates by hand", n.followHands)
	for _, p := range n.ports {
		start("port "+p.name(), p.run)
	}
	started := make(chan struct{})
	start("status line", func(ctx context.Context) error { return n.tellStatus(ctx, started) })
	start("node file", func(ctx context.Context) error { return n.followNodeFile(ctx, started) })
	start("own API", n.askAPI)
	start("watchdog", func(ctx context.Context) error {
		return systemd.Watchdog(ctx, func() bool { return n.alive() && n.ownAPI.live(time.Now()) })
	})

	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-n.router.Ready():
		err = n.serve(ctx, started, failed)
	}
	again := errors.Is(err, ErrRestart)
	if again {
		err = nil
	}
	if err == nil {
		n.depart()
	}
	n.end(err)
	stop()
	group.Wait()
	if again && ctx.Err() == nil {
		return ErrRestart
	}
	return err
}

// serve is the time between the start and the end. It closes started when the service manager knows of the former.
func (n *Node) serve(ctx context.Context, started chan<- struct{}, failed <-chan error) error {
	n.log.Info("peer is running", "peer", n.creds.Name, "network", n.creds.Network.Name, "listen", n.cfg.Listen)
	n.event(web.Event{Level: web.LevelInfo, Kind: "started", Text: fmt.Sprintf("peer %s of network %s started", n.creds.Name, n.creds.Network.Name)})
	if err := systemd.Ready(fmt.Sprintf("peer %s of network %s", n.creds.Name, n.creds.Network.Name)); err != nil {
		n.log.Warn("systemd was not told", "err", err)
	}
	close(started)
	select {
	case <-ctx.Done():
		return nil
	case <-n.restart:
		return ErrRestart
	case err := <-failed:
		return err
	}
}

// end shuts the gates and says goodbye.
func (n *Node) end(cause error) {
	if n.voter != nil {
		n.voter.agent.Resign()
	}
	for _, p := range n.ports {
		p.shut(stoppingCause)
	}
	if err := systemd.Stopping(); err != nil {
		n.log.Warn("systemd was not told", "err", err)
	}
	if cause != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveFor)
	defer cancel()
	if err := n.router.Leave(ctx); err != nil {
		n.log.Warn("left without goodbye", "err", err)
	}
}

// consoleSocket is the name under which systemd hands the console's socket over.
const consoleSocket = "console"

// apiSocket is what systemd opened for us, or one of our own. The console's is kept for openDoor.
func (n *Node) apiSocket() (net.Listener, error) {
	given, err := systemd.Listeners()
	if err != nil {
		return nil, err
	}
	if l := given[consoleSocket]; l != nil {
		n.browsers = l
		delete(given, consoleSocket)
	}
	var api net.Listener
	for name, l := range given {
		if name == "api" || len(given) == 1 {
			api = l
			continue
		}
		_ = l.Close()
	}
	if api != nil {
		return api, nil
	}
	return web.ListenUnix(n.cfg.Socket)
}

// keepHouse does what is due now and then, and passes on changes of the mesh to whoever watches the node.
func (n *Node) keepHouse(ctx context.Context) error {
	age := time.NewTicker(ageEvery)
	defer age.Stop()
	for {
		watch := n.router.Watch()
		select {
		case <-ctx.Done():
			return nil
		case <-age.C:
			n.sw.Age()
		case <-watch:
			n.changed.tell()
		}
	}
}

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

const stoppingCause = "the daemon is stopping"

// notifier is a channel that is closed at the next change, again and again.
type notifier struct {
	mu sync.Mutex
	ch chan struct{}
}

func (c *notifier) watch() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	return c.ch
}

func (c *notifier) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch != nil {
		close(c.ch)
		c.ch = nil
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
