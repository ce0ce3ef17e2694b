package netlab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// space makes a namespace of this test process; what an earlier, killed run left is removed.
func space(t *testing.T, name string) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	name = "netlabtest-" + name
	if err := Delete(name); err != nil {
		t.Fatal(err)
	}
	n, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.Close(), Delete(name)); err != nil {
			t.Error(err)
		}
	})
	return n
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

var (
	addr4 = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24")}
	addr6 = []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::2/64")}
	macs  = []drawbridge.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
)

// pair is two hosts on a switch of their own.
func pair(t *testing.T) (a, b, sw *Namespace) {
	t.Helper()
	a, b, sw = space(t, "a"), space(t, "b"), space(t, "switch")
	must(t, sw.Bridge("br0"))
	for i, n := range []*Namespace{a, b} {
		port := []string{"port-a", "port-b"}[i]
		must(t, Wire(End{In: n, Name: "eth0", MAC: macs[i]}, End{In: sw, Name: port}), sw.Attach(port, "br0"),
			n.Address("eth0", addr4[i]), n.Address("eth0", addr6[i]))
	}
	return a, b, sw
}

func TestHostsOnASwitchReachEachOther(t *testing.T) {
	a, b, _ := pair(t)
	for _, to := range []netip.Prefix{addr4[1], addr6[1]} {
		if _, err := a.Ping(within(t, 5*time.Second), to.Addr()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		rate, err := a.Transfer(ctx, b, to.Addr())
		cancel()
		if err != nil || rate.Bytes == 0 {
			t.Errorf("transfer to %v: %v, %v", to, rate, err)
		}
	}
}

func TestBlockCutsOnePairOnly(t *testing.T) {
	a, b, sw := pair(t)
	c := space(t, "c")
	must(t, Wire(End{In: c, Name: "eth0"}, End{In: sw, Name: "port-c"}), sw.Attach("port-c", "br0"),
		c.Address("eth0", netip.MustParsePrefix("192.0.2.3/24")))
	must(t, sw.Fault("port-a", Out, Block(1, macs[1])), sw.Fault("port-b", Out, Block(1, macs[0])))
	if rtt, err := a.Ping(within(t, 300*time.Millisecond), addr4[1].Addr()); err == nil {
		t.Fatalf("the cut pair still talks, in %v", rtt)
	}
	for _, n := range []*Namespace{a, b} {
		if _, err := c.Ping(within(t, 5*time.Second), addr4[0].Addr()); err != nil {
			t.Errorf("a third host lost %s: %v", n.Name(), err)
		}
	}
	must(t, sw.Mend("port-a", Out, 1), sw.Mend("port-b", Out, 1), sw.Mend("port-b", Out, 1), sw.Mend("port-c", In, 9))
	if _, err := a.Ping(within(t, 5*time.Second), addr4[1].Addr()); err != nil {
		t.Errorf("after mending: %v", err)
	}
}

func TestLossLosesAShare(t *testing.T) {
	a, b, sw := pair(t)
	must(t, sw.Fault("port-a", Out, Loss(3, 0.5)))
	_, err := a.Ping(within(t, 10*time.Second), addr4[1].Addr())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s, err := a.Stream(ctx, addr4[1].Addr(), 2*time.Millisecond)
	must(t, err)
	if s.Sent < 50 || s.Answered < s.Sent/5 || s.Answered > s.Sent*4/5 {
		t.Errorf("half of the answers are dropped, and this came through: %+v", s)
	}
	must(t, sw.Fault("port-a", Out, Loss(3, 0)), b.Down("lo"))
	if _, err := a.Ping(within(t, 5*time.Second), addr4[1].Addr()); err != nil {
		t.Errorf("loss 0 in the same slot does not replace it: %v", err)
	}
}

func TestUnpluggedHostIsGoneUntilPluggedIn(t *testing.T) {
	a, _, sw := pair(t)
	must(t, sw.Down("port-b"))
	if _, err := a.Ping(within(t, 200*time.Millisecond), addr4[1].Addr()); err == nil {
		t.Fatal("answered without a cable")
	}
	must(t, sw.Up("port-b"))
	if _, err := a.Ping(within(t, 5*time.Second), addr4[1].Addr()); err != nil {
		t.Error(err)
	}
}

func TestTrunkPortsTagWhatLeaves(t *testing.T) {
	a, b, sw := pair(t)
	must(t, sw.Trunk("port-b", 42))
	if _, err := a.Ping(within(t, 200*time.Millisecond), addr4[1].Addr()); err == nil {
		t.Fatal("a host that does not tag is on the VLAN")
	}
	// The far end of a trunk is another trunk: what it strips is the VLAN again.
	must(t, b.Fault("eth0", In, untag(1, 42)), b.Fault("eth0", Out, tag(1, 42)))
	if _, err := a.Ping(within(t, 5*time.Second), addr4[1].Addr()); err != nil {
		t.Error(err)
	}
	must(t, b.Fault("eth0", Out, tag(1, 43)))
	if _, err := a.Ping(within(t, 200*time.Millisecond), addr4[1].Addr()); err == nil {
		t.Fatal("another VLAN's frames came in")
	}
}

func TestOffloadsAreSwitched(t *testing.T) {
	a, b, _ := pair(t)
	must(t, a.Offload("eth0", Offloads{}), b.Offload("eth0", Offloads{}))
	if tso, gso, err := a.Offloaded("eth0"); err != nil || tso || gso {
		t.Errorf("after switching all off: tso %v, gso %v, %v", tso, gso, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Transfer(ctx, b, addr4[1].Addr()); err != nil {
		t.Error(err)
	}
	must(t, a.Offload("eth0", AllOffloads))
	if tso, gso, err := a.Offloaded("eth0"); err != nil || !tso || !gso {
		t.Errorf("after switching all on: tso %v, gso %v, %v", tso, gso, err)
	}
}

func TestDeleteEndsWhatRunsInside(t *testing.T) {
	a := space(t, "a")
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(t, a.Start(cmd))
	if pids, err := Pids(a.Name()); err != nil || len(pids) != 1 || pids[0] != cmd.Process.Pid {
		t.Fatalf("in %s are %v (%v), want %d", a.Name(), pids, err, cmd.Process.Pid)
	}
	if _, err := StartTime(cmd.Process.Pid); err != nil {
		t.Error(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	must(t, Delete(a.Name()))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
	if Exists(a.Name()) {
		t.Error("it is still there")
	}
	must(t, Delete(a.Name()))
}

func TestRunReportsStandardError(t *testing.T) {
	a := space(t, "a")
	if out, err := a.Run(t.Context(), "sh", "-c", "echo fine"); err != nil || out != "fine\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := a.Run(t.Context(), "sh", "-c", "echo broken >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error is %v", err)
	}
}

func TestErrorsNameWhatThereIs(t *testing.T) {
	a := space(t, "a")
	if err := a.Up("eth7"); err == nil || !strings.Contains(err.Error(), "eth7") || !strings.Contains(err.Error(), "has lo") {
		t.Errorf("error is %v", err)
	}
	if _, err := Create(a.Name()); err == nil {
		t.Error("made a second of the same name")
	}
	if _, err := Create("a/b"); err == nil {
		t.Error("made a path")
	}
	left := filepath.Join(Dir, "netlabtest-file")
	must(t, os.WriteFile(left, nil, 0o600), Delete("netlabtest-file"))
	if _, err := os.Stat(left); err == nil {
		t.Error("a file that was never mounted stays")
	}
}

func TestStreamMeasuresTheOutage(t *testing.T) {
	var sent []time.Time
	start := time.Now()
	got := map[uint16]time.Time{}
	for i := range 20 {
		at := start.Add(time.Duration(i) * 10 * time.Millisecond)
		sent = append(sent, at)
		if i < 5 || i > 9 {
			got[uint16(i)] = at.Add(time.Millisecond)
		}
	}
	s := summarise(sent, answers{at: got})
	if s.Sent != 20 || s.Answered != 15 || s.Outage != 60*time.Millisecond || s.Worst != time.Millisecond {
		t.Errorf("%+v", s)
	}
	if s := summarise(sent, answers{}); s.Outage != 190*time.Millisecond {
		t.Errorf("nothing answered at all: %+v", s)
	}
}

func TestStreamMeasuresThePause(t *testing.T) {
	a := answers{at: map[uint16]time.Time{}}
	start := time.Now()
	for _, came := range []struct {
		seq   uint16
		after time.Duration
	}{{0, 1}, {1, 2}, {4, 22}, {2, 23}, {4, 90}, {5, 24}} { // 4 comes again, and that is no answer
		a.note(came.seq, start.Add(came.after*time.Millisecond))
	}
	if s := summarise([]time.Time{start}, a); s.Pause != 20*time.Millisecond || s.Doubled != 1 || s.Late != 1 {
		t.Errorf("%+v", s)
	}
}
