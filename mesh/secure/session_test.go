package secure

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func dataKey(t testing.TB, k RxKey, exporter []byte, dialled bool) *DataKey {
	t.Helper()
	d, err := k.Derive(exporter, dialled, k.Cipher)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestBothEndsDeriveTheSameKey seals with one end's key and opens with the other's, and checks that the
// session, the nonce and the direction each change it.
func TestBothEndsDeriveTheSameKey(t *testing.T) {
	exporter := bytes.Repeat([]byte{1}, ExporterLength)
	k := NewRxKey(7, CipherAES128GCM)
	parsed, err := ParseRxKey(k.Append(nil))
	if err != nil || parsed != k {
		t.Fatalf("parsed %v, %v", parsed, err)
	}
	var nonce NonceBuffer
	seal := dataKey(t, k, exporter, true)
	seal.Nonce(&nonce, 3, 99)
	sealed := seal.Seal(nil, nonce[:], []byte("frame"), []byte("header"))

	open := func(d *DataKey) error {
		d.Nonce(&nonce, 3, 99)
		_, err := d.Open(nil, nonce[:], sealed, []byte("header"))
		return err
	}
	if err := open(dataKey(t, parsed, exporter, true)); err != nil {
		t.Errorf("the same key does not open: %v", err)
	}
	other := NewRxKey(7, CipherAES128GCM)
	for name, d := range map[string]*DataKey{
		"direction": dataKey(t, k, exporter, false),
		"session":   dataKey(t, k, bytes.Repeat([]byte{2}, ExporterLength), true),
		"nonce":     dataKey(t, other, exporter, true),
	} {
		if open(d) == nil {
			t.Errorf("another %s gives the same key", name)
		}
	}
}

func TestCiphersMustAgree(t *testing.T) {
	k := NewRxKey(1, CipherNone)
	if _, err := k.Derive(make([]byte, 32), true, CipherAES128GCM); !errors.Is(err, ErrCipher) {
		t.Errorf("unsealed datagrams were accepted: %v", err)
	}
}

func TestNoncesDiffer(t *testing.T) {
	d := dataKey(t, NewRxKey(1, CipherAES128GCM), make([]byte, 32), true)
	seen := map[NonceBuffer]bool{}
	for thread := range 3 {
		for _, counter := range []uint64{0, 1, 255, 256, 1 << 32, 1<<40 - 1} {
			var n NonceBuffer
			d.Nonce(&n, uint8(thread), counter)
			if seen[n] {
				t.Errorf("thread %d counter %d repeats a nonce", thread, counter)
			}
			seen[n] = true
		}
	}
}

// TestWindowAgainstASet compares the window with a plain set of counters.
func TestWindowAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Window
		seen := map[uint64]bool{}
		var top uint64
		at := rapid.Uint64Range(0, 1<<39).Draw(t, "start")
		for range rapid.IntRange(1, 300).Draw(t, "n") {
			step := rapid.OneOf(rapid.Int64Range(-100, 100), rapid.Int64Range(-8256, -8128), rapid.Int64Range(-9000, 9000), rapid.Int64Range(-20000, 40000)).Draw(t, "step")
			at = uint64(max(0, int64(at)+step))
			tooOld := len(seen) > 0 && top >= windowBits && at <= top-windowBits
			want := !seen[at] && !tooOld
			if got := w.Accept(at); got != want {
				t.Fatalf("counter %d with top %d: %v, want %v", at, top, got, want)
			}
			if want {
				seen[at] = true
				top = max(top, at)
			}
		}
	})
}

func FuzzRxKey(f *testing.F) {
	f.Add(NewRxKey(1, CipherAES128GCM).Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseRxKey(b)
		if err == nil && !bytes.Equal(k.Append(nil), b[:RxKeyLen]) {
			t.Error("not the bytes that were read")
		}
	})
}

// TestWindowForgetsNothingInsideIt sends every counter in order and replays each as late as it may come:
// the window begins and ends inside a word of its bitmap, and none may be cleared early.
func TestWindowForgetsNothingInsideIt(t *testing.T) {
	var w Window
	for c := range uint64(4 * windowBits) {
		if !w.Accept(c) {
			t.Fatalf("counter %d refused", c)
		}
		for _, back := range []uint64{0, 1, windowBits - 64, windowBits - 8, windowBits - 1} {
			if c >= back && w.Accept(c-back) {
				t.Fatalf("counter %d accepted again when %d was the newest", c-back, c)
			}
		}
	}
}
