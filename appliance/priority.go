package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness of the daemon: heartbeats and leases are counted in tens of milliseconds, and a busy host must
// not make a living gateway look dead. It is what the unit file asks for too.
const niceness = -10

// spareProcessors gives the runtime a processor (a P) more for each thread that waits inside system calls. One
// that comes back from the kernel needs a P to go on; with only as many as there are cores it waits for
// whoever has them. On two cores that cost 40 % of the throughput and a third of the round trip.
func spareProcessors(waiting int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + waiting)
	}
}

// takePriority raises every thread of the process; those to come inherit it from these.
func takePriority() error {
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return fmt.Errorf("thread %s: %w", t, err)
		}
		if now, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil && 20-now <= niceness { // the system call answers 20-nice
			continue
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, niceness); err != nil {
			return os.NewSyscallError("setpriority", err)
		}
	}
	return nil
}
