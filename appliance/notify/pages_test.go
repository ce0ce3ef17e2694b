package notify

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the pages that are made from the table of meanings")

func TestPages(t *testing.T) {
	for path, want := range map[string][]byte{
		"../../docs/reference/events.md":           Page(),
		"../../systemd/catalog/drawbridge.catalog": Catalogue(),
	} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is out of date; go test ./appliance/notify -update writes it (%v)", path, err)
		}
	}
}

// TestTheCatalogueCompiles has systemd read it, where there is systemd.
func TestTheCatalogueCompiles(t *testing.T) {
	journalctl, err := exec.LookPath("journalctl")
	if err != nil {
		return // the parser below has looked at its form
	}
	root := t.TempDir()
	for _, dir := range []string{"usr/lib/systemd/catalog", "var/lib/systemd/catalog"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "usr/lib/systemd/catalog/drawbridge.catalog"), Catalogue(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(journalctl, "--root", root, "--update-catalog").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(journalctl, "--root", root, "--list-catalog").CombinedOutput()
	for _, m := range Meanings {
		if !strings.Contains(string(out), m.ID) || err != nil {
			t.Errorf("%s is not in the catalogue that systemd made (%v)", m.Name, err)
		}
	}
}

func TestTheCatalogueHasItsForm(t *testing.T) {
	for i, entry := range strings.Split(string(Catalogue()), "\n-- ")[1:] {
		head, text, ok := strings.Cut(entry, "\n\n")
		if !ok || !strings.HasPrefix(head, Meanings[i].ID+"\nSubject: ") || strings.Contains(text, "\n--") {
			t.Errorf("entry %d: %q", i, entry)
		}
	}
}
