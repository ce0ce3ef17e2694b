//go:build image

package images

import (
	"os"
	"path/filepath"
	"testing"
)

// TestHardware starts the hw variant as a server would: e1000e cards, an NVMe disk by UEFI and a SATA disk by BIOS.
func TestHardware(t *testing.T) {
	image := filepath.Join(out, "drawbridge-hw.raw")
	if _, err := os.Stat(image); err != nil {
		t.Fatal("VARIANT=hw make image makes it: ", err)
	}
	for name, m := range map[string]machine{
		"NVMe": {uefi: true, disk: "nvme", nic: "e1000e"},
		"AHCI": {disk: "ahci", nic: "e1000e"},
	} {
		t.Run(name, func(t *testing.T) {
			v := launch(t, m, copyOf(t, image), stick(t))
			v.booted()
			v.expect(untilGood, "END=0")
			v.expect("grep VARIANT= /run/drawbridge-boot/slot", "VARIANT=hw")
			v.expect("drawbridge status", "a .* in network home")
			v.expect("ls -l /sys/class/net/*/device/driver", "e1000e(.|\n)*e1000e")
			v.expect("cat /sys/class/watchdog/watchdog0/identity", "i6300ESB")
			v.expect("systemctl --failed --no-legend", "^END=0")
			v.fingerprint()
		})
	}
}
