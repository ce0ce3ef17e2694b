package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// raise brings a lab of stand-ins up and takes it down after the test.
func raise(t *testing.T, name, topology string) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	top, _, err := Load(topology)
	if err != nil {
		t.Fatal(err)
	}
	// A token of the stand-in is the addresses that it dials.
	t.Setenv("FAKE_FOUNDER", strings.Join(newPlan(name, top).callable(top.founder().Name), ","))
	var said bytes.Buffer
	l, err := Up(t.Context(), Options{Name: name, Topology: topology, Progress: &said})
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	t.Log(said.String())
	if strings.Contains(said.String(), "late") {
		t.Error("a problem of the start was told, and it had passed")
	}
	t.Cleanup(func() {
		if err := Down(name); err != nil && !errors.Is(err, ErrNoLab) {
			t.Error(err)
		}
	})
	return l
}

// reaches pings from one namespace of a lab.
func (l *Lab) reachesAddr(t *testing.T, from string, to netip.Addr, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return l.within(from, func(n *netlab.Namespace) error {
		_, err := n.Ping(ctx, to)
		return err
	})
}

func (l *Lab) addr(t *testing.T, node string) netip.Addr {
	t.Helper()
	return l.plan.plugsOf(node)[0].addr.Addr()
}

const (
	yes = 5 * time.Second        // enough for what answers
	no  = 250 * time.Millisecond // for what must not
)

func TestEveryBuiltInTopologyComesUpAndGoes(t *testing.T) {
	for _, topology := range BuiltIn() {
		l := raise(t, "labtest", topology)
		if err := Down("labtest"); err != nil {
			t.Error(err)
		}
		for _, space := range append(l.plan.spaces(), l.plan.space(stage)) {
			if netlab.Exists(space) {
				t.Errorf("%s: %s is left", topology, space)
			}
		}
		for name, p := range l.Processes {
			if p.state() != dead {
				t.Errorf("%s: the process of %s is left", topology, name)
			}
		}
		if _, err := os.Stat(labDir("labtest")); err == nil {
			t.Errorf("%s: the folder is left", topology)
		}
	}
}

// TestDefaultTopology does what leaves the lab as it was on one lab: building it takes longer than most of that.
func TestDefaultTopology(t *testing.T) {
	l := raise(t, "labtest", "default")
	for name, test := range map[string]func(*testing.T, *Lab){
		"underlay and VLAN are connected": underlayAndVLANAreConnected, "cut and heal": cutAndHeal,
		"nodes are killed, frozen and started": nodesAreKilledFrozenAndStarted, "exec": execRunsInsideWithTheSocket,
		"status": statusIsWhatOthersRelyOn,
	} {
		t.Run(name, func(t *testing.T) { test(t, l) })
	}
}

func underlayAndVLANAreConnected(t *testing.T, l *Lab) {
	if err := l.reachesAddr(t, "w", l.addr(t, "b"), yes); err != nil {
		t.Error(err)
	}
	for _, a := range l.plan.hosts[5].addrs {
		if err := l.reachesAddr(t, "host1", a.Addr(), yes); err != nil {
			t.Error(err)
		}
	}
	if err := l.reachesAddr(t, "w1", l.plan.hosts[5].addrs[0].Addr(), no); err == nil {
		t.Error("a guest reached the VLAN although nothing forwards")
	}
}

func cutAndHeal(t *testing.T, l *Lab) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(Cut("labtest", "x", "w"))
	must(Cut("labtest", "w", "x"))
	if l.reachesAddr(t, "w", l.addr(t, "x"), no) == nil || l.reachesAddr(t, "x", l.addr(t, "w"), no) == nil {
		t.Error("w and x still talk")
	}
	must(l.reachesAddr(t, "w", l.addr(t, "y"), yes))
	must(l.reachesAddr(t, "x", l.addr(t, "y"), yes))
	must(Heal("labtest", "w", "x"))
	must(l.reachesAddr(t, "w", l.addr(t, "x"), yes))
	must(Cut("labtest", "a", "office"))
	must(Cut("labtest", "a", "b"))
	if s, err := StatusOf("labtest"); err != nil || s.cuts != "cut are a from office, a-b" {
		t.Errorf("cuts are %q, %v", s.cuts, err)
	}
	if err := Heal("labtest", "x", "y"); err == nil || !strings.Contains(err.Error(), "x-y is not cut; cut are a from office, a-b") {
		t.Errorf("error is %v", err)
	}
	must(Heal("labtest", "", ""))
	must(l.reachesAddr(t, "a", l.addr(t, "b"), yes))
	for _, wrong := range [][2]string{{"x", "x"}, {"q", "x"}, {"x", "office"}, {"host1", "w"}} {
		if err := Cut("labtest", wrong[0], wrong[1]); err == nil {
			t.Errorf("cut %v", wrong)
		}
	}
}

