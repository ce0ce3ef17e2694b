package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/diag"
	"github.com/drawbridge-net/drawbridge/appliance/doctor"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/web"
)

// told makes a part of what a node answers from memory.
func told[T any](name, about string, of func() T) diag.Part {
	return diag.JSON(name, about, func(context.Context) (T, error) { return of(), nil })
}

// DiagnosticParts are what a running peer puts into its bundle, and, of a nil node, a list of them to be shown.
func DiagnosticParts(n *Node) []diag.Part {
	parts := []diag.Part{
		told("version.json", "versions of the daemon, Go and the kernel", n.Version),
		told("status.json", "this peer at a glance, with its problems", n.Status),
		told("ready.json", "whether it does what its node file asks for", n.Ready),
		told("peers.json", "all peers and how they are reached", n.Peers),
		told("links.json", "connections to adjacent peers", n.Links),
		told("routes.json", "how frames leave this peer", n.Routes),
		told("ports.json", "ports, their gates, counters and drops", n.Ports),
		told("segments.json", "who bridges which segment, since when and why", n.Segments),
		told("takeovers.json", "how ready each gateway is to take over", n.Takeovers),
		told("voters.json", "who votes, who leads, and whether a majority answers", n.Voters),
		told("macs.json", "where every station is", func() []web.MAC { return n.MACs(web.MACFilter{}) }),
		told("events.json", "what happened", func() []web.Event { return n.Events(0) }),
		told("alerts.json", "what is wrong just now", n.Alerts),
		told("alert-sinks.json", "whom it tells, and whether they take it", n.AlertSinks),
		told("operations.json", "what was asked for, and what came of it", n.Operations),
		told("drills.json", "reports of rehearsals", n.Drills),
		told("loops.json", "which frames went round, and where", n.Loops),
		told("rollouts.json", "new software peer by peer, and what it waits for", n.Rollouts),
		diag.JSON("update.json", "the slots of an appliance", n.Update),
		told("alone.json", "what ALONE sees and drops on each wire", n.seenByALONE),
		diag.JSON("subnets.json", "address space of guests", func(ctx context.Context) ([]web.Subnet, error) { return n.Subnets(ctx) }),
		diag.JSON("network-config.json", "the network configuration in force, without its users", n.configWithoutUsers),
		diag.JSON("config-versions.json", "its last versions: who changed it, when, why", func(ctx context.Context) (web.ConfigHistory, error) { return n.ConfigVersions(ctx, 0, 100) }),
		diag.JSON("config-applied.json", "which peers go by it", func(context.Context) (web.ConfigApplied, error) { return n.ConfigApplied(0), nil }),
		{Name: "node-file.toml", About: "the node file", Read: func(context.Context) ([]byte, error) { return os.ReadFile(n.cfg.Path) }},
		{Name: "metrics.txt", About: "all metrics, as Prometheus reads them", Read: func(context.Context) ([]byte, error) { return web.Metrics(n) }},
		diag.JSON("doctor.json", "what drawbridge doctor says, and the facts that it judged by", func(ctx context.Context) (doctor.Report, error) { return n.examine(ctx), nil }),
	}
	return slices.Concat(parts, diag.Process(), diag.Host())
}

// aloneSeen is what ALONE knows, in words.
type aloneSeen struct {
	Ports []wireSeen        `json:"ports"`
	Drops map[string]uint64 `json:"drops"`
}

type wireSeen struct {
	Interface  string          `json:"interface"`
	VLAN       uint16          `json:"vlan"`
	Port       uint32          `json:"port"`
	State      string          `json:"state"`
	Reason     string          `json:"reason,omitempty"`
	Carrier    bool            `json:"carrier"`
	Clear      bool            `json:"clear"`
	Listening  bool            `json:"listening"`
	Problem    string          `json:"problem,omitempty"`
	Heard      uint64          `json:"heard_frames"`
	Sent       uint64          `json:"sent_frames"`
	Refused    uint64          `json:"refused_frames"`
	Losses     uint64          `json:"socket_failures"`
	Neighbours []neighbourSeen `json:"neighbours"`
	Unsure     []portSeen      `json:"fallen_silent"`
}

