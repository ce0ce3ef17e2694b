package e2e

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// addressed is a configuration with a subnet for the overlay of the default lab.
const addressed = `
[[overlay]]
name = "main"
vni = 1

[[segment]]
name = "office"
overlay = "main"

[[subnet]]
cidr = "10.43.0.0/24"
overlay = "main"
router = "10.43.0.1"

[[subnet.option]]
code = 15
value = "lab.example"
`

// onLease is the script that udhcpc runs: it tells what the client got, and sets the address.
const onLease = `#!/bin/sh
[ "$1" = bound ] && ip addr add "$ip/$mask" dev "$interface"
echo "$1 $ip $router $serverid"
`

// renewSignal has udhcpc renew its lease.
const renewSignal = syscall.SIGUSR1

// guest is a DHCP client in a host's namespace.
type guest struct {
	cmd  *exec.Cmd
	told chan string // each event of the script: kind, address, router, server
}

// dhcpGuest starts udhcpc on a host, which releases its address when it ends.
func (b *bed) dhcpGuest(t *testing.T, host string, args ...string) *guest {
	t.Helper()
	script := filepath.Join(t.TempDir(), "lease")
	must(t, os.WriteFile(script, []byte(onLease), 0o700)) //nolint:gosec // it is run
	h := b.host(host)
	args = append([]string{"netns", "exec", h.Netns, "udhcpc", "-f", "-R", "-i", h.Interface, "-s", script, "-t", "5", "-T", "1"}, args...)
	g := &guest{cmd: exec.Command("ip", args...), told: make(chan string, 64)}
	out, err := g.cmd.StdoutPipe()
	must(t, err, g.cmd.Start())
	go func() {
		defer close(g.told)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if words := strings.Fields(lines.Text()); len(words) == 4 && (words[0] == "bound" || words[0] == "renew") {
				g.told <- strings.Join(words, " ")
			}
		}
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
	})
	return g
}

// next is what the client tells next.
func (g *guest) next(t *testing.T, kind string) (address string) {
	t.Helper()
	for {
		select {
		case line, ok := <-g.told:
			if !ok {
				t.Fatalf("the client ended before it told %q", kind)
			}
			if words := strings.Fields(line); words[0] == kind {
				if words[2] != "10.43.0.1" || words[3] != "10.43.0.254" {
					t.Errorf("router %s, server %s", words[2], words[3])
				}
				return words[1]
			}
		case <-time.After(reachLimit):
			t.Fatalf("the client did not tell %q within %v", kind, reachLimit)
		}
	}
}

// end has the client release its address.
func (g *guest) end(t *testing.T) {
	t.Helper()
	must(t, g.cmd.Process.Signal(syscall.SIGTERM))
	for range g.told { // until it has ended
	}
}

// addresses are what a node knows to be in use everywhere, by address.
func (b *bed) addresses(t *testing.T, node string) map[string]web.Address {
	t.Helper()
	all, err := b.api(node).Addresses(within(t, reachLimit), true)
	must(t, err)
	out := map[string]web.Address{}
	for _, a := range all {
		out[a.Address] = a
	}
	return out
}

