package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// TestIPv6 gives an address to a real DHCPv6 client, which was told by a router advertisement where to ask.
func TestIPv6(t *testing.T) {
	b := up(t, "default")
	if _, err := exec.LookPath("dhclient"); err != nil {
		t.Fatalf("%v: install the package isc-dhcp-client (.ci/needs)", err)
	}
	text := strings.Replace(strings.Replace(addressed, "10.43.0.0/24", "fd4d:db53:7:1::/64", 1), "router = \"10.43.0.1\"\n", "", 1)
	_, err := b.api("x").PutConfig(within(t, reachLimit), "*", "", web.ConfigChange{Text: text})
	must(t, err)
	eventually(t, reachLimit, "x may give addresses", func() bool { return b.able(t, "x") })

	dir, h := t.TempDir(), b.host("x1")
	script := filepath.Join(dir, "script")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\necho \"EVENT $reason $new_ip6_address\"\n"), 0o700)) //nolint:gosec // it is run
	cmd := exec.Command("ip", "netns", "exec", h.Netns, "dhclient", "-6", "-d", "-sf", script,
		"-pf", filepath.Join(dir, "pid"), "-lf", filepath.Join(dir, "leases"), "-cf", "/dev/null", h.Interface)
	out, err := cmd.StdoutPipe()
	must(t, err, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	bound := make(chan string, 8)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if words := strings.Fields(lines.Text()); len(words) == 3 && words[0] == "EVENT" && words[1] == "BOUND6" {
				bound <- words[2]
			}
		}
	}()
	select {
	case a := <-bound:
		if row := b.addresses(t, "w")[a]; row.At != "x" || row.Use != "allocated" || !strings.HasPrefix(row.Owner, "duid:") {
			t.Errorf("%s: w says %+v", a, row)
		}
	case <-time.After(reachLimit):
		t.Fatal("the client got no address")
	}
}
