// The race detector crashes in bubbles of synctest that hold many timers (golang/go issue 78156): it sees the
// router in real_test.go, over real sockets.
//go:build !race

package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/meshtest"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

const patience = 30 * time.Second // of fake time

// lan makes n peers called host1 and so on, none of them running.
func lan(t *testing.T, n int) (*meshtest.Cluster, []*meshtest.Peer) {
	t.Helper()
	c := meshtest.NewCluster(t, "lab", meshtest.NewNet(time.Millisecond))
	for i := range n {
		c.Add(fmt.Sprintf("host%d", i+1))
	}
	return c, c.Peers
}

// line starts three peers that can only be joined in a row.
func line(t *testing.T) (c *meshtest.Cluster, a, b, d *meshtest.Peer) {
	t.Helper()
	c, p := lan(t, 3)
	c.Net.Cut(p[0].Host, p[2].Host)
	p[1].Start()
	p[0].Start(p[1])
	p[2].Start(p[1])
	c.Await(patience, "the line is whole", c.Whole)
	return c, p[0], p[1], p[2]
}

func events(p *meshtest.Peer, words ...string) (n int) {
	for _, e := range p.Events() {
		found := true
		for _, w := range words {
			found = found && strings.Contains(e, w)
		}
		if found {
			n++
		}
	}
	return n
}

func TestAPeerFindsBackByWhatItKnew(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 3)
		p[0].Start()
		p[1].Start(p[0])
		p[2].Start(p[1])
		c.Await(patience, "all reach all", c.Whole)
		c.Pass(time.Minute)
		p[1].Stop()
		p[2].Stop()
		p[2].Config.Join = nil
		c.Pass(time.Minute)
		p[2].Start()
		c.Await(patience, "it calls the one that its configuration never named", func() bool { return p[2].State(p[0]).State == mesh.StateDirect })
		c.Await(patience, "what gossip tells replaces what was kept", func() bool {
			calls := map[string]int{}
			for _, a := range p[2].Router.Attempts() {
				calls[a.Target]++
			}
			return len(calls) == 2 && calls[fmt.Sprintf("%s:%d", p[1].Host.Addr, mesh.DefaultPort)] == 1
		})
	})
}

func TestPeersThatKnowOneFindAll(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 5)
		p[0].Start()
		for _, q := range p[1:] {
			q.Start(p[0])
		}
		direct := func() bool {
			for _, a := range p {
				for _, b := range p {
					if a != b && a.State(b).State != mesh.StateDirect {
						return false
					}
				}
			}
			return c.Whole()
		}
		c.Await(patience, "all reach all directly", direct)
		c.Await(patience, "memberlist knows all", func() bool {
			for _, a := range p {
				for _, b := range p {
					if a.State(b).Membership != mesh.MemberAlive {
						return false
					}
				}
			}
			return true
		})
		for _, a := range p {
			if r := a.Plane.Routes(); len(r.Next) != 4 || len(r.Children[a.Credentials.ID()]) != 4 {
				t.Errorf("%s has routes %+v", a.Host.Name, r)
			}
			if n := len(a.Drops()); n != 0 {
				t.Errorf("%s dropped %v", a.Host.Name, a.Drops())
			}
		}
	})
}

func TestLineIsRelayed(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, d := line(t)
		s := a.State(d)
		if s.State != mesh.StateRelayed || s.Via != "host2" || s.Control || !slices.Equal(s.Route, []drawbridge.PeerName{"host2", "host3"}) {
			t.Errorf("%+v", s)
		}
		if next := a.Plane.Routes().Next[d.Credentials.ID()]; next != b.Credentials.ID() {
			t.Errorf("frames for host3 go to %s", next)
		}
		c.Await(patience, "memberlist reaches over two links", func() bool {
			return a.State(d).Membership == mesh.MemberAlive && d.State(a).Membership == mesh.MemberAlive
		})
		c.Pass(time.Minute)
		for _, p := range c.Peers {
			for _, q := range c.Peers {
				if m := p.State(q).Membership; m != mesh.MemberAlive {
					t.Errorf("after a minute %s thinks that %s is %s", p.Host.Name, q.Host.Name, m)
				}
			}
		}
		if n := events(a, "member host3: is dead") + events(d, "member host1: is dead"); n != 0 {
			t.Errorf("%d false deaths", n)
		}
	})
}

