package warden

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCanariesComeAndGo beside a program that is busy with timers: what the runtime does on the canary's thread, which it
// may use for its own ends while a goroutine of ours waits or ends there, must find its descriptors. A thread that has
// lost them takes the process with it, and says nothing.
func TestCanariesComeAndGo(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	r, w, err := os.Pipe() // there is a poller, which waits
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	go func() { _, _ = r.Read(make([]byte, 1)) }()
	for i := range 10000 {
		// The processor that the canary begins on has the earliest timer: when it is put aside, the poller is woken for it.
		defer time.AfterFunc(time.Hour-time.Duration(i)*100*time.Millisecond, func() {}).Stop()
		c, watched, err := sing()
		if err != nil {
			t.Fatal(err)
		}
		c.kill()
		if n, err := watched.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Fatalf("the pipe of a canary that is dead: %d octets, %v", n, err)
		}
		if err := watched.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACanaryHoldsNothingElse of the process's but what the runtime needs: a socket that it kept open would outlive a close.
func TestACanaryHoldsNothingElse(t *testing.T) {
	var pair [2]int
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	c, watched, err := sing()
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Close()
	defer c.kill()
	if err := unix.Close(pair[1]); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(pair[0], make([]byte, 1)); n != 0 || errors.Is(err, unix.EAGAIN) {
		t.Errorf("the other end of a pipe that was closed is open: %d, %v", n, err)
	}
}
