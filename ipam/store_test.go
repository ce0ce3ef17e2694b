package ipam

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func open(t *testing.T, path string) (*Store, []Batch) {
	t.Helper()
	s, frames, err := OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, frames
}

func write(t *testing.T, s *Store, stamps ...uint64) {
	t.Helper()
	for _, n := range stamps {
		if err := s.Write(batch(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func batch(stamp uint64) Batch {
	return Batch{stamp, record{true, []byte("key"), fmt.Append(nil, "value ", stamp)}.append(nil)}
}

func TestStoreKeepsWhatItTook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, _ := open(t, path)
	write(t, s, 1, 2, 7)
	if err := s.Write(batch(7)); err == nil {
		t.Error("a stamp is written twice")
	}
	_, frames := open(t, path)
	if len(frames) != 3 || frames[2].Stamp != 7 {
		t.Fatalf("%d frames", len(frames))
	}
	r, err := parseRecords(frames[1].Records)
	if err != nil || len(r) != 1 || string(r[0].value) != "value 2" || !r[0].put {
		t.Errorf("%+v, %v", r, err)
	}
	if err := s.Compact(batch(8)); err != nil {
		t.Fatal(err)
	}
	write(t, s, 9)
	if _, frames = open(t, path); len(frames) != 2 || frames[0].Stamp != 8 || frames[1].Stamp != 9 {
		t.Errorf("after compaction: %d frames", len(frames))
	}
}

// TestTornWrites cuts the file after each octet: what was acknowledged before the last write is always there.
func TestTornWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, _ := open(t, path)
	var ends []int64
	for stamp := range uint64(3) {
		write(t, s, stamp+1)
		ends = append(ends, s.size)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		frames, good, err := parseFile(whole[:n])
		want := 0
		for ends[want] <= int64(n) {
			want++
		}
		if err != nil || len(frames) != want || good > n {
			t.Fatalf("cut to %d: %d frames, %d octets good, %v", n, len(frames), good, err)
		}
	}
	if err := os.WriteFile(path, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	s, frames := open(t, path)
	if len(frames) != 2 {
		t.Fatalf("%d frames", len(frames))
	}
	write(t, s, 3, 4)
	if _, frames = open(t, path); len(frames) != 4 {
		t.Errorf("%d frames after the torn one was cut off", len(frames))
	}
}

// TestDamage flips each bit before the last frame: the file is refused, never read differently.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, _ := open(t, path)
	write(t, s, 1, 2)
	end := s.size
	write(t, s, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range int(end) * 8 {
		whole[at/8] ^= 1 << (at % 8)
		if _, _, err := parseFile(whole); !errors.Is(err, ErrState) {
			t.Fatalf("bit %d: %v", at, err)
		}
		whole[at/8] ^= 1 << (at % 8)
	}
}

// fullDisk takes a number of octets, then has no room.
type fullDisk struct {
	file
	room int
}

func (f *fullDisk) WriteAt(b []byte, at int64) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	m, err := f.file.WriteAt(b[:n], at)
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return m, err
}

func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, _ := open(t, path)
	write(t, s, 1)
	s.f = &fullDisk{s.f, 10}
	if err := s.Write(batch(2)); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrState) {
		t.Fatalf("full disk: %v", err)
	}
	s.f.(*fullDisk).room = 1000
	if err := s.Write(batch(3)); err == nil {
		t.Error("a store that failed goes on")
	}
	if _, frames := open(t, path); len(frames) != 1 {
		t.Errorf("%d frames", len(frames))
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	for _, content := range []string{"drawbridge ipam 2\n", "hello, this is something else", "{}"} {
		if _, _, err := parseFile([]byte(content)); !errors.Is(err, ErrState) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(batch(2).append(batch(1).append([]byte(fileHeader))))
	f.Add([]byte(fileHeader[:5]))
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, good, err := parseFile(b)
		if good > len(b) || err != nil && frames != nil {
			t.Errorf("%d octets good of %d, %v", good, len(b), err)
		}
		for _, f := range frames {
			_, _ = parseRecords(f.Records) // must not panic
		}
	})
}
