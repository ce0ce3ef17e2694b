package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

var everywhere = netip.MustParsePrefix("0.0.0.0/0")

// Options say how Up builds a lab.
type Options struct {
	Name     string    // of the lab
	Topology string    // a built-in name or a file; empty: "default"
	Binary   string    // what the nodes run; empty: this program
	Progress io.Writer // hears what is being done; nil: nobody
	Engine   string    // what carries the overlays: "kernel", EngineWireGuard; empty or "user": user space
	Console  string    // IP:port of the first node's console, the others' follow it; empty: none
}

// Limits of waiting. A lab of six nodes takes 1 to 3 seconds on two cores; a loaded machine may take much longer.
const (
	startLimit  = 20 * time.Second // until a daemon answers
	meetLimit   = 60 * time.Second // until all peers see each other
	bridgeLimit = 20 * time.Second // until a segment has an active gateway
	guestLimit  = 10 * time.Second // until guest ports have listened
	settleLimit = 5 * time.Second  // until nobody complains any more: gateways tell how ready they are every two seconds
)

// Up builds a lab, starts its network and waits until every peer sees all others. A lab of that name that was killed
// half-way is removed first; one that is up is an error. After an error nothing is left but the logs that it quotes.
func Up(ctx context.Context, o Options) (l *Lab, err error) {
	if err := checkEngine(o.Engine); err != nil {
		return nil, err
	}
	unlock, err := lock(o.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old, err := open(o.Name); err == nil && old.Up {
		return nil, fmt.Errorf("lab %s is up; `drawbridge lab down --name %s` removes it", o.Name, o.Name)
	}
	if err := remove(o.Name); err != nil {
		return nil, fmt.Errorf("remove what is left of lab %s: %w", o.Name, err)
	}
	l, err = begin(o)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.rise(ctx, o), l.openConsole(ctx, o)); err != nil {
		return nil, errors.Join(fmt.Errorf("lab %s: %w", l.Name, err), remove(l.Name))
	}
	return l, nil
}

