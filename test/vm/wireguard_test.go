//go:build wireguard

// Package vm has tests that need a kernel of its own kind: test/vm/boot runs them in a virtual machine (make vm-test).
package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/forwarder/wireguard"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// limit is for what never comes: an emulated machine is slow.
const limit = 3 * time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// up builds a lab of two daemons in namespaces of their own, with a guest each, joined by one wire.
func up(t *testing.T) (*lab.Lab, []probe.Host) {
	t.Helper()
	var said bytes.Buffer
	l, err := lab.Up(t.Context(), lab.Options{Name: "vm", Topology: "two.toml", Binary: os.Getenv("DRAWBRIDGE_BIN"), Progress: &said})
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	t.Cleanup(func() {
		for _, n := range l.Status().Nodes {
			var log bytes.Buffer
			if t.Failed() && lab.Logs("vm", n.Name, &log) == nil {
				t.Logf("log of %s:\n%s", n.Name, &log)
			}
		}
		if err := lab.Down("vm"); err != nil {
			t.Error(err)
		}
	})
	var hosts []probe.Host
	for _, h := range l.Status().Hosts {
		hosts = append(hosts, probe.Host{Name: h.Name, Netns: h.Netns, Interface: h.Interface, Addrs: l.Addresses(h.Name)})
	}
	return l, hosts
}

func reach(t *testing.T, hosts []probe.Host, size int) {
	t.Helper()
	eventually(t, fmt.Sprintf("ping with %d bytes", size), func() bool { // links come and go where a daemon is late
		r, err := probe.Ping(t.Context(), hosts, size)
		return err == nil && r.OK()
	})
}

// inside does something in the namespace of a node.
func inside(t *testing.T, l *lab.Lab, node int, f func() error) {
	t.Helper()
	ns, err := netlab.Open(l.Status().Nodes[node].Netns)
	must(t, err)
	defer ns.Close()
	must(t, ns.Do(f))
}

// tap hears what a node sends to its underlay, and what arrives there.
type tap struct {
	fd      int
	reading sync.WaitGroup

	mu    sync.Mutex // guards what follows
	ended bool
	seen  [][]byte
}

func listen(t *testing.T, l *lab.Lab) *tap {
	t.Helper()
	w := &tap{}
	inside(t, l, 0, w.open)
	w.reading.Go(func() {
		b := make([]byte, 1<<16)
		for w.note(b[:w.read(b)]) {
		}
	})
	return w
}

func (w *tap) open() error {
	underlay, err := netlink.LinkByName("to-b")
	if err != nil {
		return err
	}
	if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	every := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	return errors.Join(
		unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: underlay.Attrs().Index}),
		unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100e3}),
	)
}

func (w *tap) read(b []byte) int {
	n, _, err := unix.Recvfrom(w.fd, b, 0)
	if err != nil {
		return 0 // nothing for a while
	}
	return n
}

func (w *tap) note(p []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, bytes.Clone(p))
	return !w.ended || len(p) > 0
}

// stop answers how many packets there were by their UDP port, and how many held one of the texts.
func (w *tap) stop(texts ...[]byte) (ports map[uint16]int, clear int) {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.reading.Wait()
	_ = unix.Close(w.fd)
	ports = map[uint16]int{}
	for _, p := range w.seen {
		if len(p) > 38 && p[12] == 8 && p[13] == 0 && p[23] == unix.IPPROTO_UDP {
			ports[binary.BigEndian.Uint16(p[36:])]++
		}
		for _, text := range texts {
			if bytes.Contains(p, text) {
				clear++
				break
			}
		}
	}
	return ports, clear
}

// macs are the guests' addresses, which every frame of theirs has in it.
func macs(t *testing.T, hosts []probe.Host) (all [][]byte) {
	for _, h := range hosts {
		ns, err := netlab.Open(h.Netns)
		must(t, err)
		m, err := ns.MACOf(h.Interface)
		must(t, err)
		must(t, ns.Close())
		all = append(all, m[:])
	}
	return all
}

func path(t *testing.T, l *lab.Lab, node int) (p web.OverlayPath, notes []string) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s, err := client.New(l.Status().Nodes[node].API).Status(ctx)
	must(t, err)
	if len(s.DataPath.Overlays) > 0 {
		p = s.DataPath.Overlays[0]
	}
	return p, s.DataPath.Notes
}

