package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Start is cmd.Start inside the namespace.
func (n *Namespace) Start(cmd *exec.Cmd) error {
	if err := n.Do(cmd.Start); err != nil {
		return fmt.Errorf("start %s in %s: %w", cmd.Path, n.name, err)
	}
	return nil
}

// Run runs a program to its end inside the namespace and returns what it wrote to standard output; an error carries
// what it wrote to standard error.
func (n *Namespace) Run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := n.Start(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s in %s: %w: %s", strings.Join(cmd.Args, " "), n.name, err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Pids are the processes that are inside a namespace.
func Pids(name string) (pids []int, err error) {
	want, err := identity(filepath.Join(Dir, name))
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	for _, path := range found {
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			continue
		}
		if got, err := identity(path); err == nil && got == want { // an error: it ended meanwhile, or is not ours to see
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// identity is the device and inode that distinguish namespaces (namespaces(7)).
func identity(path string) (id [2]uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return id, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return [2]uint64{st.Dev, st.Ino}, nil
}

// killLimit bounds how long the kernel may take to end a killed process.
const killLimit = 5 * time.Second

// KillAll kills every process in a namespace except ourselves and waits until they are gone.
func KillAll(name string) error {
	for deadline := time.Now().Add(killLimit); ; <-time.After(5 * time.Millisecond) {
		pids, err := Pids(name)
		if err != nil {
			return err
		}
		alive := 0
		for _, pid := range pids {
			if pid != os.Getpid() && !Zombie(pid) {
				alive++
				err = errors.Join(err, signal(pid, syscall.SIGKILL))
			}
		}
		if alive == 0 || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes in %s survive SIGKILL for %v", alive, name, killLimit)
		}
	}
}

// signal sends s; that the process is gone is what we wanted anyway.
func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%v to process %d: %w", s, pid, err)
	}
	return nil
}

// StartTime is when a process started, in clock ticks since boot (field 22 of proc_pid_stat(5)). With the pid it
// names one process for good, although pids are used again.
func StartTime(pid int) (uint64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Zombie reports whether a process has ended and only its parent has not noticed; also true of one that is gone. While
// other threads of it are still ending, it holds its files and locks, and is none yet.
func Zombie(pid int) bool {
	fields, err := stat(pid)
	return err != nil || fields[0] == "X" || fields[0] == "Z" && (fields[17] == "0" || fields[17] == "1")
}

// Stopped reports whether a process is held by SIGSTOP.
func Stopped(pid int) bool {
	fields, err := stat(pid)
	return err == nil && fields[0] == "T"
}

// stat is /proc/PID/stat from field 3, the state, on; the command name before it may hold anything, even ')'.
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("process %d: stat has %d fields after the name, want 20 or more", pid, len(fields))
	}
	return fields, nil
}
