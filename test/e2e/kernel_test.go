package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/web"
)

// noticedLimit is how long the peers may go on sending to a gateway that is gone: they turn at the first frame of its successor,
// when their daemons get a turn to write the tables, which on busy hosts is late.
const noticedLimit = 5 * time.Second

// carried counts the broadcasts of a guest and of a host on the VLAN while something happens.
func (b *bed) carried(t *testing.T, happens func() error) probe.Broadcasts {
	t.Helper()
	c, err := probe.Count(b.hosts)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	sent := make(chan error)
	for _, h := range []string{"w1", "host1"} {
		go func() { sent <- c.Send(ctx, h, 1_000_000, time.Millisecond) }()
	}
	err = happens()
	stop()
	must(t, err, <-sent, <-sent)
	r, err := c.Finish(quiet)
	must(t, err)
	return r
}

// inKernel demands that the kernel carries everything at a node that runs.
func (b *bed) inKernel(t *testing.T, node string) {
	t.Helper()
	eventually(t, reachLimit, "the kernel carries the overlay at "+node, func() bool {
		s, err := b.api(node).Status(within(t, reachLimit))
		return err == nil && len(s.DataPath.Overlays) == 1 && s.DataPath.Overlays[0].Engine == web.EngineKernel
	})
}

// TestTheKernelCarriesFrames changes a network that works from user space to the kernel, moves its segment, kills and freezes
// the active gateway, and changes back. Broadcasts go on all the time: none may come twice, or back.
func TestTheKernelCarriesFrames(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	b.changed(t, "to the kernel", b.EnterKernel)
	b.reach(t, 0)
	b.reach(t, 1300)
	if r := b.broadcast(t, 200); !r.ExactlyOnce() {
		t.Errorf("broadcasts: %+v", r)
	}
	for _, how := range []struct {
		name       string
		down, back func(node string) error
	}{
		{"moved", func(n string) error { return b.moved(t, n) }, func(string) error { return nil }},
		{"killed", func(n string) error { return lab.Kill(b.Name, n) }, func(n string) error { return lab.Start(t.Context(), b.Name, n) }},
		{"frozen", func(n string) error { return lab.Freeze(b.Name, n) }, func(n string) error { return lab.Thaw(b.Name, n) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			from, to := b.gateways(t)
			eventually(t, reachLimit, "the other gateway is ready", func() bool { return b.ready(t, to) })
			r := b.carried(t, func() error {
				if s := b.interrupted(t, "w1", "host1", func() error { return how.down(from) }); s.Outage >= noticedLimit {
					t.Errorf("outage of %v, want less than %v", s.Outage, noticedLimit)
				}
				err := how.back(from)
				eventually(t, reachLimit, "the gateway is ready again", func() bool { return b.ready(t, from) })
				return err
			})
			if !r.Single() {
				t.Errorf("doubled: %+v", r)
			}
			t.Logf("%+v", r)
			b.gateways(t)
			b.inKernel(t, from)
			b.reach(t, 0)
			// The trees of the kernel follow the topology, which takes a moment to settle at all peers; there is no rule for the
			// time in between, as user space has one, so frames are lost then. None is doubled.
			eventually(t, reachLimit, "broadcasts reach everybody", func() bool {
				r := b.broadcast(t, 100)
				if !r.Single() {
					t.Errorf("doubled afterwards: %+v", r)
				}
				return r.ExactlyOnce()
			})
		})
	}
	b.changed(t, "to user space", b.LeaveKernel)
	b.reach(t, 0)
}

// changed demands that a change of the engine doubles no broadcast and loses none.
func (b *bed) changed(t *testing.T, how string, change func(context.Context) error) {
	t.Helper()
	r := b.carried(t, func() error {
		err := change(t.Context())
		time.Sleep(time.Second) // the last step of a change is nobody's to wait for
		return err
	})
	t.Logf("%s: %+v", how, r)
	if !r.ExactlyOnce() {
		t.Errorf("the change %s was not without loss: %+v", how, r)
		for _, n := range b.Status().Nodes {
			s, err := b.api(n.Name).Status(within(t, reachLimit))
			t.Log(n.Name, "dropped since its start", s.Drops, err)
		}
	}
}

// moved has the active gateway hand over.
func (b *bed) moved(t *testing.T, active string) error {
	o, err := b.api(active).Switchover(within(t, reachLimit), "office", web.SwitchoverRequest{By: "test"})
	if err != nil {
		return err
	}
	eventually(t, reachLimit, "the segment has moved", func() bool {
		o, err = b.api(active).Operation(within(t, reachLimit), o.ID)
		return err != nil || o.State != web.OperationRunning
	})
	if err == nil && o.State != web.OperationDone {
		err = errors.New(o.Outcome)
	}
	return err
}

// everywhereInKernel waits until the kernel carries the overlay at all nodes.
func (f *field) everywhereInKernel(t *testing.T) {
	t.Helper()
	for _, n := range f.Status().Nodes {
		f.inKernel(t, n.Name)
	}
}

// TestTheEngineChangesWithoutLoss changes it to and fro beside broadcasts from both sides.
func TestTheEngineChangesWithoutLoss(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	t.Logf("without a change: %+v", b.carried(t, func() error { time.Sleep(10 * time.Second); return nil }))
	for range 2 {
		b.changed(t, "to the kernel", b.EnterKernel)
		b.changed(t, "to user space", b.LeaveKernel)
	}
}
