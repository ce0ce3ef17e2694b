package slot

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"aead.dev/minisign"
)

const (
	// BootFile is what stage 1 says about the start of this machine (images/stage1).
	BootFile = "/run/drawbridge-boot/slot"
	// KeyFile is the release key that is pinned in the image.
	KeyFile = "/usr/share/drawbridge/release.pub"
)

// ErrNoAppliance says that there are no slots here.
var ErrNoAppliance = errors.New("this host does not run the appliance image: Drawbridge was installed from a package, so use apt")

// This is the machine that we run on.
func This() (Machine, error) { return open(BootFile, KeyFile) }

func open(bootFile, keyFile string) (Machine, error) {
	text, err := os.ReadFile(bootFile)
	if os.IsNotExist(err) {
		return Machine{}, ErrNoAppliance
	}
	if err != nil {
		return Machine{}, err
	}
	v := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		v[name] = value
	}
	m := Machine{
		Store: Store{v["env"]}, Running: Name(v["SLOT"]), Variant: cmp.Or(v["VARIANT"], "virt"), Arch: runtime.GOARCH, Reasons: ReasonFile,
		Boot: map[Name]string{A: v["boot-a"], B: v["boot-b"]}, Root: map[Name]string{A: v["root-a"], B: v["root-b"]},
	}
	if m.Running != A && m.Running != B {
		return m, fmt.Errorf("%s names no slot", bootFile)
	}
	if m.Key, err = minisign.PublicKeyFromFile(keyFile); err != nil {
		return m, fmt.Errorf("release key: %w", err)
	}
	return m, nil
}

// Disk is the disk that this machine started from.
func Disk(bootFile string) (string, error) {
	text, err := os.ReadFile(bootFile)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if disk, ok := strings.CutPrefix(strings.TrimSpace(line), "DISK="); ok {
			return disk, nil
		}
	}
	return "", fmt.Errorf("%s names no disk", bootFile)
}
