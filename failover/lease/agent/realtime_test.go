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

// stay sleeps in system calls for longer than the monitor thread does, while another goroutine wants the processor.
func stay(t *testing.T) {
	settle()
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
