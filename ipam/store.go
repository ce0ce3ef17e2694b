package ipam

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// The state file of docs/protocol/ipam.md.
const (
	fileHeader  = "drawbridge ipam 1\n"
	frameMagic  = 0xd1b0f11e
	frameHeader = 4 + 4 + 4 + 8
	maxFrame    = 1 << 28 // records of 2 million allocations
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is changes that belong on disk together: a frame of the state file.
type Batch struct {
	Stamp   uint64 // of the last change
	Records []byte
}

func (b Batch) append(out []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, frameMagic)
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.Records)))
	sum := crc32.Update(0, castagnoli, binary.BigEndian.AppendUint64(nil, b.Stamp))
	out = binary.BigEndian.AppendUint32(out, crc32.Update(sum, castagnoli, b.Records))
	out = binary.BigEndian.AppendUint64(out, b.Stamp)
	return append(out, b.Records...)
}

// parseFrame reads the frame at the front of b; n is its length, 0 when there is no whole and valid one.
func parseFrame(b []byte) (f Batch, n int) {
	if len(b) < frameHeader || binary.BigEndian.Uint32(b) != frameMagic {
		return f, 0
	}
	size := int(binary.BigEndian.Uint32(b[4:]))
	if size > maxFrame || size > len(b)-frameHeader {
		return f, 0
	}
	if crc32.Checksum(b[12:frameHeader+size], castagnoli) != binary.BigEndian.Uint32(b[8:]) {
		return f, 0
	}
	return Batch{binary.BigEndian.Uint64(b[12:]), b[frameHeader : frameHeader+size]}, frameHeader + size
}

// parseFile reads the frames of a whole state file. good is how much of it may stay: a torn frame at the end
// was never acknowledged. Damage before a valid frame is an error.
func parseFile(b []byte) (frames []Batch, good int, err error) {
	if len(b) < len(fileHeader) {
		if !bytes.HasPrefix([]byte(fileHeader), b) {
			return nil, 0, fmt.Errorf("it is something else: %w", ErrState)
		}
		return nil, 0, nil // torn when it was made; nothing was in it yet
	}
	if string(b[:len(fileHeader)]) != fileHeader {
		return nil, 0, fmt.Errorf("it begins with %q, want %q: it is of another version or something else: %w", b[:len(fileHeader)], fileHeader, ErrState)
	}
	var stamp uint64
	for at := len(fileHeader); ; {
		f, n := parseFrame(b[at:])
		switch {
		case at == len(b):
			return frames, at, nil
		case n == 0 && validBehind(b[at:]):
			return nil, 0, fmt.Errorf("damaged at octet %d, before changes that were acknowledged; restore nothing, remove this peer's space and admit it anew: %w", at, ErrState)
		case n == 0:
			return frames, at, nil
		case f.Stamp <= stamp:
			return nil, 0, fmt.Errorf("change %d follows change %d at octet %d: parts of two files are mixed: %w", f.Stamp, stamp, at, ErrState)
		}
		stamp = f.Stamp
		frames, at = append(frames, f), at+n
	}
}

// validBehind reports whether a valid frame begins somewhere after the start of b.
func validBehind(b []byte) bool {
	magic := binary.BigEndian.AppendUint32(nil, frameMagic)
	for at := 1; at < len(b); at++ {
		next := bytes.Index(b[at:], magic)
		if next < 0 {
			return false
		}
		at += next
		if _, n := parseFrame(b[at:]); n > 0 {
			return true
		}
	}
	return false
}

// file is what a Store needs of *os.File.
type file interface {
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Store is the state file. It is for one goroutine. After an error it refuses everything: what is on disk is
// then unknown until it is opened again.
type Store struct {
	path        string
	f           file
	size, basis int64
	stamp       uint64
	err         error
}

// OpenStore reads the state file at path, made if it is not there, and locks nobody out: the caller sees to it
// that it has one user. frames is its content in order.
func OpenStore(path string) (s *Store, frames []Batch, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("IPAM state: %w", err)
	}
	s = &Store{path: path, f: f}
	if frames, err = s.recover(f); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("IPAM state %s: %w", path, err), f.Close())
	}
	return s, frames, nil
}

