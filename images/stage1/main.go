// Command stage1 is the first process of the appliance, in its initial RAM disk: it finds the slot that the loader chose,
// puts dm-verity over it, mounts it with the state partition, and gives way to systemd. It is one static program instead
// of a shell with tools: a third of a second instead of three, and nothing in it that can be logged in to.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// root is where the system is put together.
const root = "/sysroot"

func main() {
	if err := boot(); err != nil {
		say("cannot start this slot: %v", err)
		say("restarting in 5 s; the loader tries the other slot when this one has failed too often")
		time.Sleep(5 * time.Second)
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
		select {}
	}
}

// say writes to the kernel's log, which is on every console.
func say(format string, args ...any) {
	if f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		fmt.Fprintf(f, "<3>drawbridge: "+format, args...)
		_ = f.Close()
	}
}

func boot() error {
	for _, m := range []struct{ kind, path, options string }{{"devtmpfs", "/dev", "mode=0755"}, {"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"tmpfs", "/run", "mode=0755"}} {
		_ = os.MkdirAll(m.path, 0o755)
		if err := unix.Mount(m.kind, m.path, m.kind, unix.MS_NOSUID, m.options); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	p := parameters(string(line))
	d, err := findDisk(p["drawbridge.boot"], 30*time.Second)
	if err != nil {
		return err
	}
	if err := mountRoot(d, p); err != nil {
		return err
	}
	problem := mountState(d, p)
	if err := writable(d, p); err != nil {
		return err
	}
	if problem == "" { // an identity in memory would use the token up
		if err := provision(d, p); err != nil { // a medium that cannot be read is no reason not to start
			problem = fmt.Sprintf("first set-up: %v", err)
		}
	}
	if problem != "" {
		say("%s", problem)
		_ = os.WriteFile("/run/drawbridge-boot/problem", []byte(problem+"\n"), 0o644)
	}
	return enter()
}

// parameters are the words of the kernel command line.
func parameters(line string) map[string]string {
	p := map[string]string{}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		p[name] = value
	}
	return p
}

// enter makes the root what it is, and starts systemd in it.
func enter() error {
	for _, path := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := unix.Mount(path, root+path, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", path, err)
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	_ = os.Chdir("/")
	return unix.Exec("/lib/systemd/systemd", []string{"/sbin/init"}, []string{"TERM=linux", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
}
