package e2e

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// renewed is for how long the programs of a daemon that is gone forward at most, and some time for the kernel to be told.
const renewed = 3*time.Second + 500*time.Millisecond

// left lists the interfaces of a node at which programs of the kernel engine are.
func (b *bed) left(t *testing.T, node string) (names []string) {
	t.Helper()
	for _, n := range b.Status().Nodes {
		if n.Name != node {
			continue
		}
		ns, err := netlab.Open(n.Netns)
		must(t, err)
		must(t, ns.Do(func() (err error) {
			names, err = kernel.Left()
			return err
		}), ns.Close())
	}
	return names
}

// crossed is how many of a host's broadcasts another one got in a while.
func (b *bed) crossed(t *testing.T, from, to string, d time.Duration) (r probe.Broadcasts, n int) {
	t.Helper()
	c, err := probe.Count(b.hosts)
	must(t, err)
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	must(t, c.Send(ctx, from, 1_000_000, time.Millisecond))
	r, err = c.Finish(quiet)
	must(t, err)
	for _, h := range r.Hosts {
		if h.Host == to {
			n = h.Once + h.Twice
		}
	}
	return r, n
}

// TestARestartInTheKernel: what a killed daemon leaves in the kernel forwards for a moment and no longer, "doctor --clean" removes
// it, and so does the next daemon, which then carries frames as before.
func TestARestartInTheKernel(t *testing.T) {
	b := up(t, "default")
	must(t, b.EnterKernel(t.Context()))
	b.reach(t, 0)
	for _, way := range []struct {
		name  string
		clean func()
	}{
		{"the next daemon removes it", func() {}},
		{"the doctor removes it", func() {
			for _, n := range b.Status().Nodes {
				if n.Name != "x" {
					continue
				}
				out, err := exec.Command("ip", "netns", "exec", n.Netns, binary, "doctor", "--clean", "--yes").CombinedOutput()
				if names := b.left(t, "x"); err != nil || len(names) > 0 {
					t.Errorf("%v is left: %v: %s", names, err, out)
				}
			}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			must(t, lab.Kill(b.Name, "x"))
			if len(b.left(t, "x")) == 0 {
				t.Error("nothing forwards any more")
			}
			<-time.After(renewed)
			if r, n := b.crossed(t, "x1", "host1", time.Second); n > 0 {
				t.Errorf("the engine of a daemon that is gone for %v forwarded %d of %d frames", renewed, n, r.Sent)
			}
			way.clean()
			must(t, lab.Start(t.Context(), b.Name, "x"))
			b.inKernel(t, "x")
			eventually(t, reachLimit, "broadcasts cross again", func() bool {
				r := b.broadcast(t, 100)
				if !r.Single() {
					t.Errorf("doubled: %+v", r)
				}
				return r.ExactlyOnce()
			})
		})
	}
}
