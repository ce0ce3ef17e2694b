package lab

import (
	"errors"
	"os"
	"syscall"

	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// Down removes a lab and everything that it started. One that does not exist is an error.
func Down(name string) error {
	unlock, err := lock(name)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := open(name); errors.Is(err, ErrNoLab) {
		return err
	}
	return remove(name)
}

// remove takes away whatever there is of a lab: its processes, its namespaces with all that runs in them, its folder.
// The folder goes last, because it says what else there is.
func remove(name string) error {
	l, err := open(name)
	if errors.Is(err, ErrNoLab) {
		return os.RemoveAll(labDir(name)) // killed before it wrote its state, so before it made anything else
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range l.Processes {
		errs = append(errs, p.signal(syscall.SIGKILL))
	}
	for _, space := range append(l.plan.spaces(), l.plan.space(stage)) {
		errs = append(errs, unpin(space), netlab.Delete(space))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(labDir(name))
}

// unpin removes what daemons kept in the kernel for their next run in a namespace.
func unpin(space string) error {
	n, err := netlab.Open(space)
	if err != nil {
		return nil // it is not there
	}
	err = n.Do(func() error {
		_, err := kernel.Unpin(kernel.Pins)
		return err
	})
	return errors.Join(err, n.Close())
}
