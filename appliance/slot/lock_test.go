package slot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// meanwhile is a bundle during whose first reading something else happens.
type meanwhile struct {
	*bytes.Reader
	once sync.Once
	do   func()
}

func (r *meanwhile) Read(p []byte) (int, error) {
	r.once.Do(r.do)
	return r.Reader.Read(p)
}

func TestTwoUpdatesAtOnce(t *testing.T) {
	m, key := appliance(t)
	b := bundle(t, key, nil, []byte("root"), []byte("boot"))
	var second error
	first := &meanwhile{Reader: bytes.NewReader(b), do: func() { _, second = m.Update(bytes.NewReader(b), quiet) }}
	if _, err := m.Update(first, quiet); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(second, ErrBusy) || !strings.Contains(second.Error(), "slot b: another update is being installed") {
		t.Errorf("the second update: %v", second)
	}
	m.Running = B
	if err := m.Store.Change(func(s State) (State, error) { return s.Healthy(B), nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Update(bytes.NewReader(bundle(t, key, func(m *Manifest) { m.Release = 300 }, []byte("r"), []byte("b"))), quiet); err != nil {
		t.Errorf("an update after the first: %v", err)
	}
}

// TestCopyAndUpdate: whichever comes second is refused, and a copy and a copy get on.
func TestCopyAndUpdate(t *testing.T) {
	m, key := appliance(t)
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := errors.Join(os.WriteFile(from, disk(t, 8<<20), 0o600), os.WriteFile(to, make([]byte, 64<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	b := bundle(t, key, nil, []byte("root"), []byte("boot"))
	var second error
	first := &meanwhile{Reader: bytes.NewReader(b), do: func() { second = m.Copy(from, to, quiet) }}
	if _, err := m.Update(first, quiet); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(second, ErrBusy) {
		t.Errorf("a copy during an update: %v", second)
	}
	b = bundle(t, key, func(m *Manifest) { m.Release = 300 }, []byte("r"), []byte("b"))
	var during, beside error
	once := sync.OnceFunc(func() {
		_, during = m.Update(bytes.NewReader(b), quiet)
		beside = m.Copy(from, filepath.Join(dir, "another"), quiet)
	})
	if err := m.Copy(from, to, func(string, int64, int64) { once() }); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(during, ErrCopied) || !strings.Contains(during.Error(), "slot b: this system is being copied to another disk: wait") {
		t.Errorf("an update during a copy: %v", during)
	}
	if !errors.Is(beside, os.ErrNotExist) {
		t.Errorf("a second copy: %v", beside)
	}
	if _, err := m.Update(bytes.NewReader(b), quiet); err != nil {
		t.Errorf("an update after the copy: %v", err)
	}
}

// TestConfirmationDuringUpdate is a start that is confirmed while an update is written: neither undoes the other.
func TestConfirmationDuringUpdate(t *testing.T) {
	m, key := appliance(t)
	_, s := New(100).Boot()
	if err := m.Store.Save(s); err != nil {
		t.Fatal(err)
	}
	b := &meanwhile{Reader: bytes.NewReader(bundle(t, key, nil, []byte("root"), []byte("boot"))), do: func() {
		if err := m.Store.Change(func(s State) (State, error) { return s.Healthy(A), nil }); err != nil {
			t.Error(err)
		}
	}}
	if _, err := m.Update(b, quiet); err != nil {
		t.Fatal(err)
	}
	if s, err := m.Store.Load(); err != nil || s.Slots[A].Tries != GoodBoots || s.First != B || s.Slots[B].Tries != TrialBoots {
		t.Errorf("%+v: %v", s, err)
	}
}

func TestChangesAreSerial(t *testing.T) {
	m, _ := appliance(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := m.Store.Change(func(s State) (State, error) {
				r := s.Slots[B]
				r.Version++
				return s.with(B, r), nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s, err := m.Store.Load(); err != nil || s.Slots[B].Version != 50 {
		t.Errorf("%d of 50 changes are left: %v", s.Slots[B].Version, err)
	}
	if err := m.Store.Change(func(s State) (State, error) { return New(7), io.EOF }); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if s, _ := m.Store.Load(); s.Slots[A].Version != 100 {
		t.Error("a refused change was written")
	}
}

func TestWhy(t *testing.T) {
	m, key := appliance(t)
	if _, err := m.Update(bytes.NewReader(bundle(t, key, nil, []byte("root"), []byte("boot"))), quiet); err != nil {
		t.Fatal(err)
	}
	state := func() State {
		s, err := m.Store.Load()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if f := m.Failed(state()); f != nil {
		t.Errorf("before its trial: %v", f)
	}
	for range TrialBoots + 1 {
		_, s := state().Boot()
		if err := m.Store.Save(s); err != nil {
			t.Fatal(err)
		}
	}
	if f := m.Failed(state()); f == nil || !strings.Contains(f.String(), "slot b never became healthy and was given up: it did not come as far") {
		t.Errorf("a release that said nothing: %v", f)
	}
	m.Running = B
	if err := m.Blame("the peer is not ready: no voter answers", time.Unix(1000, 0)); err != nil {
		t.Fatal(err)
	}
	m.Running = A
	if err := m.Store.Save(state().Healthy(A)); err != nil {
		t.Fatal(err)
	}
	want := "the update in slot b never became healthy and was given up at 1970-01-01T00:16:40Z: the peer is not ready: no voter answers"
	if f := m.Failed(state()); f == nil || f.String() != want {
		t.Errorf("%v", f)
	}
	if _, err := m.Update(bytes.NewReader(bundle(t, key, func(m *Manifest) { m.Release = 201 }, []byte("r"), []byte("b"))), quiet); err != nil {
		t.Fatal(err)
	}
	for range TrialBoots + 1 {
		_, s := state().Boot()
		if err := m.Store.Save(s); err != nil {
			t.Fatal(err)
		}
	}
	if f := m.Failed(state()); f == nil || f.Reason != silent {
		t.Errorf("another release, the old reason: %v", f)
	}
}
