package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

const backupSecret = "correct horse battery staple"

// kept is a backup of a peer that init made, and its id.
func kept(t *testing.T, state string) ([]byte, string) {
	t.Helper()
	h := newHost(t)
	h.state = state
	if r := h.call(t, "init", "--network", "home", "--name", "a", "--state-dir", h.state, "--advertise", "192.0.2.1"); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	t.Setenv(backup.PassphraseVariable, backupSecret)
	path := filepath.Join(h.dir, "a.backup")
	if r := h.call(t, "backup", "create", path); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	self, _, err := secure.ReadIdentity(h.state)
	if err != nil {
		t.Fatal(err)
	}
	return b, self.ID.String()
}

// TestProvisionBackup hands over a backup as a medium would: whatever is wrong with it is said, and leaves nothing.
func TestProvisionBackup(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	whole, id := kept(t, state)
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-3] ^= 1
	for _, c := range []struct {
		backup []byte
		files  map[string]string
		says   string
	}{
		{whole, nil, "its passphrase was not handed over: type restore"},
		{whole, map[string]string{"passphrase": "another one"}, "the passphrase is wrong"},
		{whole[:len(whole)-9], map[string]string{"passphrase": backupSecret}, "damaged or incomplete"},
		{damaged, map[string]string{"passphrase": backupSecret}, "damaged or incomplete"},
		{[]byte("a picture"), map[string]string{"passphrase": backupSecret}, "no backup of Drawbridge"},
		{whole, map[string]string{"passphrase": backupSecret, "network": "other"}, "it is of network home, and the file network says other"},
		{whole, map[string]string{"passphrase": backupSecret, "name": "b"}, "it is of peer a, and the file name says b"},
		{whole, map[string]string{"passphrase": backupSecret, "token": "dbt1x"}, "take the files token"},
		{whole, map[string]string{"passphrase": backupSecret + "\n", "network": "home", "name": "a"}, ""},
	} {
		h, dir := newHost(t), t.TempDir()
		h.state = state
		if err := os.RemoveAll(state); err != nil {
			t.Fatal(err)
		}
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "backup"), c.backup, 0o600); err != nil {
			t.Fatal(err)
		}
		to := newTool(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
		to.config, to.stateDir = h.file, h.state
		err := to.provision(t.Context(), dir)
		self, _, there := secure.ReadIdentity(h.state)
		if c.says == "" {
			if err != nil || there != nil || self.ID.String() != id {
				t.Errorf("a good one: %v, %v", err, there)
			}
			if _, err := os.Stat(filepath.Join(dir, "passphrase")); err == nil {
				t.Error("the passphrase lies around")
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || there == nil {
			t.Errorf("%v, want %q; identity: %v", err, c.says, there)
		}
		if _, err := os.Stat(h.file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a node file was left", c.says)
		}
	}
}
