package lab

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// States of a process, as `lab status` shows them.
const (
	running = "running"
	frozen  = "frozen"
	dead    = "dead"
)

// state of the process of a node or router.
func (p proc) state() string {
	start, err := netlab.StartTime(p.Pid)
	switch {
	case p.Pid == 0 || err != nil || start != p.Start || netlab.Zombie(p.Pid):
		return dead
	case netlab.Stopped(p.Pid):
		return frozen
	}
	return running
}

// signal reaches the whole process group, if it is still that process.
func (p proc) signal(s syscall.Signal) error {
	if p.state() == dead {
		return nil
	}
	if err := syscall.Kill(-p.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%v to process group %d: %w", s, p.Pid, err)
	}
	return nil
}

// environment of everything that runs in a lab: without what would tie it to the service that we may be part of.
func environment(more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", socketVariable, configVariable}, key)
	})
	return append(env, more...)
}

// socketVariable and configVariable tell the command line where the daemon is, and what it went by.
const (
	socketVariable = "DRAWBRIDGE_SOCKET"
	configVariable = "DRAWBRIDGE_CONFIG"
)

// launch starts a program in the namespace of a node or router, in a session of its own, so that it outlives us, with
// its output in the node's log.
func (l *Lab) launch(name string, args ...string) error {
	n, err := netlab.Open(l.plan.space(name))
	if err != nil {
		return err
	}
	defer n.Close()
	return l.detach(name, n.Start, args)
}

// detach starts a program by start, in a session of its own.
func (l *Lab) detach(name string, start func(*exec.Cmd) error, args []string) error {
	d := l.dirOf(name)
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(cmp.Or(l.Updated[name], l.Binary), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = string(d), log, log
	cmd.Env = environment(socketVariable + "=" + d.socket())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := start(cmd); err != nil {
		return err
	}
	at, err := netlab.StartTime(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go cmd.Wait() // so that it leaves no zombie while we live; its end is told by its state
	l.Processes[name] = proc{cmd.Process.Pid, at}
	return l.save()
}

// runIn runs the program with args to its end in a node's namespace; what it says goes to the node's log too.
func (l *Lab) runIn(name string, args ...string) error {
	n, err := netlab.Open(l.plan.space(name))
	if err != nil {
		return err
	}
	defer n.Close()
	var out bytes.Buffer
	cmd := exec.Command(l.Binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = labDir(l.Name), &out, &out
	cmd.Env = environment()
	if err := n.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s on %s: %w: %s", filepath.Base(l.Binary), args[0], name, err, strings.TrimSpace(out.String()))
	}
	return nil
}

// until asks ok again and again until it says yes; an error from it, or the time running out, ends that.
func until(limit time.Duration, ok func() (bool, error)) error {
	for deadline := time.Now().Add(limit * slowness()); ; <-time.After(20 * time.Millisecond) {
		if done, err := ok(); done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return os.ErrDeadlineExceeded
		}
	}
}

// slowness is what limits are multiplied by: an emulated machine is slow (DRAWBRIDGE_LAB_SLOWNESS, test/vm).
func slowness() time.Duration {
	if n, err := strconv.Atoi(os.Getenv("DRAWBRIDGE_LAB_SLOWNESS")); err == nil && n > 0 {
		return time.Duration(n)
	}
	return 1
}

// lastLines is the end of a node's log, for errors.
func (l *Lab) lastLines(name string) string {
	text, err := os.ReadFile(l.dirOf(name).log())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
