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
	"time"

	"golang.org/x/sys/unix"
)

// A turn of the agent takes a tenth of a millisecond, and hardly ever are there two in a period. The kernel sees to it that
// it gets that much, before everything else but for the migration of threads, and no more: a tenth of one core, however
// many datagrams a stranger sends.
const (
	deadlineRuntime = 500 * time.Microsecond
	deadlinePeriod  = 5 * time.Millisecond
)

const (
	// realtimePriority is for kernels that give no deadline: above everything that a host runs by default (threaded
	// interrupts have 50), below the kernel's own (99).
	realtimePriority = 90
	// nearest is the niceness of an agent that may have neither.
	nearest = -20
)

// Environment is what the agent's process must be started with besides: it has one thread that works, so the runtime
// needs one processor and no signals to share it out, and next to no garbage, which is collected at 64 MiB.
var Environment = []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOMEMLIMIT=64MiB"}

// settle makes the process what it is for, and answers what could not be had.
func settle() (problem string) {
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

// takeRealtime makes the calling thread run before all others, or else as early as may be. Threads that it starts do not.
//
// SCHED_DEADLINE comes first because SCHED_FIFO is not safe from ordinary programs: since Linux 6.12 the kernel runs them
// for 50 ms before any FIFO thread when they have not had that much of a second (its fair server). That is longer than a
// lease. A deadline of 5 ms comes before the fair server's, which is a second.
func takeRealtime() error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
		Runtime: uint64(deadlineRuntime), Deadline: uint64(deadlinePeriod), Period: uint64(deadlinePeriod),
	}, 0)
	if err == nil {
		return nil
	}
	err = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	if err == nil {
		return nil
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nearest) // what it has is what is left
	return os.NewSyscallError("sched_setattr", err)
}
