// Package fat reads the files in the root directory of a FAT file system (Microsoft, "FAT: General Overview of On-Disk Format", 1.03):
// FAT12, 16 and 32 with long names. A stick that somebody puts into an appliance is read by this and not mounted: no service
// of it needs the right to mount, and a medium that was made to harm meets a few bounded loops instead of the kernel.
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxDirectory bounds what is read of the root directory, in bytes: 65536 entries, as many as FAT allows.
const maxDirectory = 65536 * entrySize

// ErrNotFAT says that something else is on the medium, or nothing that can be trusted.
var ErrNotFAT = errors.New("no FAT file system")

// System is a file system that has been looked at.
type System struct {
	Label string
	Files []File // of the root directory, in its order

	disk     io.ReaderAt
	kind     int   // 12, 16, 32
	table    int64 // where the first FAT begins, in bytes
	data     int64 // where cluster 2 begins
	cluster  int64 // bytes
	clusters uint32
}

// File is one of the root directory.
type File struct {
	Name    string
	Size    int64
	Changed time.Time // in whatever zone it was written
	first   uint32
}

// Open reads what there is.
func Open(disk io.ReaderAt) (*System, error) {
	b := make([]byte, 512)
	if _, err := disk.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFAT, err)
	}
	le := binary.LittleEndian
	sector, reserved, entries := int64(le.Uint16(b[11:])), int64(le.Uint16(b[14:])), int64(le.Uint16(b[17:]))
	total, size := int64(le.Uint16(b[19:])), int64(le.Uint16(b[22:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	if size == 0 {
		size = int64(le.Uint32(b[36:]))
	}
	each, fats := int64(b[13]), int64(b[16])
	odd := sector != 512 && sector != 1024 && sector != 2048 && sector != 4096
	if b[510] != 0x55 || b[511] != 0xaa || odd || each == 0 || each&(each-1) != 0 || reserved == 0 || fats == 0 || size == 0 {
		return nil, ErrNotFAT
	}
	root := reserved + fats*size
	rootSectors := (entries*entrySize + sector - 1) / sector
	count := (total - root - rootSectors) / each
	if count < 1 || count > 0x0fffffff {
		return nil, ErrNotFAT
	}
	s := &System{disk: disk, table: reserved * sector, data: (root + rootSectors) * sector, cluster: each * sector, clusters: uint32(count), kind: 32}
	switch {
	case count < 4085:
		s.kind = 12
	case count < 65525:
		s.kind = 16
	}
	var directory []byte
	var err error
	if s.kind == 32 {
		directory, err = s.chain(le.Uint32(b[44:]), -1)
	} else {
		directory = make([]byte, entries*entrySize)
		_, err = disk.ReadAt(directory, root*sector)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: root directory: %w", ErrNotFAT, err)
	}
	s.list(directory)
	return s, nil
}

// Read is the content of a file of at most limit bytes.
func (s *System) Read(f File, limit int64) ([]byte, error) {
	if f.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", f.Name, f.Size, limit)
	}
	if f.Size == 0 {
		return nil, nil
	}
	b, err := s.chain(f.first, f.Size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: copy it anew", f.Name, err)
	}
	return b, nil
}

// chain reads clusters from first on, until there are size bytes; -1: until their end, as of a directory.
func (s *System) chain(first uint32, size int64) (all []byte, err error) {
	limit := size
	if size < 0 {
		limit = maxDirectory
	}
	for at := first; int64(len(all)) < limit; {
		if at < 2 || at-2 >= s.clusters {
			if size < 0 && at >= s.end() {
				return all, nil
			}
			return nil, errors.New("the chain of its clusters is broken")
		}
		b := make([]byte, min(s.cluster, limit-int64(len(all))))
		if _, err := s.disk.ReadAt(b, s.data+int64(at-2)*s.cluster); err != nil {
			return nil, err
		}
		all = append(all, b...)
		if at, err = s.next(at); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// end is the least entry of a table that means "the last cluster".
func (s *System) end() uint32 {
	switch s.kind {
	case 12:
		return 0xff8
	case 16:
		return 0xfff8
	}
	return 0x0ffffff8
}

// next is the entry of the table for a cluster.
func (s *System) next(at uint32) (uint32, error) {
	b := make([]byte, 4)
	switch s.kind {
	case 12:
		if _, err := s.disk.ReadAt(b[:2], s.table+int64(at)*3/2); err != nil {
			return 0, err
		}
		return uint32(binary.LittleEndian.Uint16(b)>>(at%2*4)) & 0xfff, nil
	case 16:
		_, err := s.disk.ReadAt(b[:2], s.table+int64(at)*2)
		return uint32(binary.LittleEndian.Uint16(b)), err
	}
	_, err := s.disk.ReadAt(b, s.table+int64(at)*4)
	return binary.LittleEndian.Uint32(b) & 0x0fffffff, err
}

// Find is the file of a name, whose case does not count.
func (s *System) Find(name string) (File, error) {
	for _, f := range s.Files {
		if strings.EqualFold(f.Name, name) {
			return f, nil
		}
	}
	return File{}, fmt.Errorf("there is no file %s on it any more", name)
}
