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
	v, err := boot(bootFile)
	if err != nil {
		return Machine{}, err
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
func Disk() (string, error) {
	v, err := boot(BootFile)
	if err == nil && v["DISK"] == "" {
		err = fmt.Errorf("%s names no disk", BootFile)
	}
	return v["DISK"], err
}

// boot reads what stage 1 says, a name and its value a line.
func boot(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, ErrNoAppliance
	}
	if err != nil {
		return nil, err
	}
	v := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		v[name] = value
	}
	return v, nil
}