// TestTheKernelEncrypts: two daemons change to the kernel on an underlay that they protect; frames cross, and the wire carries none of them in
// clear text.
func TestTheKernelEncrypts(t *testing.T) {
	l, hosts := up(t)
	reach(t, hosts, 0)
	must(t, l.EnterWireGuard(t.Context()))
	protected(t, l)
	w := listen(t, l)
	for _, size := range []int{0, 500, 1300} {
		reach(t, hosts, size)
	}
	ports, clear := w.stop(macs(t, hosts)...)
	for node := range l.Status().Nodes {
		inside(t, l, node, func() error {
			link, err := netlink.LinkByName(wireguard.Name)
			if err == nil {
				t.Logf("%s: MTU %d, %d packets in, %d out", wireguard.Name, link.Attrs().MTU, link.Attrs().Statistics.RxPackets, link.Attrs().Statistics.TxPackets)
			}
			return err
		})
	}
	t.Logf("packets on the underlay by UDP port: %v", ports)
	if clear != 0 || ports[6640] != 0 || ports[wireguard.Port] == 0 {
		t.Errorf("%d frames in clear text, by port %v", clear, ports)
	}
	p, notes := path(t, l, 0)
	t.Logf("status: %+v, %q", p, notes)
	if p.Engine != web.EngineKernel || !strings.Contains(strings.Join(notes, "\n"), "encrypted by WireGuard") {
		t.Errorf("status: %+v, %q", p, notes)
	}
	t.Run("removed", func(t *testing.T) { removed(t, l, hosts) })
	must(t, l.LeaveKernel(t.Context()))
	reach(t, hosts, 0)
	eventually(t, "the device goes when nobody wants it", func() bool { return !left(t, l) })
}

// TestFromTrustedToProtected changes from an underlay in clear text, which the tap sees, to a protected one.
func TestFromTrustedToProtected(t *testing.T) {
	l, hosts := up(t)
	must(t, l.EnterKernel(t.Context()))
	w := listen(t, l)
	reach(t, hosts, 0)
	if ports, clear := w.stop(macs(t, hosts)...); clear == 0 || ports[6640] == 0 {
		t.Errorf("trusted: %d frames in clear text, by port %v: the test is blind", clear, ports)
	}
	must(t, l.EnterWireGuard(t.Context()))
	protected(t, l)
	w = listen(t, l)
	reach(t, hosts, 0)
	if ports, clear := w.stop(macs(t, hosts)...); clear != 0 || ports[6640] != 0 {
		t.Errorf("protected: %d frames in clear text, by port %v", clear, ports)
	}
}

// protected waits until the kernel carries the overlay through the device at both.
func protected(t *testing.T, l *lab.Lab) {
	for node := range l.Status().Nodes {
		eventually(t, "encrypted by WireGuard", func() bool {
			_, notes := path(t, l, node)
			return strings.Contains(strings.Join(notes, "\n"), "encrypted by WireGuard")
		})
	}
}

func left(t *testing.T, l *lab.Lab) (yes bool) {
	for node := range l.Status().Nodes {
		inside(t, l, node, func() error { yes = yes || wireguard.Left(); return nil })
	}
	return yes
}

// removed has root take the device away under the running engine: the peers go on in user space, and nothing is sent in clear text meanwhile.
func removed(t *testing.T, l *lab.Lab, hosts []probe.Host) {
	w := listen(t, l)
	inside(t, l, 0, func() error {
		return netlink.LinkDel(&netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: wireguard.Name}})
	})
	eventually(t, "user space goes on", func() bool {
		_, _ = probe.Ping(t.Context(), hosts, 0)
		p, _ := path(t, l, 1)
		return p.Engine == web.EngineUser && strings.Contains(p.Reason, wireguard.Name)
	})
	reach(t, hosts, 0)
	if ports, clear := w.stop(macs(t, hosts)...); clear != 0 || ports[6640] != 0 {
		t.Errorf("%d frames in clear text, by port %v", clear, ports)
	}
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !so(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not: %s", what)
		}
	}
}
