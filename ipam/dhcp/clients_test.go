package dhcp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// script has a client tell what happens to it, and changes nothing on the machine that runs the test.
const script = `#!/bin/sh
echo "EVENT ${1:-$reason} ${ip:-${new_ip_address:-$new_ip6_address}} ${router:-$new_routers} ${mtu:-$new_interface_mtu} ${domain:-$new_domain_name} ${hostname}"
`

// guest is a namespace with one interface, eth0, whose other end is served.
type guest struct {
	*rig
	space  *netlab.Namespace
	dir    string
	events chan string
}

// newGuest needs root and the client; it is the only reason to leave such a test out.
func newGuest(t *testing.T, name, client string) *guest {
	t.Helper()
	if _, err := exec.LookPath(client); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and ", client)
	}
	t.Parallel() // most of the time a client waits for a timer of its own
	names := [2]string{"dhcp-" + name, "dhcp-" + name + "-sw"}
	var spaces [2]*netlab.Namespace
	for i, n := range names {
		if netlab.Exists(n) { // of a run that was killed
			must(t, netlab.Delete(n))
		}
		space, err := netlab.Create(n)
		must(t, err)
		t.Cleanup(func() { must(t, netlab.KillAll(n)); must(t, space.Close()); must(t, netlab.Delete(n)) })
		spaces[i] = space
	}
	must(t, spaces[0].Sysctl("ipv6/conf/default/accept_dad", "0"))
	must(t, netlab.Wire(netlab.End{In: spaces[0], Name: "eth0", MAC: alice}, netlab.End{In: spaces[1], Name: "port"}))
	must(t, spaces[1].Silence("port"))
	must(t, spaces[0].Offload("eth0", netlab.Offloads{})) // so that checksums are complete, and checked
	g := &guest{rig: &rig{t: t, book: newBook()}, space: spaces[0], dir: t.TempDir(), events: make(chan string, 100)}
	g.book.now = time.Now()
	must(t, os.WriteFile(filepath.Join(g.dir, "script"), []byte(script), 0o755))
	g.serve(spaces[1])
	return g
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve attaches a server to the port, as the forwarder would.
func (g *guest) serve(space *netlab.Namespace) {
	port := packetSocket(g.t, space, "port")
	s := New(Config{Leases: g.book, Inject: func(_ string, f drawbridge.Frame) {
		if _, err := port.Write(f); err != nil {
			g.t.Log(err) // the port goes away at the end
		}
	}})
	g.Server = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- s.Run(ctx) }()
	go func() {
		b := make([]byte, 65536)
		for {
			n, err := port.Read(b)
			if err != nil {
				done <- err
				return
			}
			if f := drawbridge.Frame(b[:n]); n >= drawbridge.MinFrame && f.Src() != serverMAC {
				s.Take(drawbridge.Packet{Frame: f}, "guest")
			}
		}
	}()
	g.t.Cleanup(func() { cancel(); port.Close(); <-done; <-done })
	must(g.t, s.Bind("guest", Link{MAC: serverMAC, Four: subnet4(), Six: subnet6()}))
}

func packetSocket(t *testing.T, space *netlab.Namespace, name string) *os.File {
	t.Helper()
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	index, err := space.IndexOf(name)
	must(t, err)
	fd := -1
	must(t, space.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	}))
	return os.NewFile(uintptr(fd), name)
}

// start runs a client in the namespace and collects what its script tells.
func (g *guest) start(program string, args ...string) *exec.Cmd {
	g.t.Helper()
	cmd := exec.Command(program, args...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = time.Second
	must(g.t, g.space.Start(cmd))
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if e, ok := strings.CutPrefix(lines.Text(), "EVENT "); ok {
				g.events <- e
			}
		}
	}()
	ended := make(chan struct{})
	go func() { cmd.Wait(); w.Close(); close(ended) }() // clients end by a signal, which Wait calls an error
	g.t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	return cmd
}

// expect waits for an event.
func (g *guest) expect(want string) string {
	g.t.Helper()
	var seen []string
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-g.events:
			if strings.HasPrefix(e, want) {
				return e
			}
			seen = append(seen, e)
		case <-timeout:
			g.t.Fatalf("no %q after %q; server: %v", want, seen, g.said())
		}
	}
}

