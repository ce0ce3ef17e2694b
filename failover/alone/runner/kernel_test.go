package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

const (
	spacePrefix = "alonerunner-"
	// helperEnv makes the test program a peer that lives until its standard input ends, or it is killed.
	helperEnv = "ALONE_RUNNER_HELPER"
	// patience is how long anything may take on a busy machine. Nothing waits that long unless it fails.
	patience = time.Minute
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helper()
		return
	}
	os.Exit(m.Run())
}

var spaces atomic.Uint32 // so that tests that run at once have their own

// space makes a namespace of this test process, and removes those of processes that were killed.
func space(t testing.TB, name string) *netlab.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	left, err := filepath.Glob(filepath.Join(netlab.Dir, spacePrefix+"*"))
	must(t, err)
	for _, path := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), spacePrefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			must(t, netlab.Delete(filepath.Base(path)))
		}
	}
	n, err := netlab.Create(fmt.Sprintf("%s%d-%d-%s", spacePrefix, os.Getpid(), spaces.Add(1), name))
	must(t, err)
	t.Cleanup(func() { must(t, n.Close(), netlab.Delete(n.Name())) })
	return n
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// inside opens packet sockets in a namespace.
func inside(n *netlab.Namespace) opener {
	return func(c PortConfig, etherType uint16) (w Wire, err error) {
		err = n.Do(func() (err error) {
			w, err = openPacket(c, etherType)
			return err
		})
		return w, err
	}
}

// floor is a switch with hosts.
type floor struct {
	sw    *netlab.Namespace
	hosts map[string]*netlab.Namespace
}

func newFloor(t testing.TB, hosts ...string) *floor {
	t.Helper()
	f := &floor{space(t, "switch"), map[string]*netlab.Namespace{}}
	must(t, f.sw.Bridge("br0"))
	for _, name := range hosts {
		f.hosts[name] = space(t, name)
		f.cable(t, name, "eth0")
	}
	return f
}

// cable joins an interface of a host to the switch's port of the name host-interface.
func (f *floor) cable(t testing.TB, host, name string) {
	t.Helper()
	port := host + "-" + name
	must(t, netlab.Wire(netlab.End{In: f.hosts[host], Name: name}, netlab.End{In: f.sw, Name: port}),
		f.sw.Attach(port, "br0"), f.hosts[host].Silence(name))
}

func (f *floor) peer(t *testing.T, host string, network byte, id drawbridge.PeerID) *node {
	return startAt(t, network, id, 1, inside(f.hosts[host]), nil)
}

// eventually waits for a condition of the real world.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); !ok(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (n *node) becomes(t *testing.T, id alone.PortID, s alone.State, why alone.Reason) {
	t.Helper()
	eventually(t, fmt.Sprintf("port %d is %v %q", id, s, why), func() bool {
		p := n.port(id)
		return p.State == s && p.Reason == why
	})
}

// sees reports whether the only neighbour of port 1 is peer, and whether both ways.
func (n *node) sees(peer drawbridge.PeerID, bothWays bool) bool {
	list := n.port(1).Neighbours
	return len(list) == 1 && list[0].Peer == peer && list[0].BothWays == bothWays
}

func (n *node) seesNobody() bool { return n.port(1).Open && len(n.port(1).Neighbours) == 0 }

func TestKernelTwoPeersSeeEachOther(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b")
	a, b := f.peer(t, "a", 1, 1), f.peer(t, "b", 1, 2)
	a.plug(t, 1, "eth0")
	b.plug(t, 1, "eth0")
	eventually(t, "they see each other", func() bool { return a.sees(2, true) && b.sees(1, true) })
	a.becomes(t, 1, alone.Passive, "")
	a.Lease(1, epoch5)
	eventually(t, "clear", func() bool { return a.IsClear(1, epoch5) })
	b.becomes(t, 1, alone.Passive, "")
	b.Lease(1, epoch6)
	a.becomes(t, 1, alone.Fenced, "")
	if a.IsClear(1, epoch5) || !a.fenced(epoch6) {
		t.Error("clear although a newer epoch was heard")
	}
}

