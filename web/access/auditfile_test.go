package access

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func all(Record) bool { return true }

func TestAuditFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit", "log")
	a := NewAuditFile(path)
	if list, err := a.List(0, 10, all); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	for i := range 5 {
		if err := a.Add(Record{Path: fmt.Sprint("/", i), After: json.RawMessage(`{"a":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := a.List(5, 2, func(r Record) bool { return r.Path != "/3" })
	if err != nil || len(list) != 2 || list[0].ID != 3 || list[1].ID != 2 || string(list[0].After) != `{"a":1}` {
		t.Errorf("%+v %v", list, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	again := NewAuditFile(path)
	if err := again.Add(Record{}); err != nil {
		t.Fatal(err)
	}
	if list, _ := again.List(0, 1, all); list[0].ID != 6 {
		t.Errorf("after a restart: %+v", list)
	}
}

// A full file makes room for the next, the oldest goes, and IDs go on.
func TestAuditFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	a := NewAuditFile(path)
	a.size = 1000
	for i := range 100 {
		if err := a.Add(Record{Path: strings.Repeat("x", 100)}); err != nil {
			t.Fatal(i, err)
		}
		if i == 50 {
			_ = a.Close() // the daemon restarts
		}
	}
	files, _ := filepath.Glob(path + "*")
	if len(files) > auditFiles {
		t.Errorf("%v", files)
	}
	total := int64(0)
	for _, f := range files {
		info, _ := os.Stat(f)
		total += info.Size()
	}
	if total > auditFiles*1300 {
		t.Errorf("%d bytes", total)
	}
	list, err := a.List(0, 1000, all)
	if err != nil || len(list) < 15 || list[0].ID != 100 {
		t.Fatalf("%d records, %v", len(list), err)
	}
	for i := range list[1:] {
		if list[i+1].ID != list[i].ID-1 {
			t.Errorf("record %d follows %d", list[i+1].ID, list[i].ID)
		}
	}
}

// Half a record, as a crash leaves it, costs that record only.
func TestAuditFileSurvivesCrashes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(`{"id":7,"path":"/a"}`+"\n"+`{"id":8,"pa`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := NewAuditFile(path)
	if err := a.Add(Record{Path: "/b"}); err != nil {
		t.Fatal(err)
	}
	list, err := a.List(0, 10, all)
	if err != nil || len(list) != 2 || list[0].Path != "/b" || list[0].ID != 8 || list[1].ID != 7 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestAuditFileTellsWhenItCannot(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewAuditFile(filepath.Join(dir, "file", "log")).Add(Record{}); err == nil {
		t.Error("no error")
	}
}

func TestRedacted(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1,"Password":"x","n":[{"token":"t","roles":["a"]}]}`:   `{"Password":"(left out)","a":1,"n":[{"roles":["a"],"token":"(left out)"}]}`,
		`{"codes":["a","b"],"totp":true,"version":9007199254740993}`: `{"codes":"(left out)","totp":true,"version":9007199254740993}`,
		`not json`: ``,
		`null`:     ``,
	} {
		if got := string(redacted([]byte(in))); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
