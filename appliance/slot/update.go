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
}

// Progress is told how many bytes of how many are done, of a step.
type Progress func(step string, done, total int64)

// Update puts a bundle into the idle slot and on trial; the next start is its first. The bundle is read twice: once to
// verify every byte, and only then to write. Power may fail at any moment: until the last write, which is one sector, the
// idle slot does not boot, and what runs stays the first.
func (m Machine) Update(r io.ReadSeeker, progress Progress) (Manifest, error) {
	s, err := m.Store.Load()
	if err != nil {
		return Manifest{}, err
	}
	if s.Trial(m.Running) {
		return Manifest{}, fmt.Errorf("%w: wait until slot %s is marked good, or restart to fall back", ErrTrial, m.Running)
	}
	manifest, err := m.verify(r, s, progress)
	if err != nil {
		return manifest, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return manifest, err
	}
	s = s.Clear(m.Running)
	if err := m.Store.Save(s); err != nil {
		return manifest, err
	}
	if err := m.write(r, manifest, progress); err != nil {
		return manifest, fmt.Errorf("%w; slot %s stays empty and slot %s goes on", err, m.Running.Other(), m.Running)
	}
	return manifest, m.Store.Save(s.Try(m.Running, manifest.Release))
}

// verify reads all of a bundle and writes nothing.
func (m Machine) verify(r io.ReadSeeker, s State, progress Progress) (Manifest, error) {
	b, err := Open(r, m.Key)
	if err != nil {
		return Manifest{}, err
	}
	if err := b.Fits(m.Variant, m.Arch, s.Slots[m.Running].Version); err != nil {
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
