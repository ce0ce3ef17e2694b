package agent

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
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
	runtime.Gosched() // takes a second thread, which is there from now on
	// The end of the pipe is what ends the agent: whoever stops the unit must not take its releases from the daemon.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	var problems []string
	if err := takeRealtime(relax()); err != nil {
		problems = append(problems, fmt.Sprintf("leases are kept without real-time priority, a busy host may lose them: %v", err))
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		problems = append(problems, fmt.Sprintf("the lease agent's memory is not locked, a host that swaps may lose leases: %v", os.NewSyscallError("mlockall", err)))
	}
	return strings.Join(problems, "; ")
}

// idleSlack is how late the monitor of the Go runtime may be woken, which has nothing to do here: it sleeps 10 ms at a time, which would
// be a tenth of the agent's cost. A thread with a real-time priority has no slack.
const idleSlack = "500000000"

// relax gives it to the monitor, and answers all other threads. The monitor is the first thread that a Go program starts: another one that is
// taken for it runs late once in a while, and the monitor itself then costs a little more.
func relax() (others []int) {
	all := threads()
	i := slices.IndexFunc(all, func(id int) bool { return id > os.Getpid() })
	if i < 0 {
		return all
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", all[i]), []byte(idleSlack), 0) // or it costs a little more
	return slices.Delete(all, i, i+1)
}

// takeRealtime makes threads run before all others (SCHED_FIFO), or else as early as may be, and so do those that they start.
//
// The agent's that have nothing to do have it, too, for the agent's may have to wait for one of them: the monitor finds that it has had the
// only processor for long and wants it back, and a goroutine that is locked to its thread gets it again from whatever thread was given it. One
// of ordinary priority let the agent wait for 45 ms beside four busy processes, and the lease was lost (docs/adr/0015).
//
// SCHED_DEADLINE is no better: time that a hypervisor takes away in the middle of a turn is charged to the thread, which
// then waits for hundreds of milliseconds (docs/adr/0015).
func takeRealtime(threads []int) (problem error) {
	for _, id := range threads {
		err := unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority}, 0)
		if err == nil || errors.Is(err, unix.ESRCH) {
			continue
		}
		_ = unix.Setpriority(unix.PRIO_PROCESS, id, nearest) // what it has is what is left
		problem = os.NewSyscallError("sched_setattr", err)
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // if there is no real-time priority
	return problem
}

// threads are those of this process, in the order in which they began unless their numbers have come round.
func threads() (ids []int) {
	tasks, _ := filepath.Glob("/proc/self/task/*")
	for _, t := range tasks {
		if id, err := strconv.Atoi(filepath.Base(t)); err == nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 { // without /proc there is at least this one
		ids = append(ids, unix.Gettid())
	}
	slices.Sort(ids)
	return ids
}
