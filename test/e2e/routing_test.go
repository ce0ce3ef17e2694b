package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// outageLimit is how long a mesh may be interrupted when a peer that carries for others dies.
const outageLimit = time.Second

// via is the peer that a node hands frames for another to.
func (b *bed) via(t *testing.T, node, to string) string {
	t.Helper()
	routes, err := b.api(node).Routes(within(t, reachLimit))
	must(t, err)
	for _, r := range routes.Unicast {
		if r.Peer == to {
			return r.Via
		}
	}
	return ""
}

// interrupted watches a stream from one host to another while something happens.
func (b *bed) interrupted(t *testing.T, from, to string, happens func() error) netlab.Stream {
	t.Helper()
	ctx := within(t, 5*time.Second)
	happened := make(chan error)
	go func() {
		<-time.After(time.Second)
		happened <- happens()
	}()
	s, err := probe.Stream(ctx, b.host(from), b.host(to).Addrs[0], 5*time.Millisecond)
	must(t, err, <-happened)
	t.Logf("%s to %s: %d of %d answered, outage %v", from, to, s.Answered, s.Sent, s.Outage)
	return s
}

func TestKilledRelayIsRoutedAround(t *testing.T) {
	b := up(t, "ring")
	b.reach(t, 0)
	relay := b.via(t, "w", "y")
	if relay != "x" && relay != "z" {
		t.Fatalf("w hands frames for y to %q, want one of its neighbours x, z", relay)
	}
	if s := b.interrupted(t, "w1", "y1", func() error { return lab.Kill(b.Name, relay) }); s.Outage >= outageLimit {
		t.Errorf("outage of %v after %s was killed, want less than %v", s.Outage, relay, outageLimit)
	}
	must(t, lab.Start(t.Context(), b.Name, relay))
	b.reach(t, 0)
}

func TestFrozenRelayIsRoutedAround(t *testing.T) {
	b := up(t, "ring")
	b.reach(t, 0)
	relay := b.via(t, "w", "y")
	if s := b.interrupted(t, "w1", "y1", func() error { return lab.Freeze(b.Name, relay) }); s.Outage >= outageLimit {
		t.Errorf("outage of %v after %s was frozen, want less than %v", s.Outage, relay, outageLimit)
	}
	must(t, lab.Thaw(b.Name, relay))
	b.reach(t, 0)
}

func TestCutLinkIsRoutedAround(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	if s := b.interrupted(t, "w1", "x1", func() error { return lab.Cut(b.Name, "w", "x") }); s.Outage >= outageLimit {
		t.Errorf("outage of %v after the link was cut, want less than %v", s.Outage, outageLimit)
	}
	if via := b.via(t, "w", "x"); via == "x" || via == "" {
		t.Errorf("w reaches x through %q, and the link is cut", via)
	}
	must(t, lab.Heal(b.Name, "", ""))
	eventually(t, reachLimit, "w reaches x directly again", func() bool { return b.via(t, "w", "x") == "x" })
	b.reach(t, 0)
}

func TestDeadPeerDoesNotDisturbOthers(t *testing.T) {
	b := up(t, "mesh")
	b.reach(t, 0)
	if s := b.interrupted(t, "w1", "y1", func() error { return lab.Kill(b.Name, "z") }); s.Answered != s.Sent {
		t.Errorf("%d of %d answered while a peer died that is not on the way", s.Answered, s.Sent)
	}
}

// TestPeersBehindNATAreReached: x and y cannot be called, and what their routers map differs.
func TestPeersBehindNATAreReached(t *testing.T) {
	b := up(t, "nat")
	b.reach(t, 0)
	peers, err := b.api("w").Peers(within(t, reachLimit))
	must(t, err)
	for _, p := range peers {
		if p.Name != "x" && p.Name != "y" {
			continue
		}
		remote, err := netip.ParseAddrPort(p.Remote)
		if err != nil || remote.Addr().As4()[3] < 220 {
			t.Errorf("w hears %s from %q, want the outside of its router", p.Name, p.Remote)
		}
	}
	must(t, lab.Kill(b.Name, "a"), lab.Start(t.Context(), b.Name, "a"))
	b.reach(t, 0)
}