func (n *node) plugVLAN(t *testing.T, id alone.PortID, name string, vlan uint16) {
	t.Helper()
	must(t, n.AddPort(PortConfig{ID: id, Interface: name, VLAN: vlan, Segment: testSegment}))
	n.Carrier(id, true)
}

// TestKernelVLAN: a port of a VLAN hears that VLAN only, tagged as it is on its own wire.
func TestKernelVLAN(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b", "c", "d")
	must(t, f.sw.Trunk("a-eth0", 42), f.sw.Trunk("b-eth0", 42), f.sw.Trunk("d-eth0", 43))
	a, b := f.peer(t, "a", 1, 1), f.peer(t, "b", 1, 2)
	c, d := f.peer(t, "c", 1, 3), f.peer(t, "d", 1, 4)
	a.plugVLAN(t, 1, "eth0", 42)
	b.plugVLAN(t, 1, "eth0", 42)
	c.plug(t, 1, "eth0") // an access port
	d.plugVLAN(t, 1, "eth0", 44)
	eventually(t, "three see each other", func() bool {
		return len(a.port(1).Neighbours) == 2 && len(b.port(1).Neighbours) == 2 && len(c.port(1).Neighbours) == 2 &&
			a.port(1).Neighbours[0].BothWays
	})
	d.becomes(t, 1, alone.Passive, "")
	if !d.seesNobody() || d.port(1).Heard != 0 {
		t.Errorf("another VLAN hears %+v", d.port(1))
	}
}

func TestKernelTwoPortsOnOneWire(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a")
	f.cable(t, "a", "eth1")
	a := f.peer(t, "a", 1, 1)
	a.plug(t, 1, "eth0")
	a.plug(t, 2, "eth1")
	a.becomes(t, 2, alone.Blocked, alone.SameWire)
	a.becomes(t, 1, alone.Passive, "")
}

func TestKernelAnotherNetwork(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b")
	a, b := f.peer(t, "a", 1, 1), f.peer(t, "b", 2, 2)
	a.plug(t, 1, "eth0")
	b.plug(t, 1, "eth0")
	a.becomes(t, 1, alone.Blocked, alone.ForeignNetwork)
	b.becomes(t, 1, alone.Blocked, alone.ForeignNetwork)
}

// TestKernelReflectedFrames: a switch that sends frames back to where they came from. The sender's own copies, as they
// leave, are none of them.
func TestKernelReflectedFrames(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a")
	a := f.peer(t, "a", 1, 1)
	a.plug(t, 1, "eth0")
	a.becomes(t, 1, alone.Passive, "")
	if heard := a.port(1).Heard; heard != 0 {
		t.Fatalf("heard %d frames alone on a wire", heard)
	}
	f.cable(t, "a", "mirror")
	mirror := f.wire(t, "a", "mirror", 0)
	go func() {
		for {
			frame, err := mirror.Receive()
			if err != nil {
				return
			}
			_ = mirror.Send(frame) // what is lost is not reflected
		}
	}()
	a.becomes(t, 1, alone.Blocked, alone.Reflection)
}

// wire opens a plain socket, for tests that speak on their own.
func (f *floor) wire(t testing.TB, host, name string, vlan uint16) Wire {
	t.Helper()
	w, err := inside(f.hosts[host])(PortConfig{Interface: name, VLAN: vlan}, alone.EtherType)
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	return w
}

func TestKernelForgerShutsNothing(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b", "forger")
	a, b := f.peer(t, "a", 1, 1), f.peer(t, "b", 1, 2)
	a.plug(t, 1, "eth0")
	b.plug(t, 1, "eth0")
	a.becomes(t, 1, alone.Passive, "")
	a.Lease(1, epoch5)
	eventually(t, "clear", func() bool { return a.IsClear(1, epoch5) })
	w, sequence := f.wire(t, "forger", "eth0", 0), uint64(0)
	eventually(t, "forged frames are counted", func() bool {
		for _, c := range forgers() {
			sequence++
			must(t, w.Send(forged(c, sequence)))
		}
		if !a.IsClear(1, epoch5) {
			t.Fatalf("a forger shut %+v", a.port(1))
		}
		return a.Drops()["bad_tag"] > 50 && a.Drops()["foreign_network"] > 50
	})
	b.becomes(t, 1, alone.Passive, "")
}

