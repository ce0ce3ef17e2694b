package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// tunnelled is how many frames have come out of the kernel engine's tunnel at a node.
func (b *bed) tunnelled(t *testing.T, node string) (frames uint64) {
	t.Helper()
	for _, n := range b.Status().Nodes {
		if n.Name != node {
			continue
		}
		ns, err := netlab.Open(n.Netns)
		must(t, err)
		must(t, ns.Do(func() error {
			devices, err := os.ReadFile("/proc/thread-self/net/dev")
			for line := range strings.Lines(string(devices)) {
				var octets, packets uint64
				if name, counts, _ := strings.Cut(strings.TrimSpace(line), ":"); strings.HasPrefix(name, "dbk") {
					_, scanned := fmt.Sscan(counts, &octets, &packets)
					err, frames = errors.Join(err, scanned), frames+packets
				}
			}
			return err
		}), ns.Close())
	}
	return frames
}

// carry is what carries the overlay at all nodes but those that are left out.
func (b *bed) carry(t *testing.T, engine string, except ...string) {
	t.Helper()
	for _, n := range b.Status().Nodes {
		if slices.Contains(except, n.Name) {
			continue
		}
		eventually(t, reachLimit, engine+" at "+n.Name, func() bool {
			s, err := b.api(n.Name).Status(within(t, reachLimit))
			return err == nil && len(s.DataPath.Overlays) == 1 && s.DataPath.Overlays[0].Engine == engine
		})
	}
}

// asked counts the answers that one host gives another every two milliseconds while something happens.
func (b *bed) asked(t *testing.T, from, to string, happens func()) netlab.Stream {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var s netlab.Stream
	var err error
	var asking sync.WaitGroup
	asking.Go(func() { s, err = probe.Stream(ctx, b.host(from), b.host(to).Addrs[0], 2*time.Millisecond) })
	happens()
	stop()
	asking.Wait()
	must(t, err)
	return s
}

// beside counts unicast between peers that can use the kernel, and broadcasts, while something happens that may lose and double none of it.
// Those of a host that is not there all the time may be lost.
func (b *bed) beside(t *testing.T, what, absent string, happens func() error) {
	t.Helper()
	var guests, office netlab.Stream
	var r probe.Broadcasts
	epoch := b.epoch(t)
	guests = b.asked(t, "x1", "y1", func() {
		office = b.asked(t, "y1", "host1", func() {
			r = b.carried(t, func() error {
				err := happens()
				time.Sleep(time.Second) // the last step of a change is nobody's to wait for
				return err
			})
		})
	})
	held := b.epoch(t) == epoch
	if !held {
		t.Log("this machine is too busy: a lease ended, and what crosses the VLAN may be lost")
	}
	for _, s := range []netlab.Stream{guests, office} {
		t.Logf("%s: %d of %d answered", what, s.Answered, s.Sent)
		if s.Answered != s.Sent && held || s.Doubled > 0 {
			t.Errorf("%s: %d of %d answered, %d twice; lost %v", what, s.Answered, s.Sent, s.Doubled, s.Lost)
		}
	}
	r.Hosts = slices.DeleteFunc(r.Hosts, func(c probe.Copies) bool { return c.Host == absent && c.Twice+c.Echoes == 0 })
	if t.Logf("%s: %+v", what, r); !r.Single() || held && !r.ExactlyOnce() {
		t.Errorf("%s: %+v", what, r)
	}
}

// TestSomeInTheKernel has a peer join a network in the kernel that cannot use it, and leave: what is for one station at a peer that can goes
// by the kernel all the time, to the others by user space, and nothing is lost or doubled by the change.
func TestSomeInTheKernel(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	must(t, b.EnterKernel(t.Context()), lab.Stop(b.Name, "z"))
	config := fmt.Sprintf("/run/drawbridge-lab/%s/z/drawbridge.toml", b.Name)
	text, err := os.ReadFile(config)
	must(t, err, os.WriteFile(config, append(text, "\n[[guest]]\ntap = \"tap0\"\nvni = 1\n"...), 0o600))
	b.carry(t, web.EngineKernel, "z")

	b.beside(t, "one joins that cannot", "z1", func() error {
		err := lab.Start(t.Context(), b.Name, "z")
		b.carry(t, web.EngineMixed, "z")
		return err
	})
	b.reach(t, 0)
	s, err := b.api("w").Status(within(t, reachLimit))
	must(t, err)
	for _, p := range s.DataPath.Overlays[0].Peers {
		if can := p.Peer != "z"; can != (p.Engine == web.EngineKernel) || can != (p.Reason == "") || !can && !strings.Contains(p.Reason, "TAP") {
			t.Errorf("w says of its engine to %s: %+v", p.Peer, p)
		}
	}
	for _, c := range []struct {
		to     string
		kernel bool
	}{{"x", true}, {"z", false}} {
		before := b.tunnelled(t, "w") + b.tunnelled(t, c.to)
		s := b.asked(t, "w1", c.to+"1", func() { time.Sleep(time.Second) })
		n := b.tunnelled(t, "w") + b.tunnelled(t, c.to) - before
		t.Logf("w1 to %s1: %d of %d answered, %d frames came by the kernel", c.to, s.Answered, s.Sent, n)
		if s.Answered != s.Sent || s.Doubled > 0 || c.kernel != (n > uint64(s.Sent)) || !c.kernel && n > uint64(s.Sent)/10 {
			t.Errorf("w1 to %s1: %+v, %d frames came by the kernel", c.to, s, n)
		}
	}

	from, to := b.gateways(t)
	eventually(t, reachLimit, "the other gateway is ready", func() bool { return b.ready(t, to) })
	if r := b.carried(t, func() error { return b.moved(t, from) }); !r.Single() {
		t.Errorf("a move doubled: %+v", r)
	}
	b.carry(t, web.EngineMixed, "z")
	b.reach(t, 0)

	b.beside(t, "it leaves", "z1", func() error {
		err := lab.Stop(b.Name, "z")
		b.carry(t, web.EngineKernel, "z")
		return err
	})
}
