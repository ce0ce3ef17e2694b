package systemd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// exposure is the most that systemd-analyze may find, in tenths: 20 is 2.0.
const exposure = "20"

// units are those of a kind: the package's, and those of the image.
func units(t *testing.T, kind string) (all []string) {
	t.Helper()
	for _, pattern := range []string{"units/*.", "../images/root/usr/lib/systemd/system/drawbridge*."} {
		found, err := filepath.Glob(pattern + kind)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		t.Fatal("no units")
	}
	return all
}

// analyze runs systemd-analyze, which looks at files alone: no service manager needs to run.
func analyze(t *testing.T, args ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning", "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("systemd-analyze %v: %v\n%s", args, err, &out)
	}
	return out.Bytes()
}

func TestUnitsAreHardened(t *testing.T) {
	for _, unit := range units(t, "service") {
		analyze(t, "security", "--no-pager", "--offline=true", "--threshold="+exposure, unit)
	}
}

// TestUnitsAreSound verifies copies that start a program which is there: the test host need not have ours.
func TestUnitsAreSound(t *testing.T) {
	dir := t.TempDir()
	var all []string
	for _, unit := range slices.Concat(units(t, "service"), units(t, "socket"), units(t, "path")) {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("/usr/bin/drawbridge "), []byte("/bin/true "))
		to := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, to)
	}
	if said := analyze(t, append([]string{"verify", "--man=no"}, all...)...); len(said) > 0 {
		t.Errorf("systemd-analyze verify:\n%s", said)
	}
}
