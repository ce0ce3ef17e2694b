package descriptor

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// pipe is a file and the end that makes it readable.
func pipe(t *testing.T) (f *File, in int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	f, err := New(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); unix.Close(fds[1]) })
	return f, fds[1]
}

// wait runs Wait as a reader does and tells what it said.
func wait(f *File) <-chan bool {
	said := make(chan bool, 1)
	_, ok := f.Enter()
	go func() {
		if ok {
			ok = f.Wait()
			f.Leave()
		}
		said <- ok
	}()
	return said
}

func TestWaitEndsWithSomethingToRead(t *testing.T) {
	f, in := pipe(t)
	said := wait(f)
	_, _ = unix.Write(in, []byte{1})
	if !<-said {
		t.Error("closing")
	}
}

func TestWakeEndsOneWait(t *testing.T) {
	f, in := pipe(t)
	f.Wake()
	f.Wake()
	if !<-wait(f) {
		t.Error("closing")
	}
	said := wait(f) // both are used up: only the pipe can end it
	_, _ = unix.Write(in, []byte{1})
	if !<-said {
		t.Error("closing")
	}
	if fd, _ := f.Enter(); readable(fd) {
		f.Leave()
		return
	}
	t.Error("the second wait ended before there was something to read")
}

func readable(fd int) bool {
	var b [1]byte
	n, _ := unix.Read(fd, b[:])
	return n == 1
}

func TestCloseEndsTheWaitAndThenTheDescriptor(t *testing.T) {
	f, _ := pipe(t)
	said := wait(f)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if <-said {
		t.Error("not closing")
	}
	if _, ok := f.Enter(); ok {
		t.Error("entered a closed file")
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

// TestTheDescriptorStaysWhileInUse: its number may belong to another file as soon as it is closed.
func TestTheDescriptorStaysWhileInUse(t *testing.T) {
	f, _ := pipe(t)
	fd, _ := f.Enter()
	closed := make(chan error)
	go func() { closed <- f.Close() }()
	for !f.closed.Load() {
		if f.Wait() { // ends by Close's wake at the latest
			continue
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("closed under its user: %v", err)
	}
	f.Leave()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("not closed: %v", err)
	}
}

func TestWaitingAllocatesNothing(t *testing.T) {
	f, _ := pipe(t)
	if n := testing.AllocsPerRun(100, func() {
		f.Wake()
		f.Enter()
		f.Wait()
		f.Leave()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
