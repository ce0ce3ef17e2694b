package disks

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
)

// look is how much of the beginning of a disk is read, in bytes: superblocks lie within it.
const look = 1 << 20

// marks are what file systems and the like begin with, and where.
var marks = []struct {
	at   int
	mark string
	is   string
}{
	{1080, "\x53\xef", "a Linux file system"},
	{0, "XFSB", "a Linux file system"},
	{65600, "_BHRfS_M", "a Linux file system"},
	{0, "LUKS\xba\xbe", "an encrypted disk"},
	{512, "LABELONE", "a disk of LVM"},
	{3, "NTFS    ", "a Windows file system"},
	{3, "-FVE-FS-", "an encrypted Windows disk"},
	{3, "EXFAT   ", "an exFAT file system"},
	{54, "FAT", "a FAT file system"},
	{82, "FAT32", "a FAT file system"},
	{32769, "CD001", "an image of a CD"},
	{4096 - 10, "SWAPSPACE2", "swap space"},
}

// Holds says for people what is on a disk of size bytes. It is a look at the beginning: that nothing is known there does not
// make a disk empty, and only one whose first MiB is zero is called so.
func Holds(disk io.ReaderAt, size int64) string {
	if t, err := slot.ReadTable(disk, size); err == nil {
		return table(t)
	}
	b := make([]byte, min(look, max(size, 0)))
	if n, err := disk.ReadAt(b, 0); err != nil && n < len(b) {
		return "unknown: " + err.Error()
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return "nothing"
	}
	for _, m := range marks {
		if len(b) > m.at && bytes.HasPrefix(b[m.at:], []byte(m.mark)) {
			return m.is
		}
	}
	if n := mbr(b); n > 0 {
		return drawbridge.Counted(n, "partition")
	}
	return "data of an unknown kind"
}

func table(t *slot.Table) string {
	if _, err := t.Find("root-a"); err == nil {
		if _, err := t.Find("state"); err == nil {
			return "a Drawbridge appliance"
		}
	}
	var names []string
	for _, p := range t.Partitions {
		if p.Name != "" {
			names = append(names, p.Name)
		}
	}
	switch {
	case len(t.Partitions) == 0:
		return "an empty partition table"
	case len(names) == 0:
		return drawbridge.Counted(len(t.Partitions), "partition")
	}
	return drawbridge.Counted(len(t.Partitions), "partition") + ": " + strings.Join(names, ", ")
}

// mbr counts the entries of a partition table of the old kind that are in use.
func mbr(b []byte) (n int) {
	if len(b) < sector || b[510] != 0x55 || b[511] != 0xaa {
		return 0
	}
	for at := 446; at < 510; at += 16 {
		if b[at+4] != 0 && binary.LittleEndian.Uint32(b[at+12:]) != 0 {
			n++
		}
	}
	return n
}
