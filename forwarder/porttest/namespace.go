// Package porttest is what tests of ports and of the switch stand on: a segment in memory with faults that the test
// asks for, and network namespaces of the test's own.
package porttest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Namespace puts the rest of the test into a network namespace of its own. The namespace hangs on the goroutine's
// thread, which the runtime ends with the goroutine because it stays locked, so nothing is left even of a killed
// test. Sockets opened by the test belong to the namespace, whichever goroutine then uses them; a subtest has to
// enter one of its own.
func Namespace(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	if err := enter(); err != nil {
		t.Fatal(err)
	}
}

// enter leaves IPv6 off by default: its own neighbour discovery would send frames that no test expects.
func enter() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o600)
}

// Run runs a command line, such as one of ip or ethtool, in the namespace of the calling goroutine.
func Run(t testing.TB, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, bytes.TrimSpace(out))
	}
	return string(out)
}

// Veth makes a pair of connected interfaces and sets them up.
func Veth(t testing.TB, a, b string) {
	t.Helper()
	Run(t, "ip link add "+a+" type veth peer name "+b)
	Up(t, a, b)
}

// Up sets interfaces up and waits until they pass frames: until the kernel has noticed both carriers, in its own
// time, it drops what is sent without telling (the queueing discipline "noop").
func Up(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		Run(t, "ip link set "+name+" up")
	}
	for _, name := range names {
		for strings.Contains(Run(t, "ip -o link show "+name), "qdisc noop ") {
			runtime.Gosched()
		}
	}
}

// Guest is a second namespace, which plays a machine behind a port.
type Guest struct {
	calls chan func()
	tid   int
}

// NewGuest makes a namespace that ends with the test.
func NewGuest(t testing.TB) *Guest {
	t.Helper()
	g := &Guest{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		err := enter()
		g.tid = unix.Gettid()
		ready <- err
		for call := range g.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(g.calls) })
	return g
}

// Do calls f in the guest and waits for it. f must not end the test.
func (g *Guest) Do(f func()) {
	done := make(chan struct{})
	g.calls <- func() { defer close(done); f() }
	<-done
}

// Run is like the function Run, in the guest.
func (g *Guest) Run(t testing.TB, line string) (out string) {
	t.Helper()
	words := strings.Fields(line)
	var err error
	g.Do(func() {
		var b []byte
		b, err = exec.Command(words[0], words[1:]...).CombinedOutput()
		out = string(b)
	})
	if err != nil {
		t.Fatalf("guest: %s: %v: %s", line, err, strings.TrimSpace(out))
	}
	return out
}

// Adopt moves an interface of the calling goroutine's namespace into the guest, under the name "eth0", and sets it up.
func (g *Guest) Adopt(t testing.TB, name, address string) {
	t.Helper()
	Run(t, fmt.Sprintf("ip link set %s netns /proc/%d/task/%d/ns/net name eth0", name, os.Getpid(), g.tid))
	if address != "" {
		g.Run(t, "ip addr add "+address+" dev eth0 nodad")
	}
	g.Run(t, "ip link set eth0 up")
}
