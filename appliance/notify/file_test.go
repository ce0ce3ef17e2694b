package notify

import (
	"os"
	"path/filepath"
	"testing"
)

// overwrite is a replacement that is good enough for tests.
func overwrite(dir, name string, content []byte) error {
	return os.WriteFile(filepath.Join(dir, name), content, 0o600)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ops.queue")
	f := OpenFile(path, overwrite)
	spool, damaged, err := OpenSpool(f, 10)
	if err != nil || damaged != 0 {
		t.Fatal(damaged, err)
	}
	spool.Add(event(1), event(2))
	spool.First()
	spool.Done(1)
	_ = f.Close()
	raw, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(raw, "0badc0de {\"add"...), 0o600); err != nil {
		t.Fatal(err)
	}
	f = OpenFile(path, overwrite)
	again, damaged, err := OpenSpool(f, 10)
	if err != nil || damaged != 14 {
		t.Fatal(damaged, err)
	}
	again.Add(event(3))
	if c := again.Counts(); c.Waiting != 2 || c.Next != 4 || c.Delivered != 1 || c.Problem != nil {
		t.Errorf("%+v", c)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if err := f.Remove(); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}