// TestIPAM gives addresses to real DHCP clients behind two peers: different ones, which survive the death of a peer, are
// renewed and released; hosts on the VLAN are not answered.
func TestIPAM(t *testing.T) {
	b := up(t, "default")
	if _, err := exec.LookPath("udhcpc"); err != nil {
		t.Fatalf("%v: install the package udhcpc (.ci/needs)", err)
	}
	_, err := b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: addressed})
	must(t, err)
	for _, node := range []string{"w", "x"} {
		eventually(t, reachLimit, node+" may give addresses", func() bool { return b.able(t, node) })
	}
	w1, x1 := b.dhcpGuest(t, "w1", "-x", "hostname:wanda"), b.dhcpGuest(t, "x1")
	one, two := w1.next(t, "bound"), x1.next(t, "bound")
	if one == two {
		t.Fatalf("both guests have %s", one)
	}
	eventually(t, reachLimit, "guests reach each other under their new addresses", func() bool { return b.pings(t, "w1", two) })

	t.Run("names", func(t *testing.T) {
		ns, err := netlab.Open(b.host("x1").Netns)
		must(t, err)
		defer ns.Close()
		out, err := ns.Run(within(t, reachLimit), "busybox", "nslookup", "wanda.lab.example", "10.43.0.254")
		if !strings.Contains(out, "Address: "+one) {
			t.Errorf("x1 asked for the guest at w, %v:\n%s", err, out)
		}
	})
	t.Run("reverse names", func(t *testing.T) {
		if got := b.dig(t, "x1", "-x", one); got != "wanda.lab.example." {
			t.Errorf("dig -x %s says %q", one, got)
		}
		if got := b.dig(t, "w1", "wanda.lab.example"); got != one {
			t.Errorf("dig wanda.lab.example says %q, want %s", got, one)
		}
	})
	t.Run("a peer dies and comes back", func(t *testing.T) {
		must(t, lab.Kill(b.Name, "x"), lab.Start(t.Context(), b.Name, "x"))
		eventually(t, reachLimit, "x answers its guest again", func() bool { return b.able(t, "x") && b.ports(t, "x") })
		eventually(t, reachLimit, "the address is renewed", func() bool {
			must(t, x1.cmd.Process.Signal(renewSignal))
			select {
			case line := <-x1.told:
				return strings.HasPrefix(line, "renew "+two+" ")
			case <-time.After(2 * time.Second):
				return false
			}
		})
		if a := b.addresses(t, "w")[two]; a.At != "x" || a.MAC == "" {
			t.Errorf("w sees %+v", a)
		}
	})
	t.Run("released", func(t *testing.T) {
		x1.end(t)
		eventually(t, reachLimit, two+" is free", func() bool { _, used := b.addresses(t, "w")[two]; return !used })
		if _, used := b.addresses(t, "x")[one]; !used {
			t.Errorf("%s of the other guest is free, too", one)
		}
		again := b.dhcpGuest(t, "x1")
		if a := again.next(t, "bound"); a != two {
			t.Errorf("the same guest gets %s, had %s", a, two)
		}
	})
	t.Run("not on the VLAN", func(t *testing.T) {
		g := b.dhcpGuest(t, "host1", "-n")
		for line := range g.told {
			t.Errorf("a host on the VLAN got an answer: %s", line)
		}
	})
	t.Run("by hand", func(t *testing.T) {
		a, err := b.api("z").AllocateAddress(within(t, reachLimit), web.AddressRequest{Owner: "nas", Address: "10.43.0.2"})
		if one == "10.43.0.2" { // w is the first founder
			if err == nil {
				t.Errorf("%s was given twice: %+v", one, a)
			}
			return
		}
		must(t, err, b.api("w").ReleaseAddress(within(t, reachLimit), "10.43.0.2"))
	})
}

// dig asks the peers' resolver from a host's namespace.
func (b *bed) dig(t *testing.T, host string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("dig"); err != nil {
		t.Fatalf("%v: install the package bind9-dnsutils (.ci/needs)", err)
	}
	ns, err := netlab.Open(b.host(host).Netns)
	must(t, err)
	defer ns.Close()
	out, err := ns.Run(within(t, reachLimit), "dig", append([]string{"+short", "+tries=5", "@10.43.0.254"}, args...)...)
	if err != nil {
		t.Errorf("dig %v: %v", args, err)
	}
	return strings.TrimSpace(out)
}

// able reports whether a peer may give addresses of the subnet.
func (b *bed) able(t *testing.T, node string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), reachLimit)
	defer cancel()
	all, err := b.api(node).Subnets(ctx)
	return err == nil && len(all) == 1 && all[0].Able && all[0].Free > 0 && len(all[0].Overlays) == 1
}

// ports reports whether a peer's guest ports work.
func (b *bed) ports(t *testing.T, node string) bool {
	t.Helper()
	ports, err := b.api(node).Ports(within(t, reachLimit))
	return err == nil && len(ports) > 0 && len(ports[0].Problems) == 0
}

// pings sends one echo request.
func (b *bed) pings(t *testing.T, host, to string) bool {
	t.Helper()
	ns, err := netlab.Open(b.host(host).Netns)
	must(t, err)
	defer ns.Close()
	_, err = ns.Run(within(t, reachLimit), "ping", "-c", "1", "-W", "1", to)
	return err == nil
}
