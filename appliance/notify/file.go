package notify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a Store in one file. It is not safe for concurrent use; Spool sees to that.
type File struct {
	path    string
	replace func(dir, name string, content []byte) error
	file    *os.File // nil until something is appended
}

// OpenFile returns the store at path. replace puts content into a file so that a crash leaves the old or the new one.
func OpenFile(path string, replace func(dir, name string, content []byte) error) *File {
	return &File{path: path, replace: replace}
}

var _ Store = (*File)(nil)

// Load implements Store.
func (f *File) Load() ([]byte, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("queue of alerts: %w", err)
	}
	return b, nil
}

// Append implements Store.
func (f *File) Append(b []byte, durable bool) (err error) {
	if f.file == nil {
		if f.file, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			f.file = nil
			return err
		}
	}
	_, err = f.file.Write(b)
	if err == nil && durable {
		err = f.file.Sync()
	}
	return err
}

// Replace implements Store.
func (f *File) Replace(b []byte) error {
	err := f.Close()
	return errors.Join(err, f.replace(filepath.Dir(f.path), filepath.Base(f.path), b))
}

// Close lets go of the file; what is appended later opens it again.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Remove forgets the queue for good.
func (f *File) Remove() error {
	err := errors.Join(f.Close(), os.Remove(f.path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
