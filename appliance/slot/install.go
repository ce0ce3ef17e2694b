package slot

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// minState is the least room for the state, in bytes: identity, configuration, logs.
const minState = 32 << 20

// Copy writes the system of this machine, which runs from one disk, to another. While an update is being written it is refused, and
// the other way round: a copy of half a slot would be a disk that the loader takes for a whole one.
func (m Machine) Copy(from, to string, progress Progress) (err error) {
	idle := m.Running.Other()
	release, err := share(m.Root[idle])
	if err != nil {
		return fmt.Errorf("slot %s: %w", idle, err)
	}
	defer func() { err = errors.Join(err, release()) }()
	return Install(from, to, progress)
}

// Install writes the system of one disk to another: loader, both slots and the boot state, not identity and keys. The
// partition table comes last, so that a copy that was cut short is no disk that starts. The kernel refuses a target of which
// anything is in use, and lets nobody use it meanwhile (open(2), O_EXCL).
func Install(from, to string, progress Progress) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s is in use: unmount it, or start this machine without what uses it", to)
	}
	if err != nil {
		return err
	}
	return errors.Join(install(source, target, progress), target.Close())
}

// Needs is how many bytes a disk must have at least for the system of another one.
func Needs(from string) (int64, error) {
	source, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	size, err := source.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	t, err := ReadTable(source, size)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", from, err)
	}
	state, err := t.Find("state")
	return needs(state), err
}

func needs(state Partition) int64 { return state.Offset + minState + 2*align }

func install(source, target *os.File, progress Progress) error {
	sizes := map[*os.File]int64{}
	for _, f := range []*os.File{source, target} {
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		sizes[f] = size
	}
	t, err := ReadTable(source, sizes[source])
	if err != nil {
		return fmt.Errorf("%s: %w", source.Name(), err)
	}
	state, err := t.Find("state")
	if err != nil {
		return err
	}
	if sizes[target] < needs(state) {
		return fmt.Errorf("%s has %d MiB; the appliance needs %d", target.Name(), sizes[target]/align, needs(state)/align)
	}
	state.Size = align // whatever its size is here: it grows at the first start
	t.shrink(state)
	writes, err := t.Renew("state", sizes[target], rand.Reader)
	if err != nil {
		return err
	}
	// No table while the rest is written, and no state: the first start makes one.
	blank := make([]byte, align)
	if err := errors.Join(at(target, blank, 0), at(target, blank, state.Offset)); err != nil {
		return err
	}
	if err := errors.Join(transfer(source, target, align, state.Offset, progress), transfer(source, target, 0, sector, func(string, int64, int64) {}), target.Sync()); err != nil {
		return err
	}
	for _, w := range writes {
		if err := at(target, w.Data, w.Offset); err != nil {
			return err
		}
	}
	return target.Sync()
}

func at(f *os.File, b []byte, offset int64) error {
	_, err := f.WriteAt(b, offset)
	return err
}

func transfer(from, to *os.File, begin, end int64, progress Progress) error {
	buf := make([]byte, 4<<20)
	for begin < end {
		b := buf[:min(int64(len(buf)), end-begin)]
		if _, err := from.ReadAt(b, begin); err != nil {
			return err
		}
		if err := at(to, b, begin); err != nil {
			return err
		}
		begin += int64(len(b))
		progress("copy", begin, end)
	}
	return nil
}
