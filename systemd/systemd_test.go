package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// manager is a service manager that keeps what it is told.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func told(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestStates(t *testing.T) {
	c := manager(t)
	for want, send := range map[string]func() error{
		"READY=1\nSTATUS=2 peers":     func() error { return Ready("2 peers") },
		"STATUS=x WATCHDOG=trigger":   func() error { return Status("x\nWATCHDOG=trigger") },
		"STOPPING=1\nSTATUS=stopping": Stopping,
		"READY=1":                     Reloaded,
	} {
		if err := send(); err != nil {
			t.Fatal(err)
		}
		if got := told(t, c); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestReloadingHasItsTime(t *testing.T) {
	c := manager(t)
	if err := Reloading(); err != nil {
		t.Fatal(err)
	}
	got := told(t, c)
	var at uint64
	if _, err := fmt.Sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%d", &at); err != nil || at == 0 {
		t.Errorf("told %q: %v", got, err)
	}
}

func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("LISTEN_FDS", "")
	if err := Ready("x"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watchdog(ctx, func() bool { t.Error("asked"); return true }); err != nil {
		t.Error(err)
	}
	if l, err := Listeners(); err != nil || len(l) != 0 {
		t.Errorf("listeners %v: %v", l, err)
	}
}

func TestWatchdogStopsWithTheProcess(t *testing.T) {
	c := manager(t)
	t.Setenv("WATCHDOG_USEC", "3000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked, ended := make(chan int), make(chan error, 1)
	n := 0
	go func() {
		ended <- Watchdog(ctx, func() bool {
			n++
			if n <= 5 { // dead from the third question on
				asked <- n
			}
			return n < 3
		})
	}()
	for want := 1; want <= 5; want++ {
		<-asked
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := Status("end"); err != nil {
		t.Fatal(err)
	}
	var all []string
	for len(all) == 0 || all[len(all)-1] != "STATUS=end" {
		all = append(all, told(t, c))
	}
	if got := strings.Join(all, " "); got != "WATCHDOG=1 WATCHDOG=1 STATUS=end" {
		t.Errorf("told %s", got)
	}
}

// TestListeners hands a socket to this test run again as a child, as systemd would.
func TestListeners(t *testing.T) {
	if os.Getenv("SYSTEMD_TEST_CHILD") != "" {
		t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
		l, err := Listeners()
		if err != nil || l["api"] == nil || os.Getenv("LISTEN_FDS") != "" {
			t.Fatalf("listeners %v: %v", l, err)
		}
		c, err := l["api"].Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestListeners$")
	child.Env = append(os.Environ(), "SYSTEMD_TEST_CHILD=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=api")
	child.ExtraFiles = []*os.File{file}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := c.Read(b); err != nil || string(b) != "hello" {
		t.Errorf("read %q: %v", b, err)
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

func TestUnitHasWhatTheDaemonNeeds(t *testing.T) {
	unit, err := os.ReadFile("units/drawbridge.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Type=notify", "WatchdogSec=", "Restart=", "ExecStart=/usr/bin/drawbridge run", "AF_PACKET", "DeviceAllow=/dev/net/tun", "BindPaths=/dev/net/tun",
		"RuntimeDirectory=drawbridge", "StateDirectory=drawbridge", "LimitRTPRIO=90", "LimitNICE=-20", "LimitMEMLOCK=infinity",
		"\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_BPF\n", "\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_BPF\n",
	} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("no %s", want)
		}
	}
}
