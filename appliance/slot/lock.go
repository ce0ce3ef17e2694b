package slot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Why a slot cannot be had now.
var (
	ErrBusy   = errors.New("another update is being installed")
	ErrCopied = errors.New("this system is being copied to another disk")
)

// Change replaces the state by what f makes of it. Whoever else changes it waits (flock(2) on the block's partition), so
// that a confirmation, an update and a rollback at one time do not undo each other. When f refuses, nothing is written.
func (f Store) Change(change func(State) (State, error)) error {
	file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("boot state: %w", err)
	}
	defer file.Close() // which gives the lock back
	if err := retry(func() error { return unix.Flock(int(file.Fd()), unix.LOCK_EX) }); err != nil {
		return fmt.Errorf("lock the boot state %s: %w", f.Path, err)
	}
	s, err := f.Load()
	if err != nil {
		return err
	}
	if s, err = change(s); err != nil {
		return err
	}
	return f.Save(s)
}

// claim takes a slot's partition for one update. The kernel gives it back when the process ends, however it does.
func claim(path string) (release func() error, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = flock(file, unix.LOCK_EX)
	if errors.Is(err, ErrBusy) && flock(file, unix.LOCK_SH) == nil {
		err = fmt.Errorf("%w: wait until it has ended", ErrCopied)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}

// share takes a slot's partition for reading: nobody writes it meanwhile. Several may.
func share(path string) (release func() error, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := flock(file, unix.LOCK_SH); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}

// flock locks a file at once, or not at all.
func flock(file *os.File, how int) error {
	err := retry(func() error { return unix.Flock(int(file.Fd()), how|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: wait until it has ended", ErrBusy)
	}
	return err
}

// retry goes on after a signal, of which Go's runtime sends some.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
