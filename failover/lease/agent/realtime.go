package agent

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// realtimePriority is above everything that a host runs by default (threaded interrupts have 50), and below the kernel's
	// own (99), so that a busy host cannot make a living gateway miss its renewals. The thread sleeps almost always.
	realtimePriority = 90
	// nearest is the niceness of an agent that may not have real-time priority.
	nearest = -20
)

// Environment is what the agent's process must be started with besides: it has one thread that works, so the runtime
// needs one processor and no signals to share it out, and next to no garbage, which is collected at 64 MiB.
var Environment = []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOMEMLIMIT=64MiB"}

// settle makes the process what it is for, and answers what could not be had. The agent's goroutine stays on the thread
// that gets the priority: the runtime would move it whenever a system call lasts, to a thread that has neither the
// priority nor the exact timers, and sleeps to the next tenth of a second.
func settle() (problem string) {
	runtime.LockOSThread()
	runtime.GOMAXPROCS(1)
	// The end of the pipe is what ends the agent: whoever stops the unit must not take its releases from the daemon.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	var problems []string
	if err := takeRealtime(); err != nil {
		problems = append(problems, fmt.Sprintf("leases are kept without real-time priority, a busy host may lose them: %v", err))
	}
	relax()
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		problems = append(problems, fmt.Sprintf("the lease agent's memory is not locked, a host that swaps may lose leases: %v", os.NewSyscallError("mlockall", err)))
	}
	return strings.Join(problems, "; ")
}

// idleSlack is how late the threads of the Go runtime may be woken, which have nothing to do here: its monitor sleeps 10 ms
// at a time, which would be a tenth of the agent's cost.
const idleSlack = "500000000"

// relax gives it to all threads but this one, which gets none (prctl(2), PR_SET_TIMERSLACK).
func relax() {
	self := strconv.Itoa(unix.Gettid())
	tasks, _ := filepath.Glob("/proc/self/task/*") // none: it costs a little more
	for _, t := range tasks {
		if id := filepath.Base(t); id != self {
			_ = os.WriteFile(filepath.Join("/proc", id, "timerslack_ns"), []byte(idleSlack), 0)
		}
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// takeRealtime makes the calling thread run before all others (SCHED_FIFO), or else as early as may be. Threads that it
// starts do not.
//
// SCHED_DEADLINE is no better: time that a hypervisor takes away in the middle of a turn is charged to the thread, which
// then waits for hundreds of milliseconds (docs/adr/0015).
func takeRealtime() error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	if err == nil {
		return nil
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nearest) // what it has is what is left
	return os.NewSyscallError("sched_setattr", err)
}
