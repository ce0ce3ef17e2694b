package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness of the daemon: heartbeats and leases are counted in tens of milliseconds, and a busy host must
// not make a living gateway look dead. It is what the unit file asks for too.
const niceness = -10

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
