package e2e

import (
	"os"
	"path/filepath"
	"strings"
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

// TestWiresLikeCables is the default topology without what makes virtual wires better than cables: no frame above the
// MTU crosses them, every checksum is complete, and one frame in a hundred is lost.
func TestWiresLikeCables(t *testing.T) {
	text, ok := lab.BuiltInText("default")
	if !ok {
		t.Fatal("there is no default topology")
	}
	cables := strings.Replace("offload = false\n"+string(text), "subnet =", "loss = 0.01\nsubnet =", 1)
	file := filepath.Join(t.TempDir(), "cables.toml")
	must(t, os.WriteFile(file, []byte(cables), 0o600))
	b := up(t, file)
	b.reach(t, fullSize)
	if r, err := probe.Talk(within(t, talkLimit), b.hosts); err != nil || !r.OK() {
		t.Errorf("TCP and UDP: %v, %v", r, err)
	}
}

// TestPulledCableComesBack unplugs the active gateway from the VLAN for a moment.
func TestPulledCableComesBack(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	must(t, lab.Cut(b.Name, "a", "office"))
	guests, vlan := b.hosts[:4], b.hosts[4:]
	if r, err := probe.Ping(within(t, reachLimit), guests, 0); err != nil || !r.OK() {
		t.Errorf("guests among themselves: %v, %v", r, err)
	}
	if r, err := probe.Ping(within(t, reachLimit), vlan, 0); err != nil || !r.OK() {
		t.Errorf("hosts on the VLAN among themselves: %v, %v", r, err)
	}
	must(t, lab.Heal(b.Name, "a", "office"))
	b.reach(t, 0)
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
