package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// identity makes udhcpc call itself something else than its hardware address, so that one namespace is many guests.
func identity(n int) []string { return []string{"-C", "-x", fmt.Sprintf("0x3d:00d7%04x", n)} }

// addressedLab is the default lab with a subnet, of which these nodes may give addresses.
func addressedLab(t *testing.T, nodes ...string) *bed {
	t.Helper()
	b := up(t, "default")
	_, err := b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: addressed})
	must(t, err)
	for _, node := range nodes {
		eventually(t, reachLimit, node+" may give addresses", func() bool { return b.able(t, node) })
	}
	return b
}

// in runs a program in a host's namespace.
func (b *bed) in(t *testing.T, host, program string, args ...string) {
	t.Helper()
	ns, err := netlab.Open(b.host(host).Netns)
	must(t, err)
	defer ns.Close()
	if out, err := ns.Run(within(t, reachLimit), program, args...); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// vanish ends a client without a word, and takes its address off the host.
func (b *bed) vanish(t *testing.T, g *guest, host, address string) {
	t.Helper()
	must(t, g.cmd.Process.Kill())
	for range g.told { // until it has ended
	}
	b.in(t, host, "ip", "addr", "del", address+"/24", "dev", b.host(host).Interface)
}

// TestAddressesInUse: an address that a host on the VLAN uses without having asked is not given to a guest; one that it
// takes while a guest has it is a conflict, and the guest gets another.
func TestAddressesInUse(t *testing.T) {
	b := addressedLab(t, "x")
	x1 := b.dhcpGuest(t, "x1")
	first := x1.next(t, "bound")
	x1.end(t)
	b.in(t, "x1", "ip", "addr", "del", first+"/24", "dev", b.host("x1").Interface)
	b.in(t, "host1", "ip", "addr", "add", first+"/24", "dev", b.host("host1").Interface)
	x1 = b.dhcpGuest(t, "x1")
	second := x1.next(t, "bound")
	if second == first {
		t.Fatalf("%s is given although host1 uses it", first)
	}
	if a := b.addresses(t, "x")[first]; a.Use != "foreign" {
		t.Errorf("%s: %+v", first, a)
	}

	b.in(t, "host1", "ip", "addr", "add", second+"/24", "dev", b.host("host1").Interface)
	eventually(t, reachLimit, "the conflict is told", func() bool {
		b.in(t, "host1", "ip", "neigh", "flush", "dev", b.host("host1").Interface)
		b.in(t, "host1", "sh", "-c", "ping -c 1 -W 1 -I "+second+" 10.43.0.1 >/dev/null 2>&1; true") // asks who has it
		return b.addresses(t, "x")[second].Use == "foreign"
	})
	events, err := b.api("x").Events(within(t, reachLimit), 0, nil)
	must(t, err)
	if !slices.ContainsFunc(events, func(e web.Event) bool { return e.Kind == "address_conflict" && strings.Contains(e.Text, second) }) {
		t.Errorf("no event tells of the conflict about %s", second)
	}
	must(t, x1.cmd.Process.Signal(renewSignal))
	if third := x1.next(t, "bound"); third == first || third == second {
		t.Errorf("the guest gets %s again", third)
	}
}

// TestAGuestMoves: a guest that asks another peer keeps its address there, and back again.
func TestAGuestMoves(t *testing.T) {
	b := addressedLab(t, "w", "x")
	g := b.dhcpGuest(t, "w1", identity(1)...)
	had := g.next(t, "bound")
	for _, host := range []string{"x1", "w1", "x1"} {
		from := map[string]string{"x1": "w1", "w1": "x1"}[host]
		b.vanish(t, g, from, had)
		g = b.dhcpGuest(t, host, identity(1)...)
		if a := g.next(t, "bound"); a != had {
			t.Errorf("at %s it gets %s, had %s", host, a, had)
		}
		if a := b.addresses(t, "w")[had]; host == "x1" && a.Use != "lent" && a.At != "x" {
			t.Errorf("w says %+v", a)
		}
	}
}

// trial is guests all over the lab, and what they were told.
type trial struct {
	*bed
	next   int
	guests map[string][]*tenant // by host
}

type tenant struct {
	*guest
	address string
	given   time.Time
}

// arrive starts a new guest at every host; each gets an address that no other has.
func (tr *trial) arrive(t *testing.T, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		tr.next++
		n := &tenant{guest: tr.dhcpGuest(t, host, identity(tr.next)...)}
		n.address = n.guest.next(t, "bound")
		n.given = time.Now()
		for other, all := range tr.guests {
			for _, o := range all {
				if o.address == n.address {
					t.Errorf("%s is given at %s, and a guest at %s has it since %s", n.address, host, other, o.given)
				}
			}
		}
		tr.guests[host] = append(tr.guests[host], n)
	}
}

