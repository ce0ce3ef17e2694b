package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance"
	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// TestARestoredPeerFindsItsState: the node file of a backup names the state directory, and the host that it is restored on has none, or
// another one.
func TestARestoredPeerFindsItsState(t *testing.T) {
	dir := t.TempDir()
	file, state, saved := filepath.Join(dir, "a.toml"), filepath.Join(dir, "state"), filepath.Join(dir, "a.age")
	t.Setenv(backup.PassphraseVariable, backupSecret)
	try := func(words ...string) string {
		t.Helper()
		var out bytes.Buffer
		to := newTool(strings.NewReader(""), &out, &out)
		root := to.root()
		root.SetArgs(append([]string{"--config", file, "--socket", filepath.Join(dir, "none")}, words...))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, &out)
		}
		return out.String()
	}
	try("init", "--network", "home", "--name", "a", "--state-dir", state)
	try("backup", "create", saved)
	for _, there := range []string{"", "state_dir = \"/elsewhere\"\n"} {
		if err := os.RemoveAll(state); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if there != "" {
			if err := os.WriteFile(file, []byte(there), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if said := try("backup", "restore", saved, "--found", "--yes"); strings.Contains(said, "configuration comes back") {
			t.Errorf("a configuration that there is none of: %s", said)
		}
		if self, _, err := secure.ReadIdentity(state); err != nil || self.Name != "a" {
			t.Errorf("with %q: %v", there, err)
		}
		if _, err := os.Stat(filepath.Join(state, appliance.FounderFile)); err != nil {
			t.Error(err)
		}
	}
}