// until waits for the server to have had as many messages of an outcome.
func (g *guest) until(o Outcome, n uint64) {
	g.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for g.Counts()[o] < n {
		select {
		case <-tick.C:
		case <-deadline.C:
			g.t.Fatalf("waiting for %d × %s: %v", n, o, g.said())
		}
	}
}

func (g *guest) said() (out []string) {
	for o, n := range g.Counts() {
		if n > 0 {
			out = append(out, fmt.Sprint(o, "=", n))
		}
	}
	return out
}

func (g *guest) signal(cmd *exec.Cmd, s syscall.Signal) {
	g.t.Helper()
	must(g.t, cmd.Process.Signal(s))
}

// clean: nothing that a well-behaved client sends is refused.
func (g *guest) clean() {
	g.t.Helper()
	for o, n := range g.Counts() {
		if o.Refused() && n > 0 {
			g.t.Errorf("%d × %s", n, o)
		}
	}
}

// TestUdhcpc has the client of BusyBox discover, renew by unicast (for which it resolves the server), and release.
func TestUdhcpc(t *testing.T) {
	g := newGuest(t, "udhcpc", "udhcpc")
	cmd := g.start("udhcpc", "-f", "-i", "eth0", "-s", filepath.Join(g.dir, "script"), "-x", "hostname:alice", "-O", "mtu")
	if e := g.expect("bound"); !strings.HasPrefix(e, "bound 192.0.2.10 192.0.2.1 1400 office.example") {
		t.Errorf("%q", e)
	}
	g.book.has(t, "192.0.2.10", aliceKey)
	must(t, g.space.Address("eth0", netip.MustParsePrefix("192.0.2.10/24")))
	g.signal(cmd, syscall.SIGUSR1)
	g.expect("renew 192.0.2.10")
	g.until(Resolved, 1)
	g.until(Acked, 2)
	g.signal(cmd, syscall.SIGUSR2)
	g.until(Released, 1)
	g.book.has(t, "192.0.2.10", "")
	g.clean()
}

// TestDhclient has the client of ISC renew when half of a short lease is over, and release.
func TestDhclient(t *testing.T) {
	g := newGuest(t, "dhclient", "dhclient")
	g.book.giveAtMost(6 * time.Second)
	args := []string{"-sf", filepath.Join(g.dir, "script"), "-lf", filepath.Join(g.dir, "leases"), "-pf", filepath.Join(g.dir, "pid"), "-cf", "/dev/null", "eth0"}
	g.start("dhclient", append([]string{"-4", "-d"}, args...)...)
	if e := g.expect("BOUND"); !strings.HasPrefix(e, "BOUND 192.0.2.10 192.0.2.1") {
		t.Errorf("%q", e)
	}
	must(t, g.space.Address("eth0", netip.MustParsePrefix("192.0.2.10/24")))
	g.expect("RENEW 192.0.2.10")
	g.until(Acked, 2)
	g.start("dhclient", append([]string{"-4", "-r"}, args...)...)
	g.until(Released, 1)
	g.clean()
}

// TestDhclient6 has it get an IPv6 address; the kernel takes prefix, MTU and default route from the advertisement.
func TestDhclient6(t *testing.T) {
	g := newGuest(t, "dhclient6", "dhclient")
	args := []string{"-sf", filepath.Join(g.dir, "script"), "-lf", filepath.Join(g.dir, "leases"), "-pf", filepath.Join(g.dir, "pid"), "-cf", "/dev/null", "eth0"}
	g.start("dhclient", append([]string{"-6", "-d"}, args...)...)
	if e := g.expect("BOUND6"); !strings.HasPrefix(e, "BOUND6 2001:db8::a") {
		t.Errorf("%q", e)
	}
	routes, err := g.space.Run(t.Context(), "cat", "/proc/net/ipv6_route")
	must(t, err)
	for name, want := range map[string]string{
		"prefix":  "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000",
		"default": "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001",
	} {
		if !strings.Contains(routes, want) {
			t.Errorf("no %s route:\n%s", name, routes)
		}
	}
	g.start("dhclient", append([]string{"-6", "-r"}, args...)...)
	g.until(Released, 1)
	g.clean()
}
