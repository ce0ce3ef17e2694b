package probe

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// three hosts on a switch, which is returned too.
func three(t *testing.T) ([]Host, *netlab.Namespace) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	space := func(name string) *netlab.Namespace {
		name = "probetest-" + name
		if err := netlab.Delete(name); err != nil {
			t.Fatal(err)
		}
		n, err := netlab.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(n.Close(), netlab.Delete(name)); err != nil {
				t.Error(err)
			}
		})
		return n
	}
	sw := space("switch")
	if err := sw.Bridge("br0"); err != nil {
		t.Fatal(err)
	}
	var hosts []Host
	for i, name := range []string{"a", "b", "c"} {
		n := space(name)
		h := Host{Name: name, Netns: n.Name(), Interface: "eth0"}
		err := errors.Join(netlab.Wire(netlab.End{In: n, Name: "eth0"}, netlab.End{In: sw, Name: name}), sw.Attach(name, "br0"))
		for _, p := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
			p := netip.MustParsePrefix(p)
			addr := p.Addr()
			for range i {
				addr = addr.Next()
			}
			h.Addrs = append(h.Addrs, addr)
			err = errors.Join(err, n.Address("eth0", netip.PrefixFrom(addr, p.Bits())))
		}
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	return hosts, sw
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestEverybodyReachesEverybody(t *testing.T) {
	hosts, sw := three(t)
	r, err := Ping(within(t, 5*time.Second), hosts, 1000)
	if err != nil || !r.OK() || r.Asked != 12 {
		t.Errorf("ping: %v, %v", r, err)
	}
	r, err = Talk(within(t, 5*time.Second), hosts)
	if err != nil || !r.OK() || r.Asked != 24 {
		t.Errorf("talk: %v, %v", r, err)
	}
	if err := sw.Down("c"); err != nil {
		t.Fatal(err)
	}
	r, err = Ping(within(t, 300*time.Millisecond), hosts, 0)
	if err != nil || r.OK() || r.Reached != 4 || len(r.Missing) != 8 || r.Missing[0] != "ping a > 192.0.2.3 (c)" {
		t.Errorf("without c: %v, %v", r, err)
	}
	r, err = Talk(within(t, 300*time.Millisecond), hosts)
	if err != nil || r.OK() || r.Reached != 8 || !strings.Contains(r.String(), "8 of 24 reached, not: ") {
		t.Errorf("talk without c: %v, %v", r, err)
	}
}

func TestBroadcastsAreCounted(t *testing.T) {
	hosts, sw := three(t)
	count := func(d time.Duration) Broadcasts {
		t.Helper()
		c, err := Count(hosts)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Send(within(t, d), "a", 50, time.Millisecond), c.Send(within(t, d), "b", 50, time.Millisecond)); err != nil {
			t.Error(err)
		}
		b, err := c.Finish(100 * time.Millisecond)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	b := count(time.Minute)
	if !b.ExactlyOnce() || b.Sent != 100 || !reflect.DeepEqual(b.Hosts[2], Copies{Host: "c", Once: 100, Most: 1}) || !reflect.DeepEqual(b.Hosts[0], Copies{Host: "a", Once: 50, Most: 1}) {
		t.Errorf("%+v", b)
	}
	if err := sw.Fault("c", netlab.Out, netlab.Silent(1)); err != nil {
		t.Fatal(err)
	}
	if b = count(time.Minute); b.ExactlyOnce() || !b.Single() || !reflect.DeepEqual(b.Hosts[2], Copies{Host: "c", Missed: 100, Gap: 50}) {
		t.Errorf("with a silent port: %+v", b)
	}
	if _, err := json.Marshal(b); err != nil {
		t.Error(err)
	}
}

// TestLoopsAreSeen joins two ports of the switch by two wires to a second one, in hub mode.
func TestLoopsAreSeen(t *testing.T) {
	hosts, sw := three(t)
	if err := errors.Join(netlab.Wire(netlab.End{In: sw, Name: "loop1"}, netlab.End{In: sw, Name: "loop2"}),
		sw.Fault("loop1", netlab.In, netlab.Loss(1, 0.2)), sw.Fault("loop2", netlab.In, netlab.Loss(1, 0.2)), // so that it ends
		sw.Attach("loop1", "br0"), sw.Attach("loop2", "br0")); err != nil {
		t.Fatal(err)
	}
	c, err := Count(hosts)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), "a", 20, time.Millisecond); err != nil {
		t.Error(err)
	}
	b, err := c.Finish(100 * time.Millisecond)
	if err != nil || b.Single() || b.Hosts[0].Echoes == 0 || b.Hosts[1].Twice == 0 || b.Hosts[1].Most < 2 || len(b.Hosts[1].Doubled) != maxDoubled {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestStreamAndThroughput(t *testing.T) {
	hosts, _ := three(t)
	s, err := Stream(within(t, 200*time.Millisecond), hosts[0], hosts[1].Addrs[0], 10*time.Millisecond)
	if err != nil || s.Answered == 0 || s.Answered > s.Sent {
		t.Errorf("%+v, %v", s, err)
	}
	rate, err := Throughput(within(t, 200*time.Millisecond), hosts[0], hosts[1], hosts[1].Addrs[1])
	if err != nil || rate.Bytes == 0 {
		t.Errorf("%v, %v", rate, err)
	}
}
