//go:build image

package images

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// node is a node file that can be healthy in the emulator: its segment is on the second interface.
const node = "name = \"a\"\nconsole = \"0.0.0.0:8630\"\n\n[[segment]]\nname = \"office\"\ninterface = \"ens5\"\nvlan = 42\n"

// calm is one without a segment: on a busy machine the emulator has no time for leases of milliseconds.
const calm = "name = \"a\"\nconsole = \"0.0.0.0:8630\"\n"

func stick(t *testing.T) string {
	return medium(t, map[string]string{"drawbridge.toml": calm, "network": "home\n"})
}

func TestBoot(t *testing.T) {
	for name, uefi := range map[string]bool{"BIOS": false, "UEFI": true} {
		t.Run(name, func(t *testing.T) {
			v := start(t, uefi, newDisk(t), medium(t, map[string]string{"drawbridge.toml": node, "network": "home\n"}))
			shown := v.fingerprint()
			t.Logf("console answers %.1f s after the start of the emulator", time.Since(v.began).Seconds())
			v.booted()
			v.expect("until systemd-analyze; do sleep 1; done; systemd-analyze blame --no-pager | head -12; cat /proc/uptime", "END=0")
			v.expect(untilUp, "END=0")
			v.expect("until drawbridge update status | grep -q 'running, starts next, good'; do sleep 5; done", "END=0")
			v.expect("grep ' / ' /proc/mounts", "/dev/dm-0 / squashfs ro")
			v.expect("df -m /var | tail -1", ` [56]\d\d `)
			v.expect("systemctl --failed --no-legend | wc -l", "^0\n")
			v.expect("systemd-analyze security --threshold=20 drawbridge.service drawbridge-screen.service drawbridge-provision.service drawbridge-setup.service drawbridge-healthy.service drawbridge-update.service >/dev/null", "END=0")
			v.expect("systemctl is-active drawbridge-update.socket; stat -c '%U %a' /run/drawbridge-update.sock", "active\\s+drawbridge 600")
			v.expect("for p in $(cat /sys/fs/cgroup/system.slice/drawbridge.service/cgroup.procs); do cut -d' ' -f40,41 /proc/$p/task/*/stat; done | grep -c '^90 1$'", "^[2-9]\n") // the lease agent's
			v.expect("grep -c Drawbridge /etc/passwd; passwd -S root 2>/dev/null | cut -d' ' -f2", "1\nL")
			v.try("the status screen", func() error {
				text, err := os.ReadFile(v.dir + "/serial")
				if err != nil {
					return err
				}
				return contains(text, "fingerprint  "+shown, "One-time code", "https://10.0.2.15:8630/", "segment      office")
			})
		})
	}
}

// TestFlippedByte changes one bit of the root in a hundred places; the kernel finds it, and nothing of it runs.
func TestFlippedByte(t *testing.T) {
	disk := newDisk(t)
	flip(t, disk, 59*mib) // root-a begins here
	v := start(t, false, disk)
	v.try("the alarm of dm-verity", func() error {
		text, err := os.ReadFile(v.dir + "/serial")
		if err != nil {
			return err
		}
		return contains(text, "is corrupted")
	})
}