func TestRestartedPeerIsKnownByItsNewRun(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, d := line(t)
		before := a.State(d).UID
		d.Restart()
		c.Await(patience, "host1 knows the new run of host3", func() bool {
			return c.Whole() && a.State(d).UID != before
		})
		b.Restart()
		c.Await(patience, "the line is whole again", c.Whole)
		c.Await(patience, "and host2 alive", func() bool { return a.State(b).Membership == mesh.MemberAlive })
		if a.State(d).Clone != "" || events(d, "clone") > 0 {
			t.Error("a restart was taken for a copy")
		}
	})
}

// TestCallsThatCross dials both ways in the same instant, again and again, with either end the smaller id.
func TestCallsThatCross(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		for i := range 20 {
			p[0].Config.Join, p[1].Config.Join = nil, nil
			c.Net.Slow(time.Duration(i) * time.Millisecond)
			p[0].Config.Join = []string{p[1].Addr()}
			p[1].Config.Join = []string{p[0].Addr()}
			p[0].Start()
			p[1].Start()
			c.Await(patience, "linked", c.Whole)
			c.Pass(5 * time.Second)
			a, b := p[0].Links(), p[1].Links()
			if len(a) != 1 || len(b) != 1 || a[0].Dialled == b[0].Dialled || !a[0].Up || !b[0].Up {
				t.Fatalf("round %d: %+v\n%+v", i, a, b)
			}
			if n := p[0].Plane.Open(); n != 1 || p[0].Plane.Doubled()+p[1].Plane.Doubled() > 0 {
				t.Fatalf("round %d: %d data links", i, n)
			}
			if n := events(p[0], "control link is down") + events(p[1], "control link is down"); n > 0 {
				t.Fatalf("round %d: a link was given up: %q %q", i, p[0].Events(), p[1].Events())
			}
			p[0].Stop()
			p[1].Stop()
		}
	})
}

// TestLostLinkIsReplacedAtOnce loses a link at one end only: the other still believes in it, and must take
// the new one.
func TestLostLinkIsReplacedAtOnce(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Start()
		p[1].Start(p[0])
		c.Await(patience, "linked", c.Whole)
		p[1].Restart()
		took := c.Await(patience, "linked again", func() bool { return c.Whole() && p[0].State(p[1]).State == mesh.StateDirect })
		if took > time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestOtherNetworkIsRefusedAndBothAreNamed(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		n := meshtest.NewNet(time.Millisecond)
		one, two := meshtest.NewCluster(t, "lab", n), meshtest.NewCluster(t, "plant", n)
		a, b := one.Add("host1"), two.Add("host2")
		a.Start()
		b.Start(a)
		one.Await(patience, "an error", func() bool { return b.Attempts()[0].Err != nil })
		at := b.Attempts()[0]
		var other *secure.OtherNetworkError
		if !errors.As(at.Err, &other) || at.State != mesh.AttemptWaiting {
			t.Fatalf("%+v", at)
		}
		for _, word := range []string{"lab", "plant", a.Credentials.Network.ID.String(), b.Credentials.Network.ID.String()} {
			if !strings.Contains(at.Err.Error(), word) {
				t.Errorf("%v does not say %s", at.Err, word)
			}
		}
		one.Pass(10 * time.Second)
		if len(a.Links())+len(b.Links()) != 0 || len(a.Peers()) != 1 || len(b.Peers()) != 1 {
			t.Error("they mixed")
		}
		if a.Drops()["caller: refused"] == 0 {
			t.Errorf("nothing counted: %v", a.Drops())
		}
	})
}

// TestPeersBehindNAT has two peers that nobody can call, and a relay.
func TestPeersBehindNAT(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 3)
		p[1].Hide()
		p[2].Hide()
		p[0].Start()
		p[1].Start(p[0])
		p[2].Start(p[0])
		c.Await(patience, "whole", c.Whole)
		s := p[1].State(p[2])
		if s.State != mesh.StateRelayed || s.Via != "host1" || len(s.Endpoints) != 0 {
			t.Errorf("%+v", s)
		}
		c.Pass(time.Minute)
		for _, a := range p {
			if n := events(a, "member_dead", "is dead"); n > 0 {
				t.Errorf("%s saw %d deaths: %q", a.Host.Name, n, a.Events())
			}
			for _, b := range p {
				if m := a.State(b).Membership; m != mesh.MemberAlive {
					t.Errorf("%s thinks that %s is %q", a.Host.Name, b.Host.Name, m)
				}
			}
		}
	})
}