// renew has every guest renew; it keeps its address.
func (tr *trial) renew(t *testing.T) {
	t.Helper()
	for host, all := range tr.guests {
		for _, g := range all {
			eventually(t, reachLimit, g.address+" is renewed at "+host, func() bool {
				must(t, g.cmd.Process.Signal(renewSignal))
				select {
				case line := <-g.told:
					if !strings.HasPrefix(line, "renew "+g.address+" ") {
						t.Errorf("the guest at %s that had %s is told %q", host, g.address, line)
					}
					return true
				case <-time.After(2 * time.Second):
					return false
				}
			})
		}
	}
}

// leave has the oldest guest of every host give its address back.
func (tr *trial) leave(t *testing.T, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		g := tr.guests[host][0]
		tr.guests[host] = tr.guests[host][1:]
		g.end(t)
	}
}

// audit compares what all peers allocated with what the guests have.
func (tr *trial) audit(t *testing.T, nodes ...string) {
	t.Helper()
	at := map[string]string{}
	for _, node := range nodes {
		all, err := tr.api(node).Addresses(within(t, reachLimit), false)
		must(t, err)
		for _, a := range all {
			if a.Use != "allocated" && a.Use != "borrowed" {
				continue
			}
			if other := at[a.Address]; other != "" {
				t.Errorf("%s is allocated at %s and at %s", a.Address, other, node)
			}
			at[a.Address] = node
		}
	}
	for host, all := range tr.guests {
		for _, g := range all {
			if node := strings.TrimSuffix(host, "1"); at[g.address] != node && slices.Contains(nodes, node) {
				t.Errorf("a guest at %s has %s, which is allocated at %q", host, g.address, at[g.address])
			}
		}
	}
	t.Logf("%d addresses allocated at %v", len(at), nodes)
}

// TestAddressesThroughASplit is the trial of the address management: guests come, renew and go while the lab is split in
// two, one side is restarted, and the split heals. Nothing is ever given twice.
func TestAddressesThroughASplit(t *testing.T) {
	left, right := []string{"w", "x", "a"}, []string{"y", "z", "b"}
	nodes, hosts := append(slices.Clone(left), right...), []string{"w1", "x1", "y1", "z1"}
	tr := &trial{bed: addressedLab(t, "w", "x", "y", "z"), guests: map[string][]*tenant{}}
	tr.arrive(t, hosts...)
	tr.arrive(t, hosts...)

	for _, l := range left {
		for _, r := range right {
			must(t, lab.Cut(tr.Name, l, r))
		}
	}
	eventually(t, reachLimit, "y has lost w", func() bool { return !tr.sees(t, "y", "w") })
	tr.renew(t)
	tr.leave(t, hosts...)
	tr.arrive(t, hosts...)
	tr.audit(t, nodes...)

	for _, r := range right {
		must(t, lab.Kill(tr.Name, r))
	}
	for _, r := range right {
		must(t, lab.Start(t.Context(), tr.Name, r))
	}
	for _, node := range []string{"y", "z"} {
		eventually(t, reachLimit, node+" gives addresses again, alone", func() bool { return tr.able(t, node) && tr.ports(t, node) })
	}
	tr.renew(t)
	tr.arrive(t, hosts...)
	tr.leave(t, hosts...)
	tr.arrive(t, hosts...)
	tr.audit(t, nodes...)

	must(t, lab.Heal(tr.Name, "", ""))
	eventually(t, reachLimit, "y sees w", func() bool { return tr.sees(t, "y", "w") })
	tr.renew(t)
	tr.arrive(t, hosts...)
	tr.leave(t, hosts...)
	tr.audit(t, nodes...)
}

// sees reports whether a node reaches another.
func (b *bed) sees(t *testing.T, node, other string) bool {
	t.Helper()
	all, err := b.api(node).Peers(within(t, reachLimit))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(all, func(p web.Peer) bool { return p.Name == other && p.State != "unreachable" })
}
