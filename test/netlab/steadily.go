package netlab

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// observer is a real-time priority above what a host runs by default, and far below that of the lease agent (90), which
// it must not keep waiting.
const observer = 10

// steadily calls do once per interval until it answers no, on a thread that other processes do not keep waiting where
// that may be had: an observer who is late himself takes his own pause for one of what he looks at. On a host with two
// busy processors an ordinary thread was up to 15 ms late, beside an outage of 38.
func steadily(interval time.Duration, do func() bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread, and with it its priority, ends with this goroutine
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: observer}, 0)
		for next := monotonic(); do(); {
			if next += interval; next < monotonic() {
				next = monotonic() // what is late is not made up for: it would be a burst
			}
			at := unix.NsecToTimespec(int64(next))
			for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
			}
		}
	}()
	<-done
}

func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // never fails, by its contract
	return time.Duration(t.Nano())
}
