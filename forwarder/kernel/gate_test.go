package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// crosses reports whether a frame from a arrives at b. The mark goes another way, from a guest beside b's peer.
func crosses(l *lab, a, b *station, via *station) bool {
	l.t.Helper()
	f, mark := a.frame(drawbridge.Broadcast), via.frame(drawbridge.Broadcast)
	a.send(f)
	via.send(mark)
	return b.copies(f, mark) > 0
}

func TestShutGateLetsNothingPass(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	v := l.onSegment(1)
	l.gateway(1)
	here, there := l.nodes[1].host, l.nodes[2].host
	meet(l, there, v)
	if !crosses(l, v, there, here) {
		t.Fatal("nothing crosses the open gate")
	}
	l.nodes[1].gate.Shut()
	refused := l.nodes[1].gate.State().Refused
	if crosses(l, v, there, here) {
		t.Error("a frame from the segment passed the shut gate")
	}
	for _, from := range []*station{here, there} {
		for _, to := range []drawbridge.MAC{v.mac, drawbridge.Broadcast} {
			f, mark := from.frame(to), from.frame(drawbridge.Broadcast)
			from.send(f)
			from.send(mark)
			other := map[*station]*station{here: there, there: here}[from]
			other.copies(nil, mark) // all before it is done with at both peers
			l.nodes[1].gate.Open(1, gate.Now().Add(time.Hour))
			sign := from.frame(drawbridge.Broadcast)
			from.send(sign)
			if v.copies(f, sign) != 0 {
				t.Errorf("a frame from %s to %s passed the shut gate", from.name, to)
			}
			l.nodes[1].gate.Shut()
		}
	}
	if n := l.nodes[1].gate.State().Refused - refused; n < 5 {
		t.Errorf("the gate refused %d frames, want one for each of 5 at least", n)
	}
	if l.count(1, "gate_shut") == 0 {
		t.Error("gate_shut counts nothing")
	}
}

func TestHigherEpochShutsTheGate(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	v := l.onSegment(1)
	l.gateway(1)
	here, there := l.nodes[1].host, l.nodes[2].host
	if !crosses(l, v, there, here) {
		t.Fatal("nothing crosses the open gate")
	}
	l.nodes[1].gate.Fence(2)
	if crosses(l, v, there, here) {
		t.Error("a frame passed a gate whose epoch is over")
	}
}

// A forger's hello and overlay frames with any number in them must not raise the fence: no program writes it.
func TestNoFrameRaisesTheFence(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	v := l.onSegment(1)
	l.gateway(1)
	here, there := l.nodes[1].host, l.nodes[2].host
	hello := v.frame(drawbridge.Broadcast)
	copy(hello[12:], "\x88\xb6ALNE\x01\x03\x03\xff")
	for i := 24; i < len(hello); i++ {
		hello[i] = 0xff
	}
	v.send(hello)
	stray := there.frame(drawbridge.Broadcast)
	copy(stray[12:], hello[12:])
	there.send(stray)
	if !crosses(l, v, there, here) {
		t.Error("a forged hello has shut the gate")
	}
	if n := l.count(1, "link_local") + l.count(2, "link_local"); n != 2 {
		t.Errorf("link_local counts %d, want 2", n)
	}
}

// owner is the process that keeps the gate, when the test binary runs itself. Descriptor 3 is the gate's map.
func owner() {
	g, err := gate.Join(3, gate.Now)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range time.Tick(5 * time.Millisecond) { // until it is killed
		g.Open(1, gate.Now().Add(ownersLease))
	}
}

const ownersLease = 150 * time.Millisecond

// startOwner keeps the gate open from another process.
func startOwner(t *testing.T, k *gate.Kernel) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	fd, err := unix.Dup(k.Memory())
	must(t, err)
	page := os.NewFile(uintptr(fd), "gate")
	defer page.Close()
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), "DRAWBRIDGE_TEST_OWNER=1"), []*os.File{page}, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// cell reads the gate's memory.
func cell(t *testing.T, k *gate.Kernel) (c [8]uint64) {
	t.Helper()
	fd, err := unix.Dup(k.Memory())
	must(t, err)
	m, err := ebpf.NewMapFromFD(fd)
	must(t, err)
	defer m.Close()
	must(t, m.Lookup(uint32(0), &c))
	return c
}

func TestKernelShutsWhenTheOwnerIsStopped(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	v := l.onSegment(1)
	l.gateway(1)
	k, here, there := l.nodes[1].gate, l.nodes[1].host, l.nodes[2].host
	k.Shut()
	child := startOwner(t, k)
	for deadline := time.Now().Add(patience); !crosses(l, v, there, here); {
		if time.Now().After(deadline) {
			t.Fatal("the owner does not open the gate")
		}
	}
	must(t, child.Process.Signal(syscall.SIGSTOP))
	for deadline := time.Now().Add(patience); !netlab.Stopped(child.Process.Pid); {
		if time.Now().After(deadline) {
			t.Fatal("the owner is not stopped")
		}
	}
	until := failover.Boottime(cell(t, k)[0])
	if gate.Now().Add(ownersLease) < until {
		t.Fatal("the lease is longer than it was made")
	}
	for deadline := time.Now().Add(patience); crosses(l, v, there, here); {
		if time.Now().After(deadline) {
			t.Fatal("the gate stays open although nobody renews it")
		}
	}
	c := cell(t, k)
	if last := failover.Boottime(c[5]); last >= until || failover.Boottime(c[0]) != until {
		t.Errorf("the last frame passed at %d, the lease ended at %d, it says %d", last, until, c[0])
	}
	if gate.Now() < until {
		t.Error("the gate shut before its lease was over")
	}
}

// Guests have no lease; the engine as a whole has, so that nothing is carried for long when nobody looks for loops.
func TestEngineStopsWhenItIsNotRenewed(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	meet(l, a, b)
	f, mark := a.frame(b.mac), a.frame(drawbridge.Broadcast)
	must(t, l.nodes[1].e.Renew(0))
	a.send(f)
	must(t, l.nodes[1].e.Renew(time.Hour))
	a.send(mark)
	if b.copies(f, mark) != 0 {
		t.Error("a frame went out by an engine that is not renewed")
	}
	must(t, l.nodes[2].e.Renew(0))
	a.send(f)
	for deadline := time.Now().Add(patience); l.count(2, "not_renewed") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("not_renewed counts nothing")
		}
	}
	must(t, l.nodes[2].e.Renew(time.Hour))
	a.send(mark)
	if b.copies(f, mark) != 0 {
		t.Error("a frame came in by an engine that is not renewed")
	}
}