func flip(t *testing.T, disk string, root int64) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	for i := range int64(100) {
		at := root + 8192 + i*300_000
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// nextBundle is the same system as a newer release.
func nextBundle(t *testing.T) string {
	t.Helper()
	path := filepath.Join(out, "next.bundle")
	if _, err := os.Stat(path); err != nil {
		t.Fatal("make image-test makes it: ", err)
	}
	return path
}

func TestUpdate(t *testing.T) {
	disk := newDisk(t)
	v := start(t, false, disk, stick(t), nextBundle(t))
	v.booted()
	v.expect("drawbridge update status", "^a .*running, starts next, good")
	v.expect("drawbridge update /usr/bin/drawbridge", "no update bundle(.|\n)*END=1")
	// Through the daemon, which has no right to write a slot: the service beside it has.
	v.expect(untilUp+"; drawbridge update /usr/bin/drawbridge --node a --wait", "refused: this is no update bundle(.|\n)*END=1")
	v.expect("drawbridge update /dev/vdc --node a --wait", "the update is in slot b of a and starts next(.|\n)*END=0")
	v.expect("drawbridge update status", "b  release .*, starts next, on trial")
	v.send("sleep 1; exec systemctl reboot")
	v.try("the loader", func() error {
		if !strings.HasSuffix(v.starts(), "b") {
			return errors.New("slot b was not started")
		}
		return nil
	})
	v.drain()
	v.booted()
	v.expect("grep -c SLOT=b /run/drawbridge-boot/slot", "^1\n")
	v.expect(untilUp+"; until drawbridge update status | grep -q '^b .*running, starts next, good'; do sleep 5; done", "END=0")
	v.expect("drawbridge status", "a .* in network home")
	v.expect("drawbridge update /dev/vdc", "not newer than what runs")
	v.expect("drawbridge update rollback", "slot a starts next")
	v.cut()
	v = start(t, false, disk)
	v.booted()
	v.expect("grep -c SLOT=a /run/drawbridge-boot/slot", "^1\n")
}

// TestBadUpdateFallsBack damages the new slot after it was verified and written: what a release that does not start does.
func TestBadUpdateFallsBack(t *testing.T) {
	disk := newDisk(t)
	v := start(t, false, disk, stick(t), nextBundle(t))
	v.booted()
	v.expect("drawbridge update status", "^a .*running, starts next, good")
	v.expect("drawbridge update /dev/vdc && sync", "END=0")
	v.cut()
	flip(t, disk, (59+128+40)*mib) // root-b
	v = start(t, false, disk)
	v.booted()
	v.expect("grep -c SLOT=a /run/drawbridge-boot/slot", "^1\n")
	v.expect("drawbridge update status", "b  release .*, never became healthy")
}

// stages are the moments of an update at which power fails: what was seen last, and the slot that must start then.
func stages() (all []stage) {
	for _, step := range []string{"verify", "write"} {
		for percent := 0; percent <= 100; percent += 10 {
			s := stage{seen: fmt.Sprintf("%s %d %%", step, percent), slot: "a"}
			if step == "write" && percent >= 50 {
				s.slot = "a or b" // a quick machine has written the last sector before it is cut
			}
			all = append(all, s)
		}
	}
	return append(all, stage{seen: "restart to try it", slot: "b"}, stage{seen: "slot b is started", slot: "b", rebooted: true}, stage{seen: "slot b runs", slot: "b", rebooted: true, up: true})
}

type stage struct {
	seen, slot   string
	rebooted, up bool
}

// TestPowerCuts ends an update at every stage of it. Whatever is left starts, from a whole slot. Every update begins with the same
// machine, as it was suspended once: that saves a start each.
func TestPowerCuts(t *testing.T) {
	cuts, err := strconv.Atoi(os.Getenv("CUTS"))
	if err != nil {
		cuts = 3
	}
	bundle, slots := nextBundle(t), map[string]int{}
	base, memory := newDisk(t), filepath.Join(t.TempDir(), "memory")
	v := start(t, false, base, stick(t))
	v.booted()
	v.expect(untilGood+"; sync", "END=0")
	v.do("systemctl poweroff")
	_ = v.cmd.Wait()
	v = start(t, false, base, bundle)
	v.booted()
	v.expect(untilUp, "END=0")
	v.suspend(memory)
	all := stages()
	for i := range cuts {
		at := all[(i*len(all)/cuts+rand.IntN(1+len(all)/cuts))%len(all)]
		disk := filepath.Join(t.TempDir(), "disk")
		run(t, "cp", "--sparse=always", base, disk)
		v := launch(t, machine{memory: memory}, disk, bundle)
		v.resumed()
		v.cutAt(at)
		v = start(t, false, disk)
		v.booted()
		said := v.expect("cat /run/drawbridge-boot/slot; drawbridge update status", "END=0")
		v.expect("cat /dev/dm-0 >/dev/null", "END=0") // every block of the root is what was signed
		slot := "a"
		if contains([]byte(said), "SLOT=b") == nil {
			slot = "b"
		}
		slots[slot]++
		t.Logf("cut %d, after %q: slot %s starts", i+1, at.seen, slot)
		if !strings.Contains(at.slot, slot) {
			t.Errorf("after %q slot %s starts, want %s", at.seen, slot, at.slot)
		}
		v.cut()
		if err := os.Remove(disk); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("slots that started: %v", slots)
}

// cutAt begins an update and ends it, some milliseconds after a stage was seen.
func (v *vm) cutAt(at stage) {
	v.t.Helper()
	v.send("drawbridge update /dev/vdb && sleep 1 && systemctl reboot")
	if at.rebooted {
		v.try("slot b", func() error {
			if !strings.HasSuffix(v.starts(), "b") {
				return errors.New("not started")
			}
			return nil
		})
		if at.up {
			v.prompt()
		}
	} else {
		v.wait("the update", regexp.QuoteMeta(at.seen))
	}
	<-time.After(time.Duration(rand.Int64N(int64(300 * time.Millisecond))))
	v.cut()
}

// TestReproducible compares two builds.
func TestReproducible(t *testing.T) {
	again := os.Getenv("AGAIN")
	if again == "" {
		again = out
	}
	for _, name := range []string{"drawbridge-virt.raw", "drawbridge-virt.qcow2", "drawbridge-virt.bundle", "drawbridge-virt.spdx.json"} {
		if text, err := exec.CommandContext(t.Context(), "cmp", filepath.Join(out, name), filepath.Join(again, name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestSmallEnough(t *testing.T) {
	info, err := os.Stat(filepath.Join(out, "drawbridge-virt.raw.zst"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes compressed", info.Size())
	if info.Size() > 60_000_000 {
		t.Errorf("%d bytes compressed, want at most 60 MB", info.Size())
	}
}
