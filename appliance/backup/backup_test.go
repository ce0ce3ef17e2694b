package backup

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const secret = "correct horse battery staple"

func init() { work = 10 }

var then = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600), os.Chtimes(name, then, then)); err != nil {
		t.Fatal(err)
	}
}

// peer is a state directory and node file as a peer has them.
func peer(t *testing.T) Content {
	t.Helper()
	dir := t.TempDir()
	c := Content{
		Manifest: Manifest{Created: then, Peer: "a", PeerID: "0a0b0c0d", Network: "lab", Software: "1.0", Config: 3},
		StateDir: filepath.Join(dir, "state"), NodeFile: filepath.Join(dir, "drawbridge.toml"), NetworkConfig: []byte("format = 1\n"),
	}
	write(t, c.NodeFile, "listen = []\n")
	for name, content := range map[string]string{"peer.key": "key", "users/ann.json": "{}", "raft/raft.db": "log", "lock": "1", ".peer.key.123": "torn", "rollout.json": "{}", "rollout.bundle": "MB"} {
		write(t, filepath.Join(c.StateDir, name), content)
	}
	return c
}

func sealed(t *testing.T, c Content) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Create(&b, secret, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestThereAndBack(t *testing.T) {
	c := peer(t)
	b, err := Open(bytes.NewReader(sealed(t, c)), secret)
	if err != nil {
		t.Fatal(err)
	}
	if b.Peer != "a" || !b.Changed.Equal(then) || string(b.content(configName)) != "format = 1\n" {
		t.Errorf("manifest %+v", b.Manifest)
	}
	to := Target{StateDir: filepath.Join(t.TempDir(), "state"), NodeFile: filepath.Join(t.TempDir(), "etc", "drawbridge.toml"), Found: "found-voters"}
	for range 2 { // once on an empty host, and once over itself
		if _, err := b.Restore(to, then); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"peer.key": true, "users/ann.json": true, "found-voters": true, "raft": false, "lock": false, "rollout.json": false, "rollout.bundle": false, ".peer.key.123": false} {
		if _, err := os.Stat(filepath.Join(to.StateDir, name)); (err == nil) != want {
			t.Errorf("%s there: %v, want %v", name, err == nil, want)
		}
	}
	if text, err := os.ReadFile(to.NodeFile); err != nil || string(text) != "listen = []\n" {
		t.Errorf("node file %q, %v", text, err)
	}
}

func TestWrongPassphrase(t *testing.T) {
	if _, err := Open(bytes.NewReader(sealed(t, peer(t))), secret+"r"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("%v, want %v", err, ErrPassphrase)
	}
	if _, err := Create(&bytes.Buffer{}, "short", peer(t)); err == nil {
		t.Error("a passphrase of five letters was taken")
	}
}

// TestTruncatedOrTampered: whatever is missing or changed, nothing is believed of a backup.
func TestTruncatedOrTampered(t *testing.T) {
	whole := sealed(t, peer(t))
	head := bytes.Index(whole, []byte("\n---")) // what follows is authenticated by the key that scrypt yields
	for _, cut := range []int{0, 10, head, len(whole) - 17, len(whole) - 1} {
		if _, err := Open(bytes.NewReader(whole[:cut]), secret); err == nil {
			t.Errorf("%d of %d bytes were taken", cut, len(whole))
		}
	}
	for _, at := range []int{head + 60, len(whole) / 2, len(whole) - 1} {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		if _, err := Open(bytes.NewReader(bad), secret); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotBackup) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	if _, err := Open(bytes.NewReader(append(bytes.Clone(whole), 0)), secret); err == nil {
		t.Error("a byte behind the end was taken")
	}
}

func TestRefusals(t *testing.T) {
	c := peer(t)
	b, err := Open(bytes.NewReader(sealed(t, c)), secret)
	if err != nil {
		t.Fatal(err)
	}
	to := Target{StateDir: c.StateDir, NodeFile: c.NodeFile, PeerID: "ffffffff"}
	if _, err := b.Restore(to, then); !errors.Is(err, ErrForeign) {
		t.Errorf("on another peer: %v", err)
	}
	to.PeerID = b.PeerID
	later := then.Add(time.Hour)
	if err := os.Chtimes(filepath.Join(c.StateDir, "peer.key"), later, later); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Restore(to, then); !errors.Is(err, ErrOlder) {
		t.Errorf("over newer state: %v", err)
	}
	to.Older = true
	f, err := os.Open(filepath.Join(c.StateDir, "lock"))
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Restore(to, then); err == nil {
		t.Error("restored under a running daemon")
	}
	_ = f.Close()
	kept, err := b.Restore(to, then)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(kept, "raft/raft.db")); err != nil {
		t.Errorf("what was there is gone: %v", err)
	}
}

// TestFill: a machine that is no peer becomes the one of the backup, at the last step of all.
func TestFill(t *testing.T) {
	b, err := Open(bytes.NewReader(sealed(t, peer(t))), secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	to := Target{StateDir: filepath.Join(dir, "state"), NodeFile: filepath.Join(dir, "etc", "drawbridge.toml"), Found: "found-voters", Software: "0.9"}
	write(t, filepath.Join(to.StateDir, "join.key"), "half a set-up")
	there := func(name string, want bool) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(to.StateDir, name)); (err == nil) != want {
			t.Errorf("%s there: %v, want %v", name, err == nil, want)
		}
	}
	if err := b.Fill(to, "peer.key"); !errors.Is(err, ErrNewer) {
		t.Errorf("by an older release: %v", err)
	}
	to.Software = "1.0+3+gabc"
	if err := b.Fill(to, "peer.crt"); !errors.Is(err, ErrNotBackup) {
		t.Errorf("without what makes it a peer: %v", err)
	}
	there("join.key", true)
	// The node file cannot be written: nothing but what was there before makes a peer.
	write(t, filepath.Join(dir, "etc"), "no directory")
	if err := b.Fill(to, "peer.key"); err == nil {
		t.Error("a node file was written into a file")
	}
	there("peer.key", false)
	if err := os.Remove(filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	if err := b.Fill(to, "peer.key"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"peer.key": true, "users/ann.json": true, "found-voters": true, "join.key": false, staged: false, "raft": false} {
		there(name, want)
	}
	if text, err := os.ReadFile(to.NodeFile); err != nil || string(text) != "listen = []\n" {
		t.Errorf("node file %q, %v", text, err)
	}
	if err := b.Fill(to, "peer.key"); !errors.Is(err, ErrSetUp) {
		t.Errorf("over a peer: %v", err)
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		theirs, ours string
		newer        bool
	}{
		{"1.0", "1.0", false},
		{"1.1", "1.0", true},
		{"1.0", "1.1", false},
		{"1.10.0", "1.9.3", true},
		{"1.0.0+12+gabc", "1.0.0", false},
		{"0~20261121100000.abc", "0~20261120100000.def", true},
		{"unversioned", "1.0", false},
		{"9.0", "unversioned", false},
		{"9.0", "", false},
	} {
		b := &Backup{Manifest: Manifest{Software: c.theirs}}
		if err := b.notNewer(Target{Software: c.ours}); errors.Is(err, ErrNewer) != c.newer {
			t.Errorf("%s on %s: %v", c.theirs, c.ours, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 1\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Open(bytes.NewReader(b), secret); err == nil {
			t.Error("taken")
		}
	})
}
