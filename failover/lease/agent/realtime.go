package agent

import "golang.org/x/sys/unix"

// realtimePriority is above everything that a host runs by default (threaded interrupts have 50), so that a
// busy host cannot make a living gateway miss its renewals. The thread sleeps almost always: 100 wake-ups a
// second of some ten microseconds.
const realtimePriority = 60

// takeRealtime makes the calling thread run before all others (SCHED_FIFO). Threads that it starts do not.
func takeRealtime() error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
}
