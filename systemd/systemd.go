// Package systemd tells the service manager how this process does: ready, stopping, alive, and what its status
// line says; and takes the sockets that it opened for us. Without systemd all of it does nothing.
package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Ready says that the service does its work. The unit has Type=notify: until then, start is not over.
func Ready(status string) error { return notify("READY=1\nSTATUS=" + line(status)) }

// Reloading says that the service reads its configuration again; Ready, or Reloaded, ends it. The time is the kernel's since the start
// of the machine, by which systemd 253 and later know that it is an answer to the signal that they sent (sd_notify(3)).
func Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

// Reloaded ends what Reloading began.
func Reloaded() error { return notify("READY=1") }

// Stopping says that the service has begun to stop.
func Stopping() error { return notify("STOPPING=1\nSTATUS=stopping") }

// Status is the line that systemctl status shows.
func Status(status string) error { return notify("STATUS=" + line(status)) }

// notify does nothing when no service manager listens.
func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// line keeps a status from smuggling in another assignment.
func line(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' {
			b[i] = ' '
		}
	}
	return string(b)
}

// Watchdog tells the service manager that the process is alive for as long as alive says so, until ctx ends.
// It asks three times per WatchdogSec, so that one slow answer is no restart. Without a watchdog in the unit it
// only waits for ctx.
func Watchdog(ctx context.Context, alive func() bool) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("systemd watchdog: %w", err)
	}
	if limit == 0 {
		<-ctx.Done()
		return nil
	}
	beat := time.NewTicker(limit / 3)
	defer beat.Stop()
	for {
		if alive() {
			if err := notify("WATCHDOG=1"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
	}
}

// Listeners are the sockets that systemd opened for us, by the FileDescriptorName of the socket unit. They can
// be taken once: the environment that named them is cleared, so that no child takes them too.
func Listeners() (map[string]net.Listener, error) {
	defer func() {
		for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			_ = os.Unsetenv(key)
		}
	}()
	all, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("sockets of systemd: %w", err)
	}
	one := map[string]net.Listener{}
	for name, listeners := range all {
		if len(listeners) != 1 || listeners[0] == nil {
			return nil, fmt.Errorf("sockets of systemd: %q names %d stream sockets, want one each", name, len(listeners))
		}
		one[name] = listeners[0]
	}
	return one, nil
}
