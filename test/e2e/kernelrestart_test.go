package e2e

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// renewed is for how long the programs of a daemon that is gone forward at most, and some time for the kernel to be told.
const renewed = 3*time.Second + 500*time.Millisecond

// left lists the interfaces of a node at which programs of the kernel engine are, and its folders of pins.
func (b *bed) left(t *testing.T, node string) (names []string) {
	t.Helper()
	for _, n := range b.Status().Nodes {
		if n.Name != node {
			continue
		}
		ns, err := netlab.Open(n.Netns)
		must(t, err)
		must(t, ns.Do(func() (err error) {
			if names, err = kernel.Left(); err != nil {
				return err
			}
			pins, err := kernel.LeftPins(kernel.Pins)
			names = append(names, pins...)
			return err
		}), ns.Close())
	}
	return names
}

// crossed is how many of a host's broadcasts another one got in a while.
func (b *bed) crossed(t *testing.T, from, to string, d time.Duration) (r probe.Broadcasts, n int) {
	t.Helper()
	c, err := probe.Count(b.hosts)
	must(t, err)
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	must(t, c.Send(ctx, from, 1_000_000, time.Millisecond))
	r, err = c.Finish(quiet)
	must(t, err)
	for _, h := range r.Hosts {
		if h.Host == to {
			n = h.Once + h.Twice
		}
	}
	return r, n
}

// TestARestartInTheKernel: what a killed daemon leaves in the kernel forwards for a moment and no longer, "doctor --clean" removes
// it, and so does the next daemon, which then carries frames as before.
func TestARestartInTheKernel(t *testing.T) {
	pinning(t)
	b := up(t, "default")
	must(t, b.EnterKernel(t.Context()))
	b.reach(t, 0)
	for _, way := range []struct {
		name  string
		clean func()
	}{
		{"the next daemon removes it", func() {}},
		{"the doctor removes it", func() {
			for _, n := range b.Status().Nodes {
				if n.Name != "x" {
					continue
				}
				out, err := exec.Command("nsenter", "--net="+netlab.Dir+"/"+n.Netns, binary, "doctor", "--clean", "--yes").CombinedOutput()
				if names := b.left(t, "x"); err != nil || len(names) > 0 {
					t.Errorf("%v is left: %v: %s", names, err, out)
				}
			}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			must(t, lab.Kill(b.Name, "x"))
			if len(b.left(t, "x")) != 3 {
				t.Errorf("%v is left, want a port, a tunnel and pins", b.left(t, "x"))
			}
			<-time.After(renewed)
			if r, n := b.crossed(t, "x1", "host1", time.Second); n > 0 {
				t.Errorf("the engine of a daemon that is gone for %v forwarded %d of %d frames", renewed, n, r.Sent)
			}
			way.clean()
			must(t, lab.Start(t.Context(), b.Name, "x"))
			b.inKernel(t, "x")
			eventually(t, reachLimit, "broadcasts cross again", func() bool {
				r := b.broadcast(t, 100)
				if !r.Single() {
					t.Errorf("doubled: %+v", r)
				}
				return r.ExactlyOnce()
			})
		})
	}
}

// pinning has this machine keep pins, as systemd does, for as long as anybody uses them.
func pinning(t *testing.T) {
	t.Helper()
	if errors.Is(kernel.CanPin(kernel.Pins), kernel.ErrNoPins) {
		must(t, unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""))
		t.Cleanup(func() { must(t, unix.Unmount("/sys/fs/bpf", unix.MNT_DETACH)) })
	}
}

// fewLost is what a busy host may drop of 1,000 frames a second beside a crash. One that nobody goes on after costs 400 to 1,600.
const fewLost = 50

// TestACrashInTheKernel: a daemon that is killed and started again in time costs neither its own guests nor those that it relays
// for a frame, and doubles none. What it left is gone on with, and by nobody else.
func TestACrashInTheKernel(t *testing.T) {
	pinning(t)
	b := up(t, "line")
	must(t, b.EnterKernel(t.Context()))
	b.reach(t, 0)
	for range 2 { // what was adopted is adopted again
		var streams sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		lost, doubled := make([]int, 2), make([]int, 2)
		for i, to := range []string{"x1", "z1"} {
			streams.Go(func() {
				s, err := probe.Stream(ctx, b.host("w1"), b.host(to).Addrs[0], time.Millisecond)
				if lost[i], doubled[i] = s.Sent-s.Answered, s.Doubled; err != nil {
					t.Error(err)
				}
			})
		}
		<-time.After(time.Second)
		killed := time.Now()
		must(t, lab.Kill(b.Name, "x"), lab.Start(t.Context(), b.Name, "x"))
		away := time.Since(killed)
		b.inKernel(t, "x")
		<-time.After(2 * engine.HoldFor)
		stop()
		streams.Wait()
		t.Logf("x was away for %v: lost %v", away, lost)
		if away > engine.HoldFor-time.Second {
			t.Log("this machine is too busy: the time of the kernel was over before the daemon was back")
			return
		}
		for i := range lost {
			if lost[i] > fewLost || doubled[i] > 0 {
				t.Errorf("lost %v, doubled %v", lost, doubled)
			}
		}
		var log bytes.Buffer
		must(t, lab.Logs(b.Name, "x", &log))
		if !strings.Contains(log.String(), "an earlier run's kernel engine goes on") {
			t.Error("nothing was adopted")
		}
	}
	if r := b.broadcast(t, 100); !r.ExactlyOnce() {
		t.Errorf("broadcasts: %+v", r)
	}
}
