package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/systemd"
	"github.com/drawbridge-net/drawbridge/web"
)

// leaveFor is how long saying goodbye may take.
const leaveFor = 2 * time.Second

const stoppingCause = "the daemon is stopping"

// goroutines are the parts of one run, which all end with it.
type goroutines struct {
	run    context.Context
	group  sync.WaitGroup
	failed chan error // has the first part that ended by itself
}

// start has a part run until the run ends. One that fails before ends the node.
func (g *goroutines) start(what string, part func(context.Context) error) {
	g.group.Go(func() {
		if err := part(g.run); err != nil && g.run.Err() == nil {
			select {
			case g.failed <- fmt.Errorf("%s: %w", what, err):
			default: // another one ends the node already
			}
		}
	})
}

// Run is the life of the node, until ctx ends or a part fails that the others need. Its end is ordered:
// segments are handed over, gates shut, then goodbye to the mesh, then everything else.
func (n *Node) Run(ctx context.Context) error {
	defer func() { _ = n.creds.Close() }()
	socket, err := n.prepare()
	if err != nil {
		return err
	}
	n.takeHost()
	door := n.openDoor()
	defer door.close()
	n.alerting.certificate = door.validUntil
	n.inheritKernel()
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	n.life = run
	all, started := &goroutines{run: run, failed: make(chan error, 1)}, make(chan struct{})
	n.startNetwork(all, socket, door)
	n.startVoter(all)
	n.startFollowing(all)
	for _, p := range n.ports {
		all.start("port "+p.name(), p.run)
	}
	n.startSupervision(all, started)

	select {
	case <-ctx.Done():
	case err = <-all.failed:
	case <-n.router.Ready():
		err = n.serve(ctx, started, all.failed)
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
	all.group.Wait()
	if again && ctx.Err() == nil {
		return ErrRestart
	}
	return err
}

// prepare opens what a run needs beside what New opened. It answers the socket of the API, on which nobody is served yet.
func (n *Node) prepare() (_ net.Listener, err error) {
	socket, err := n.apiSocket()
	if err != nil {
		return nil, err
	}
	if err := leftBundles(n.creds.Dir()); err != nil {
		n.log.Warn("a bundle of an earlier run was not removed", "err", err)
	}
	if err := n.loadRollout(); err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("roll-out: %w", err)
	}
	if n.voter, err = n.openVoter(); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return socket, nil
}

// takeHost asks the host for what heartbeats and leases need of it; a host that refuses makes a slower peer.
func (n *Node) takeHost() {
	const others = 3 // heartbeats, frames of control links, hellos
	spareProcessors(len(n.cfg.Listen) + len(n.ports) + others)
	if err := takePriority(); err != nil {
		n.log.Warn("running at normal priority: a busy host may make this peer look dead", "err", err)
	}
	if err := relaxTimers(); err != nil {
		n.log.Warn("timers keep the kernel's slack: an idle peer takes a few per cent of a core more", "err", err)
	}
}

// startNetwork starts what every peer is: a part of the mesh, with an API, that watches its wires.
func (n *Node) startNetwork(all *goroutines, socket net.Listener, door *door) {
	all.start("data plane", n.plane.Run)
	all.start("mesh", n.router.Run)
	all.start("API", func(ctx context.Context) error { return web.Serve(ctx, socket, door.handler(), n.log) })
	all.start("access", door.access.Run)
	all.start("users", door.users.Run)
	if door.listener != nil {
		all.start("console", door.serve)
	}
	all.start("ALONE", n.watchWires)
	all.start("carriers", n.followCarriers)
}

// startVoter starts this peer's part in the decisions of the network, and in the leases that follow from them.
func (n *Node) startVoter(all *goroutines) {
	if n.voter == nil {
		all.start("choice of engines", n.fetchEngines)
		return
	}
	all.start("voters", n.voter.run)
	all.start("unconfirmed configurations", n.voter.group.RevertUnconfirmed)
	all.start("configuration of a backup", n.bringConfiguration)
	all.start("lease agent", n.voter.agent.Run)
	all.start("leases", n.followLeases)
	all.start("quorum loss", n.followPolicies)
	all.start("preemption", n.followPreemptions)
	all.start("drills", n.followDrills)
	all.start("comparing wires", n.compareWires)
	all.start("address space", n.decideAddresses)
	all.start("roll-out", n.roll)
	all.start("word of the roll-out", n.tellRollouts)
	all.start("choice of engines", n.decideEngines)
}

// startFollowing starts what keeps this peer in step with the network, and tells of it.
func (n *Node) startFollowing(all *goroutines) {
	all.start("engines", n.followEngines)
	all.start("network configuration", n.followConfig)
	all.start("addresses", n.runAddresses)
	all.start("subnets", n.followSubnets)
	all.start("housekeeping", n.keepHouse)
	all.start("changes of the mesh", n.followMesh)
	all.start("loops", n.followLoops)
	all.start("word of loops", n.tellLoops)
	all.start("alerts", n.alerting.tellSinks)
	all.start("alert conditions", n.alerting.watchState)
	all.start("segments", n.followSegments)
	all.start("readiness", n.tellTakeovers)
	all.start("announcements", n.announceStations)
	all.start("gates by hand", n.followHands)
}

// startSupervision starts what the service manager and its operator deal with. started is closed when the node serves.
func (n *Node) startSupervision(all *goroutines, started <-chan struct{}) {
	all.start("status line", func(ctx context.Context) error { return n.tellStatus(ctx, started) })
	all.start("node file", func(ctx context.Context) error { return n.followNodeFile(ctx, started) })
	all.start("own API", n.askAPI)
	all.start("watchdog", func(ctx context.Context) error {
		return systemd.Watchdog(ctx, func() bool { return n.alive() && n.ownAPI.live(time.Now()) })
	})
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
