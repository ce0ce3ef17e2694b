package systemd

import (
	"net"
	"path/filepath"
	"testing"
)

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	j, err := dialJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Send(map[string]string{"MESSAGE": "two\nlines", "PRIORITY": "4", "DRAWBRIDGE_PEER": ""}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1000)
	n, err := l.Read(b)
	if want := "MESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\nPRIORITY=4\n"; err != nil || string(b[:n]) != want {
		t.Errorf("%q, %v", b[:n], err)
	}
	if err := j.Send(map[string]string{"MESSAGE": string(make([]byte, maxEntry))}); err == nil {
		t.Error("an entry that is too long passes")
	}
}

func TestNoJournal(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	j, err := OpenJournal()
	if err != nil || j.Send(map[string]string{"MESSAGE": "x"}) != nil || j.Close() != nil {
		t.Error("without a service manager nothing is said, and nothing fails")
	}
	if _, err := dialJournal(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a journal that is not there")
	}
}
