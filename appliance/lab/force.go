package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover"
)

// forceEvery is how often a forced gate is opened anew, and forceFor for how long at a time: whoever forces gates and is
// killed leaves them open no longer.
const (
	forceEvery = time.Millisecond
	forceFor   = 5 * time.Millisecond
)

// Force opens the gates of some nodes from outside for a while, all under the highest tenure among them: what no lease and no
// command would do. It is to see what the rest is worth when that has failed. Every node has one segment.
func Force(ctx context.Context, name string, nodes []string, d time.Duration) error {
	l, err := open(name)
	if err != nil {
		return err
	}
	var gates []*forced
	defer func() {
		for _, g := range gates {
			_ = unix.Munmap(g.page) // it is ours
		}
	}()
	highest := uint64(0)
	for _, node := range nodes {
		g, err := findGate(l.Processes[node].Pid)
		if err != nil {
			return fmt.Errorf("gate of %s: %w", node, err)
		}
		gates = append(gates, g)
		highest = max(highest, g.cell.Epoch.Load(), g.cell.Fence.Load())
	}
	tick := time.NewTicker(forceEvery)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; <-tick.C {
		for _, g := range gates {
			g.open(highest)
		}
	}
	return ctx.Err()
}

// forced is the memory of somebody else's gate.
type forced struct {
	page []byte
	cell *failover.Cell
}

func (g *forced) open(epoch uint64) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return
	}
	g.cell.Epoch.Store(epoch)
	if until := uint64(now.Nano()) + uint64(forceFor); until > g.cell.Until.Load() {
		g.cell.Until.Store(until)
	}
}

var errNoGate = errors.New("the process has none, or this kernel does not show it")

// findGate maps the memory of the gate of a process, whether the kernel obeys it or the process alone (failover/gate).
func findGate(pid int) (*forced, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(process)
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, path := range fds {
		if isGate(pid, filepath.Base(path)) {
			var fd int
			if _, err := fmt.Sscan(filepath.Base(path), &fd); err == nil {
				return mapGate(process, fd)
			}
		}
	}
	return nil, errNoGate
}

// isGate recognises a gate's descriptor: a file in memory by its name, a map by its form, as /proc does not tell its name.
func isGate(pid int, fd string) bool {
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd))
	if err != nil || target != "anon_inode:bpf-map" {
		return strings.HasPrefix(target, "/memfd:drawbridge_gate")
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	f := map[string]string{}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			f[key] = strings.TrimSpace(value)
		}
	}
	const array = "2" // BPF_MAP_TYPE_ARRAY (linux/bpf.h)
	return err == nil && f["map_type"] == array && f["max_entries"] == "1" && f["value_size"] == fmt.Sprint(unsafe.Sizeof(failover.Cell{}))
}

func mapGate(process, fd int) (*forced, error) {
	ours, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	defer unix.Close(ours)
	page, err := unix.Mmap(ours, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &forced{page, (*failover.Cell)(unsafe.Pointer(unsafe.SliceData(page)))}, nil
}
