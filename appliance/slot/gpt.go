package slot

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf16"
)

// Partition is an entry of a GPT (UEFI 2.10, 5.3.3). Sizes are in bytes.
type Partition struct {
	Number        int // from 1
	Name          string
	UUID          string
	Offset, Size  int64
	entryPosition int
}

// Table is a GPT that has been read and whose checksums are right.
type Table struct {
	Partitions []Partition
	header     []byte // of the primary, one sector
	entries    []byte
}

// maxEntries bounds what is read of a table that claims to be large.
const maxEntries = 1 << 20

// ErrGPT says that a disk has no partition table that can be trusted.
var ErrGPT = errors.New("no valid GPT")

// ReadTable reads the GPT of a disk of size bytes with sectors of 512 bytes: the primary, or the backup at its end where
// power failed while the primary was written.
func ReadTable(disk io.ReaderAt, size int64) (*Table, error) {
	t, err := readTable(disk, sector)
	if err != nil && size >= 2*align {
		if backup, berr := readTable(disk, size/sector*sector-sector); berr == nil {
			return backup, nil
		}
	}
	return t, err
}

func readTable(disk io.ReaderAt, at int64) (*Table, error) {
	h := make([]byte, sector)
	if _, err := disk.ReadAt(h, at); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	size := le.Uint32(h[12:])
	if string(h[:8]) != "EFI PART" || size < 92 || size > sector || le.Uint32(h[16:]) != headerSum(h[:size]) {
		return nil, ErrGPT
	}
	count, each := le.Uint32(h[80:]), le.Uint32(h[84:])
	if each < 128 || each > 4096 || uint64(count)*uint64(each) > maxEntries {
		return nil, ErrGPT
	}
	entries := make([]byte, count*each)
	if _, err := disk.ReadAt(entries, int64(le.Uint64(h[72:])&(1<<40-1))*sector); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(entries) != le.Uint32(h[88:]) {
		return nil, ErrGPT
	}
	t := &Table{header: h, entries: entries}
	for i := range int(count) {
		if p, ok := partition(entries[i*int(each) : (i+1)*int(each)]); ok {
			p.Number, p.entryPosition = i+1, i*int(each)
			t.Partitions = append(t.Partitions, p)
		}
	}
	return t, nil
}

func headerSum(h []byte) uint32 {
	c := bytes.Clone(h)
	clear(c[16:20])
	return crc32.ChecksumIEEE(c)
}

func partition(e []byte) (p Partition, used bool) {
	if [16]byte(e[:16]) == [16]byte{} {
		return p, false
	}
	le := binary.LittleEndian
	first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
	if last < first || last > 1<<40 {
		return p, false
	}
	var name []uint16
	for i := 56; i < 128 && le.Uint16(e[i:]) != 0; i += 2 {
		name = append(name, le.Uint16(e[i:]))
	}
	return Partition{Name: string(utf16.Decode(name)), UUID: uuid(e[16:32]), Offset: int64(first) * sector, Size: int64(last-first+1) * sector}, true
}

// uuid writes a GUID as Linux does: its first three fields are little-endian.
func uuid(b []byte) string {
	g := []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]}
	s := hex.EncodeToString(append(g, b[8:16]...))
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

// Find is the partition of a name.
func (t *Table) Find(name string) (Partition, error) {
	for _, p := range t.Partitions {
		if p.Name == name {
			return p, nil
		}
	}
	return Partition{}, fmt.Errorf("the disk has no partition %s", name)
}

// Has reports whether a partition of this UUID is on the disk.
func (t *Table) Has(uuid string) bool {
	for _, p := range t.Partitions {
		if strings.EqualFold(p.UUID, uuid) {
			return true
		}
	}
	return false
}

// align is the unit of partition ends, 1 MiB.
const align = 1 << 20

// Write is one stretch of a disk to be written.
type Write struct {
	Offset int64
	Data   []byte
}

// Grow makes the last partition, which must have this name, reach to the end of a disk of size bytes. The writes are in
// the order that power may fail in: the backup first, then the primary's header and entries, which lie in one stretch.
// None: it is as large as it can be.
func (t *Table) Grow(name string, size int64) (Partition, []Write, error) {
	p, err := t.Find(name)
	if err != nil {
		return p, nil, err
	}
	for _, other := range t.Partitions {
		if other.Offset > p.Offset {
			return p, nil, fmt.Errorf("partition %s is not the last one of the disk", name)
		}
	}
	le := binary.LittleEndian
	length := int64(len(t.entries)+sector-1) / sector
	lastUsable := size/sector - length - 2
	end := (lastUsable + 1) * sector / align * align
	if end <= p.Offset+p.Size {
		return p, nil, nil
	}
	p.Size = end - p.Offset
	entries, h := bytes.Clone(t.entries), bytes.Clone(t.header)
	le.PutUint64(entries[p.entryPosition+40:], uint64(end/sector-1))
	le.PutUint64(h[24:], 1)
	le.PutUint64(h[32:], uint64(size/sector-1))
	le.PutUint64(h[72:], 2)
	le.PutUint64(h[48:], uint64(lastUsable))
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	sum(h)
	backup := bytes.Clone(h)
	le.PutUint64(backup[24:], uint64(size/sector-1))
	le.PutUint64(backup[32:], 1)
	le.PutUint64(backup[72:], uint64(lastUsable+1))
	sum(backup)
	padded := append(bytes.Clone(entries), make([]byte, int(length)*sector-len(entries))...)
	return p, []Write{{(lastUsable + 1) * sector, append(bytes.Clone(padded), backup...)}, {sector, append(h, padded...)}}, nil
}

// shrink sets the size of a partition of this table, before it grows again.
func (t *Table) shrink(p Partition) {
	binary.LittleEndian.PutUint64(t.entries[p.entryPosition+40:], uint64((p.Offset+p.Size)/sector-1))
	for i := range t.Partitions {
		if t.Partitions[i].Number == p.Number {
			t.Partitions[i] = p
		}
	}
}

// Renew gives disk and partitions new identities, from random, and lets the last partition reach to the end: what a copy
// of a disk needs, so that the two can be told apart in one machine.
func (t *Table) Renew(name string, size int64, random io.Reader) ([]Write, error) {
	if _, err := io.ReadFull(random, t.header[56:72]); err != nil {
		return nil, err
	}
	for _, p := range t.Partitions {
		if _, err := io.ReadFull(random, t.entries[p.entryPosition+16:p.entryPosition+32]); err != nil {
			return nil, err
		}
	}
	_, writes, err := t.Grow(name, size)
	if err == nil && writes == nil {
		err = fmt.Errorf("the disk of %d bytes is too small", size)
	}
	return writes, err
}

func sum(h []byte) {
	binary.LittleEndian.PutUint32(h[16:], headerSum(h[:binary.LittleEndian.Uint32(h[12:])]))
}
