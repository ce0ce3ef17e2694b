package fat

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// stick is a medium that mkfs.vfat made, with files.
func stick(t testing.TB, kib string, files map[string][]byte, options ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "stick")
	if _, err := exec.LookPath("mkfs.vfat"); err != nil {
		t.Skip("mkfs.vfat and mcopy are wanted (dosfstools, mtools)")
	}
	do := func(name string, args ...string) {
		if text, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, text)
		}
	}
	do("mkfs.vfat", append(options, "-n", "DRAWBRIDGE", "-C", path, kib)...)
	for name, content := range files {
		from := filepath.Join(dir, "file")
		if err := os.WriteFile(from, content, 0o600); err != nil {
			t.Fatal(err)
		}
		do("mcopy", "-i", path, from, "::/"+name)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryKind(t *testing.T) {
	files := map[string][]byte{
		"drawbridge-a-20261121T120000Z.age": bytes.Repeat([]byte("backup"), 30_000),
		"TOKEN":                             []byte("dbt1"),
		"empty":                             nil,
	}
	for kind, c := range map[int]struct {
		kib     string
		options []string
	}{12: {"2048", []string{"-F", "12"}}, 16: {"32768", []string{"-F", "16"}}, 32: {"65536", []string{"-F", "32", "-s", "1"}}} {
		s, err := Open(bytes.NewReader(stick(t, c.kib, files, c.options...)))
		if err != nil {
			t.Fatalf("FAT%d: %v", kind, err)
		}
		if s.kind != kind || s.Label != "DRAWBRIDGE" || len(s.Files) != len(files) {
			t.Errorf("FAT%d: %d, %q, %+v", kind, s.kind, s.Label, s.Files)
		}
		for name, want := range files {
			f, err := s.Find(name)
			if err != nil || f.Changed.Year() < 2020 {
				t.Errorf("FAT%d: %+v, %v", kind, f, err)
			}
			if got, err := s.Read(f, 1<<20); err != nil || !bytes.Equal(got, want) {
				t.Errorf("FAT%d: %s has %d bytes, want %d: %v", kind, name, len(got), len(want), err)
			}
		}
		if f, _ := s.Find("TOKEN"); f.Size > 3 {
			if _, err := s.Read(f, 3); err == nil {
				t.Error("more than the limit was read")
			}
		}
	}
}

// TestBrokenChain: a file whose clusters are lost is an error, and one that goes in circles ends.
func TestBrokenChain(t *testing.T) {
	b := stick(t, "32768", map[string][]byte{"a": bytes.Repeat([]byte("x"), 50_000)}, "-F", "16")
	s, err := Open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []byte{0, byte(s.Files[0].first)} {
		b[s.table+int64(s.Files[0].first)*2] = next
		_, err := s.Read(s.Files[0], 1<<20)
		if (err == nil) != (next != 0) {
			t.Errorf("%d follows: %v", next, err)
		}
	}
}

func TestNotFAT(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 512), make([]byte, 1<<20)} {
		if _, err := Open(bytes.NewReader(b)); !errors.Is(err, ErrNotFAT) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

// FuzzOpen: a medium may have been made to harm.
func FuzzOpen(f *testing.F) {
	b := make([]byte, 512)
	f.Add(b)
	f.Add(stick(f, "64", map[string][]byte{"a": []byte("x")}, "-F", "12"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, file := range s.Files {
			if got, err := s.Read(file, 1<<20); err == nil && int64(len(got)) != file.Size {
				t.Errorf("%d of %d bytes", len(got), file.Size)
			}
		}
	})
}
