package e2e

import (
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
)

// fullSize fills an IPv4 packet of the hosts' MTU, 1400: 20 bytes of IP header and 8 of ICMP. The IPv6 packet of that
// size is 20 bytes longer than the MTU, and goes in fragments.
const fullSize = 1400 - 28

// TestEverybodyReachesEverybody is the promise of the product: one Ethernet, whatever is underneath. Every host talks
// to every other by ping, TCP and UDP over IPv4 and IPv6.
func TestEverybodyReachesEverybody(t *testing.T) {
	for _, topology := range lab.BuiltIn() {
		t.Run(topology, func(t *testing.T) {
			b := up(t, topology)
			b.reach(t, 0)
			b.reach(t, fullSize)
			if r, err := probe.Talk(within(t, talkLimit), b.hosts); err != nil || !r.OK() {
				t.Errorf("TCP and UDP: %v, %v", r, err)
			}
		})
	}
}

// TestPeersComeBackAfterAPowerCut kills every daemon and starts all again.
func TestPeersComeBackAfterAPowerCut(t *testing.T) {
	b := up(t, "default")
	for _, n := range b.Status().Nodes {
		must(t, lab.Kill(b.Name, n.Name))
	}
	for _, n := range b.Status().Nodes {
		must(t, lab.Start(t.Context(), b.Name, n.Name))
	}
	b.reach(t, 0)
}