func TestProblemsAreSaidOnce(t *testing.T) {
	l := raise(t, "labtest", "line")
	if err := os.WriteFile(filepath.Join(labDir(l.Name), complaints), []byte("nobody could take office over\nport of NODE is broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"w, x, y, z have a problem: nobody could take office over",
		"w has a problem: port of w is broken", "x has a problem: port of x is broken", "y has a problem: port of y is broken", "z has a problem: port of z is broken",
	}
	if got := l.problems(t.Context()); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestRoutersHideWhoIsBehind(t *testing.T) {
	l := raise(t, "labtest", "nat")
	if err := l.reachesAddr(t, "x", l.addr(t, "w"), yes); err != nil {
		t.Error(err)
	}
	if l.reachesAddr(t, "w", l.addr(t, "x"), no) == nil {
		t.Error("w reached x, which is behind a router")
	}
	if err := Cut("labtest", "x", "w"); err != nil {
		t.Error(err)
	}
	if l.reachesAddr(t, "x", l.addr(t, "w"), no) == nil {
		t.Error("x and w still talk")
	}
	if err := l.reachesAddr(t, "x", l.addr(t, "a"), yes); err != nil {
		t.Error(err)
	}
	if err := Heal("labtest", "", ""); err != nil {
		t.Error(err)
	}
	if err := l.reachesAddr(t, "x", l.addr(t, "w"), yes); err != nil {
		t.Error(err)
	}
}

func TestWiresJoinNeighboursOnly(t *testing.T) {
	l := raise(t, "labtest", "line")
	if err := l.reachesAddr(t, "w", netip.MustParseAddr("198.18.0.2"), yes); err != nil {
		t.Error(err)
	}
	if l.reachesAddr(t, "w", netip.MustParseAddr("198.18.1.2"), no) == nil {
		t.Error("w reached y, two wires away")
	}
	if err := Cut("labtest", "w", "x"); err != nil {
		t.Error(err)
	}
	if l.reachesAddr(t, "w", netip.MustParseAddr("198.18.0.2"), no) == nil {
		t.Error("the wire was not cut")
	}
	if err := Cut("labtest", "w", "z"); err == nil || !strings.Contains(err.Error(), "no underlay between") {
		t.Errorf("error is %v", err)
	}
}

func nodesAreKilledFrozenAndStarted(t *testing.T, _ *Lab) {
	state := func(node string) string {
		t.Helper()
		s, err := StatusOf("labtest")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range s.Nodes {
			if n.Name == node {
				if (n.Pid == 0) != (n.state == dead) {
					t.Errorf("%s is %s with pid %d", node, n.state, n.Pid)
				}
				return n.state
			}
		}
		return ""
	}
	steps := []struct {
		do   func(string, string) error
		want string
	}{{Freeze, frozen}, {Thaw, running}, {Freeze, frozen}, {Kill, dead}, {func(l, n string) error { return Start(t.Context(), l, n) }, running}}
	for i, s := range steps {
		err := s.do("labtest", "x")
		if err := errors.Join(err, until(yes, func() (bool, error) { return state("x") == s.want, nil })); err != nil {
			t.Errorf("step %d: x is %s, want %s: %v", i, state("x"), s.want, err)
		}
	}
	if err := Start(t.Context(), "labtest", "x"); err == nil || !strings.Contains(err.Error(), "is running") {
		t.Errorf("error is %v", err)
	}
	err := errors.Join(Kill("labtest", "y"), Kill("labtest", "y"))
	if err = errors.Join(err, Start(t.Context(), "labtest", "y")); err == nil || !strings.Contains(err.Error(), "lab start y") {
		t.Errorf("error is %v", err)
	}
	if err := Kill("labtest", "host1"); err == nil || !strings.Contains(err.Error(), "those are w, x, y, z, a, b") {
		t.Errorf("error is %v", err)
	}
}

func execRunsInsideWithTheSocket(t *testing.T, _ *Lab) {
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(os.Args[0], append([]string{"lab", "--name", "labtest", "exec"}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	dir := filepath.Join(labDir("labtest"), "a")
	if got, want := run("a", "--", "sh", "-c", "echo $DRAWBRIDGE_SOCKET $DRAWBRIDGE_CONFIG"), dir+"/drawbridge.sock "+dir+"/drawbridge.toml"; got != want {
		t.Errorf("socket and node file on a are %q, want %q", got, want)
	}
	if got := run("host1", "--", "sh", "-c", "echo $DRAWBRIDGE_SOCKET; cat /proc/net/dev"); !strings.Contains(got, "eth0") || strings.Contains(got, "drawbridge.sock") {
		t.Errorf("on host1: %q", got)
	}
	err := exec.Command(os.Args[0], "lab", "--name", "labtest", "exec", "w1", "sh", "-c", "exit 7").Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exit status is not handed on: %v", err)
	}
}

func statusIsWhatOthersRelyOn(t *testing.T, _ *Lab) {
	s, err := StatusOf("labtest")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for list, keys := range map[string]string{
		"nodes": "api name netns pid roles state_dir underlay", "hosts": "attached_to interface ip mac name netns", "switches": "bridge name netns",
	} {
		first := got[list].([]any)[0].(map[string]any)
		for _, key := range strings.Fields(keys) {
			if _, ok := first[key]; !ok {
				t.Errorf("%s have no %s", list, key)
			}
		}
		if len(first) != len(strings.Fields(keys)) {
			t.Errorf("%s have more than %s: %v", list, keys, first)
		}
	}
	if got["name"] != "labtest" || got["console"] != "" || len(got) != 5 {
		t.Errorf("%v", got)
	}
	var b bytes.Buffer
	if err := s.Print(&b); err != nil || !strings.Contains(b.String(), "voter witness") || !strings.Contains(b.String(), "fd42::10") {
		t.Errorf("%v\n%s", err, &b)
	}
	t.Log("\n" + b.String())
}

func TestLabsDoNotDisturbEachOther(t *testing.T) {
	one := raise(t, "labtest", "line")
	two := raise(t, "labtest-2", "line") // whose namespaces begin with the name of the first
	if err := Down("labtest"); err != nil {
		t.Fatal(err)
	}
	if two.Processes["w"].state() != running || !netlab.Exists("labtest-2-w") || netlab.Exists(one.plan.space("w")) {
		t.Error("taking one lab down touched the other")
	}
	if _, err := StatusOf("labtest"); !errors.Is(err, ErrNoLab) || !strings.Contains(err.Error(), "labtest-2") {
		t.Errorf("error is %v", err)
	}
}

func TestUpRemovesWhatAKilledLabLeft(t *testing.T) {
	l := raise(t, "labtest", "line")
	if _, err := Up(t.Context(), Options{Name: "labtest", Topology: "line"}); err == nil || !strings.Contains(err.Error(), "is up") {
		t.Fatalf("a second of the same name: %v", err)
	}
	l.Up = false // as if `up` had been killed before its last step
	if err := l.save(); err != nil {
		t.Fatal(err)
	}
	old := l.Processes["w"]
	again := raise(t, "labtest", "line")
	if old.state() != dead || again.Processes["w"] == old {
		t.Error("the old daemon still runs")
	}
}

func TestUpThatFailsLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Setenv("FAKE_FOUNDER", "192.0.2.10:1") // w, but nobody listens
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := Up(ctx, Options{Name: "labtest", Topology: "default"})
	if err == nil || !strings.Contains(err.Error(), "join on") {
		t.Errorf("error is %v", err)
	}
	if slices.Contains(Names(), "labtest") || netlab.Exists("labtest-w") {
		t.Errorf("left: labs %v", Names())
	}
}
