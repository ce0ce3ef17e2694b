// End-to-end tests: the real program in network namespaces. They need root, and DRAWBRIDGE_BIN names the program;
// without it they build it.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// binary is what the labs run.
var binary = os.Getenv("DRAWBRIDGE_BIN")

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if binary == "" && os.Geteuid() == 0 {
		dir, err := os.MkdirTemp("", "drawbridge-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "drawbridge")
		if out, err := exec.Command("go", "build", "-tags", "nomsgpack", "-o", binary, "../../cmd/drawbridge").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// bed is a lab and those that traffic is sent between.
type bed struct {
	*lab.Lab
	hosts []probe.Host
}

// up builds a lab for a test, which is removed after it. When the test failed, the end of every log is in its output.
func up(t *testing.T, topology string) *bed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	name := "e2e-" + strings.TrimSuffix(filepath.Base(topology), ".toml")
	if err := lab.Down(name); err != nil && !errors.Is(err, lab.ErrNoLab) { // of a run that was killed
		t.Fatal(err)
	}
	var said bytes.Buffer
	l, err := lab.Up(t.Context(), lab.Options{Name: name, Topology: topology, Binary: binary, Progress: &said})
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	b := &bed{Lab: l}
	t.Cleanup(func() {
		if t.Failed() {
			b.showLogs(t)
		}
		if err := lab.Down(name); err != nil {
			t.Error(err)
		}
	})
	for _, h := range l.Status().Hosts {
		b.hosts = append(b.hosts, probe.Host{Name: h.Name, Netns: h.Netns, Interface: h.Interface, Addrs: l.Addresses(h.Name)})
	}
	return b
}

// logLines is how much of every log a failed test shows.
const logLines = 40

func (b *bed) showLogs(t *testing.T) {
	for _, n := range b.Status().Nodes {
		var log bytes.Buffer
		if err := lab.Logs(b.Name, n.Name, &log); err != nil {
			t.Logf("log of %s: %v", n.Name, err)
			continue
		}
		lines := strings.Split(log.String(), "\n")
		t.Logf("the end of the log of %s:\n%s", n.Name, strings.Join(lines[max(0, len(lines)-logLines):], "\n"))
	}
}

// host finds a host by name.
func (b *bed) host(name string) probe.Host {
	return b.hosts[slices.IndexFunc(b.hosts, func(h probe.Host) bool { return h.Name == name })]
}

// api speaks to the daemon of a node.
func (b *bed) api(node string) *client.Client {
	nodes := b.Status().Nodes
	i := slices.IndexFunc(nodes, func(n lab.NodeStatus) bool { return n.Name == node })
	return client.New(nodes[i].API)
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Limits of waiting: generous, because other tests may share the machine.
const (
	reachLimit = 30 * time.Second
	talkLimit  = 60 * time.Second
	quiet      = 500 * time.Millisecond // after which no copy of a broadcast is still on its way
)

// reach demands that everybody pings everybody, with packets of a size.
func (b *bed) reach(t *testing.T, size int) {
	t.Helper()
	if r, err := probe.Ping(within(t, reachLimit), b.hosts, size); err != nil || !r.OK() {
		t.Errorf("ping with %d bytes: %v, %v", size, r, err)
	}
}

// eventually asks ok until it says yes.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
