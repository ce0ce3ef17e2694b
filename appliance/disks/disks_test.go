package disks

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// machine is a host made of files.
type machine struct {
	Host
	t *testing.T
}

func newMachine(t *testing.T) machine {
	t.Helper()
	dir := t.TempDir()
	m := machine{Host{Sys: dir + "/sys", Dev: dir + "/dev", Mounts: dir + "/mounts", From: dir + "/dev/vda", Least: 2 << 20}, t}
	m.put("mounts", "21 1 0:20 / / rw - squashfs /dev/dm-0 ro\n30 21 254:8 / /var rw,nosuid - ext4 /dev/vda8 rw\n31 21 8:17 / /mnt rw - vfat /dev/sdb1 rw\n")
	return m
}

func (m machine) put(name, text string) {
	m.t.Helper()
	path := filepath.Join(filepath.Dir(m.Sys), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		m.t.Fatal(err)
	}
}

// disk puts one into the machine, with attributes and their values.
func (m machine) disk(name, number string, content []byte, more ...string) {
	m.t.Helper()
	m.put("sys/"+name+"/dev", number+"\n")
	m.put("sys/"+name+"/size", strconv.Itoa(len(content)/sector)+"\n")
	m.put("sys/"+name+"/ro", "0\n")
	m.put("dev/"+name, string(content))
	for i := 0; i+1 < len(more); i += 2 {
		m.put("sys/"+name+"/"+more[i], more[i+1]+"\n")
	}
}

func with(at int, mark string) []byte {
	b := make([]byte, 4<<20)
	copy(b[at:], mark)
	return b
}

func TestList(t *testing.T) {
	m := newMachine(t)
	empty := make([]byte, 4<<20)
	m.disk("vda", "254:0", empty)
	m.disk("sda", "8:0", with(1080, "\x53\xef"), "device/vendor", "ATA     ", "device/model", "Samsung SSD 870 ")
	m.disk("sdb", "8:16", empty, "sdb1/dev", "8:17", "sdb1/partition", "1")
	m.disk("sdc", "8:32", empty[:1<<20])
	m.disk("sdd", "8:48", empty, "ro", "1")
	m.disk("nvme0n1", "259:0", empty, "nvme0n1p1/partition", "1", "nvme0n1p1/dev", "259:1", "nvme0n1p1/holders/dm-3/dev", "253:3")
	m.disk("loop0", "7:0", empty)
	m.disk("dm-0", "253:0", empty)
	m.disk("sde", "8:64", nil) // a card reader without a card
	all, err := m.List()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ name, model, holds, refused string }{
		{"nvme0n1", "", "nothing", "is part of dm-3"},
		{"sda", "ATA Samsung SSD 870", "a Linux file system", ""},
		{"sdb", "", "nothing", "is mounted on /mnt: unmount it first"},
		{"sdc", "", "nothing", "is too small: it has 1 MiB, and the appliance needs 2"},
		{"sdd", "", "nothing", "is read-only"},
		{"vda", "", "nothing", "is the disk that this appliance runs from"},
	}
	if len(all) != len(want) {
		t.Fatalf("%+v", all)
	}
	for i, w := range want {
		if d := all[i]; d.Name != w.name || d.Model != w.model || d.Holds != w.holds || !strings.HasPrefix(d.Refused, w.refused) || (w.refused == "") != (d.Refused == "") {
			t.Errorf("%+v, want %+v", d, w)
		}
	}
	for name, says := range map[string]string{"sda": "", m.Dev + "/sda": "", "sdb": "is mounted", "sdb1": "not a partition", "loop0": "there is no disk", "": "there is no disk", "../dev/sda": "there is no disk"} {
		_, err := m.Find(name)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", name, err, says)
		}
	}
}

func TestHolds(t *testing.T) {
	mbr := with(446+4, "\x83\x00\x00\x00\x00\x08\x00\x00\x00\x08\x00\x00")
	copy(mbr[510:], "\x55\xaa")
	for want, b := range map[string][]byte{
		"nothing":                 with(2<<20, "far away"),
		"an encrypted disk":       with(0, "LUKS\xba\xbe"),
		"a Windows file system":   with(3, "NTFS    "),
		"a FAT file system":       with(54, "FAT12   "),
		"1 partition":             mbr,
		"data of an unknown kind": with(700000, "x"),
		"unknown: EOF":            nil,
		"swap space":              with(4086, "SWAPSPACE2"),
	} {
		size := int64(4 << 20)
		if got := Holds(bytes.NewReader(b), size); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzHolds: what is on a disk is not ours to choose.
func FuzzHolds(f *testing.F) {
	f.Add([]byte("EFI PART"))
	f.Add(with(446+4, "\x83")[:1024])
	f.Fuzz(func(t *testing.T, b []byte) {
		if Holds(bytes.NewReader(b), int64(len(b))) == "" {
			t.Error("nothing is said")
		}
	})
}
