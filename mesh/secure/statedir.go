package secure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Files of a state directory. All are 0600 and replaced whole; certFile is written last, so a directory that
// has one is complete.
const (
	lockFile       = "lock"        // flock; holds the process id of the owner
	keyFile        = "peer.key"    // PEM, PKCS #8
	certFile       = "peer.crt"    // PEM
	networkFile    = "network.crt" // PEM, the authority's certificate
	authorityFile  = "network.key" // PEM, PKCS #8; on voters only
	tokensFile     = "tokens.json" // on voters only
	revocationFile = "revocations" // as Revocations.Snapshot writes it
)

// maxStateFile bounds what is read from any file of the state directory.
const maxStateFile = 16 << 20

// stateDir is a state directory that this process holds the lock of.
type stateDir struct {
	path string

	mu   sync.Mutex
	lock *os.File // nil once given back: from then on another process may write here
}

// lockDir makes the directory when it is missing and takes it for this process alone.
func lockDir(path string) (*stateDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	name := filepath.Join(path, lockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		return nil, lockedError(path, f, err)
	}
	signLock(f)
	return &stateDir{path: path, lock: f}, nil
}

// lockSize is that of any process id with a line's end.
const lockSize = 20

// signLock leaves our process id for whoever finds the lock taken, over the last one's: on a full disk a block that is given up
// is not to be had again. Without it the lock holds all the same, so a full disk keeps no peer from starting.
func signLock(f *os.File) {
	_, _ = fmt.Fprintf(f, "%-*d\n", lockSize-1, os.Getpid())
}

func lockedError(path string, f *os.File, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock state directory %s: %w", path, err)
	}
	var pid [lockSize]byte
	n, _ := f.ReadAt(pid[:], 0) // an empty file: the owner has not written yet
	return fmt.Errorf("state directory %s is held by process %s: stop it, or ask it over its socket: %w",
		path, strings.TrimSpace(string(pid[:n])), ErrLocked)
}

// close gives the lock back; again is harmless.
func (d *stateDir) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

func (d *stateDir) file(name string) string { return filepath.Join(d.path, name) }

func (d *stateDir) has(name string) bool {
	_, err := os.Lstat(d.file(name))
	return err == nil
}

// read returns the whole of a file that only its owner may read. A missing file is fs.ErrNotExist.
func (d *stateDir) read(name string) ([]byte, error) {
	path := d.file(name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file: %w", path, ErrState)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 %s; if somebody may have copied it, have the peer forgotten and join anew: %w",
			path, info.Mode().Perm(), path, ErrState)
	case info.Size() > maxStateFile:
		return nil, fmt.Errorf("%s has %d bytes, more than any such file: %w", path, info.Size(), ErrState)
	}
	return os.ReadFile(path)
}

// write replaces a file so that a crash at any moment leaves the old one or the new one, whole.
func (d *stateDir) write(name string, content []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return fmt.Errorf("write %s: the credentials were closed: %w", d.file(name), fs.ErrClosed)
	}
	if err := WriteFile(d.path, name, content); err != nil {
		return fmt.Errorf("write %s: %w", d.file(name), err)
	}
	return nil
}

// WriteFile puts content, for root only, into a file of a state directory: on disk and whole when it returns, or the old
// content. A crash leaves one of both.
func WriteFile(dir, name string, content []byte) error {
	f, err := os.CreateTemp(dir, "."+name+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is none
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
