// Package disks tells which disks a machine has, what is on each, and why one cannot be written to. Somebody in front of a
// screen without a shell chooses by that which one to overwrite, so a disk that is in use is never among those that can be.
package disks

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sector is the unit of sizes in sysfs, in bytes, whatever the disk's own is.
const sector = 512

// Disk is a whole disk.
type Disk struct {
	Name    string `json:"name"`              // sda
	Size    int64  `json:"size"`              // bytes
	Model   string `json:"model,omitempty"`   // as the disk says
	Holds   string `json:"holds"`             // what is on it, for people
	Refused string `json:"refused,omitempty"` // why nothing can be installed on it, with the remedy; empty: it can
}

// Host is where to look. The zero value is of no use: This has the paths of a running system.
type Host struct {
	Sys, Dev, Mounts string
	From             string // disk that the system runs from, such as /dev/sda
	Least            int64  // bytes that an installation needs
}

// This is the machine that we run on.
func This(from string, least int64) Host {
	return Host{Sys: "/sys/block", Dev: "/dev", Mounts: "/proc/self/mountinfo", From: from, Least: least}
}

// notDisks are block devices that are made of something else, or are no place for a system.
var notDisks = []string{"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"}

// List is every disk, in the order of their names.
func (h Host) List() ([]Disk, error) {
	entries, err := os.ReadDir(h.Sys)
	if err != nil {
		return nil, fmt.Errorf("disks of this machine: %w", err)
	}
	mounted, err := h.mounted()
	if err != nil {
		return nil, fmt.Errorf("disks of this machine: %w", err)
	}
	var all []Disk
	for _, e := range entries {
		other := slices.ContainsFunc(notDisks, func(p string) bool { return strings.HasPrefix(e.Name(), p) })
		if d := h.disk(e.Name(), mounted); !other && d.Size > 0 {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b Disk) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Find is the disk of a name, with or without its directory, if it can be written to.
func (h Host) Find(name string) (Disk, error) {
	all, err := h.List()
	if err != nil {
		return Disk{}, err
	}
	name = strings.TrimPrefix(name, h.Dev+"/")
	for _, d := range all {
		switch {
		case d.Name != name:
		case d.Refused != "":
			return d, fmt.Errorf("%s %s", h.Path(d), d.Refused)
		default:
			return d, nil
		}
	}
	return Disk{}, fmt.Errorf("there is no disk %s: a whole disk is wanted, not a partition", name)
}

// Media are the disks and partitions that something could be read from, but for those of the disk that the system runs from.
func (h Host) Media() (names []string, err error) {
	all, err := h.List()
	for _, d := range all {
		if h.Path(d) != h.From {
			names = append(append(names, d.Name), h.partitions(d.Name)...)
		}
	}
	return names, err
}

// Path is the device of a disk.
func (h Host) Path(d Disk) string { return filepath.Join(h.Dev, d.Name) }

func (h Host) disk(name string, mounted map[string]string) Disk {
	d := Disk{Name: name, Size: h.number(name, "size") * sector, Model: strings.Join(strings.Fields(h.text(name, "device/vendor")+" "+h.text(name, "device/model")), " ")}
	f, err := os.Open(h.Path(d))
	if err != nil {
		d.Holds, d.Refused = "unknown", fmt.Sprintf("cannot be read: %v", err)
		return d
	}
	defer f.Close()
	d.Holds = Holds(f, d.Size)
	d.Refused = h.refusal(d, mounted)
	return d
}

// refusal is why a disk cannot be written to.
func (h Host) refusal(d Disk, mounted map[string]string) string {
	if h.Path(d) == h.From {
		return "is the disk that this appliance runs from: choose another one"
	}
	for _, part := range append([]string{"."}, h.partitions(d.Name)...) {
		if at, is := mounted[h.text(d.Name, filepath.Join(part, "dev"))]; is {
			return fmt.Sprintf("is mounted on %s: unmount it first, or start this machine without it", at)
		}
		if by, _ := os.ReadDir(filepath.Join(h.Sys, d.Name, part, "holders")); len(by) > 0 { // no such directory: nobody
			return fmt.Sprintf("is part of %s: take it out of there first", by[0].Name())
		}
	}
	switch {
	case h.number(d.Name, "ro") != 0:
		return "is read-only: take its write protection off"
	case d.Size < h.Least:
		return fmt.Sprintf("is too small: it has %d MiB, and the appliance needs %d", d.Size>>20, h.Least>>20)
	case h.busy(d):
		return "is in use: start this machine without what uses it"
	}
	return ""
}

// busy asks the kernel, which lets nobody claim a disk of which anything is mounted, swapped to or mapped (open(2), O_EXCL).
func (h Host) busy(d Disk) bool {
	f, err := os.OpenFile(h.Path(d), os.O_RDONLY|unix.O_EXCL, 0)
	if err == nil {
		_ = f.Close()
	}
	return errors.Is(err, unix.EBUSY)
}

// partitions are directories of a disk that are partitions of it.
func (h Host) partitions(name string) (parts []string) {
	found, _ := filepath.Glob(filepath.Join(h.Sys, name, name+"*", "partition"))
	for _, p := range found {
		parts = append(parts, filepath.Base(filepath.Dir(p)))
	}
	return parts
}

// mounted tells where each device, as MAJOR:MINOR, is mounted (proc_pid_mountinfo(5)).
func (h Host) mounted() (map[string]string, error) {
	f, err := os.Open(h.Mounts)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	at := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) > 4 {
			at[words[2]] = words[4]
		}
	}
	return at, lines.Err()
}

func (h Host) text(name, attribute string) string {
	f, err := os.Open(filepath.Join(h.Sys, name, attribute))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 4096)) // what cannot be read is not known
	return strings.TrimSpace(string(b))
}

func (h Host) number(name, attribute string) int64 {
	n, err := strconv.ParseInt(h.text(name, attribute), 10, 64)
	if err != nil || n < 0 || n > 1<<53 {
		return 0
	}
	return n
}
