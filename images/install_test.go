//go:build image

package images

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// types writes a line where the status screen is. The serial port's file has what the screen shows. The connection is kept: when it
// ends, the emulator forgets what the guest's port, which takes 16 octets at once, has not taken yet.
func (v *vm) types(text string) {
	v.t.Helper()
	v.try("the first serial port", func() (err error) {
		if v.keyboard == nil {
			if v.keyboard, err = net.Dial("unix", v.dir+"/typed"); err != nil {
				return err
			}
			go io.Copy(io.Discard, v.keyboard) // until the emulator ends
		}
		_ = v.keyboard.SetWriteDeadline(time.Now().Add(30 * time.Second))
		_, err = v.keyboard.Write([]byte(text + "\n"))
		return err
	})
}

// usedDisk is a disk of 1 GiB with data of an unknown kind at its beginning.
func usedDisk(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "used")
	if err := errors.Join(os.WriteFile(path, bytes.Repeat([]byte{0xff}, 4096), 0o600), os.Truncate(path, 1<<30)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestInstallFromScreen writes the system to an empty disk without a shell, and starts that disk alone.
func TestInstallFromScreen(t *testing.T) {
	empty := usedDisk(t)
	v := start(t, false, newDisk(t), empty)
	v.shows("This machine has not been set up")
	v.types("install")
	v.shows("Its name, or nothing to go back", "vda", "is the disk that this appliance runs from", "on it: data of an unknown kind")
	v.types("vda")
	v.shows("vda is the disk that this appliance runs from")
	v.types("vdb")
	v.shows("EVERYTHING ON THIS DISK WILL BE ERASED")
	v.types("vdb")
	v.shows("Writing this system to vdb", "vdb is written")
	v.cut()

	v = start(t, false, empty)
	v.booted()
	v.shows("This machine has not been set up")
	v.expect("df -m /var | tail -1", ` [56]\d\d `)
	v.expect("systemctl --failed --no-legend | wc -l", "^0\n")
}