func TestUnspecifiedListenersLearnWhereTheyAre(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		for _, q := range p {
			q.Config.Listen = []string{"0.0.0.0:6630"}
		}
		p[0].Start()
		p[1].Start(p[0])
		c.Await(patience, "host2 knows its address", func() bool { return len(p[0].State(p[1]).Endpoints) == 1 })
		if e := p[0].State(p[1]).Endpoints[0]; e.Addr() != p[1].Host.Addr || e.Port() != mesh.DefaultPort {
			t.Errorf("host2 is at %s", e)
		}
	})
}

func TestLostLinkChangesRoutesAtOnce(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 3)
		p[0].Start()
		p[1].Start(p[0])
		p[2].Start(p[0], p[1])
		c.Await(patience, "a triangle", func() bool { return c.Whole() && p[0].State(p[2]).State == mesh.StateDirect })
		c.Pass(time.Second)
		id1, id2 := p[1].Credentials.ID(), p[2].Credentials.ID()
		_, flux := p[0].Plane.Sets()
		p[0].Plane.Fail(id2, true) // only this end sees it
		took := c.Await(patience, "routes around", func() bool {
			return p[0].Plane.Routes().Next[id2] == id1 && p[2].Plane.Routes().Next[p[0].Credentials.ID()] == id1
		})
		if took > 20*time.Millisecond { // a few latencies; timers would take longer
			t.Errorf("took %s", took)
		}
		if _, now := p[0].Plane.Sets(); now == flux || !p[0].Plane.Routes().Flux {
			t.Error("no flux after a change")
		}
		c.Pass(time.Second)
		if p[0].Plane.Routes().Flux {
			t.Error("flux never ends")
		}
		p[0].Plane.Fail(id2, false)
		c.Await(patience, "straight again", func() bool { return p[0].Plane.Routes().Next[id2] == id2 })
	})
}

func TestMetricsMoveRoutesOnlyWhenTheyMatter(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Start()
		p[1].Start(p[0])
		c.Await(patience, "linked", c.Whole)
		c.Pass(time.Second)
		all, _ := p[0].Plane.Sets()
		for i := range 10 {
			p[0].Plane.Measure(p[1].Credentials.ID(), time.Duration(i*10)*time.Millisecond)
			c.Pass(time.Second)
		}
		if now, _ := p[0].Plane.Sets(); now != all {
			t.Errorf("%d new routes, and there is only one way", now-all)
		}
		if rtt := p[1].State(p[0]).RTT; rtt != 0 {
			t.Errorf("host2 measured nothing, and shows %s", rtt)
		}
	})
}

func TestSilentLinkDies(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Start()
		p[1].Start(p[0])
		c.Await(patience, "linked", c.Whole)
		c.Net.Cut(p[0].Host, p[1].Host)
		took := c.Await(patience, "both give up", func() bool { return len(p[0].Links())+len(p[1].Links()) == 0 })
		if took < 4*time.Second || took > 8*time.Second {
			t.Errorf("took %s", took)
		}
		c.Await(patience, "dead", func() bool { return p[0].State(p[1]).Membership == mesh.MemberDead })
		if s := p[0].State(p[1]).State; s != mesh.StateUnreachable {
			t.Error(s)
		}
		c.Net.Heal(p[0].Host, p[1].Host)
		c.Await(patience, "linked again", func() bool {
			return c.Whole() && p[0].State(p[1]).Membership == mesh.MemberAlive && p[1].State(p[0]).Membership == mesh.MemberAlive
		})
	})
}

// TestStoppedPeerDies loses all links to a peer at once: nothing can be sent to it, and it is suspected all
// the same.
func TestStoppedPeerDies(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 3)
		p[0].Start()
		p[1].Start(p[0])
		p[2].Start(p[0], p[1])
		c.Await(patience, "members", func() bool { return c.Whole() && p[0].State(p[2]).Membership == mesh.MemberAlive })
		p[2].Stop()
		c.Await(time.Second, "unreachable at once", func() bool { return p[0].State(p[2]).State == mesh.StateUnreachable })
		c.Await(2*time.Second, "suspected", func() bool { return p[0].State(p[2]).Membership == mesh.MemberSuspect })
		took := c.Await(patience, "dead", func() bool {
			return p[0].State(p[2]).Membership == mesh.MemberDead && p[1].State(p[2]).Membership == mesh.MemberDead
		})
		t.Logf("dead after another %s", took)
		c.Pass(2 * time.Minute) // memberlist forgets the dead; we remember
		if m := p[0].State(p[2]).Membership; m != mesh.MemberDead {
			t.Error(m)
		}
	})
}

