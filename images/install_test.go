//go:build image

package images

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// types writes a line where the status screen is. The serial port's file has what the screen shows.
func (v *vm) types(text string) {
	v.t.Helper()
	v.try("the first serial port", func() error {
		c, err := net.Dial("unix", v.dir+"/typed")
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, err = c.Write([]byte(text + "\n"))
		return err
	})
}

// TestInstallFromScreen writes the system to an empty disk without a shell, and starts that disk alone.
func TestInstallFromScreen(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, bytes.Repeat([]byte{0xff}, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(empty, 1<<30); err != nil {
		t.Fatal(err)
	}
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
