package agent

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// settled makes the test's own program what an agent is, for a process can be settled only once.
const settled = "DRAWBRIDGE_TEST_SETTLED"

// TestTheAgentStaysOnItsThread, the only one with real-time priority and exact timers, whatever the runtime has to do
// besides.
func TestTheAgentStaysOnItsThread(t *testing.T) {
	if os.Getenv(settled) != "" {
		stay(t)
		return
	}
	c := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	c.Env = append(append(os.Environ(), Environment...), settled+"=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// stay sleeps in system calls for longer than the monitor thread does, while another goroutine wants the processor. None of the threads for
// which the agent may have to wait has a lower priority.
func stay(t *testing.T) {
	if problem := settle(); problem != "" {
		t.Skip(problem)
	}
	defer waitsForNobody(t)
	defer func(stop chan<- struct{}) { close(stop) }(busy())
	thread := unix.Gettid()
	for i := range 4 {
		ts := unix.NsecToTimespec((300 * time.Millisecond).Nanoseconds())
		if _, err := unix.Ppoll(nil, &ts, nil); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		if now := unix.Gettid(); now != thread {
			t.Fatalf("after %d system calls on thread %d instead of %d", i+1, now, thread)
		}
	}
}

func waitsForNobody(t *testing.T) {
	ordinary := 0
	for _, id := range threads() {
		a, err := unix.SchedGetAttr(id, 0)
		if err == nil && a.Policy != unix.SCHED_FIFO {
			ordinary++
		}
	}
	if ordinary != 1 {
		t.Errorf("%d threads of %d have no real-time priority, want one, the monitor", ordinary, len(threads()))
	}
}

func busy() chan<- struct{} {
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
	}()
	return stop
}
