package slot

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
)

func TestTrialThatBecomesHealthy(t *testing.T) {
	s := New(1).Clear(A).Try(A, 2)
	n, s := s.Boot()
	if n != B || !s.Trial(B) {
		t.Fatalf("boots %s", n)
	}
	s = s.Healthy(B)
	for range 3 {
		if n, _ = s.Boot(); n != B {
			t.Fatalf("boots %s", n)
		}
	}
	if s, err := s.Rollback(B); err != nil || s.First != A {
		t.Errorf("first %s: %v", s.First, err)
	}
}

func TestConfirmationAfterUpdateKeepsTheTrial(t *testing.T) {
	if n, _ := New(1).Clear(A).Try(A, 2).Healthy(A).Boot(); n != B {
		t.Errorf("boots %s instead of the update", n)
	}
}

func TestTrialThatNeverDoes(t *testing.T) {
	s := New(1).Clear(A).Try(A, 2)
	for range TrialBoots {
		var n Name
		if n, s = s.Boot(); n != B {
			t.Fatalf("boots %s", n)
		}
	}
	n, s := s.Boot()
	if n != A || !s.FellBack(A) {
		t.Fatalf("boots %s, fell back %v", n, s.FellBack(A))
	}
	s = s.Healthy(A)
	if _, err := s.Rollback(A); err == nil {
		t.Error("rolled back to a slot that never worked")
	}
}

func TestGoodSlotThatBreaks(t *testing.T) {
	s := New(1).Clear(A).Try(A, 2)
	_, s = s.Boot()
	s = s.Healthy(B)
	var n Name
	for range GoodBoots {
		if n, s = s.Boot(); n != B {
			t.Fatalf("boots %s", n)
		}
	}
	if n, _ = s.Boot(); n != A {
		t.Errorf("boots %s after %d failures", n, GoodBoots)
	}
}

// TestSomethingBoots walks through every state that boots, trials and confirmations lead to: the slot that the loader
// picks always holds a whole system.
func TestSomethingBoots(t *testing.T) {
	type key struct {
		first Name
		a, b  Record
	}
	seen := map[key]bool{}
	var walk func(State, uint64)
	walk = func(s State, version uint64) {
		k := key{s.First, s.Slots[A], s.Slots[B]}
		k.a.Version, k.b.Version = min(k.a.Version, 1), min(k.b.Version, 1)
		if seen[k] {
			return
		}
		seen[k] = true
		n, s := s.Boot()
		if s.Slots[n].Version == 0 {
			t.Fatalf("boots empty slot %s of %+v", n, s)
		}
		walk(s, version) // power fails before anything else
		walk(s.Healthy(n), version)
		if !s.Trial(n) {
			cleared := s.Clear(n)
			walk(cleared, version)
			walk(cleared.Try(n, version+1), version+1)
		}
		if back, err := s.Rollback(n); err == nil {
			walk(back, version)
		}
	}
	walk(New(1), 1)
	if len(seen) < 20 {
		t.Errorf("only %d states", len(seen))
	}
}

func TestEnv(t *testing.T) {
	s := New(1_700_000_000).Clear(A).Try(A, 1_800_000_000)
	s.Reset = true
	got, err := ParseEnv(s.Env())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(s) || len(s.Env()) != EnvSize {
		t.Errorf("%+v: %v", got, err)
	}
	if i := bytes.IndexByte(s.Env()[len(signature):], '#'); i+len(signature) > sector {
		t.Errorf("what changes reaches to byte %d, beyond one sector", i)
	}
}

func FuzzParseEnv(f *testing.F) {
	f.Add(New(7).Env())
	f.Add([]byte(signature))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseEnv(b)
		if err != nil {
			return
		}
		again, err := ParseEnv(s.Env())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Errorf("%+v became %+v: %v", s, again, err)
		}
	})
}

