package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	staged = ".restoring"
	// Before is where Fill keeps what it found, in the state directory, until a peer has started on what it brought.
	Before = ".before-restore"
)

// Fill makes a peer of a machine that is none yet. Other than Restore it leaves the directory itself where it is, which may be a
// mount that its owner cannot replace, and needs no right but to write there. The file named last makes the peer: it comes
// last, so that what was interrupted before it is begun anew.
func (b *Backup) Fill(t Target, last string) error {
	if _, err := os.Stat(filepath.Join(t.StateDir, last)); err == nil {
		return fmt.Errorf("%w: reset it first, then restore", ErrSetUp)
	}
	if !slices.ContainsFunc(b.files, func(f file) bool { return f.name == stateFolder+"/"+last }) {
		return fmt.Errorf("%w: it has no %s", ErrNotBackup, last)
	}
	if err := b.notNewer(t); err != nil {
		return err
	}
	unlock, err := lock(t.StateDir)
	if err != nil {
		return err
	}
	defer unlock()
	stage := filepath.Join(t.StateDir, staged)
	if err := b.stageIn(stage, t); err != nil {
		return errors.Join(err, os.RemoveAll(stage))
	}
	if err := setAside(t.StateDir); err != nil {
		return fmt.Errorf("keep what was there: %w", err)
	}
	if err := b.writeNodeFile(t); err != nil {
		return fmt.Errorf("node file: %w", err)
	}
	return bring(stage, t.StateDir, last)
}

// setAside keeps what an earlier attempt to set up left.
func setAside(dir string) error {
	to := filepath.Join(dir, Before)
	if err := errors.Join(os.RemoveAll(to), os.Mkdir(to, 0o700)); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && e.Name() != "lock" {
			err = errors.Join(err, os.Rename(filepath.Join(dir, e.Name()), filepath.Join(to, e.Name())))
		}
	}
	return err
}

// bring moves what was staged to where it belongs, and what makes the peer once all else is on the disk.
func bring(stage, dir, last string) error {
	entries, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == last {
			continue
		}
		if err := os.Rename(filepath.Join(stage, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(stage, last), filepath.Join(dir, last)); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), os.RemoveAll(stage))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// notNewer refuses what a release wrote that may know more than the one that would have to read it.
func (b *Backup) notNewer(t Target) error {
	if ours, theirs := numbers(t.Software), numbers(b.Software); len(ours) > 0 && len(theirs) > 0 && slices.Compare(theirs, ours) > 0 {
		return fmt.Errorf("%w: %s made it, and this is %s: install that release or a newer one first, then restore", ErrNewer, b.Software, t.Software)
	}
	return nil
}

// numbers are those that a version begins with: 1.2.3+4 has 1, 2 and 3. A version by date, 0~20261121, has two.
func numbers(version string) (all []int) {
	for _, part := range strings.FieldsFunc(version, func(r rune) bool { return r == '.' || r == '~' }) {
		digits, _, more := strings.Cut(part, "+")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return all
		}
		if all = append(all, n); more {
			return all
		}
	}
	return all
}
