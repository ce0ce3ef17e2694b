//go:build image

package images

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// stateAt is where the state partition begins (images/disk).
const stateAt = 355 * mib

// overwrite puts noise, or nothing, over a stretch of a disk.
func overwrite(t *testing.T, disk string, at, size int64, noise bool) {
	t.Helper()
	b := make([]byte, size)
	if noise {
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// started is what the loader says of a slot that it takes; the entry of its menu has no version.
var started = regexp.MustCompile(`Drawbridge [^ ,\n\x1b]+, slot (a|b)`)

// starts are the slots that the loader took so far.
func (v *vm) starts() (slots string) {
	text, _ := os.ReadFile(v.dir + "/serial")
	for _, m := range started.FindAllSubmatch(text, -1) {
		slots += string(m[1])
	}
	return slots
}

// shows waits for words on the status screen.
func (v *vm) shows(words ...string) {
	v.t.Helper()
	v.try("the status screen", func() error {
		text, err := os.ReadFile(v.dir + "/serial")
		if err != nil {
			return err
		}
		return contains([]byte(strings.ReplaceAll(string(escape.ReplaceAll(text, nil)), "\r", "")), words...)
	})
}

// untilUp, untilGood and untilReady wait in the guest. A start of the program costs an emulator seconds of the processor time
// that the daemon needs to come up: systemd is asked first, which is cheap, and the program every five seconds.
const (
	untilUp    = "until systemctl is-active -q drawbridge; do sleep 1; done"
	untilGood  = untilUp + "; until drawbridge update status | grep -q 'running.*good'; do sleep 5; done"
	untilReady = untilUp + "; until drawbridge status | grep -q 'ready *yes'; do sleep 5; done"
)

// TestNeverHealthy is a release that starts, and whose daemon never runs: two trials, then what ran before, and why.
func TestNeverHealthy(t *testing.T) {
	broken := filepath.Join(out, "broken.bundle")
	if _, err := os.Stat(broken); err != nil {
		t.Fatal("make image-test-all makes it: ", err)
	}
	v := start(t, false, newDisk(t), stick(t), broken)
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("drawbridge update /dev/vdc", "is in slot b; restart to try it(.|\n)*END=0")
	v.send("sleep 1; exec systemctl reboot")
	v.try("two trials and the slot before", func() error {
		if s := v.starts(); s != "abba" {
			return fmt.Errorf("the loader took %s, want abba", s)
		}
		return nil
	})
	v.drain()
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("drawbridge update status", "slot b never became healthy and was given up at 20.*:.*drawbridge(.|\n)*END=0")
	v.expect("drawbridge update rollback", "holds no system that was ever healthy(.|\n)*END=1")
	v.shows("the update in slot b never became healthy")
	v.expect("drawbridge status", "a .* in network home")
}

// TestTwoUpdates are begun at one time.
func TestTwoUpdates(t *testing.T) {
	v := start(t, false, newDisk(t), stick(t), nextBundle(t))
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("drawbridge update /dev/vdc >/run/1 2>&1 & until grep -q verify /run/1; do sleep 0.1; done; drawbridge update /dev/vdc", "slot b: another update is being installed: wait until it has ended(.|\n)*END=1")
	v.expect("wait; cat /run/1", "is in slot b; restart to try it")
}

// TestBadSetup hands over files with errors: each is named on the screen, nothing is left behind, and the right files
// still work.
func TestBadSetup(t *testing.T) {
	wrong := "console = \"0.0.0.0:8630\"\n\n[[segment]]\nname = \"office\"\ninterfaces = \"ens5\"\nvlan = 5000\n"
	v := start(t, false, newDisk(t), medium(t, map[string]string{"drawbridge.toml": wrong, "network": "home\n"}))
	v.booted()
	v.shows("first set-up: drawbridge.toml:3:3", "drawbridge.toml:5:1", "drawbridge.toml:6:1", "This machine has not been set up")
	v.expect("find /etc/drawbridge /var/lib/drawbridge -type f | wc -l", "^0\n")
	v.expect("systemctl is-active drawbridge", "inactive")
	for _, c := range []struct{ files, says string }{
		{"rm -f network", "want a file token, to join a network, or a file network"},
		{"echo home >network; echo dbt1x >token", "exactly one of them"},
		{"rm -f network drawbridge.toml; echo nonsense >token", "token: "},
		{"rm -f token; echo 'no name' >network; echo 'console = \"0.0.0.0:8630\"' >drawbridge.toml", "network: "},
		{"echo home >network; echo 'Not A Name' >name", "name: "},
		{"echo 'console = ' >drawbridge.toml; echo a >name", "drawbridge.toml:1:"},
	} {
		// systemd starts nothing more than five times in ten seconds, unless somebody looked at it in between.
		v.expect("cd /run/drawbridge-provision; "+c.files+"; chown -R drawbridge: .; systemctl reset-failed drawbridge-provision; systemctl restart drawbridge-provision; cat /run/drawbridge-setup/problem", "first set-up: .*"+regexp.QuoteMeta(c.says))
		v.expect("find /etc/drawbridge /var/lib/drawbridge -type f -name '[a-z]*' | grep -v /lock | wc -l", "^0\n")
	}
	v.expect("echo 'console = \"0.0.0.0:8630\"' >drawbridge.toml; chown -R drawbridge: .; systemctl restart drawbridge-provision", "END=0")
	v.expect(untilUp+"; drawbridge status", "a .* in network home")
	v.shows("peer         a (", "in network home", "fingerprint")
}

// TestState damages the state partition: a little, which is repaired; and wholly, which is said and left alone until
// somebody asks for a factory reset. Before that its disk is full.
func TestState(t *testing.T) {
	disk := newDisk(t)
	v := start(t, false, disk, stick(t))
	v.booted()
	v.expect(untilGood, "END=0")
	id := v.expect("cat /etc/machine-id", "^[0-9a-f]{32}")
	v.expect("dd if=/dev/zero of=/var/full bs=1M 2>/dev/null; df /var | tail -1", " 100% ")
	v.expect("systemctl restart drawbridge && "+untilReady, "END=0")
	v.shows("the state partition is nearly full")
	v.expect("sync; du -sm /var/log | cut -f1", `^([0-9]|[1-4][0-9])\n`)
	v.cut()

	overwrite(t, disk, stateAt, 4096, false) // the superblock is gone, as after a bad sector
	v = start(t, false, disk)
	v.booted()
	v.expect("cat /etc/machine-id", regexp.QuoteMeta(strings.TrimSpace(strings.Split(id, "\n")[0])))
	v.expect(untilReady+"; drawbridge status", "a .* in network home")
	v.expect("rm /var/full; sync; drawbridge update status", "running, starts next, good")
	v.cut()

	overwrite(t, disk, stateAt, 300*mib, true)
	v = start(t, false, disk, stick(t))
	v.booted()
	v.shows("the state partition cannot be used", "choose Factory reset in the boot menu", "reboot | reset everything")
	v.expect("mount | grep ' /var '", "tmpfs")
	v.expect("ls /var/lib/drawbridge/peer.crt /etc/drawbridge/drawbridge.toml", "END=[12]")
	v.cut()

	menu(t, disk, "reset>yes")
	v = start(t, false, disk, stick(t))
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("mount | grep ' /var '", "ext4")
	v.expect(untilReady+"; drawbridge status", "a .* in network home")
	v.cut()
}

// menu lets the loader take an entry by itself.
func menu(t *testing.T, disk, entry string) {
	t.Helper()
	cfg := filepath.Join(t.TempDir(), "grub.cfg")
	at := fmt.Sprintf("%s@@%d", disk, 2*mib)
	run(t, "mcopy", "-o", "-i", at, "::/grub/grub.cfg", cfg)
	text, err := os.ReadFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^set default=.*`).ReplaceAll(text, []byte(`set default="`+entry+`"`))
	if err := os.WriteFile(cfg, text, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-o", "-i", at, cfg, "::/grub/grub.cfg")
}

// clock answers SNTP (RFC 4330) with the host's time, at the address that the guest takes for a server.
func clock(t *testing.T) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 123})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			if n >= 48 {
				_, _ = c.WriteToUDP(answer(b[:48], time.Now()), from)
			}
		}
	}()
}

func answer(ask []byte, now time.Time) []byte {
	b := make([]byte, 48)
	b[0], b[1], b[2], b[3] = 0x24, 1, ask[2], 0xec // version 4, server, stratum 1
	copy(b[12:], "TEST")
	copy(b[24:32], ask[40:48])
	stamp := uint64(now.Unix()+2208988800)<<32 | uint64(now.Nanosecond())<<32/1e9
	for _, at := range []int{16, 32, 40} {
		for i := range 8 {
			b[at+i] = byte(stamp >> (56 - 8*i))
		}
	}
	return b
}

// TestKeeping looks at what keeps an appliance alive for years, and at what is off.
func TestKeeping(t *testing.T) {
	clock(t)
	ntp := "[Match]\nName=ens4\n\n[Network]\nDHCP=yes\nNTP=10.0.2.2\n"
	disk := newDisk(t)
	v := launch(t, machine{rtc: "2026-01-01T00:00:00"}, disk, medium(t, map[string]string{"drawbridge.toml": calm, "network": "home\n", "10-ntp.network": ntp}))
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("until timedatectl show -p NTPSynchronized --value | grep -q yes; do sleep 1; done; date -u +%F", time.Now().UTC().Format(time.DateOnly))
	v.expect("ls /usr/sbin/sshd /usr/bin/sshd /usr/sbin/dropbear 2>/dev/null | wc -l; ss -Hltn | grep -c ':22 '", "^0\n0\n")
	v.expect("grep ^root: /etc/shadow; grep -c -v ':[!*]' /etc/shadow", "root:!(.|\n)*^0\n")
	// Debian's cloud kernel has no driver of a watchdog in hardware; the one of the hw variant is in TestHardware.
	v.expect("until [ -e /dev/watchdog0 ]; do sleep 1; done; cat /sys/class/watchdog/watchdog0/identity; systemctl show -P RuntimeWatchdogUSec", "Software Watchdog\n1min")
	v.expect("systemctl show -P WatchdogUSec drawbridge", "^10s")
	v.expect("for u in drawbridge drawbridge-healthy drawbridge-screen drawbridge-provision drawbridge-setup drawbridge-reboot drawbridge-reset drawbridge-softdog drawbridge-update; do systemd-analyze security --no-pager --threshold=20 $u.service >/dev/null || echo exposed $u; systemd-analyze verify $u.service || echo wrong $u; done", "^END=0")
	v.expect("id -u drawbridge", "^800\n")
	// A daemon that hangs is replaced.
	v.expect("was=$(systemctl show -P MainPID drawbridge); kill -STOP $was; until [ \"$(systemctl show -P MainPID drawbridge)\" != $was ] && systemctl is-active -q drawbridge; do sleep 1; done; systemctl show -P NRestarts drawbridge", "^[1-9]")
	// A system that hangs is restarted.
	v.expect("until [ \"$(cat /sys/class/watchdog/watchdog0/state)\" = active ]; do sleep 1; done", "END=0")
	v.send("sync; kill -SEGV 1")
	v.try("the watchdog", func() error {
		if s := v.starts(); s != "aa" {
			return fmt.Errorf("the loader took %s", s)
		}
		return nil
	})
	v.drain()
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("drawbridge factory-reset --yes --force", "made anew at the next start")
	v.cut()

	v = start(t, false, disk) // and without a stick
	v.booted()
	v.shows("This machine has not been set up")
	v.expect("ls /var/lib/drawbridge/peer.crt /etc/drawbridge/drawbridge.toml", "END=[12]")
	v.expect(": >/run/drawbridge-orders/reboot", "END=0")
	v.try("the restart that the screen asked for", func() error {
		if v.starts() != "aa" {
			return errors.New("none")
		}
		return nil
	})
}
