package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/web"
)

// active is the gateway whose gate is open, as a node sees it; "" when there is none.
func (b *bed) active(t *testing.T, node string) string {
	t.Helper()
	segments, err := b.api(node).Segments(within(t, reachLimit))
	must(t, err)
	for _, s := range segments {
		if s.Name == "office" && s.Active != nil {
			return *s.Active
		}
	}
	return ""
}

// gateways are the names of the active and of the passive gateway.
func (b *bed) gateways(t *testing.T) (active, passive string) {
	t.Helper()
	eventually(t, reachLimit, "a gateway is active", func() bool { active = b.active(t, "w"); return active != "" })
	if active == "a" {
		return "a", "b"
	}
	return "b", "a"
}

// TestTheOtherGatewayTakesOver kills, freezes and stops the active gateway while a guest talks to a host on the
// VLAN. Each time the other takes over under a higher epoch, soon, and nobody gets anything twice.
func TestTheOtherGatewayTakesOver(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	for _, how := range []struct {
		name       string
		down, back func(node string) error
	}{
		{"killed", func(n string) error { return lab.Kill(b.Name, n) }, func(n string) error { return lab.Start(t.Context(), b.Name, n) }},
		{"frozen", func(n string) error { return lab.Freeze(b.Name, n) }, func(n string) error { return lab.Thaw(b.Name, n) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			from, to := b.gateways(t)
			before := b.epoch(t)
			if s := b.interrupted(t, "w1", "host1", func() error { return how.down(from) }); s.Outage >= outageLimit {
				t.Errorf("outage of %v, want less than %v", s.Outage, outageLimit)
			}
			eventually(t, reachLimit, to+" is active", func() bool { return b.active(t, "w") == to })
			if after := b.epoch(t); after <= before {
				t.Errorf("epoch %s after %s", after, before)
			}
			must(t, how.back(from))
			eventually(t, reachLimit, "the gateway is ready again", func() bool { return b.ready(t, from) })
			b.gateways(t)
			b.reach(t, 0)
			if r := b.broadcast(t, 50); !r.Single() {
				t.Errorf("broadcasts after the gateway came back: %+v", r)
			}
		})
	}
}

// TestNothingIsDoubledByATakeOver has guests and hosts broadcast while the active gateway dies, freezes and comes back.
func TestNothingIsDoubledByATakeOver(t *testing.T) {
	b := up(t, "default")
	b.reach(t, 0)
	c, err := probe.Count(b.hosts)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	sent := make(chan error)
	for _, h := range []string{"w1", "host1"} {
		go func() { sent <- c.Send(ctx, h, 1_000_000, 2*time.Millisecond) }()
	}
	for range 2 {
		from, _ := b.gateways(t)
		must(t, lab.Freeze(b.Name, from))
		eventually(t, reachLimit, "another is active", func() bool { now := b.active(t, "w"); return now != "" && now != from })
		must(t, lab.Thaw(b.Name, from))
		eventually(t, reachLimit, "the gateway is ready again", func() bool { return b.ready(t, from) })
		from, _ = b.gateways(t)
		must(t, lab.Kill(b.Name, from))
		eventually(t, reachLimit, "another is active", func() bool { now := b.active(t, "w"); return now != "" && now != from })
		must(t, lab.Start(t.Context(), b.Name, from))
		eventually(t, reachLimit, "the gateway is ready again", func() bool { return b.ready(t, from) })
	}
	stop()
	must(t, <-sent, <-sent)
	r, err := c.Finish(quiet)
	must(t, err)
	if !r.Single() {
		t.Errorf("doubled or looped: %+v", r)
	}
	t.Logf("%+v", r)
}

// epoch is that of the segment's present tenure, so that texts compare as numbers do.
func (b *bed) epoch(t *testing.T) string {
	t.Helper()
	segments, err := b.api("w").Segments(within(t, reachLimit))
	must(t, err)
	return padded(segments[0].Epoch)
}

// padded makes generation and ballot ten digits each.
func padded(epoch string) string {
	out, field := "", ""
	for _, c := range epoch + "." {
		if c != '.' {
			field += string(c)
			continue
		}
		for len(field) < 10 {
			field = "0" + field
		}
		out, field = out+field, ""
	}
	return out
}

// ready reports whether a gateway could take over or is active.
func (b *bed) ready(t *testing.T, gateway string) bool {
	t.Helper()
	segments, err := b.api("w").Segments(within(t, reachLimit))
	must(t, err)
	for _, g := range segments[0].Gateways {
		if g.Peer == gateway {
			return g.Ready || g.Gate == web.GateOpen
		}
	}
	return false
}
