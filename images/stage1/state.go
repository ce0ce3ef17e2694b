package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/slot"
)

// mountState mounts the state partition on /var: grown to the end of the disk, checked and repaired, and made where
// there is none or a reset was asked for. With a state that cannot be had the appliance starts with an empty one in
// memory, and says so: nothing on the disk is lost by that, and somebody can look.
func mountState(d disk, p map[string]string) (problem string) {
	if err := state(d, p); err != nil {
		_ = unix.Mount("tmpfs", root+"/var", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=25%")
		return fmt.Sprintf("the state partition cannot be used: %v. Running without it, and not set up; nothing on the disk was changed. To begin anew, choose Factory reset in the boot menu; then restore a backup", err)
	}
	return ""
}

func state(d disk, p map[string]string) error {
	path, part, err := d.find("state")
	if err != nil {
		return err
	}
	if err := grow(d, path, part); err != nil {
		say("state partition stays as small as it is: %v", err)
	}
	blank, err := isBlank(path)
	if err != nil {
		return err
	}
	if blank || reset(d, p) {
		say("making a new state partition")
		if err := tool("/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", "drawbridge", "-m", "1", "-E", "nodiscard,lazy_itable_init=1", path); err != nil {
			return err
		}
		resetDone(d)
	} else if err := check(path); err != nil {
		return err
	}
	if err := unix.Mount(path, root+"/var", "ext4", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME, "errors=remount-ro"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return enlarge(path)
}

// check repairs what a loss of power leaves; fsck.ext4(8) answers 1 and 2 for "repaired".
func check(path string) error {
	err := tool("/sbin/e2fsck", "-p", path)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 4 {
		say("the state partition needs more than the usual repair")
		err = tool("/sbin/e2fsck", "-f", "-y", path)
	}
	if errors.As(err, &exit) && exit.ExitCode() < 4 {
		return nil
	}
	return err
}

// tool runs a program of the root that has just been verified.
func tool(args ...string) error {
	if err := bind("/dev"); err != nil {
		return err
	}
	defer func() { _ = unix.Unmount(root+"/dev", unix.MNT_DETACH) }()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return nil
}

func bind(path string) error { return unix.Mount(path, root+path, "", unix.MS_BIND, "") }

// isBlank reports that nothing was ever here: not a superblock of ext4, and nothing of what follows it in the first MiB. A
// state whose superblock alone was lost is repaired, not made anew.
func isBlank(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	if _, err := f.ReadAt(b, 0); err != nil {
		return false, err
	}
	return len(bytes.Trim(b, "\x00")) == 0, nil
}

// reset reports whether the state is to be made anew: by the boot menu, or by an order that a running system left.
func reset(d disk, p map[string]string) bool {
	if _, ok := p["drawbridge.reset"]; ok {
		return true
	}
	path, _, err := d.find("env")
	if err != nil {
		return false
	}
	s, err := slot.Store{Path: path}.Load()
	return err == nil && s.Reset
}

func resetDone(d disk) {
	path, _, err := d.find("env")
	if err != nil {
		return
	}
	if err := (slot.Store{Path: path}).Change(func(s slot.State) (slot.State, error) { s.Reset = false; return s, nil }); err != nil {
		say("%v", err)
	}
}

// grow lets the partition reach to the end of the disk: in the table, and in what the kernel knows (BLKPG).
func grow(d disk, path string, part slot.Partition) error {
	bigger, writes, err := d.table.Grow("state", d.size)
	if err != nil || writes == nil {
		return err
	}
	f, err := os.OpenFile("/dev/"+d.name, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, w := range writes {
		if _, err := f.WriteAt(w.Data, w.Offset); err != nil {
			return err
		}
	}
	// struct blkpg_partition and blkpg_ioctl_arg (include/uapi/linux/blkpg.h).
	arg := make([]byte, 152)
	binary.LittleEndian.PutUint64(arg, uint64(bigger.Offset))
	binary.LittleEndian.PutUint64(arg[8:], uint64(bigger.Size))
	binary.LittleEndian.PutUint32(arg[16:], uint32(part.Number))
	const blkpg, resizePartition = 0x1269, 3
	request := struct {
		op, flags, length int32
		_                 int32
		data              unsafe.Pointer
	}{op: resizePartition, length: int32(len(arg)), data: unsafe.Pointer(&arg[0])}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), blkpg, uintptr(unsafe.Pointer(&request))); e != 0 {
		return fmt.Errorf("tell the kernel of the larger %s: %w", path, e)
	}
	return nil
}

// enlarge lets the mounted file system fill its partition: ext4 grows while it is used.
func enlarge(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	dir, err := os.Open(root + "/var")
	if err != nil {
		return err
	}
	defer dir.Close()
	var fs unix.Statfs_t
	if err := unix.Statfs(root+"/var", &fs); err != nil {
		return err
	}
	blocks := uint64(size / fs.Bsize)
	const resizeFS = 0x40086610 // EXT4_IOC_RESIZE_FS
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), resizeFS, uintptr(unsafe.Pointer(&blocks))); e != 0 {
		say("the state file system stays as large as it is: %v", e)
	}
	return nil
}

// writable puts memory over /etc, so that nothing drifts, and in it what is kept: the node file, network files, and who
// this machine is.
func writable(d disk, p map[string]string) error {
	if err := unix.Mount("tmpfs", root+"/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=20%"); err != nil {
		return fmt.Errorf("mount /tmp: %w", err)
	}
	if err := os.MkdirAll("/run/etc/upper", 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/etc/work", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("overlay", root+"/etc", "overlay", 0, "lowerdir="+root+"/etc,upperdir=/run/etc/upper,workdir=/run/etc/work"); err != nil {
		return fmt.Errorf("overlay on /etc: %w", err)
	}
	for _, kept := range []string{"drawbridge", "systemd/network"} {
		from, to := root+"/var/lib/drawbridge-etc/"+kept, root+"/etc/"+kept
		if err := errors.Join(os.MkdirAll(from, 0o755), os.MkdirAll(to, 0o755)); err != nil {
			return err
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", to, err)
		}
	}
	boot := fmt.Sprintf("DISK=/dev/%s\nSLOT=%s\nVARIANT=%s\n", d.name, p["drawbridge.slot"], variant())
	for _, name := range []string{"env", "root-a", "root-b", "boot-a", "boot-b"} {
		part, err := d.table.Find(name)
		if err != nil {
			return err
		}
		boot += fmt.Sprintf("%s=%s\n", name, d.device(part))
	}
	_ = os.MkdirAll("/run/drawbridge-boot", 0o755)
	if err := os.WriteFile("/run/drawbridge-boot/slot", []byte(boot), 0o644); err != nil {
		return err
	}
	return machineID()
}

// variant is what this image was built for, as its bundles say too.
func variant() string {
	text, _ := os.ReadFile(root + "/usr/lib/os-release") // without: appliance/slot takes virt
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VARIANT_ID="); ok {
			return v
		}
	}
	return ""
}

// machineID gives the machine an identity of its own at the first start.
func machineID() error {
	kept := root + "/var/lib/drawbridge-etc/machine-id"
	id, err := os.ReadFile(kept)
	if err != nil || len(id) != 33 {
		b := make([]byte, 16)
		if _, err := rand.Read(b); err != nil {
			return err
		}
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // machine-id(5): a random UUID
		id = []byte(hex.EncodeToString(b) + "\n")
		if err := os.WriteFile(kept, id, 0o444); err != nil {
			return err
		}
	}
	return os.WriteFile(root+"/etc/machine-id", id, 0o444)
}
