package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// name of the lab.
var name = flag.String("name", "dbtakeover", "name of the lab")

// readyLimit bounds the wait for both gateways to be well again after a trial.
const readyLimit = 30 * time.Second

// ours is Drawbridge in the default lab: gateways a and b on the VLAN "office", host1 there, w1 a guest of w.
type ours struct {
	*lab.Lab
	status lab.Status
	apis   map[string]*client.Client // by node, kept: a connection for each question is work that would be measured, too
}

func openLab(ctx context.Context, o options) (contender, error) {
	if err := lab.Down(*name); err != nil && !errors.Is(err, lab.ErrNoLab) {
		return nil, err
	}
	l, err := lab.Up(ctx, lab.Options{Name: *name, Binary: o.binary, Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	d := &ours{l, l.Status(), map[string]*client.Client{}}
	for _, n := range d.status.Nodes {
		d.apis[n.Name] = client.New(n.API)
	}
	return d, nil
}

func (d *ours) close() error { return lab.Down(*name) }

func (d *ours) events() []event {
	return []event{
		{"drawbridge", "nothing", d.trial(nothing, nothing)}, // what the machine itself makes of a stream
		{"drawbridge", "switchover", d.trial(d.switchover, nothing)},
		{"drawbridge", "daemon stopped", d.trial(
			func(_ context.Context, n string) error { return lab.Stop(*name, n) },
			func(ctx context.Context, n string) error { return lab.Start(ctx, *name, n) })},
		{"drawbridge", "passive restarted", d.trial(d.restartPassive, nothing)},
		{"drawbridge", "power lost", d.trial(d.powerOff, d.powerOn)},
		{"drawbridge", "daemon killed", d.trial(
			func(_ context.Context, n string) error { return lab.Kill(*name, n) },
			func(ctx context.Context, n string) error { return lab.Start(ctx, *name, n) })},
		{"drawbridge", "daemon frozen", d.trial(
			func(_ context.Context, n string) error { return lab.Freeze(*name, n) },
			func(_ context.Context, n string) error { return lab.Thaw(*name, n) })},
		{"drawbridge", "carrier of the VLAN lost", d.trial(
			func(_ context.Context, n string) error { return lab.Cut(*name, n, "office") },
			func(context.Context, string) error { return lab.Heal(*name, "", "") })},
	}
}

func nothing(context.Context, string) error { return nil }

// trial watches while the active gateway suffers something, and waits until both are well again.
func (d *ours) trial(suffer, mend func(ctx context.Context, node string) error) func(context.Context) ([]trial, error) {
	return func(ctx context.Context) ([]trial, error) {
		active, err := d.well(ctx)
		if err != nil {
			return nil, err
		}
		all, err := watch(ctx, d.asks(), func() error { return suffer(ctx, active) })
		return all, errors.Join(err, mend(ctx, active))
	}
}

// asks has both sides ask: whoever asks teaches the way to itself, so the other way needs a guest that never begins.
func (d *ours) asks() []ask {
	return []ask{
		{"guest asks a host", d.host("w1").Netns, d.four("host1")},
		{"host asks a silent guest", d.host("host1").Netns, d.four("x1")},
	}
}

func (d *ours) four(name string) netip.Addr {
	all := d.Addresses(name)
	return all[slices.IndexFunc(all, netip.Addr.Is4)]
}

func (d *ours) host(name string) lab.HostStatus {
	return d.status.Hosts[slices.IndexFunc(d.status.Hosts, func(h lab.HostStatus) bool { return h.Name == name })]
}

func (d *ours) node(name string) lab.NodeStatus {
	return d.status.Nodes[slices.IndexFunc(d.status.Nodes, func(n lab.NodeStatus) bool { return n.Name == name })]
}

// well waits until the active gateway, which it answers, could hand over to the other, and everybody sees it so.
func (d *ours) well(ctx context.Context) (active string, err error) {
	if !until(ctx, readyLimit, 100*time.Millisecond, func() bool { active, err = d.wellAndActive(ctx); return err == nil }) {
		return "", fmt.Errorf("the gateways are not both well within %v: %w", readyLimit, err)
	}
	return active, nil
}

// wellAndActive is the active gateway when the other could take over, as every gateway and a plain peer see it.
func (d *ours) wellAndActive(ctx context.Context) (active string, err error) {
	for _, node := range []string{"a", "b", "w"} {
		segments, err := d.apis[node].Segments(ctx)
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", node, err)
		case len(segments) != 1 || segments[0].Active == nil:
			return "", fmt.Errorf("%s sees no active gateway", node)
		case active != "" && active != *segments[0].Active:
			return "", fmt.Errorf("%s sees %s active, not %s", node, *segments[0].Active, active)
		}
		if len(segments[0].Gateways) != 2 {
			return "", fmt.Errorf("%s sees %d gateways", node, len(segments[0].Gateways))
		}
		for _, g := range segments[0].Gateways {
			if !g.Ready && g.Gate != web.GateOpen {
				return "", fmt.Errorf("%s sees %s not ready: %s", node, g.Peer, strings.Join(g.Reasons, "; "))
			}
		}
		active = *segments[0].Active
	}
	o, err := d.apis[active].Switchover(ctx, "office", web.SwitchoverRequest{DryRun: true})
	if err == nil && o.State != web.OperationDone {
		err = errors.New(o.Outcome)
	}
	return active, errors.Join(err, settled(o.Checks), d.direct(ctx))
}

// direct refuses peers that still use each other's links, as for some time after one of them has started: a takeover that breaks
// such a way costs what it takes to see that a link is dead, 350 ms.
func (d *ours) direct(ctx context.Context) error {
	for node, api := range d.apis {
		peers, err := api.Peers(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", node, err)
		}
		for _, p := range peers {
			if p.State != mesh.StateSelf && p.State != mesh.StateDirect {
				return fmt.Errorf("%s sees %s %s, not direct", node, p.Name, p.State)
			}
		}
	}
	return nil
}

// settled refuses a gateway that asks for the lease last, as every one does for seconds after its start and one that is
// damped does for longer: what it costs to replace it then is not what a takeover costs.
func settled(checks []web.Check) error {
	for _, c := range checks {
		if c.Name == "damped" && c.Value != "no" {
			return fmt.Errorf("%s asks last: %s", c.Peer, c.Value)
		}
	}
	return nil
}

// powerOff takes all links of a node down, as its neighbours see it, and kills the daemon.
func (d *ours) powerOff(_ context.Context, node string) error {
	return errors.Join(d.links(node, (*netlab.Namespace).Down), lab.Kill(*name, node))
}

func (d *ours) powerOn(ctx context.Context, node string) error {
	return errors.Join(d.links(node, (*netlab.Namespace).Up), lab.Start(ctx, *name, node))
}

func (d *ours) links(node string, move func(*netlab.Namespace, string) error) error {
	ns, err := netlab.Open(d.node(node).Netns)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	names, err := ns.Wired()
	for _, n := range names {
		err = errors.Join(err, move(ns, n))
	}
	return err
}

// switchover asks the active gateway to hand over, and waits until that is done.
func (d *ours) switchover(ctx context.Context, active string) error {
	c := d.apis[active]
	o, err := c.Switchover(ctx, "office", web.SwitchoverRequest{})
	if err != nil {
		return err
	}
	done := until(ctx, after/2, 20*time.Millisecond, func() bool {
		o, err = c.Operation(ctx, o.ID)
		return err != nil || o.State != "running"
	})
	switch {
	case err != nil:
		return err
	case !done || o.State != "done":
		return fmt.Errorf("switchover %s: %s", o.State, o.Outcome)
	}
	return nil
}

// restartPassive stops the daemon of the gateway that is not active, and starts it again.
func (d *ours) restartPassive(ctx context.Context, active string) error {
	passive := map[string]string{"a": "b", "b": "a"}[active]
	return errors.Join(lab.Stop(*name, passive), lab.Start(ctx, *name, passive))
}
