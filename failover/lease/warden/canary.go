package warden

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// canary is a thread that has one end of a pipe all for itself, so that the pipe ends with the thread. When the process is
// killed, its sockets are closed only after all its threads have found a processor and its memory is given back: 5 to
// 20 ms on a busy host. This thread has real-time priority and a table of descriptors of its own: the other end is told
// within a fraction of a millisecond. That table keeps what the runtime needs on each of its threads.
type canary struct {
	end  *os.File // closing it ends the thread
	done chan struct{}
}

// sing starts the thread and returns the descriptor whose end of file says that the process is gone.
func sing() (c *canary, watched *os.File, err error) {
	var pair, stop [2]int
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	watched = os.NewFile(uintptr(pair[0]), "canary")
	if err := unix.Pipe2(stop[:], unix.O_CLOEXEC); err != nil {
		_ = watched.Close()
		_ = unix.Close(pair[1])
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	c = &canary{end: os.NewFile(uintptr(stop[1]), "end of the canary"), done: make(chan struct{})}
	alone := make(chan error)
	go c.live(pair[1], stop[0], alone)
	err = <-alone
	// The thread has its own by now, or will never have.
	_ = unix.Close(pair[1])
	_ = unix.Close(stop[0])
	if err != nil {
		_ = watched.Close()
		_ = c.end.Close()
		<-c.done
		return nil, nil, err
	}
	return c, watched, nil
}

// canaryPriority is below the agent's, which it wakes.
const canaryPriority = 89

// live ends its thread together with the goroutine, because it is never unlocked from it. That does not work with the
// main thread, whose descriptors are besides what /proc shows of the process: it is kept busy until another one is found.
func (c *canary) live(held, stop int, alone chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		defer runtime.UnlockOSThread()
		elsewhere := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(elsewhere)
			c.live(held, stop, alone)
		}()
		<-elsewhere
		return
	}
	defer close(c.done)
	keep, err := runtimes()
	if err == nil {
		err = os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_FILES))
	}
	if err == nil {
		err = keepOnly(append(keep, held, stop, unix.Stderr))
	}
	realTime(canaryPriority)
	alone <- err
	if err == nil {
		var b [1]byte
		for {
			if _, err := unix.Read(stop, b[:]); err != unix.EINTR {
				break
			}
		}
	}
}

// realTime gives this thread, which only one goroutine may use, a priority above all ordinary ones. A host that refuses makes a
// slower thread, nothing else.
func realTime(priority uint32) {
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
}

// runtimes are the descriptors of this process that the Go runtime may use on any thread, also on one that a goroutine
// is locked to: it wakes its poller when it puts a processor aside, and asks it when it starts the world. If they are not
// there it ends the process, and where standard error is not there either, without a word. They are all of their kinds:
// which of them are the runtime's is its secret.
func runtimes() (fds []int, err error) {
	const dir = "/proc/self/fd"
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	poller := false
	for _, e := range all {
		kind, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil || kind != "anon_inode:[eventpoll]" && kind != "anon_inode:[eventfd]" {
			continue // closed since, or of another kind
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		fds, poller = append(fds, fd), poller || kind == "anon_inode:[eventpoll]"
	}
	if !poller {
		return nil, errNoPoller
	}
	return fds, nil
}

// errNoPoller means that the poller would be made later, and its descriptors be missing on the thread. Nothing that
// has a socket is without one.
var errNoPoller = errors.New("the Go runtime has no poller yet")

// keepOnly closes all descriptors of this thread but some.
func keepOnly(fds []int) error {
	const last = 1<<31 - 1
	slices.Sort(fds)
	from := 0
	for _, fd := range append(fds, last) {
		if fd > from {
			if err := unix.CloseRange(uint(from), uint(fd-1), 0); err != nil {
				return os.NewSyscallError("close_range", err)
			}
		}
		from = max(from, fd+1)
	}
	return nil
}

func (c *canary) kill() {
	_ = c.end.Close()
	<-c.done
}
