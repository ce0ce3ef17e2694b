package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
)

// broadcast sends from two hosts and counts everywhere.
func (b *bed) broadcast(t *testing.T, count int) probe.Broadcasts {
	t.Helper()
	c, err := probe.Count(b.hosts)
	must(t, err)
	for _, h := range []string{b.hosts[0].Name, b.hosts[len(b.hosts)-1].Name} {
		must(t, c.Send(t.Context(), h, count, 2*time.Millisecond))
	}
	r, err := c.Finish(quiet)
	must(t, err)
	return r
}

// TestBroadcastsArriveExactlyOnce holds on meshes full of circles, and with two gateways on one VLAN.
func TestBroadcastsArriveExactlyOnce(t *testing.T) {
	for _, topology := range []string{"mesh", "ring", "default"} {
		t.Run(topology, func(t *testing.T) {
			b := up(t, topology)
			b.reach(t, 0) // so that nothing is still being found out
			if r := b.broadcast(t, 200); !r.ExactlyOnce() {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestNoBroadcastIsDoubledWhilePeersDie kills and starts peers while two hosts broadcast. Some broadcasts are lost
// then; none may come twice, or back.
func TestNoBroadcastIsDoubledWhilePeersDie(t *testing.T) {
	for _, topology := range []string{"mesh", "ring", "default"} {
		t.Run(topology, func(t *testing.T) {
			b := up(t, topology)
			b.reach(t, 0)
			c, err := probe.Count(b.hosts)
			must(t, err)
			ctx, stop := context.WithCancel(t.Context())
			sent := make(chan error)
			for _, h := range []string{"w1", "y1"} {
				go func() { sent <- c.Send(ctx, h, 1_000_000, 2*time.Millisecond) }()
			}
			err = b.havoc(t)
			stop()
			must(t, err, <-sent, <-sent)
			r, err := c.Finish(quiet)
			must(t, err)
			if !r.Single() {
				t.Errorf("doubled: %+v", r)
			}
			t.Logf("%+v", r)
			b.reach(t, 0)
			if r := b.broadcast(t, 100); !r.ExactlyOnce() {
				t.Errorf("after everybody is back: %+v", r)
			}
		})
	}
}

// havoc kills and starts peers, one after the other and two at once, and freezes one.
func (b *bed) havoc(t *testing.T) error {
	pause := func() { <-time.After(300 * time.Millisecond) }
	var errs []error
	start := func(name, node string) error { return lab.Start(t.Context(), name, node) }
	do := func(what string, f func(lab, node string) error, node string) {
		t.Logf("%s  %s %s", time.Now().Format("15:04:05.0000"), what, node)
		errs = append(errs, f(b.Name, node))
		pause()
	}
	for _, node := range []string{"x", "z"} {
		do("kill", lab.Kill, node)
		do("start", start, node)
	}
	do("kill", lab.Kill, "x")
	do("kill", lab.Kill, "z")
	do("start", start, "x")
	do("start", start, "z")
	do("freeze", lab.Freeze, "z")
	pause()
	do("thaw", lab.Thaw, "z")
	pause()
	return errors.Join(errs...)
}

// TestNoBroadcastIsDoubledByAFrozenPeer: what waited in the buffers of a frozen peer reaches it all at once, by every
// way that was tried meanwhile, just when it believes to have lost everybody.
func TestNoBroadcastIsDoubledByAFrozenPeer(t *testing.T) {
	b := up(t, "mesh")
	b.reach(t, 0)
	c, err := probe.Count(b.hosts)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	sent := make(chan error)
	for _, h := range []string{"w1", "y1"} {
		go func() { sent <- c.Send(ctx, h, 1_000_000, 2*time.Millisecond) }()
	}
	for range 8 {
		must(t, lab.Freeze(b.Name, "z"))
		<-time.After(600 * time.Millisecond) // longer than a silence that ends a link
		must(t, lab.Thaw(b.Name, "z"))
		<-time.After(500 * time.Millisecond)
	}
	stop()
	must(t, <-sent, <-sent)
	r, err := c.Finish(quiet)
	must(t, err)
	if !r.Single() {
		t.Errorf("doubled: %+v", r)
	}
}
