package installer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
)

// bench is a service for a machine made of files.
type bench struct {
	Client
	m   slot.Machine
	key minisign.PrivateKey
	dir string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Client{filepath.Join(dir, "s")}, slot.Machine{
		Store: slot.Store{Path: dir + "/env"}, Running: slot.A, Variant: "virt", Arch: "amd64", Key: public, Reasons: dir + "/failure",
		Boot: map[slot.Name]string{slot.A: dir + "/boot-a", slot.B: dir + "/boot-b"}, Root: map[slot.Name]string{slot.A: dir + "/root-a", slot.B: dir + "/root-b"},
	}, private, dir}
	b.write(t, "env", slot.New(100).Env())
	for _, name := range []string{"boot-a", "boot-b", "root-a", "root-b"} {
		b.write(t, name, make([]byte, 8<<10))
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: b.Path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s := Server{func() (slot.Machine, error) { return b.m, nil }, b.disks, slog.New(slog.DiscardHandler)}
	go func() { ended <- s.Run(ctx, l, time.Hour) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) write(t *testing.T, name string, text []byte) *os.File {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// bundle is a signed one.
func (b *bench) bundle(t *testing.T, release uint64) []byte {
	t.Helper()
	root, boot := bytes.Repeat([]byte("root"), 1500), bytes.Repeat([]byte("boot"), 1000)
	image := func(b []byte) slot.Image {
		h := sha256.Sum256(b)
		return slot.Image{Size: int64(len(b)), SHA256: hex.EncodeToString(h[:])}
	}
	text, err := json.Marshal(slot.Manifest{Product: "drawbridge", Variant: "virt", Arch: "amd64", Version: "2", Release: release, Boot: image(boot), Root: image(root)})
	if err != nil {
		t.Fatal(err)
	}
	sig := minisign.Sign(b.key, text)
	head := fmt.Appendf(nil, "DRAWBRIDGE-BUNDLE-1\n%d\n%d\n", len(text), len(sig))
	return bytes.Join([][]byte{head, text, sig, root, boot}, nil)
}

func TestInstallOverTheSocket(t *testing.T) {
	b := newBench(t)
	f := b.write(t, "new.bundle", b.bundle(t, 200))
	var steps []string
	s, err := b.Install(t.Context(), f, false, func(step string, done, total int64) {
		if done == total {
			steps = append(steps, step)
		}
	})
	if err != nil || s.Running != slot.A || s.Next != slot.B || s.Slots[1].Standing != slot.Trial || s.Slots[1].Release.Unix() != 200 {
		t.Fatalf("%+v: %v", s, err)
	}
	if fmt.Sprint(steps) != "[verify write]" {
		t.Errorf("steps %v", steps)
	}
	if at, _ := f.Seek(0, 1); at != 0 {
		t.Errorf("the offset of the daemon's file is %d", at)
	}
	if _, err := b.Rollback(t.Context()); err != nil {
		t.Log(err) // nothing was ever healthy in b, and a is the one that runs
	}
	if now, err := b.Slots(t.Context()); err != nil || now.Slots[0].Standing != slot.Good {
		t.Errorf("%+v: %v", now, err)
	}
}

// TestRefusalsOverTheSocket: the words of package slot arrive whole, before anything is written.
func TestRefusalsOverTheSocket(t *testing.T) {
	b := newBench(t)
	good := b.bundle(t, 200)
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	huge := b.write(t, "huge", nil)
	if err := os.Truncate(huge.Name(), slot.MaxBundle+1); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    *os.File
		says string
	}{
		"nothing":   {nil, "no bundle came with it"},
		"a pipe":    {pipe, "no regular file"},
		"too large": {huge, "no regular file of at most"},
		"truncated": {b.write(t, "truncated", good[:len(good)-1]), "fetch it again: it ends 1 bytes early"},
		"damaged":   {b.write(t, "damaged", damaged), "fetch it again: an image has another checksum"},
		"older":     {b.write(t, "older", b.bundle(t, 99)), "--older installs it nevertheless"},
		"rubbish":   {b.write(t, "rubbish", []byte("rubbish")), "this is no update bundle"},
	} {
		wrote := false
		_, err := b.Install(t.Context(), c.f, false, func(step string, _, _ int64) { wrote = wrote || step == "write" })
		if err == nil || !strings.Contains(err.Error(), c.says) || wrote {
			t.Errorf("%s: %v, written %v", name, err, wrote)
		}
	}
	if s, err := b.Slots(t.Context()); err != nil || s.Next != slot.A || s.Slots[1].Standing != slot.Empty {
		t.Errorf("%+v: %v", s, err)
	}
	if _, err := b.Install(t.Context(), b.write(t, "older", b.bundle(t, 99)), true, nil); err != nil {
		t.Errorf("an older one that was asked for: %v", err)
	}
}

// TestClientThatLeaves: what was begun is brought to its end.
func TestClientThatLeaves(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	f := b.write(t, "new.bundle", b.bundle(t, 200))
	_, err := b.Install(ctx, f, false, func(string, int64, int64) { cancel() })
	if err == nil {
		t.Log("it was quicker than the client") // the last line was there already
	}
	for s, err := b.Slots(t.Context()); s.Next != slot.B; s, err = b.Slots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoAppliance(t *testing.T) {
	if _, err := (Client{filepath.Join(t.TempDir(), "none")}).Slots(t.Context()); !errors.Is(err, slot.ErrNoAppliance) {
		t.Error(err)
	}
	b := newBench(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: b.Path + "2", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := Server{func() (slot.Machine, error) { return slot.Machine{}, slot.ErrNoAppliance }, b.disks, slog.New(slog.DiscardHandler)}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context(), l, 50*time.Millisecond) }() // and it ends by itself
	if _, err := (Client{b.Path + "2"}).Slots(t.Context()); !errors.Is(err, slot.ErrNoAppliance) {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStrangeMessages: whatever comes gets an answer that says so.
func TestStrangeMessages(t *testing.T) {
	b := newBench(t)
	f := b.write(t, "f", nil)
	for name, c := range map[string]struct {
		text string
		fds  []int
	}{
		"empty line":  {"\n", nil},
		"no end":      {`{"format":1}`, nil},
		"other words": {`{"format":1,"do":"format-disk"}` + "\n", nil},
		"two files":   {`{"format":1,"do":"install"}` + "\n", []int{int(f.Fd()), int(f.Fd())}},
		"five files":  {`{"format":1,"do":"install"}` + "\n", []int{0, 1, 2, int(f.Fd()), int(f.Fd())}},
	} {
		conn, err := b.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.WriteMsgUnix([]byte(c.text), unix.UnixRights(c.fds...), nil); err != nil {
			t.Fatal(err)
		}
		var a Answer
		if err := json.NewDecoder(conn).Decode(&a); err != nil || !a.End || !strings.HasPrefix(a.Error, "request not understood") {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		_ = conn.Close()
	}
}

// TestCopyOverTheSocket: a disk that must not be written to is refused, also when it is asked for by name. The copy itself is a matter
// of package slot.
func TestCopyOverTheSocket(t *testing.T) {
	b := newBench(t)
	for _, dir := range []string{"sys/vda", "sys/vdb", "dev"} {
		if err := os.MkdirAll(filepath.Join(b.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.write(t, "mounts", nil)
	for _, name := range []string{"vda", "vdb"} {
		b.write(t, "dev/"+name, make([]byte, 4<<20))
		b.write(t, "sys/"+name+"/size", []byte("8192\n"))
	}
	all, err := b.Disks(t.Context())
	if err != nil || len(all) != 2 || all[0].Refused == "" || all[1].Refused != "" {
		t.Fatalf("%+v: %v", all, err)
	}
	for disk, says := range map[string]string{"vda": "is the disk that this appliance runs from", "vdc": "there is no disk vdc", "vdb": "no valid GPT", "../vdb": "request not understood", "": "request not understood"} {
		if err := b.Copy(t.Context(), disk, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %s", disk, err, says)
		}
	}
	if text, err := os.ReadFile(b.dir + "/dev/vdb"); err != nil || len(bytes.Trim(text, "\x00")) != 0 {
		t.Error("something was written")
	}
}

// TestBackupsOverTheSocket: the service reads a medium that the daemon's user cannot, and nothing on it but backups.
func TestBackupsOverTheSocket(t *testing.T) {
	if _, err := exec.LookPath("mkfs.vfat"); err != nil {
		t.Skip("mkfs.vfat and mcopy are wanted (dosfstools, mtools)")
	}
	b := newBench(t)
	for _, dir := range []string{"sys/sdb/sdb1", "dev"} {
		if err := os.MkdirAll(filepath.Join(b.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.write(t, "mounts", nil)
	b.write(t, "sys/sdb/size", []byte("8192\n"))
	b.write(t, "sys/sdb/sdb1/partition", []byte("1\n"))
	b.write(t, "dev/sdb", make([]byte, 4<<20))
	if none, err := b.Backups(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("%+v: %v", none, err)
	}
	stick := b.dir + "/dev/sdb1"
	do(t, "mkfs.vfat", "-C", stick, "2048")
	for _, name := range []string{"a.age", "token"} {
		b.write(t, name, []byte("content of "+name))
		do(t, "mcopy", "-i", stick, b.dir+"/"+name, "::/")
	}
	all, err := b.Backups(t.Context())
	if err != nil || len(all) != 1 || all[0].Medium != "sdb1" || all[0].Name != "a.age" || all[0].Size != 16 {
		t.Fatalf("%+v: %v", all, err)
	}
	to, err := os.Create(b.dir + "/to")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for name, says := range map[string]string{"token": "there is no backup token on sdb1", "b.age": "there is no backup b.age"} {
		if err := b.Read(t.Context(), Backup{Medium: "sdb1", Name: name}, to); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Read(t.Context(), all[0], nil); err == nil {
		t.Error("read into nothing")
	}
	if err := b.Read(t.Context(), all[0], to); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(to.Name()); err != nil || string(text) != "content of a.age" {
		t.Errorf("%q, %v", text, err)
	}
}

func do(t *testing.T, name string, args ...string) {
	t.Helper()
	if text, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, text)
	}
}

func (b *bench) disks() (disks.Host, error) {
	return disks.Host{Sys: b.dir + "/sys", Dev: b.dir + "/dev", Mounts: b.dir + "/mounts", From: b.dir + "/dev/vda", Least: 1 << 20}, nil
}

func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{`{"format":1,"do":"install","older":true}`, `{"format":1,"do":"slots"}`, `{"format":2,"do":"rollback"}`, `{"format":1,"do":"slots","older":true}`, `{"format":1,"do":"disks"}`, `{"format":1,"do":"copy","disk":"sda"}`, `{"format":1,"do":"read","disk":"sdb1","file":"a.age"}`, "{}{}", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseRequest(line)
		if err != nil {
			if !errors.Is(err, ErrRequest) || r != (Request{}) {
				t.Fatalf("%+v: %v", r, err)
			}
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseRequest(text); err != nil || again != r {
			t.Errorf("%+v became %+v: %v", r, again, err)
		}
	})
}
