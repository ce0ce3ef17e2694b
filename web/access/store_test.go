package access

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "users.json")
	f := OpenFile(path)
	d, err := f.Load()
	if err != nil || !d.Empty() {
		t.Fatalf("%v %v", d, err)
	}
	next := directory(t, "ann")
	if err := f.Save(0, next); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(0, next); !errors.Is(err, ErrStale) {
		t.Errorf("version 0 is replaced twice: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	again, err := OpenFile(path).Load()
	if err != nil || !reflect.DeepEqual(again, next) {
		t.Errorf("read %+v %v\nwrote %+v", again, err, next)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A broken file must not look like one without users: whoever comes first would become admin.
func TestBrokenFileIsNotAnEmptyOne(t *testing.T) {
	for _, text := range []string{"", "{", "null x", `{"version":1,"users":[{"name":"ann","role":"admin","hash":"x"}]}`, `{"nobody":1}`, `{"version":1,"users":[],"tokens":[]}{}`} {
		path := filepath.Join(t.TempDir(), "users.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := OpenFile(path)
		if _, err := f.Load(); err == nil || !strings.Contains(err.Error(), "restore "+path) {
			t.Errorf("%q: %v", text, err)
		}
		if err := f.Save(0, directory(t, "eve")); err == nil {
			t.Errorf("%q: overwritten", text)
		}
	}
}

func FuzzParseDirectory(f *testing.F) {
	f.Add([]byte(`{"version":1,"users":[{"name":"ann","role":"admin","hash":"` + testHash + `","generation":1}],"tokens":null}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if d, err := parseDirectory(text); err == nil && d.Check() != nil {
			t.Errorf("%s is accepted", text)
		}
	})
}
