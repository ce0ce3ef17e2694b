package backup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"
)

// Backup is one that was read whole: every byte of it is authentic.
type Backup struct {
	Manifest
	files []file
}

// Open reads a backup to its end. Nothing of it is believed, or kept anywhere, before all of it is verified.
func Open(r io.Reader, passphrase string) (*Backup, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, ErrPassphrase
	}
	id.SetMaxWorkFactor(maxWork)
	plain, err := age.Decrypt(r, id)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, ErrPassphrase
	case err != nil:
		return nil, fmt.Errorf("%w (%w)", ErrNotBackup, err)
	}
	b := &Backup{}
	if err := b.read(plain); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Backup) read(plain io.Reader) error {
	limited := &io.LimitedReader{R: plain, N: MaxAll}
	t := tar.NewReader(limited)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrDamaged, err)
		}
		if h.Size > MaxFile || h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%w: entry %q", ErrNotBackup, h.Name)
		}
		content, err := io.ReadAll(t)
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrDamaged, err)
		}
		b.files = append(b.files, file{h.Name, content, h.ModTime})
	}
	if _, err := io.Copy(io.Discard, limited); err != nil || limited.N == 0 { // the last chunk says that it is the last
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return b.check()
}

func (b *Backup) check() error {
	if len(b.files) == 0 || b.files[0].name != manifestName || json.Unmarshal(b.files[0].content, &b.Manifest) != nil || b.Product != product {
		return ErrNotBackup
	}
	if b.Format != Format {
		return fmt.Errorf("the backup has format %d, this program knows %d: restore it with release %s or a newer one", b.Format, Format, b.Software)
	}
	b.files = b.files[1:]
	if len(b.files) != len(b.Files) {
		return fmt.Errorf("%w: %d files, the manifest names %d", ErrDamaged, len(b.files), len(b.Files))
	}
	return nil
}

// NodeFile is the node file as text; nil: the backup has none.
func (b *Backup) NodeFile() []byte { return b.content(nodeFileName) }

func (b *Backup) content(name string) []byte {
	for _, f := range b.files {
		if f.name == name {
			return f.content
		}
	}
	return nil
}

// Target is where a backup is restored to.
type Target struct {
	StateDir, NodeFile string
	PeerID             string // of the identity that is there; empty: none
	Older              bool   // take it although what is there is newer
	Software           string // release that will run there; empty: it does not matter
	Found              string // file in the state directory that has this peer found the group of voters anew; empty: it has not to
}

// Restore replaces the state directory and the node file. What was there is kept beside it, under the name that it answers;
// empty: there was nothing. It is done whole or not at all.
func (b *Backup) Restore(t Target, now time.Time) (kept string, err error) {
	if t.PeerID != "" && t.PeerID != b.PeerID {
		return "", fmt.Errorf("%w: it is of %s (%s), and this host is peer %s: restore it on a host that has no identity, or have this one forgotten (drawbridge peers forget, on another peer) and remove its state directory",
			ErrForeign, b.Peer, b.PeerID, t.PeerID)
	}
	if err := b.notNewer(t); err != nil {
		return "", err
	}
	unlock, err := lock(t.StateDir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if newest := newest(t.StateDir); !t.Older && newest.After(b.Changed) {
		return "", fmt.Errorf("%w: the backup ends at %s, and here something changed at %s; add --older if that is meant",
			ErrOlder, b.Changed.UTC().Format(time.RFC3339), newest.UTC().Format(time.RFC3339))
	}
	stage, err := b.stage(t)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(stage))
	}
	if _, err := os.Stat(t.StateDir); err == nil {
		kept = fmt.Sprintf("%s.before-%s", strings.TrimSuffix(t.StateDir, "/"), now.UTC().Format("20060102T150405"))
		if err := os.Rename(t.StateDir, kept); err != nil {
			return "", errors.Join(err, os.RemoveAll(stage))
		}
	}
	if err := os.Rename(stage, t.StateDir); err != nil {
		return kept, fmt.Errorf("%w; what was there is in %s", err, kept)
	}
	return kept, b.writeNodeFile(t)
}

// stage writes the new state directory beside the old one.
func (b *Backup) stage(t Target) (string, error) {
	dir := strings.TrimSuffix(t.StateDir, "/") + ".restoring"
	return dir, b.stageIn(dir, t)
}

func (b *Backup) stageIn(dir string, t Target) error {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	for _, f := range b.files {
		name, inside := strings.CutPrefix(f.name, stateFolder+"/")
		if !inside {
			continue
		}
		if err := put(filepath.Join(dir, name), f.content, 0o600); err != nil {
			return err
		}
		_ = os.Chtimes(filepath.Join(dir, name), f.changed, f.changed) // or the same backup would be older than itself
	}
	if t.Found == "" {
		return nil
	}
	name := filepath.Join(dir, t.Found)
	return errors.Join(put(name, nil, 0o600), os.Chtimes(name, b.Changed, b.Changed))
}

func put(name string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func (b *Backup) writeNodeFile(t Target) error {
	for _, f := range b.files {
		if f.name == nodeFileName {
			if err := os.MkdirAll(filepath.Dir(t.NodeFile), 0o755); err != nil {
				return err
			}
			fresh := t.NodeFile + ".restoring"
			if err := put(fresh, f.content, 0o644); err != nil { // it holds no secret, and the daemon is not root
				return err
			}
			return os.Rename(fresh, t.NodeFile)
		}
	}
	return nil
}

// newest is when something that a backup keeps changed last in a state directory.
func newest(dir string) (at time.Time) {
	c := Content{StateDir: dir, NodeFile: os.DevNull}
	files, _ := c.collect() // what cannot be read says nothing
	for _, f := range files {
		if f.changed.After(at) {
			at = f.changed
		}
	}
	return at
}

// lock refuses while a daemon runs on the state directory (mesh/secure holds the same lock).
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("a daemon runs on %s: stop it first (systemctl stop drawbridge)", dir)
	}
	return func() { _ = f.Close() }, nil
}
