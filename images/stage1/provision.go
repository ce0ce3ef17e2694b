package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// handed is where drawbridge provision finds what the operator handed over.
const handed = "/run/drawbridge-provision"

// most bounds what is copied of one file in bytes, and mostBackup a backup: both stay in memory.
const (
	most       = 256 << 10
	mostBackup = 16 << 20
)

// provision hands over what a medium or the kernel command line say about a machine that has no identity yet: the medium
// is mounted here, read-only, so that no service of the system needs the right to. Network files take effect at once.
func provision(d disk, p map[string]string) error {
	leavePorts()
	if _, err := os.Stat(root + "/var/lib/drawbridge/peer.crt"); err == nil {
		return nil
	}
	if err := os.MkdirAll(handed, 0o755); err != nil {
		return err
	}
	uid, gid := owner()
	if err := os.Chown(handed, uid, gid); err != nil { // whoever has taken a secret from it removes that
		return err
	}
	var errs []error
	for _, word := range []string{"token", "network", "name"} {
		if v := p["drawbridge."+word]; v != "" {
			errs = append(errs, hand(word, []byte(v+"\n")))
		}
	}
	blocks, _ := filepath.Glob("/sys/class/block/*")
	for _, b := range blocks {
		path := "/dev/" + filepath.Base(b)
		if kind := labelled(path); kind != "" {
			errs = append(errs, take(path, kind))
		}
	}
	return errors.Join(errs...)
}

// labelled tells the file system of a medium that is named DRAWBRIDGE or, as of NoCloud, cidata.
func labelled(path string) (kind string) {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 512)
	if _, err := f.ReadAt(b, 0); err == nil && b[510] == 0x55 && b[511] == 0xaa && (ours(b[0x2b:0x36]) || ours(b[0x47:0x52])) {
		return "vfat"
	}
	if _, err := f.ReadAt(b, 32768); err == nil && bytes.Equal(b[1:6], []byte("CD001")) && ours(b[40:72]) {
		return "iso9660"
	}
	return ""
}

func ours(label []byte) bool {
	switch strings.ToLower(strings.TrimRight(string(label), " \x00")) {
	case "drawbridge", "cidata":
		return true
	}
	return false
}

// take copies what is known of a medium.
func take(path, kind string) error {
	_ = os.MkdirAll("/mnt", 0o755)
	if err := unix.Mount(path, "/mnt", kind, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	defer func() { _ = unix.Unmount("/mnt", unix.MNT_DETACH) }()
	entries, err := os.ReadDir("/mnt")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		name := strings.ToLower(e.Name())
		limit := most
		if name == "backup" {
			limit = mostBackup
		}
		if about, err := e.Info(); err != nil || about.Size() > int64(limit) {
			continue
		}
		text, err := os.ReadFile("/mnt/" + e.Name())
		switch {
		case err != nil:
			continue
		case name == "drawbridge.toml", name == "token", name == "network", name == "name", name == "backup", name == "passphrase":
			errs = append(errs, hand(name, text))
		case name == "user-data" && bytes.HasPrefix(text, []byte("#drawbridge")): // NoCloud
			errs = append(errs, hand("drawbridge.toml", text))
		case strings.HasSuffix(name, ".network"):
			errs = append(errs, os.WriteFile(root+"/etc/systemd/network/"+name, text, 0o644))
		}
	}
	return errors.Join(errs...)
}

// hand gives a file to the daemon's user, as a token is a secret.
func hand(name string, text []byte) error {
	if err := os.WriteFile(handed+"/"+name, text, 0o600); err != nil {
		return err
	}
	uid, gid := owner()
	return os.Chown(handed+"/"+name, uid, gid)
}

// owner is the daemon's user in the root.
func owner() (uid, gid int) {
	text, _ := os.ReadFile(root + "/etc/passwd")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "drawbridge:x:"); ok {
			_, _ = fmt.Sscanf(rest, "%d:%d:", &uid, &gid)
		}
	}
	return uid, gid
}

// port is a line of the node file that names an interface.
var port = regexp.MustCompile(`(?m)^\s*interface\s*=\s*["']([A-Za-z0-9_.-]{1,15})["']`)

// leavePorts keeps networkd off the interfaces that the node file makes ports: no DHCP request of ours is to be seen on a
// VLAN that we only bridge.
func leavePorts() {
	text, err := os.ReadFile(root + "/etc/drawbridge/drawbridge.toml")
	if err != nil {
		return
	}
	_ = os.MkdirAll("/run/systemd/network", 0o755)
	for _, m := range port.FindAllSubmatch(text, -1) {
		_ = os.WriteFile("/run/systemd/network/10-port-"+string(m[1])+".network",
			fmt.Appendf(nil, "[Match]\nName=%s\n\n[Link]\nUnmanaged=yes\n", m[1]), 0o644)
	}
}
