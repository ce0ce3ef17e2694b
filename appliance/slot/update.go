package slot

import (
	"errors"
	"fmt"
	"io"
	"os"

	"aead.dev/minisign"
)

// Machine is the appliance that an update is for.
type Machine struct {
	Store         Store
	Running       Name
	Boot, Root    map[Name]string // paths of the partitions
	Variant, Arch string
	Key           minisign.PublicKey
	Reasons       string // path of the file in which a trial that fails says why
	Older         bool   // an update may be older than what runs: an operator asked for it
}

// Progress is told how many bytes of how many are done, of a step.
type Progress func(step string, done, total int64)

// Update puts a bundle into the idle slot and on trial; the next start is its first. The bundle is read twice: once to
// verify every byte, and only then to write. Power may fail at any moment: until the last write, which is one sector, the
// idle slot does not boot, and what runs stays the first. One update at a time: a second one is refused with ErrBusy.
func (m Machine) Update(r io.ReadSeeker, progress Progress) (manifest Manifest, err error) {
	release, err := claim(m.Root[m.Running.Other()])
	if err != nil {
		return Manifest{}, fmt.Errorf("slot %s: %w", m.Running.Other(), err)
	}
	defer func() { err = errors.Join(err, release()) }()
	s, err := m.Store.Load()
	if err != nil {
		return Manifest{}, err
	}
	if err := m.settled(s); err != nil {
		return Manifest{}, err
	}
	manifest, err = m.verify(r, s, progress)
	if err != nil {
		return manifest, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return manifest, err
	}
	if err := m.Store.Change(func(s State) (State, error) { return s.Clear(m.Running), m.settled(s) }); err != nil {
		return manifest, err
	}
	if err := m.write(r, manifest, progress); err != nil {
		return manifest, fmt.Errorf("%w; slot %s stays empty and slot %s goes on", err, m.Running.Other(), m.Running)
	}
	return manifest, m.Store.Change(func(s State) (State, error) { return s.Try(m.Running, manifest.Release), nil })
}

// settled refuses an update while the running slot is on trial itself: the idle one is what it falls back to.
func (m Machine) settled(s State) error {
	if s.Trial(m.Running) {
		return fmt.Errorf("%w: wait until slot %s is marked good, or restart to fall back", ErrTrial, m.Running)
	}
	return nil
}

// verify reads all of a bundle and writes nothing.
func (m Machine) verify(r io.ReadSeeker, s State, progress Progress) (Manifest, error) {
	b, err := Open(r, m.Key)
	if err != nil {
		return Manifest{}, err
	}
	newest := s.Slots[m.Running].Version
	if m.Older {
		newest = 0
	}
	if err := b.Fits(m.Variant, m.Arch, newest); err != nil {
		return b.Manifest, err
	}
	if err := m.roomy(b.Manifest); err != nil {
		return b.Manifest, err
	}
	return b.Manifest, b.images(io.Discard, io.Discard, "verify", progress)
}

// roomy refuses images that are larger than their partitions.
func (m Machine) roomy(b Manifest) error {
	for path, i := range map[string]Image{m.Boot[m.Running.Other()]: b.Boot, m.Root[m.Running.Other()]: b.Root} {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("slot %s: %w", m.Running.Other(), err)
		}
		size, err := f.Seek(0, io.SeekEnd)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		if i.Size > size {
			return fmt.Errorf("an image of %d bytes does not fit into %s of %d: write the disk anew with drawbridge install", i.Size, path, size)
		}
	}
	return nil
}

func (b *Bundle) images(root, boot io.Writer, step string, progress Progress) error {
	done := int64(0)
	each := func(n int64) {
		done += n
		progress(step, done, b.Root.Size+b.Boot.Size)
	}
	if err := b.copyImage(root, b.Root, each); err != nil {
		return err
	}
	return b.copyImage(boot, b.Boot, each)
}

func (m Machine) write(r io.Reader, verified Manifest, progress Progress) error {
	b, err := Open(r, m.Key)
	if err != nil {
		return err
	}
	if b.Manifest != verified {
		return fmt.Errorf("%w: it changed while it was read", ErrDamaged)
	}
	root, err := os.OpenFile(m.Root[m.Running.Other()], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	boot, err := os.OpenFile(m.Boot[m.Running.Other()], os.O_WRONLY, 0)
	if err != nil {
		return errors.Join(err, root.Close())
	}
	err = b.images(root, boot, "write", progress)
	return errors.Join(err, root.Sync(), boot.Sync(), root.Close(), boot.Close())
}