// TestKernelOneWayLoss: the port that is heard by nobody still hears, and says so.
func TestKernelOneWayLoss(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b")
	a, b := f.peer(t, "a", 1, 1), f.peer(t, "b", 1, 2)
	a.plug(t, 1, "eth0")
	b.plug(t, 1, "eth0")
	eventually(t, "both ways", func() bool { return a.sees(2, true) && b.sees(1, true) })
	must(t, f.sw.Fault("a-eth0", netlab.In, netlab.Silent(1)))
	eventually(t, "one way", func() bool { return a.sees(2, false) && b.seesNobody() })
	must(t, f.sw.Mend("a-eth0", netlab.In, 1))
	eventually(t, "both ways again", func() bool { return a.sees(2, true) && b.sees(1, true) })
}

// TestKernelInterfaceComesBack: down and up, then removed and made again.
func TestKernelInterfaceComesBack(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b")
	a, b := f.peer(t, "a", 1, 1), f.peer(t, "b", 1, 2)
	a.plug(t, 1, "eth0")
	b.plug(t, 1, "eth0")
	eventually(t, "both ways", func() bool { return a.sees(2, true) && b.sees(1, true) })
	gone := func() bool { return !a.port(1).Open && !a.port(1).Carrier && b.seesNobody() }
	must(t, f.hosts["a"].Down("eth0"))
	eventually(t, "the interface is down", gone)
	must(t, f.hosts["a"].Up("eth0"))
	eventually(t, "both ways again", func() bool { return a.sees(2, true) && b.sees(1, true) })
	must(t, f.hosts["a"].Remove("eth0"))
	eventually(t, "the interface is gone", gone)
	f.cable(t, "a", "eth0")
	eventually(t, "both ways at last", func() bool { return a.sees(2, true) && b.sees(1, true) })
	if p := a.port(1); p.Losses != 2 || p.Problem != "" || !a.shutFor(CarrierLost) {
		t.Errorf("%+v", p)
	}
}

// TestKernelKilledNeighbour: SIGKILL lets nobody say goodbye.
func TestKernelKilledNeighbour(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b")
	a := f.peer(t, "a", 1, 1)
	a.plug(t, 1, "eth0")
	for boot := range 2 {
		kill := f.process(t, "b", boot+1)
		eventually(t, "a process is seen", func() bool { return a.sees(2, true) })
		kill()
		eventually(t, "its silence is seen", a.seesNobody)
	}
	a.becomes(t, 1, alone.Passive, "")
}

// process starts peer 2 as a process of its own.
func (f *floor) process(t *testing.T, host string, boot int) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+strconv.Itoa(boot))
	life, err := cmd.StdinPipe() // ends with this process, however it ends
	must(t, err)
	must(t, f.hosts[host].Start(cmd))
	kill = func() {
		_ = cmd.Process.Kill() // fails only on a second call
		_ = cmd.Wait()         // says that it was killed
		_ = life.Close()       // closed by Wait
	}
	t.Cleanup(kill)
	return kill
}

