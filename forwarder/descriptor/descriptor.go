// Package descriptor holds file descriptors whose reader waits in the kernel instead of in the runtime's poller.
// The kernel then wakes the reader's thread itself, where the poller hands it from thread to thread: a frame that goes
// through two veth pairs and two readers and back takes 26 µs instead of 53 µs (median of 12 on two busy cores).
package descriptor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// File is a non-blocking descriptor that stays open while anybody uses it. Every use is between Enter and Leave.
type File struct {
	fd, wake int // wake is an eventfd(2)
	closed   atomic.Bool
	polled   [2]unix.PollFd // of the one reader
	count    [8]byte        // where it reads the eventfd

	users sync.RWMutex // held shared by users, exclusively by Close
}

// New takes fd over; on an error it is closed.
func New(fd int) (*File, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an eventfd: %w", err), unix.Close(fd))
	}
	f := &File{fd: fd, wake: wake}
	f.polled = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
	return f, nil
}

// Enter keeps the descriptor open until Leave and returns it; not ok: it is closed, and Leave is not due.
func (f *File) Enter() (fd int, ok bool) {
	f.users.RLock()
	if f.closed.Load() {
		f.users.RUnlock()
		return -1, false
	}
	return f.fd, true
}

// Leave ends what Enter began.
func (f *File) Leave() { f.users.RUnlock() }

// Wait returns when there is something to read, an error to fetch, or after Wake; false when the file is closing.
// The one reader calls it between Enter and Leave.
func (f *File) Wait() bool {
	for !f.closed.Load() {
		_, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&f.polled)), uintptr(len(f.polled)), 0, 0, 0, 0)
		if errno != 0 {
			continue // a signal; nothing else can be wrong with the arguments
		}
		if f.polled[1].Revents != 0 {
			_, _ = unix.Read(f.wake, f.count[:])
		}
		return !f.closed.Load()
	}
	return false
}

// Waiting reports whether there is something to read. Anybody may ask.
func (f *File) Waiting() bool {
	fd, ok := f.Enter()
	if !ok {
		return false
	}
	defer f.Leave()
	polled := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(polled[:], 0)
	return err == nil && n == 1 && polled[0].Revents&unix.POLLIN != 0
}

// one is a number that is not 0 in either byte order.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 1}

// Wake makes the present or the next Wait return.
func (f *File) Wake() {
	_, _ = unix.Write(f.wake, one)
}

// Close waits until nobody uses the descriptor, after waking the reader, and closes it.
func (f *File) Close() error {
	if f.closed.Swap(true) {
		return os.ErrClosed
	}
	f.Wake()
	f.users.Lock()
	defer f.users.Unlock()
	return errors.Join(unix.Close(f.fd), unix.Close(f.wake))
}