func TestForgottenPeerIsOut(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 3)
		p[0].Start()
		p[1].Start(p[0])
		p[2].Start(p[0], p[1])
		c.Await(patience, "whole", c.Whole)
		if err := p[1].Forget(t.Context(), "host3"); !errors.Is(err, secure.ErrNoAuthority) || !strings.Contains(err.Error(), "host1") {
			t.Errorf("host2 may not, and says: %v", err)
		}
		if err := p[0].Forget(t.Context(), "nobody"); !errors.Is(err, mesh.ErrUnknownPeer) {
			t.Error(err)
		}
		if err := p[0].Forget(t.Context(), "host3"); err != nil {
			t.Fatal(err)
		}
		c.Await(patience, "host3 is out", func() bool {
			return len(p[0].Peers()) == 2 && len(p[1].Peers()) == 2 && len(p[0].Links()) == 1 && len(p[1].Links()) == 1
		})
		c.Await(patience, "host3 is told", func() bool {
			return slices.ContainsFunc(p[2].Attempts(), func(a mesh.Attempt) bool { return errors.Is(a.Err, secure.ErrRevoked) })
		})
		p[2].Restart()
		c.Pass(20 * time.Second)
		if len(p[0].Peers()) != 2 || len(p[1].Peers()) != 2 {
			t.Error("it came back")
		}
		again := c.Add("host3") // the name is free again
		again.Start(p[0])
		c.Await(patience, "a new host3", func() bool { return p[1].State(again).State == mesh.StateDirect })
	})
}

// TestForgettingReachesPeersThatWereAway revokes while one peer is down; it hears when it comes back.
func TestForgettingReachesPeersThatWereAway(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 3)
		p[0].Start()
		p[1].Start(p[0])
		p[2].Start(p[0], p[1])
		c.Await(patience, "whole", c.Whole)
		p[1].Stop()
		if err := p[0].Forget(t.Context(), "host3"); err != nil {
			t.Fatal(err)
		}
		p[1].Start()
		c.Await(patience, "host2 has heard", func() bool { return p[1].Credentials.Revocations.Revoked(p[2].Credentials.ID()) })
		c.Await(patience, "host2 has no link to it", func() bool { return len(p[1].Links()) == 1 })
	})
}

func TestLeaveIsKnownAtOnce(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, d := line(t)
		c.Await(patience, "members", func() bool {
			return a.State(d).Membership == mesh.MemberAlive && d.State(a).Membership == mesh.MemberAlive
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := d.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("left after %s", time.Since(began))
		d.Stop()
		c.Await(time.Second, "left", func() bool { return a.State(d).State == mesh.StateLeft && b.State(d).State == mesh.StateLeft })
		c.Await(time.Second, "left the membership", func() bool { return a.State(d).Membership == mesh.MemberLeft })
		c.Pass(10 * time.Second)
		if events(a, "member host3: is dead") > 0 {
			t.Errorf("who leaves is not dead: %q", a.Events())
		}
		d.Start()
		c.Await(patience, "back", func() bool { return c.Whole() && a.State(d).Membership == mesh.MemberAlive })
	})
}

// TestRestartWhileGossipIsPaused is the failure that was published of another mesh: a peer restarts while a
// neighbour cannot speak, and stays unknown by its new run for ever. host1 and host3 talk through host2.
func TestRestartWhileGossipIsPaused(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, d := line(t)
		c.Net.Cut(b.Host, d.Host)
		c.Net.Cut(a.Host, b.Host)
		a.Restart() // nobody hears
		c.Pass(time.Second)
		c.Net.Heal(a.Host, b.Host)
		c.Await(patience, "host2 knows the new run", func() bool { return b.State(a).UID == a.State(a).UID && b.State(a).State == mesh.StateDirect })
		c.Net.Heal(b.Host, d.Host)
		c.Await(patience, "so does host3", c.Whole)
		a.Restart()
		a.Restart()
		c.Await(patience, "and after two more", c.Whole)
	})
}

func TestManyRestartsUnderSlowGossip(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, d := line(t)
		c.Net.Slow(40 * time.Millisecond)
		for i := range 50 {
			p := []*meshtest.Peer{a, d, b}[i%3]
			p.Restart()
			c.Pass(time.Duration(37*i%700) * time.Millisecond)
		}
		c.Await(patience, "whole", c.Whole)
		for _, p := range c.Peers {
			if s := p.State(p); s.Clone != "" {
				t.Errorf("%s believes in a copy: %s", p.Host.Name, s.Clone)
			}
		}
	})
}