// begin writes down what is about to be made, so that it can be removed whatever happens.
func begin(o Options) (*Lab, error) {
	if o.Topology == "" {
		o.Topology = "default"
	}
	t, text, err := Load(o.Topology)
	if err != nil {
		return nil, err
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	l := &Lab{Name: o.Name, plan: newPlan(o.Name, t), state: state{Topology: string(text), Binary: o.Binary, Processes: map[string]proc{}}}
	for _, name := range l.plan.spaces() {
		if netlab.Exists(name) {
			return nil, fmt.Errorf("namespace %s exists and belongs to no lab of that name; `ip netns del %s` removes it", name, name)
		}
	}
	if o.Console != "" {
		if err := l.checkConsole(o.Console); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(labDir(o.Name), 0o755); err != nil {
		return nil, err
	}
	return l, l.save()
}

// rise goes from the plan to a network that works.
func (l *Lab) rise(ctx context.Context, o Options) error {
	progress := o.Progress
	if progress == nil {
		progress = io.Discard
	}
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, "%5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	t := l.plan.topo
	if err := l.plan.build(); err != nil {
		return err
	}
	say("built %s, %s, %s, %s, %s", drawbridge.Counted(len(t.Nodes), "node"), drawbridge.Counted(len(t.Hosts), "host"), drawbridge.Counted(len(t.Switches), "switch", "switches"),
		drawbridge.Counted(len(t.Routers), "router"), drawbridge.Counted(len(t.Wires), "wire"))
	if err := errors.Join(l.writeNodeFiles(), l.startRouters()); err != nil {
		return err
	}
	founder := t.founder()
	if err := l.found(ctx, *founder); err != nil {
		return err
	}
	say("%s founded the network %s", founder.Name, t.Network)
	if err := l.joinAll(ctx); err != nil {
		return l.withEnd(err, founder.Name)
	}
	say("%s joined", drawbridge.Counted(len(t.Nodes)-1, "other"))
	if err := l.startOthers(ctx); err != nil {
		return err
	}
	say("all daemons run")
	if err := l.awaitPeers(ctx); err != nil {
		return err
	}
	say("every peer sees all others")
	if late := l.awaitActive(ctx); late != "" {
		say("no gateway of %s is active yet; `drawbridge segments` says why", late)
	} else if len(l.segments()) > 0 {
		say("%s", l.describeActive(ctx))
	}
	if late := l.awaitGuests(ctx); late != "" {
		say("guest port %s carries nothing yet; `drawbridge ports` says why", late)
	}
	enter := map[string]func(context.Context) error{web.EngineKernel: l.EnterKernel, EngineWireGuard: l.EnterWireGuard}[o.Engine]
	if enter != nil {
		if err := enter(ctx); err != nil {
			return err
		}
		say("the kernel carries the overlays on all nodes")
	}
	for _, problem := range l.lastingProblems(ctx) {
		say("%s", problem)
	}
	l.Up = true
	return l.save()
}

// awaitGuests waits until guests can speak, for their ports listen first, and answers which one cannot.
func (l *Lab) awaitGuests(ctx context.Context) (late string) {
	_ = until(guestLimit, func() (bool, error) {
		late = l.shutGuest(ctx)
		return late == "", ctx.Err()
	})
	return late
}

// shutGuest is a guest port that carries nothing, "" when there is none.
func (l *Lab) shutGuest(ctx context.Context) string {
	for _, n := range l.plan.topo.Nodes {
		ports, err := client.New(l.dirOf(n.Name).socket()).Ports(ctx)
		if err != nil {
			continue // killed, or frozen
		}
		for _, p := range ports {
			if p.Kind == web.PortGuest && p.Gate == web.GateShut {
				return p.Name + " of " + n.Name
			}
		}
	}
	return ""
}

// lastingProblems are those that do not pass by themselves once everything runs.
func (l *Lab) lastingProblems(ctx context.Context) (all []string) {
	_ = until(settleLimit, func() (bool, error) {
		all = l.problems(ctx)
		return len(all) == 0, ctx.Err()
	})
	return all
}

// problems are what the nodes say is wrong, each once: what is wrong with the network is said by all of them.
func (l *Lab) problems(ctx context.Context) (all []string) {
	var summaries []string
	by := map[string][]string{}
	for _, n := range l.plan.topo.Nodes {
		s, err := client.New(l.dirOf(n.Name).socket()).Status(ctx)
		if err != nil {
			continue // killed, or frozen
		}
		for _, p := range s.Problems {
			if by[p.Summary] == nil {
				summaries = append(summaries, p.Summary)
			}
			by[p.Summary] = append(by[p.Summary], n.Name)
		}
	}
	for _, summary := range summaries {
		have := "has"
		if len(by[summary]) > 1 {
			have = "have"
		}
		all = append(all, fmt.Sprintf("%s %s a problem: %s", strings.Join(by[summary], ", "), have, summary))
	}
	return all
}

func (l *Lab) writeNodeFiles() error {
	for _, n := range l.plan.topo.Nodes {
		d := l.dirOf(n.Name)
		if err := os.MkdirAll(string(d), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(d.config(), []byte(l.plan.nodeFile(n, d)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// found makes the network on the founder and starts its daemon.
func (l *Lab) found(ctx context.Context, n Node) error {
	if err := l.runIn(n.Name, "init", "--network", l.plan.topo.Network, "--name", n.Name, "--config", l.dirOf(n.Name).config()); err != nil {
		return err
	}
	if err := l.launch(n.Name, "run", "--config", l.dirOf(n.Name).config()); err != nil {
		return err
	}
	if err := l.awaitAnswer(ctx, n.Name); err != nil {
		return err
	}
	err := until(startLimit, func() (bool, error) { return listening(l.Processes[n.Name].Pid) || ctx.Err() != nil, ctx.Err() })
	if err != nil {
		return fmt.Errorf("daemon of %s does not listen on port %d: %w; the end of its log:\n%s", n.Name, port, err, l.lastLines(n.Name))
	}
	return nil
}

// listening reports whether somebody listens on our TCP port in the network namespace of a process: the local API of a
// daemon may answer earlier. A connection would tell as well, and be an odd caller in the daemon's log.
func listening(pid int) bool {
	for _, file := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line) // number, local address, remote address, state (proc_net(5)); 0A is LISTEN
			if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == "0A" {
				return true
			}
		}
	}
	return false
}

// awaitAnswer waits until a node's daemon answers on its socket.
func (l *Lab) awaitAnswer(ctx context.Context, name string) error {
	api := client.New(l.dirOf(name).socket())
	err := until(startLimit, func() (bool, error) {
		if _, err := api.Status(ctx); err == nil || ctx.Err() != nil {
			return true, ctx.Err()
		}
		if l.Processes[name].state() == dead {
			return false, errors.New("it ended")
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("daemon of %s does not answer: %w; the end of its log:\n%s", name, err, l.lastLines(name))
	}
	return nil
}

// joinAll lets every node but the founder join, by one token for each set of roles.
func (l *Lab) joinAll(ctx context.Context) error {
	founder := l.plan.topo.founder()
	var joining []Node
	for _, n := range l.plan.topo.Nodes {
		if n.Name != founder.Name {
			joining = append(joining, n)
		}
	}
	clear, err := l.stage(joining)
	if err != nil {
		return err
	}
	tokens, err := l.tokens(ctx, joining)
	if err != nil {
		return errors.Join(err, clear())
	}
	errs := inParallel(joining, func(n Node) error {
		return l.runIn(n.Name, "join", tokens[rolesKey(n)], "--name", n.Name, "--config", l.dirOf(n.Name).config())
	})
	return errors.Join(errs, clear())
}

// withEnd adds the end of a node's log to an error when its daemon has ended, which is then the likely reason.
func (l *Lab) withEnd(err error, name string) error {
	if l.Processes[name].state() != dead {
		return err
	}
	return fmt.Errorf("%w; the daemon of %s ended, and the end of its log is:\n%s", err, name, l.lastLines(name))
}

func rolesKey(n Node) string {
	roles := slices.Clone(n.Roles)
	slices.Sort(roles)
	return strings.Join(roles, ",")
}

// tokens asks the founder for one token for each set of roles, good for as many nodes as have it.
func (l *Lab) tokens(ctx context.Context, joining []Node) (map[string]string, error) {
	requests := map[string]*web.TokenRequest{}
	for _, n := range joining {
		if requests[rolesKey(n)] == nil {
			requests[rolesKey(n)] = &web.TokenRequest{Roles: n.Roles, By: "lab " + l.Name}
		}
		requests[rolesKey(n)].Uses++
	}
	tokens := map[string]string{}
	api := client.New(l.dirOf(l.plan.topo.founder().Name).socket())
	for key, r := range requests {
		t, err := api.CreateToken(ctx, *r)
		if err != nil {
			return nil, fmt.Errorf("token for %q: %w", key, err)
		}
		tokens[key] = t.Token
	}
	return tokens, nil
}

// inParallel runs f for all nodes at once.
func inParallel(nodes []Node, f func(Node) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = f(n) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (l *Lab) startOthers(ctx context.Context) error {
	for _, n := range l.plan.topo.Nodes {
		if _, runs := l.Processes[n.Name]; runs {
			continue
		}
		if err := l.launch(n.Name, "run", "--config", l.dirOf(n.Name).config()); err != nil {
			return err
		}
	}
	return inParallel(l.plan.topo.Nodes, func(n Node) error { return l.awaitAnswer(ctx, n.Name) })
}

// awaitPeers waits until every node reaches every other, directly or through others.
func (l *Lab) awaitPeers(ctx context.Context) error {
	var missing []string
	err := until(meetLimit, func() (bool, error) {
		missing = nil
		for _, n := range l.plan.topo.Nodes {
			missing = append(missing, l.unseenBy(ctx, n.Name)...)
			if l.Processes[n.Name].state() == dead {
				return false, fmt.Errorf("the daemon of %s ended; the end of its log:\n%s", n.Name, l.lastLines(n.Name))
			}
		}
		return len(missing) == 0, ctx.Err()
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("after %v still unreachable: %s", meetLimit, strings.Join(missing, ", "))
	}
	return err
}

// unseenBy are the nodes that a node does not reach, as "w->x".
func (l *Lab) unseenBy(ctx context.Context, name string) (missing []string) {
	peers, err := client.New(l.dirOf(name).socket()).Peers(ctx)
	reached := map[string]bool{name: true}
	if err == nil {
		for _, p := range peers {
			reached[p.Name] = reached[p.Name] || p.State == web.PeerDirect || p.State == web.PeerRelayed
		}
	}
	for _, n := range l.plan.topo.Nodes {
		if !reached[n.Name] {
			missing = append(missing, name+"->"+n.Name)
		}
	}
	return missing
}

// segments are the names of all segments.
func (l *Lab) segments() (names []string) {
	for _, n := range l.plan.topo.Nodes {
		for _, s := range n.Segments {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// active is the active gateway of every segment, as the founder sees it.
func (l *Lab) active(ctx context.Context) map[string]string {
	active := map[string]string{}
	segments, err := client.New(l.dirOf(l.plan.topo.founder().Name).socket()).Segments(ctx)
	if err != nil {
		return active
	}
	for _, s := range segments {
		if s.Active != nil {
			active[s.Name] = *s.Active
		}
	}
	return active
}

// awaitActive waits until every segment has an active gateway and names one that has none. That is no error: a
// topology may be made for it.
func (l *Lab) awaitActive(ctx context.Context) (late string) {
	_ = until(bridgeLimit, func() (bool, error) {
		late = ""
		active := l.active(ctx)
		for _, name := range l.segments() {
			if active[name] == "" {
				late = name
			}
		}
		return late == "", ctx.Err()
	})
	return late
}

func (l *Lab) describeActive(ctx context.Context) string {
	var parts []string
	active := l.active(ctx)
	for _, name := range l.segments() {
		parts = append(parts, fmt.Sprintf("%s is the active gateway of %s", active[name], name))
	}
	return strings.Join(parts, ", ")
}
