package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
)

// plan is a network: every node is plugged into one underlay, and all gateways are voters and have a port on every segment.
type plan struct {
	network   string // empty: the lab's own
	underlay  string // empty: 192.0.2.0/24
	witnesses []string
	peers     []string
	gateways  []string
	segments  []place // behind their switches; nil: office behind vlan
	hosts     []place // at nodes and switches
}

// place is a thing and where it is.
type place struct{ name, at string }

// office is the segment of most plans.
var office = []place{{"office", "vlan"}}

// topology is the plan as the lab reads it.
func (p plan) topology() string {
	if p.segments == nil {
		p.segments = office
	}
	if p.underlay == "" {
		p.underlay = "192.0.2.0/24"
	}
	var b strings.Builder
	if p.network != "" {
		fmt.Fprintf(&b, "network = %q\n", p.network)
	}
	fmt.Fprintf(&b, "[[switch]]\nname = \"net\"\nsubnet = %q\n", p.underlay)
	var ports []string
	for _, s := range p.segments {
		fmt.Fprintf(&b, "[[switch]]\nname = %q\n", s.at)
		ports = append(ports, fmt.Sprintf("{ name = %q, switch = %q }", s.name, s.at))
	}
	node := func(name, more string) { fmt.Fprintf(&b, "[[node]]\nname = %q\nunderlay = [\"net\"]\n%s", name, more) }
	for _, name := range p.witnesses {
		node(name, "roles = [\"voter\"]\n")
	}
	for _, name := range p.peers {
		node(name, "")
	}
	for _, name := range p.gateways {
		node(name, "roles = [\"gateway\", \"voter\"]\nsegment = ["+strings.Join(ports, ", ")+"]\n")
	}
	for _, h := range p.hosts {
		fmt.Fprintf(&b, "[[host]]\nname = %q\nat = %q\n", h.name, h.at)
	}
	return b.String()
}

// TestPlansAreTopologies: the lab reads them as they are meant.
func TestPlansAreTopologies(t *testing.T) {
	for name, p := range map[string]plan{
		"stranger": stranger, "triple": triple, "couple": couple, "twice": twice, "pair": pairAndWitness,
	} {
		got, err := lab.Parse(name, []byte(p.topology()))
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, p.topology())
			continue
		}
		if len(got.Nodes) != len(p.witnesses)+len(p.peers)+len(p.gateways) || len(got.Hosts) != len(p.hosts) {
			t.Errorf("%s: %d nodes, %d hosts", name, len(got.Nodes), len(got.Hosts))
		}
		for _, n := range got.Nodes {
			gateway, voter := slices.Contains(n.Roles, "gateway"), slices.Contains(n.Roles, "voter")
			if gateway != slices.Contains(p.gateways, n.Name) || voter == slices.Contains(p.peers, n.Name) || gateway != (len(n.Segments) > 0) {
				t.Errorf("%s: %+v", name, n)
			}
		}
	}
}
