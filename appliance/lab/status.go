package lab

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
)

// Status is a lab as it stands. Its JSON form is an interface that others rely on (docs/architecture.md).
type Status struct {
	Name     string         `json:"name"`
	Console  string         `json:"console"` // URL; empty: none
	Nodes    []NodeStatus   `json:"nodes"`
	Hosts    []HostStatus   `json:"hosts"` // on VLANs and guests of nodes alike
	Switches []SwitchStatus `json:"switches"`

	cuts string
}

// NodeStatus is a peer.
type NodeStatus struct {
	Name     string   `json:"name"`
	Roles    []string `json:"roles"` // of voter, witness, gateway; peer for none
	Netns    string   `json:"netns"`
	Pid      int      `json:"pid"` // 0: the daemon does not run
	API      string   `json:"api"` // unix socket
	Underlay []string `json:"underlay"`
	StateDir string   `json:"state_dir"`

	state    string
	segments []string
	console  string // URL
}

// HostStatus is a computer that knows nothing of Drawbridge.
type HostStatus struct {
	Name       string `json:"name"`
	Netns      string `json:"netns"`
	Interface  string `json:"interface"`
	IP         string `json:"ip"` // the first, IPv4 where there is one
	MAC        string `json:"mac"`
	AttachedTo string `json:"attached_to"` // node or switch

	all []string
}

// SwitchStatus is a layer-2 network.
type SwitchStatus struct {
	Name   string `json:"name"`
	Netns  string `json:"netns"`
	Bridge string `json:"bridge"`
}

// StatusOf says how a lab stands.
func StatusOf(name string) (Status, error) {
	l, err := open(name)
	if err != nil {
		return Status{}, err
	}
	return l.Status(), nil
}

// Addresses are all that a host has, IPv4 first.
func (l *Lab) Addresses(host string) (addrs []netip.Addr) {
	for _, h := range l.plan.hosts {
		if h.Name == host {
			for _, a := range h.addrs {
				addrs = append(addrs, a.Addr())
			}
		}
	}
	return addrs
}

// Status says how the lab stands.
func (l *Lab) Status() Status {
	s := Status{Name: l.Name, Console: l.Console, Nodes: []NodeStatus{}, Hosts: []HostStatus{}, Switches: []SwitchStatus{}, cuts: l.describeCuts()}
	for _, n := range l.plan.topo.Nodes {
		s.Nodes = append(s.Nodes, l.statusOf(n))
	}
	for _, h := range l.plan.hosts {
		st := HostStatus{Name: h.Name, Netns: l.plan.space(h.Name), Interface: hostInterface, IP: h.addrs[0].Addr().String(), MAC: h.mac.String(), AttachedTo: h.At}
		for _, a := range h.addrs {
			st.all = append(st.all, a.Addr().String())
		}
		s.Hosts = append(s.Hosts, st)
	}
	for _, sw := range l.plan.topo.Switches {
		s.Switches = append(s.Switches, SwitchStatus{sw.Name, l.plan.space(sw.Name), bridge})
	}
	return s
}

func (l *Lab) statusOf(n Node) NodeStatus {
	p, d := l.Processes[n.Name], l.dirOf(n.Name)
	s := NodeStatus{
		Name: n.Name, Roles: rolesOf(n), Netns: l.plan.space(n.Name), Pid: p.Pid, API: d.socket(),
		Underlay: []string{}, StateDir: d.state(), state: p.state(), console: l.ConsoleOf(n.Name),
	}
	if s.state == dead {
		s.Pid = 0
	}
	for _, g := range l.plan.plugsOf(n.Name) {
		s.Underlay = append(s.Underlay, g.addr.Addr().String())
	}
	for _, seg := range n.Segments {
		s.segments = append(s.segments, seg.Name)
	}
	return s
}

// rolesOf are the roles as people speak of them: a voter without a segment is a witness.
func rolesOf(n Node) []string {
	roles := slices.Clone(n.Roles)
	if n.has(roleVoter) && len(n.Segments) == 0 {
		roles = append(roles, "witness")
	}
	if len(roles) == 0 {
		roles = []string{"peer"}
	}
	return roles
}

// Print writes the status for people.
func (s Status) Print(w io.Writer) error {
	fmt.Fprintf(w, "lab %s", s.Name)
	if s.Console != "" {
		fmt.Fprintf(w, ", console %s", s.Console)
	}
	fmt.Fprintf(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tROLES\tSEGMENT\tUNDERLAY\tPID\tNETNS")
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", n.Name, n.state, strings.Join(n.Roles, " "), strings.Join(n.segments, " "), strings.Join(n.Underlay, " "), n.Pid, n.Netns)
	}
	fmt.Fprintln(t, "\nHOST\tAT\tADDRESSES\tMAC\tNETNS\t\t")
	for _, h := range s.Hosts {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t\t\n", h.Name, h.AttachedTo, strings.Join(h.all, " "), h.MAC, h.Netns)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if s.Console != "" {
		fmt.Fprintln(w)
		for _, n := range s.Nodes {
			fmt.Fprintf(w, "console of %s: %s\n", n.Name, n.console)
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", s.cuts)
	return err
}
