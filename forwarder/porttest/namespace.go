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