func (s *Store) recover(f *os.File) (frames []Batch, err error) {
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	frames, good, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	if len(frames) > 0 {
		s.stamp = frames[len(frames)-1].Stamp
		s.basis = int64(len(frames[0].Records))
	}
	if good == len(b) && good > 0 {
		s.size = int64(good)
		return frames, nil
	}
	return frames, s.cut(int64(good))
}

// cut ends the file at size, or begins it.
func (s *Store) cut(size int64) error {
	if err := s.f.Truncate(size); err != nil {
		return err
	}
	if size == 0 {
		if _, err := s.f.WriteAt([]byte(fileHeader), 0); err != nil {
			return err
		}
		size = int64(len(fileHeader))
	}
	s.size = size
	return errors.Join(s.f.Sync(), syncFolder(s.path))
}

// syncFolder makes a name in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Write puts a batch on disk: it is there for good when Write returns nil. One batch takes whatever has come
// together while the last one was written (group commit).
func (s *Store) Write(b Batch) error {
	if s.err != nil {
		return s.err
	}
	if b.Stamp <= s.stamp {
		return fmt.Errorf("IPAM state %s: change %d after change %d: %w", s.path, b.Stamp, s.stamp, ErrState)
	}
	frame := b.append(nil)
	_, err := s.f.WriteAt(frame, s.size)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return s.fail(err)
	}
	s.size += int64(len(frame))
	s.stamp = b.Stamp
	return nil
}

// fail remembers an error for good and takes back what may have been written in part.
func (s *Store) fail(err error) error {
	s.err = fmt.Errorf("IPAM state %s cannot be written, no address is given until there is room and the program is started again: %w: %w", s.path, ErrState, err)
	if cut := s.f.Truncate(s.size); cut != nil {
		s.err = errors.Join(s.err, cut)
	}
	return s.err
}

// Bloated reports whether most of the file is history: more than 1 MiB and four times what a snapshot had.
func (s *Store) Bloated() bool { return s.size > 1<<20+4*s.basis }

// Compact replaces the file by one with this snapshot alone. It is whole before it takes the old one's name
// (rename is atomic, POSIX.1-2017 rename).
func (s *Store) Compact(snapshot Batch) error {
	if s.err != nil {
		return s.err
	}
	next, err := s.rewrite(snapshot)
	if err != nil {
		return s.fail(err)
	}
	old := s.f
	s.f, s.stamp = next, max(s.stamp, snapshot.Stamp)
	s.basis = int64(len(snapshot.Records))
	s.size = int64(len(fileHeader)+frameHeader) + s.basis
	return old.Close()
}

func (s *Store) rewrite(snapshot Batch) (*os.File, error) {
	name := s.path + ".new"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(snapshot.append([]byte(fileHeader)), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(name, s.path)
	}
	if err == nil {
		err = syncFolder(s.path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close closes the file. What Write took is on disk already.
func (s *Store) Close() error { return s.f.Close() }

// record is one change of a batch.
type record struct {
	put        bool
	key, value []byte
}

func (r record) append(b []byte) []byte {
	op := byte(2)
	if r.put {
		op = 1
	}
	b = append(b, op)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.key)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.value)))
	return append(append(b, r.key...), r.value...)
}

// parseRecords reads the records of a batch.
func parseRecords(b []byte) (out []record, err error) {
	r := &reader{b: b}
	for len(r.b) > 0 {
		op, key, value := r.u8(), int(r.u16()), int(r.u32())
		if r.short || op < 1 || op > 2 || key == 0 || key+value > len(r.b) {
			return nil, fmt.Errorf("record %d of a frame with a valid sum makes no sense: %w", len(out)+1, ErrState)
		}
		out = append(out, record{op == 1, r.take(key), r.take(value)})
	}
	return out, nil
}