func TestCopyOfAPeerIsNamed(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Start()
		p[1].Start(p[0])
		c.Await(patience, "linked", c.Whole)
		ghost := c.Copy(p[1], "ghost")
		ghost.Start(p[0], p[1])
		c.Await(patience, "both name it", func() bool {
			return events(p[1], "clone", "copied") > 0 && events(ghost, "clone", "copied") > 0
		})
		if p[1].State(p[1]).Clone == "" {
			t.Error("the status does not show it")
		}
		c.Await(patience, "the attempt says so", func() bool {
			return slices.ContainsFunc(ghost.Attempts(), func(a mesh.Attempt) bool { return errors.Is(a.Err, mesh.ErrClone) })
		})
	})
}

func TestOwnAddressIsRecognised(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 1)
		p[0].Start(p[0])
		c.Await(patience, "self", func() bool { return p[0].Attempts()[0].State == mesh.AttemptSelf })
		if events(p[0], "clone") > 0 {
			t.Error("it took itself for a copy")
		}
	})
}

func TestAttemptsAreVisible(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Config.Join = []string{"nowhere.example:6630", p[1].Addr()}
		p[0].Start()
		c.Pass(10 * time.Second)
		at := p[0].Attempts()
		if len(at) != 2 || at[0].State != mesh.AttemptWaiting || !strings.Contains(fmt.Sprint(at[1].Err), "no such host") {
			t.Fatalf("%+v", at)
		}
		if until := time.Until(at[0].Next); at[0].Tries < 4 || until > 3*time.Second {
			t.Errorf("%d tries, the next in %s", at[0].Tries, until)
		}
		p[1].Start()
		c.Await(4*time.Second, "linked", c.Whole)
		if at := p[0].Attempts(); at[0].State != mesh.AttemptConnected || at[0].Err != nil || at[0].Peer != "host2" {
			t.Errorf("%+v", at[0])
		}
	})
}

// TestJoinIsReplacedWhileItRuns: an address that is new is called at once, one that is gone no more, and links stay.
func TestJoinIsReplacedWhileItRuns(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Config.Join = []string{"nowhere.example:6630"}
		p[0].Start()
		p[1].Start()
		c.Pass(5 * time.Second)
		if err := p[0].Join([]string{"nonsense"}); err == nil || len(p[0].Attempts()) != 1 {
			t.Fatalf("a list that makes no sense: %v, %+v", err, p[0].Attempts())
		}
		if err := p[0].Join([]string{p[1].Addr()}); err != nil {
			t.Fatal(err)
		}
		c.Await(patience, "linked", c.Whole)
		if at := p[0].Attempts(); at[0].Target != p[1].Addr() || at[0].State != mesh.AttemptConnected {
			t.Errorf("%+v", at)
		}
		if err := p[0].Join(nil); err != nil {
			t.Fatal(err)
		}
		c.Pass(5 * time.Second)
		if !c.Whole() || slices.ContainsFunc(p[0].Attempts(), func(a mesh.Attempt) bool { return a.Join }) {
			t.Errorf("without addresses to call: %+v", p[0].Attempts())
		}
	})
}

func TestRunEndsEverything(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, p := lan(t, 2)
		p[0].Start()
		p[1].Start(p[0])
		c.Await(patience, "linked", c.Whole)
		p[0].Stop()
		if n := p[0].Plane.Open(); n != 0 {
			t.Errorf("%d data links are open", n)
		}
		if err := p[0].Leave(t.Context()); err == nil {
			t.Error("a stopped router cannot leave")
		}
		if len(p[0].Peers()) != 2 {
			t.Error("a stopped router still answers")
		}
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	c, err := secure.Found(t.TempDir(), "lab", "host1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	plane := meshtest.NewPlane(netip.AddrPort{})
	for what, config := range map[string]mesh.Config{
		"required":          {},
		"nothing to listen": {Credentials: c, Plane: plane},
		"host:port":         {Credentials: c, Plane: plane, Join: []string{"gw1"}},
		"advertise":         {Credentials: c, Plane: plane, Listen: []string{":6630"}, Advertise: []string{"0.0.0.0:6630"}},
	} {
		if _, err := mesh.New(config); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
