package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mountRoot puts dm-verity over the slot's partition and mounts it. The root hash comes from the loader, with the kernel.
func mountRoot(d disk, p map[string]string) error {
	s := p["drawbridge.slot"]
	if s != "a" && s != "b" {
		return fmt.Errorf("drawbridge.slot=%q on the kernel command line: want a or b", s)
	}
	path, _, err := d.find("root-" + s)
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(p["drawbridge.hashoffset"], 10, 64)
	if err != nil {
		return fmt.Errorf("drawbridge.hashoffset: %w", err)
	}
	if err := verity(path, offset, p["drawbridge.roothash"]); err != nil {
		return err
	}
	_ = os.MkdirAll(root, 0o755)
	if err := unix.Mount("/dev/dm-0", root, "squashfs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount slot %s: %w", s, err)
	}
	return nil
}

// verity makes /dev/dm-0 of a partition that ends with a hash tree. The superblock at the tree's begin is that of
// veritysetup(8); it is not trusted: a wrong value in it gives other hashes.
func verity(path string, offset int64, roothash string) error {
	if _, err := hex.DecodeString(roothash); err != nil || len(roothash) != 64 {
		return fmt.Errorf("drawbridge.roothash: want 64 hexadecimal digits")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sb := make([]byte, 512)
	if _, err := f.ReadAt(sb, offset); err != nil {
		return err
	}
	le := binary.LittleEndian
	saltLen := int(le.Uint16(sb[80:]))
	if string(sb[:6]) != "verity" || saltLen > 256 {
		return errors.New("no verity superblock behind the root: the slot is damaged")
	}
	data, hash, blocks := le.Uint32(sb[64:]), le.Uint32(sb[68:]), le.Uint64(sb[72:])
	if data != 4096 || hash != 4096 {
		return fmt.Errorf("verity blocks of %d and %d bytes, want 4096", data, hash)
	}
	// restart_on_corruption: the loader counts that as a failed start, and falls back to the other slot.
	params := fmt.Sprintf("1 %s %s %d %d %d %d sha256 %s %s 1 restart_on_corruption",
		path, path, data, hash, blocks, offset/int64(hash)+1, roothash, hex.EncodeToString(sb[88:88+saltLen]))
	return mapped("root", blocks*uint64(data)/512, "verity", params)
}

// ioctls of /dev/mapper/control (include/uapi/linux/dm-ioctl.h).
const (
	dmCreate  = 0xc138fd03
	dmSuspend = 0xc138fd06
	dmLoad    = 0xc138fd09
	dmHeader  = 312
	dmRO      = 1
)

// mapped creates a read-only mapped device with one target.
func mapped(name string, sectors uint64, target, params string) error {
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("device mapper: %w", err)
	}
	defer control.Close()
	for _, step := range []struct {
		request uint
		flags   uint32
		load    bool
	}{{dmCreate, dmRO, false}, {dmLoad, dmRO, true}, {dmSuspend, 0, false}} {
		b := make([]byte, 4096)
		le := binary.LittleEndian
		le.PutUint32(b, 4) // version 4.0.0
		le.PutUint32(b[12:], uint32(len(b)))
		le.PutUint32(b[16:], dmHeader)
		le.PutUint32(b[28:], step.flags)
		copy(b[48:175], name)
		if step.load {
			le.PutUint32(b[20:], 1)
			spec := b[dmHeader:]
			le.PutUint64(spec[8:], sectors)
			copy(spec[24:39], target)
			copy(spec[40:], params)
		}
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, control.Fd(), uintptr(step.request), uintptr(unsafe.Pointer(&b[0]))); e != 0 {
			return fmt.Errorf("device mapper, request %#x: %w", step.request, e)
		}
	}
	return nil
}