// appliance is a machine made of files.
func appliance(t *testing.T) (Machine, minisign.PrivateKey) {
	t.Helper()
	dir := t.TempDir()
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := Machine{Store: Store{dir + "/env"}, Running: A, Variant: "virt", Arch: "amd64", Key: public, Reasons: dir + "/var/failure.json", Boot: map[Name]string{}, Root: map[Name]string{}}
	env := append(make([]byte, 4*sector), New(100).Env()...)
	if err := os.WriteFile(m.Store.Path, env, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []Name{A, B} {
		m.Boot[n], m.Root[n] = filepath.Join(dir, "boot-"+string(n)), filepath.Join(dir, "root-"+string(n))
		for _, p := range []string{m.Boot[n], m.Root[n]} {
			if err := os.WriteFile(p, bytes.Repeat([]byte{0x5a}, 8<<10), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m, private
}

func image(b []byte) Image {
	h := sha256.Sum256(b)
	return Image{int64(len(b)), hex.EncodeToString(h[:])}
}

func bundle(t testing.TB, key minisign.PrivateKey, change func(*Manifest), root, boot []byte) []byte {
	m := Manifest{Product: "drawbridge", Variant: "virt", Arch: "amd64", Version: "2", Release: 200, Boot: image(boot), Root: image(root)}
	if change != nil {
		change(&m)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return sealed(text, minisign.Sign(key, text), root, boot)
}

// sealed is a bundle with any signature.
func sealed(text, sig, root, boot []byte) []byte {
	b := fmt.Appendf(nil, "%s\n%d\n%d\n", magic, len(text), len(sig))
	return bytes.Join([][]byte{b, text, sig, root, boot}, nil)
}

func quiet(string, int64, int64) {}

func TestUpdate(t *testing.T) {
	m, key := appliance(t)
	root, boot := bytes.Repeat([]byte("root"), 1500), bytes.Repeat([]byte("boot"), 1000)
	if _, err := m.Update(bytes.NewReader(bundle(t, key, nil, root, boot)), quiet); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{m.Root[B]: root, m.Boot[B]: boot} {
		got, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(got, want) {
			t.Errorf("%s is not what the bundle has: %v", path, err)
		}
	}
	s, err := m.Store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := s.Boot(); n != B || s.Slots[B].Good {
		t.Errorf("next %s, %+v", n, s)
	}
	m.Running = B
	if _, err := m.Update(bytes.NewReader(bundle(t, key, nil, root, boot)), quiet); !errors.Is(err, ErrTrial) {
		t.Errorf("an update during a trial: %v", err)
	}
}

func TestRefusedBundlesChangeNothing(t *testing.T) {
	m, key := appliance(t)
	_, stranger, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root, boot := bytes.Repeat([]byte("root"), 1500), bytes.Repeat([]byte("boot"), 1000)
	good := bundle(t, key, nil, root, boot)
	manifest := good[bytes.IndexByte(good, '{') : bytes.LastIndexByte(good[:600], '}')+1]
	damaged := bytes.Clone(good)
	damaged[len(damaged)-10] ^= 1
	unsigned := bytes.Clone(good)
	unsigned[bytes.IndexByte(unsigned, '{')+12] ^= 1
	for name, c := range map[string]struct {
		b    []byte
		want error
		says string
	}{
		"empty":               {nil, ErrNotBundle, ""},
		"something else":      {bytes.Repeat([]byte("x"), 4096), ErrNotBundle, ""},
		"head cut off":        {good[:60], ErrDamaged, "it ends in its head"},
		"truncated":           {good[:len(good)-1], ErrDamaged, "it ends 1 bytes early"},
		"a flipped bit":       {damaged, ErrDamaged, "an image has another checksum than its manifest says"},
		"manifest edited":     {unsigned, ErrSignature, "it was changed after it had been signed"},
		"wrong key":           {bundle(t, stranger, nil, root, boot), ErrSignature, "signed it, wanted is"},
		"no signature":        {sealed(manifest, nil, root, boot), ErrSignature, "it is not signed at all"},
		"a strange signature": {sealed(manifest, []byte("signed"), root, boot), ErrSignature, "its signature cannot be read"},
		"half of it":          {good[:len(good)/2], ErrDamaged, "bytes early"},
		"older":               {bundle(t, key, func(m *Manifest) { m.Release = 99 }, root, boot), ErrOlder, "its release is 99, 100 runs; drawbridge update rollback"},
		"the same":            {bundle(t, key, func(m *Manifest) { m.Release = 100 }, root, boot), ErrOlder, "its release is 100, 100 runs"},
		"other processor":     {bundle(t, key, func(m *Manifest) { m.Arch = "arm64" }, root, boot), ErrForeign, "it is for drawbridge, virt, arm64; this is drawbridge, virt, amd64"},
		"other variant":       {bundle(t, key, func(m *Manifest) { m.Variant = "hw" }, root, boot), ErrForeign, "it is for drawbridge, hw, amd64"},
		"other product":       {bundle(t, key, func(m *Manifest) { m.Product = "x" }, root, boot), ErrForeign, "it is for x"},
		"no images":           {bundle(t, key, func(m *Manifest) { m.Root.Size = -1 }, root, boot), ErrDamaged, "its manifest describes no images"},
		"too large":           {bundle(t, key, nil, make([]byte, 9000), boot), nil, "does not fit into"},
	} {
		before, err := os.ReadFile(m.Store.Path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Update(bytes.NewReader(c.b), quiet)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v: %s", name, err, c.want, c.says)
		}
		if after, _ := os.ReadFile(m.Store.Path); !bytes.Equal(before, after) {
			t.Errorf("%s: boot state was touched", name)
		}
		if got, _ := os.ReadFile(m.Root[B]); !bytes.Equal(got, bytes.Repeat([]byte{0x5a}, 8<<10)) {
			t.Errorf("%s: the idle slot was written", name)
		}
	}
}

// TestWholeWithoutAKey: a host without the release key finds out whether a bundle is whole, whoever signed it.
func TestWholeWithoutAKey(t *testing.T) {
	_, key, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := bundle(t, key, nil, bytes.Repeat([]byte("root"), 1500), bytes.Repeat([]byte("boot"), 1000))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-10] ^= 1
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"whole": {good, nil}, "on a disk that is larger": {append(bytes.Clone(good), make([]byte, 512)...), nil},
		"something else": {[]byte("x"), ErrNotBundle}, "truncated": {good[:len(good)-1], ErrDamaged}, "a flipped bit": {damaged, ErrDamaged},
	} {
		b, err := OpenUnverified(bytes.NewReader(c.b))
		if err == nil {
			err = b.Whole()
		}
		if !errors.Is(err, c.want) || err == nil && b.Version != "2" {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAnOlderBundleWhenAskedFor(t *testing.T) {
	m, key := appliance(t)
	b := bundle(t, key, func(m *Manifest) { m.Release = 99 }, []byte("root"), []byte("boot"))
	m.Older = true
	if _, err := m.Update(bytes.NewReader(b), quiet); err != nil {
		t.Fatal(err)
	}
	s, err := m.Store.Load()
	if n, _ := s.Boot(); err != nil || n != B || s.Standing(B, A) != Trial || s.Standing(A, A) != Good {
		t.Errorf("next %s, %+v: %v", n, s, err)
	}
}

// torn is a bundle whose second reading fails after n bytes, as a loss of power would have it.
type torn struct {
	*bytes.Reader
	passes, left int
}

func (r *torn) Seek(o int64, w int) (int64, error) { r.passes++; return r.Reader.Seek(o, w) }

func (r *torn) Read(p []byte) (int, error) {
	if r.passes > 0 {
		if r.left <= 0 {
			return 0, errors.New("power failed")
		}
		p = p[:min(len(p), r.left)]
		r.left -= len(p)
	}
	return r.Reader.Read(p)
}

func TestInterruptedWriteNeverBoots(t *testing.T) {
	root, boot := bytes.Repeat([]byte("root"), 1500), bytes.Repeat([]byte("boot"), 1000)
	for left := 0; left < 11000; left += 733 {
		m, key := appliance(t)
		s, err := m.Store.Load()
		if err != nil {
			t.Fatal(err)
		}
		// Slot b held a good older system, and was even the first.
		if err := m.Store.Save(s.Try(A, 50).Healthy(B)); err != nil {
			t.Fatal(err)
		}
		b := bundle(t, key, nil, root, boot)
		if _, err := m.Update(&torn{Reader: bytes.NewReader(b), left: left}, quiet); err == nil && left < len(b) {
			t.Fatalf("%d bytes were enough", left)
		}
		if s, err = m.Store.Load(); err != nil {
			t.Fatal(err)
		}
		if n, _ := s.Boot(); n != A && left < len(b) {
			t.Fatalf("after %d bytes slot %s boots: %+v", left, n, s)
		}
	}
}

func FuzzOpen(f *testing.F) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	good := bundle(f, private, nil, []byte("r"), []byte("b"))
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte(magic + "\n1\n1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Open(bytes.NewReader(b), public); err == nil && !bytes.Contains(good, b[:min(len(b), 200)]) {
			t.Errorf("accepted %q", b)
		}
	})
}