func helper() {
	boot, err := strconv.ParseUint(os.Getenv(helperEnv), 10, 32)
	if err != nil {
		panic(err)
	}
	r := New(Config{Peer: 2, Network: drawbridge.NetworkID{1}, Key: [32]byte{1}, Boot: uint32(boot), Timers: alone.Default})
	if err := r.AddPort(PortConfig{ID: 1, Interface: "eth0", Segment: testSegment}); err != nil {
		panic(err)
	}
	r.Carrier(1, true)
	go func() { panic(r.Run(context.Background())) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestKernelSocketTakesWhatItShould asks the socket itself, filter and all.
func TestKernelSocketTakesWhatItShould(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b")
	hello := func(vlan uint16) drawbridge.Frame {
		b := appendHeader(nil, alone.Group, drawbridge.MAC{2, 9, 9, 9, 9, 9}, vlan, alone.EtherType)
		return append(b, make([]byte, alone.Size)...)
	}
	inner := func(outer, tag uint16) drawbridge.Frame { // another tag protocol, or another EtherType behind the tag
		b := hello(42)
		b[12], b[13], b[16], b[17] = byte(outer>>8), byte(outer), byte(tag>>8), byte(tag)
		return b
	}
	ip := hello(0)
	ip[12], ip[13] = 0x08, 0x00
	lldp := bridgeFrame()
	lldp[5] = 0x0e
	for _, c := range []struct {
		name       string
		frame      drawbridge.Frame
		plain, v42 bool
	}{
		{"hello", hello(0), true, false},
		{"hello of the VLAN", hello(42), true, true},
		{"hello of another VLAN", hello(43), true, false},
		{"hello of an 802.1ad tag", inner(unix.ETH_P_8021AD, alone.EtherType), true, false},
		{"IP", ip, false, false},
		{"IP of the VLAN", inner(unix.ETH_P_8021Q, 0x0800), false, false},
		{"bridge protocol", bridgeFrame(), true, true},
		{"bridge protocol, another group", lldp, false, false},
		{"hello cut short", hello(0)[:60], true, false}, // the machine says no, and counts it
	} {
		for vlan, want := range map[uint16]bool{0: c.plain, 42: c.v42} {
			// The switch would keep 01:80:c2:00:00:00 to itself, so the sender is at the far end of a wire.
			to, from := f.pair(t)
			w, err := inside(f.hosts["a"])(PortConfig{Interface: to, VLAN: vlan}, alone.EtherType)
			must(t, err)
			out, err := inside(f.hosts["b"])(PortConfig{Interface: from}, alone.EtherType)
			must(t, err)
			if took := takes(t, w, out, c.frame, hello(vlan)); took != want {
				t.Errorf("%s: a port with VLAN %d took it: %v, want %v", c.name, vlan, took, want)
			}
			must(t, w.Close(), out.Close(), f.hosts["a"].Remove(to))
		}
	}
}

// TestKernelSocketIgnoresWhatLeaves: also what another socket of the interface sends.
func TestKernelSocketIgnoresWhatLeaves(t *testing.T) {
	t.Parallel() // they mostly wait
	f := newFloor(t, "a", "b")
	w, other, far := f.wire(t, "a", "eth0", 0), f.wire(t, "a", "eth0", 0), f.wire(t, "b", "eth0", 0)
	known := forged(forgers()[0], 1)
	watch := time.AfterFunc(patience, w.Interrupt)
	defer watch.Stop()
	talking(t, far, marked(known, 1), w)
	must(t, other.Send(marked(known, 2)), far.Send(marked(known, 3)))
	for mark := byte(1); mark != 3; {
		got, err := w.Receive()
		must(t, err)
		if mark = got[len(got)-1]; mark == 2 {
			t.Error("heard a frame that left")
		}
	}
}

// talking sends a frame until it is heard: the kernel drops what is sent before it has noticed that a wire is up.
func talking(t *testing.T, from Wire, f drawbridge.Frame, to Wire) {
	t.Helper()
	heard, done := make(chan struct{}), make(chan error)
	go func() {
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for {
			if err := from.Send(f); err != nil {
				done <- err
				return
			}
			select {
			case <-heard:
				done <- nil
				return
			case <-again.C:
			}
		}
	}()
	_, err := to.Receive()
	close(heard)
	must(t, err, <-done)
}

// marked adds an octet of padding, which nobody looks at.
func marked(f drawbridge.Frame, mark byte) drawbridge.Frame {
	return append(bytes.Clone(f), mark)
}

// takes reports whether a socket takes a frame, by what arrives until a known one sent behind it does.
func takes(t *testing.T, to, from Wire, f, known drawbridge.Frame) (took bool) {
	t.Helper()
	watch := time.AfterFunc(patience, to.Interrupt)
	defer watch.Stop()
	talking(t, from, marked(known, 1), to)
	must(t, from.Send(marked(f, 2)), from.Send(marked(known, 3)))
	for {
		got, err := to.Receive()
		must(t, err)
		switch got[len(got)-1] {
		case 2:
			took = true
		case 3:
			return took
		}
	}
}

// pair is a wire without a switch.
func (f *floor) pair(t *testing.T) (to, from string) {
	t.Helper()
	must(t, netlab.Wire(netlab.End{In: f.hosts["a"], Name: "to"}, netlab.End{In: f.hosts["b"], Name: "from"}),
		f.hosts["a"].Silence("to"), f.hosts["b"].Silence("from"))
	return "to", "from"
}
