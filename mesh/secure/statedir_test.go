package secure

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEveryFileIsForTheOwnerAlone, whatever the umask of the process.
func TestEveryFileIsForTheOwnerAlone(t *testing.T) {
	a := found(t, "office", "a")
	newToken(t, openTokens(t, a), TokenSpec{}, noon)
	if err := a.Revoke("b", 2, noon); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(a.Dir())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{authorityFile, certFile, keyFile, lockFile, networkFile, revocationFile, tokensFile}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %s, %v", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("files are %v, want %v and nothing temporary", entries, want)
	}
}

func TestNewStateDirectoryIsForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "state")
	c, err := Found(dir, "office", "a", noon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestFilesAreReplacedWhole: whoever has the old file open goes on reading the old one, so it was not
// written over, and a write that fails leaves it.
func TestFilesAreReplacedWhole(t *testing.T) {
	a := found(t, "office", "a")
	old := bytes.Repeat([]byte("old"), 1000)
	if err := a.dir.write("file", old); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(a.Dir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := a.dir.write("file", []byte("new")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(old)+1)
	if n, _ := f.Read(got); !bytes.Equal(got[:n], old) {
		t.Errorf("the old file was changed in place")
	}
	if b, err := a.dir.read("file"); err != nil || string(b) != "new" {
		t.Errorf("read %q, %v", b, err)
	}
	occupied := filepath.Join(a.Dir(), "occupied")
	if err := os.MkdirAll(filepath.Join(occupied, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := a.dir.write("occupied", []byte("new")); err == nil || !strings.Contains(err.Error(), occupied) {
		t.Errorf("error is %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(a.Dir(), ".*")); err != nil || len(left) != 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// holdEnv makes this test binary another process that holds the state directory it names.
const holdEnv = "DRAWBRIDGE_TEST_HOLD"

func TestHoldStateDirectory(t *testing.T) {
	dir := os.Getenv(holdEnv)
	if dir == "" {
		return // only as the other process of TestTwoProcessesCannotOpenOneDirectory
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Println("held")
	os.Stdin.Read(make([]byte, 1)) // until the parent closes it, or dies
}

func TestTwoProcessesCannotOpenOneDirectory(t *testing.T) {
	a := found(t, "office", "a")
	a.Close()
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldStateDirectory$")
	other.Env = append(os.Environ(), holdEnv+"="+a.Dir())
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("held"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "held" {
		t.Fatalf("the other process says %q, %v", said, err)
	}
	for name, open := range map[string]func() (*Credentials, error){
		"open":  func() (*Credentials, error) { return Open(a.Dir()) },
		"found": func() (*Credentials, error) { return Found(a.Dir(), "office", "a", noon) },
		"join":  func() (*Credentials, error) { return Join(t.Context(), exampleToken(), "b", a.Dir(), JoinOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open()
			mustSay(t, err, ErrLocked, a.Dir(), fmt.Sprint("process ", other.Process.Pid))
		})
	}
	other.Process.Kill() // a crash must not leave the directory locked
	in.Close()
	other.Wait()
	again, err := Open(a.Dir())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestClosedCredentialsVerifyButDoNotWrite(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", 0, time.Now())
	tokens := openTokens(t, a)
	renewed, err := a.CA.Renew(a.Self(), Voter, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	next, err := Open(a.Dir()) // owns the directory from now on
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if p, err := a.VerifyCertificate(b.Certificate().Raw, time.Now()); err != nil || p.Name != "b" {
		t.Errorf("verified %+v, %v", p, err)
	}
	mustSay(t, a.Renewed(renewed.Raw), fs.ErrClosed, certFile)
	mustSay(t, a.Revoke("b", b.ID(), noon), fs.ErrClosed)
	_, err = tokens.Create(TokenSpec{Addrs: []string{"a:1"}}, noon)
	mustSay(t, err, fs.ErrClosed)
	if next.dir.has(revocationFile) || next.dir.has(tokensFile) {
		t.Error("written all the same")
	}
}

// TestDamagedFilesAreNamed: for every file and every kind of damage the error names the file, and says what
// can be done.
func TestDamagedFilesAreNamed(t *testing.T) {
	cut := func(path string) error { return os.Truncate(path, 40) }
	swap := func(path string) error { // another network's file of the same name
		other, err := Found(t.TempDir(), "plant", "a", noon)
		if err != nil {
			return err
		}
		defer other.Close()
		if err := other.Revoke("b", 2, noon); err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(other.Dir(), filepath.Base(path)))
		return errors.Join(err, os.WriteFile(path, b, 0o600))
	}
	public := func(path string) error { return os.Chmod(path, 0o644) }
	link := func(path string) error {
		return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
	}
	huge := func(path string) error { return os.Truncate(path, maxStateFile+1) }
	double := func(path string) error {
		b, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, append(b, b...), 0o600))
	}
	damages := map[string]func(string) error{
		"cut": cut, "emptied": func(path string) error { return os.Truncate(path, 0) }, "of another network": swap,
		"readable by others": public, "a link": link, "huge": huge, "double": double,
	}
	for _, file := range []string{keyFile, certFile, networkFile, authorityFile, revocationFile} {
		for name, damage := range damages {
			t.Run(file+" "+name, func(t *testing.T) {
				a := found(t, "office", "a")
				if err := a.Revoke("b", 2, noon); err != nil {
					t.Fatal(err)
				}
				a.Close()
				if err := damage(filepath.Join(a.Dir(), file)); err != nil {
					t.Fatal(err)
				}
				_, err := Open(a.Dir())
				mustSay(t, err, ErrState, a.Dir())
				told := strings.Contains(err.Error(), file)
				if !told && name != "of another network" { // then it is the others that do not fit to it
					t.Errorf("%q does not name %s", err, file)
				}
				if !strings.Contains(err.Error(), "restore it from a backup") && !strings.Contains(err.Error(), "chmod 600") {
					t.Errorf("%q has no remedy", err)
				}
			})
		}
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	for file, want := range map[string]error{
		keyFile: ErrState, networkFile: ErrState, certFile: ErrUnfinished, authorityFile: nil, revocationFile: nil,
	} {
		t.Run(file, func(t *testing.T) {
			a := found(t, "office", "a")
			a.Close()
			if err := os.Remove(filepath.Join(a.Dir(), file)); err != nil && file != revocationFile {
				t.Fatal(err)
			}
			c, err := Open(a.Dir())
			if err == nil {
				defer c.Close()
			}
			if want == nil {
				if err != nil || file == authorityFile && c.CA != nil {
					t.Errorf("error is %v", err)
				}
				return
			}
			mustSay(t, err, want, file, a.Dir())
		})
	}
}