type portSeen struct {
	Peer string `json:"peer"`
	Port uint32 `json:"port"`
}

type neighbourSeen struct {
	portSeen
	State    string  `json:"state"`
	Epoch    string  `json:"epoch"`
	SilentMS float64 `json:"silent_ms"`
	BothWays bool    `json:"both_ways"`
}

func (n *Node) seenByALONE() aloneSeen {
	w := aloneSeen{Ports: []wireSeen{}, Drops: n.alone.Drops()}
	at := func(p alone.Place) portSeen { return portSeen{string(n.nameOfPeer(p.Peer)), uint32(p.Port)} }
	for _, p := range n.alone.Ports() {
		one := wireSeen{
			Interface: p.Interface, VLAN: p.VLAN, Port: uint32(p.ID), State: p.State.String(), Reason: string(p.Reason), Carrier: p.Carrier, Clear: p.Clear,
			Listening: p.Open, Problem: p.Problem, Heard: p.Heard, Sent: p.Sent, Refused: p.Refused, Losses: p.Losses, Neighbours: []neighbourSeen{}, Unsure: []portSeen{},
		}
		for _, o := range p.Neighbours {
			one.Neighbours = append(one.Neighbours, neighbourSeen{at(o.Place), o.State.String(), o.Epoch.String(), float64(o.Silent) / float64(time.Millisecond), o.BothWays})
		}
		for _, o := range p.Unsure {
			one.Unsure = append(one.Unsure, at(o))
		}
		w.Ports = append(w.Ports, one)
	}
	return w
}

// Diagnose implements web.Node.
func (n *Node) Diagnose(ctx context.Context, w io.Writer) (name string, err error) {
	at := time.Now().UTC()
	dir := fmt.Sprintf("drawbridge-%s-%s", n.creds.Name, at.Format("20060102T150405Z"))
	if err := diag.Write(ctx, w, dir, at, diag.NewRedactor(n.secrets(ctx)...), DiagnosticParts(n)); err != nil {
		return "", err
	}
	return dir + ".tar.gz", nil
}

// secrets are those of the state directory, and of the network configuration: hashes of users, keys of webhooks.
func (n *Node) secrets(ctx context.Context) [][]byte {
	all := diag.Secrets(n.creds.Dir())
	if v, err := n.ConfigVersion(ctx, 0); err == nil { // without it none of it is in the bundle
		all = append(all, diag.SecretsIn(v.Document)...)
	}
	return all
}

// configWithoutUsers is the version in force. Whose hashes are in it is nobody's business who mends a network.
func (n *Node) configWithoutUsers(ctx context.Context) (web.ConfigVersion, error) {
	v, err := n.ConfigVersion(ctx, 0)
	if err != nil || len(v.Document) == 0 {
		return v, err
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(v.Document, &document); err != nil {
		return v, err
	}
	delete(document, "users")
	v.Document, err = json.Marshal(document)
	return v, err
}

// examine is the doctor, without listening: what the daemon hears on its segments it knows from ALONE.
func (n *Node) examine(ctx context.Context) doctor.Report {
	return doctor.Judge(doctor.Gather(ctx, doctor.Options{Version: n.version, NodeFile: n.cfg.Path, Daemon: n.describe}))
}

// describe is what the doctor would be told over the socket.
func (n *Node) describe(_ context.Context, socket string) doctor.Daemon {
	s := n.Status()
	d := doctor.Daemon{Socket: socket, Running: true, Name: s.Name, Version: s.Version, Gate: s.DataPath.Gate}
	for _, p := range s.Problems {
		d.Problems = append(d.Problems, doctor.Problem{Summary: p.Summary, Remedy: p.Remedy})
	}
	for _, l := range n.Links() {
		d.Links = append(d.Links, doctor.Link{Peer: l.Peer, Path: l.Path, Dialled: l.Dialled})
	}
	return d
}
