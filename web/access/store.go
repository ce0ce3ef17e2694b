package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Store keeps the directory. Load answers from memory: every request asks.
type Store interface {
	Load() (Directory, error)
	// Save replaces version old, or reports ErrStale.
	Save(old uint64, d Directory) error
}

// File is a Store in a file of one host.
type File struct {
	path string

	mu  sync.Mutex // guards what follows
	d   Directory
	err error // why the file cannot be used
}

// maxDirectory bounds what is read, in bytes: 500 users and 1000 tokens take less than half a megabyte.
const maxDirectory = 4 << 20

// OpenFile reads the file at path, or begins with an empty directory when there is none. A file that cannot
// be read is no reason to stop a gateway, and must not look like one without users, or anybody could make the
// first: Load reports it.
func OpenFile(path string) *File {
	f := &File{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return f
	}
	if err == nil {
		f.d, err = parseDirectory(text)
	}
	if err != nil {
		f.err = fmt.Errorf("users: %w: restore %s from a backup, or move it away and restart to begin with a one-time code", err, path)
	}
	return f
}

func parseDirectory(text []byte) (d Directory, err error) {
	if len(text) > maxDirectory {
		return d, fmt.Errorf("%d bytes are too many", len(text))
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		return Directory{}, err
	}
	if in.More() {
		return Directory{}, errors.New("something follows the directory")
	}
	return d, d.Check()
}

// Load implements Store.
func (f *File) Load() (Directory, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.d, f.err
}

// Save implements Store. It returns when the file is on the disk.
func (f *File) Save(old uint64, d Directory) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return f.err
	case f.d.Version != old:
		return ErrStale
	}
	return f.write(d)
}

// replace writes d whatever there was. What could not be read is put aside.
func (f *File) replace(d Directory) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		if err := os.Rename(f.path, f.path+".damaged"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("users: %w", err)
		}
	}
	return f.write(d)
}

func (f *File) write(d Directory) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	if err := writeSecret(f.path, append(text, '\n')); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	f.d, f.err = d, nil
	return nil
}

// writeSecret puts a file in its place whole or not at all, also when the power fails. Only the owner may read it.
func writeSecret(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // made with 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last (rename(2) alone is in the page cache).
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
