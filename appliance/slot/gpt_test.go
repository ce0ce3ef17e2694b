package slot

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

// disk makes the image of a disk with two partitions, as sfdisk would.
func disk(t testing.TB, size int64) []byte {
	t.Helper()
	b, le := make([]byte, size), binary.LittleEndian
	entries := b[2*sector : 2*sector+128*128]
	put := func(i int, name string, first, last uint64) {
		e := entries[i*128:]
		e[0], e[16] = 1, byte(i+1)
		le.PutUint64(e[32:], first)
		le.PutUint64(e[40:], last)
		for j, c := range utf16.Encode([]rune(name)) {
			le.PutUint16(e[56+2*j:], c)
		}
	}
	put(0, "root-a", 2048, 4095)
	put(1, "state", 4096, 6143)
	h := b[sector : 2*sector]
	copy(h, "EFI PART\x00\x00\x01\x00")
	le.PutUint32(h[12:], 92)
	le.PutUint64(h[24:], 1)
	le.PutUint64(h[72:], 2)
	le.PutUint32(h[80:], 128)
	le.PutUint32(h[84:], 128)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	sum(h)
	return b
}

func TestGrow(t *testing.T) {
	b := disk(t, 8<<20)
	table, err := ReadTable(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	p, writes, err := table.Grow("state", int64(len(b)))
	if err != nil || p.Size != 5<<20 || len(writes) != 2 {
		t.Fatalf("%+v, %d writes: %v", p, len(writes), err)
	}
	// Power may fail between and within the two writes: a table is found at any time.
	for cut := 0; cut < len(writes[1].Data); cut += 1231 {
		c := bytes.Clone(b)
		copy(c[writes[0].Offset:], writes[0].Data)
		copy(c[writes[1].Offset:], writes[1].Data[:cut])
		if again, err := ReadTable(bytes.NewReader(c), int64(len(c))); err != nil || !again.Has(p.UUID) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	for _, w := range writes {
		copy(b[w.Offset:], w.Data)
	}
	table, err = ReadTable(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if p, writes, err := table.Grow("state", int64(len(b))); err != nil || writes != nil || p.Size != 5<<20 {
		t.Errorf("grew twice: %+v %v", p, err)
	}
	clear(b[sector : 3*sector])
	if table, err = ReadTable(bytes.NewReader(b), int64(len(b))); err != nil || len(table.Partitions) != 2 {
		t.Errorf("the backup was not found: %v", err)
	}
	if _, _, err := table.Grow("root-a", int64(len(b))); err == nil {
		t.Error("a partition grew into the next one")
	}
}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	b := disk(t, 8<<20)
	copy(b[1<<20:], "a system")
	copy(b[2<<20:], "keys")
	if err := os.WriteFile(from, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, bytes.Repeat([]byte{1}, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Install(from, to, quiet); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	table, err := ReadTable(bytes.NewReader(got), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := table.Find("state")
	if err != nil || p.Size != 61<<20 {
		t.Errorf("state %+v: %v", p, err)
	}
	old, err := ReadTable(bytes.NewReader(b), int64(len(b)))
	if err != nil || old.Has(p.UUID) {
		t.Errorf("both disks have the same identities: %v", err)
	}
	if !bytes.HasPrefix(got[1<<20:], []byte("a system")) || bytes.Contains(got[2<<20:3<<20], []byte("keys")) {
		t.Error("the system was not copied, or the keys were")
	}
	if err := os.Truncate(to, 20<<20); err != nil {
		t.Fatal(err)
	}
	if err := Install(from, to, quiet); err == nil {
		t.Error("installed on a disk that is too small")
	}
}

func FuzzReadTable(f *testing.F) {
	b := disk(f, 1<<20)
	f.Add(b[:40*sector])
	random := make([]byte, 40*sector)
	_, _ = rand.Read(random)
	f.Add(random)
	f.Fuzz(func(t *testing.T, b []byte) {
		if table, err := ReadTable(bytes.NewReader(b), int64(len(b))); err == nil {
			_, _, _ = table.Grow("state", 1<<30)
		}
	})
}
