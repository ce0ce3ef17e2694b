package appliance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"aead.dev/minisign"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/errand"
	"github.com/drawbridge-net/drawbridge/appliance/installer"
	"github.com/drawbridge-net/drawbridge/appliance/rollout"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// coordinator is a voter alone in its network, on an appliance made of files.
type coordinator struct {
	*Node
	t       *testing.T
	state   string // directory
	machine slot.Machine
	key     minisign.PrivateKey
}

func newCoordinator(t *testing.T) *coordinator {
	t.Helper()
	dir := t.TempDir()
	public, private, err := minisign.GenerateKey(rand.Reader)
	must(t, err)
	c := &coordinator{t: t, state: filepath.Join(dir, "state"), key: private, machine: slot.Machine{
		Store: slot.Store{Path: dir + "/env"}, Running: slot.A, Variant: "virt", Arch: runtime.GOARCH, Key: public, Reasons: dir + "/failure",
		Boot: map[slot.Name]string{slot.A: dir + "/boot-a", slot.B: dir + "/boot-b"}, Root: map[slot.Name]string{slot.A: dir + "/root-a", slot.B: dir + "/root-b"},
	}}
	must(t, os.WriteFile(c.machine.Store.Path, slot.New(100).Env(), 0o600))
	for _, name := range []string{"boot-a", "boot-b", "root-a", "root-b"} {
		must(t, os.WriteFile(filepath.Join(dir, name), make([]byte, 8<<10), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "orders"), 0o700))
	creds, err := secure.Found(c.state, "home", "a", time.Now())
	must(t, err)
	must(t, creds.Close())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s := installer.Server{Machine: func() (slot.Machine, error) { return c.machine, nil }, Log: slog.New(slog.DiscardHandler)}
	go func() { ended <- s.Run(ctx, l, time.Hour) }()
	t.Cleanup(func() {
		must(t, c.creds.Close())
		cancel()
		must(t, <-ended)
	})
	c.start()
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start is what a start of the daemon does as far as roll-outs go.
func (c *coordinator) start() {
	c.t.Helper()
	cfg := config.Default()
	cfg.StateDir, cfg.Listen = c.state, []string{"127.0.0.1:0"}
	var err error
	c.Node, err = New(cfg, "1", slog.New(slog.DiscardHandler))
	must(c.t, err)
	dir := filepath.Dir(c.state)
	c.voter, c.life = &voter{}, c.t.Context()
	c.updating.installer, c.updating.orders = installer.Client{Path: filepath.Join(dir, "s")}, errand.Box(filepath.Join(dir, "orders"))
	c.updating.machine = func() (slot.Machine, error) { return c.machine, nil }
	must(c.t, leftBundles(c.state))
	must(c.t, c.loadRollout())
}

func (c *coordinator) restart() {
	c.t.Helper()
	must(c.t, c.creds.Close())
	c.start()
}

// aBundle is one that key signed.
func aBundle(t *testing.T, key minisign.PrivateKey, release uint64) []byte {
	t.Helper()
	root, boot := bytes.Repeat([]byte("root"), 1500), bytes.Repeat([]byte("boot"), 1000)
	image := func(b []byte) slot.Image {
		h := sha256.Sum256(b)
		return slot.Image{Size: int64(len(b)), SHA256: hex.EncodeToString(h[:])}
	}
	text, err := json.Marshal(slot.Manifest{Product: "drawbridge", Variant: "virt", Arch: runtime.GOARCH, Version: "2", Release: release, Boot: image(boot), Root: image(root)})
	must(t, err)
	sig := minisign.Sign(key, text)
	return bytes.Join([][]byte{fmt.Appendf(nil, "DRAWBRIDGE-BUNDLE-1\n%d\n%d\n", len(text), len(sig)), text, sig, root, boot}, nil)
}

func (c *coordinator) upload(bundle []byte) (web.Rollout, error) {
	return c.UploadRollout(c.t.Context(), web.RolloutRequest{Peers: []string{"a"}, By: "ann"}, bytes.NewReader(bundle), int64(len(bundle)))
}

// look has the coordinator do what is to be done when it sees itself so.
func (c *coordinator) look(run string) web.Rollout {
	c.t.Helper()
	for range 5 {
		if len(c.rolledPeers()) > 0 {
			c.rollOn(c.t.Context(), map[string]rollout.Seen{"a": {Reached: true, Run: run, Version: run}})
		}
	}
	r, err := c.Rollout()
	must(c.t, err)
	return r
}

// bundles are the files of the state directory that hold one.
func (c *coordinator) bundles() []string {
	c.t.Helper()
	all, err := filepath.Glob(filepath.Join(c.state, "*.bundle")) // hidden ones, too
	must(c.t, err)
	return all
}

// TestARollOutOfABundle: the file outlives the restart of its coordinator, which takes it itself, and nothing else is kept; it goes when
// the roll-out is over.
func TestARollOutOfABundle(t *testing.T) {
	c := newCoordinator(t)
	b := aBundle(t, c.key, 200)
	r, err := c.upload(b)
	if err != nil || r.Source != web.SourceUpload || r.Bundle == nil || r.Bundle.Version != "2" || r.Bundle.Release.Unix() != 200 || r.Bundle.Size != int64(len(b)) {
		t.Fatalf("%+v: %v", r, err)
	}
	if shown, _ := json.Marshal(r); strings.Contains(string(shown), c.state) {
		t.Errorf("where it lies is shown: %s", shown)
	}
	unread := iotest.ErrReader(errors.New("it was read in vain"))
	if _, err := c.UploadRollout(t.Context(), web.RolloutRequest{Peers: []string{"a"}}, unread, 1<<20); !errors.Is(err, web.ErrConflict) {
		t.Errorf("a second one meanwhile: %v", err)
	}
	if kept, err := os.ReadFile(c.keptBundle()); err != nil || !bytes.Equal(kept, b) || len(c.bundles()) != 1 {
		t.Fatalf("%d of %d bytes are kept, in %v: %v", len(kept), len(b), c.bundles(), err)
	}
	if r = c.look("1"); r.State != rollout.Running || r.Peers[0].Step != rollout.Return {
		t.Fatalf("%+v", r)
	}
	root, err := os.ReadFile(c.machine.Root[slot.B])
	must(t, err)
	if _, ordered := os.Stat(filepath.Join(filepath.Dir(c.state), "orders", errand.Reboot)); ordered != nil || !bytes.HasPrefix(root, []byte("rootroot")) {
		t.Fatalf("it took no bundle: %v, slot b begins with %q", ordered, root[:8])
	}
	c.restart()
	if r, err = c.Rollout(); err != nil || r.State != rollout.Running || len(c.bundles()) != 1 {
		t.Fatalf("after its restart %+v, and %v is kept: %v", r, c.bundles(), err)
	}
	if r = c.look("2"); r.State != rollout.Done || r.Bundle == nil || len(c.bundles()) != 0 {
		t.Fatalf("%+v, and %v is kept", r, c.bundles())
	}
}

// TestALostBundlePausesTheRollOut: at once, before a segment is moved in vain, when it is gone or cut off; and when it is looked at for a
// peer, which is as far as the roll-out comes, when it is another one than it was.
func TestALostBundlePausesTheRollOut(t *testing.T) {
	for name, lost := range map[string]struct {
		at   string
		lose func(c *coordinator, b []byte) error
	}{
		"gone":      {rollout.Waiting, func(c *coordinator, _ []byte) error { return os.Remove(c.keptBundle()) }},
		"truncated": {rollout.Waiting, func(c *coordinator, b []byte) error { return os.Truncate(c.keptBundle(), int64(len(b)-1)) }},
		"damaged": {rollout.Update, func(c *coordinator, b []byte) error {
			b[len(b)-7] ^= 1
			return os.WriteFile(c.keptBundle(), b, 0o600)
		}},
		"another": {rollout.Update, func(c *coordinator, _ []byte) error {
			return os.WriteFile(c.keptBundle(), aBundle(c.t, c.key, 201), 0o600)
		}},
	} {
		c := newCoordinator(t)
		b := aBundle(t, c.key, 200)
		_, err := c.upload(b)
		must(t, err)
		c.restart() // nobody asked for that, so it waits for an operator
		if r, err := c.Rollout(); err != nil || r.State != rollout.Paused || len(c.bundles()) != 1 {
			t.Fatalf("%s: %+v, and %v is kept: %v", name, r, c.bundles(), err)
		}
		must(t, lost.lose(c, b))
		_, err = c.ResumeRollout("ann")
		must(t, err)
		r := c.look("1")
		if r.State != rollout.Paused || r.Peers[0].Step != lost.at || !strings.Contains(r.Reason, "the bundle that was uploaded is not on the disk of a any more as it was") || strings.Contains(r.Reason, c.state) {
			t.Errorf("%s: %s at %s, %q", name, r.State, r.Peers[0].Step, r.Reason)
		}
		s, err := c.machine.Store.Load()
		must(t, err)
		if s.Slots[slot.B].Version != 0 {
			t.Errorf("%s: it was installed", name)
		}
		told := c.Watch()
		if r, err = c.AbortRollout("ann"); err != nil || r.State != rollout.Aborted || len(c.bundles()) != 0 {
			t.Errorf("%s: %+v, and %v is kept: %v", name, r, c.bundles(), err)
		}
		select {
		case <-told:
		default:
			t.Errorf("%s: nobody was told of the end", name)
		}
	}
}

func TestBundlesThatNobodyNeedsGo(t *testing.T) {
	c := newCoordinator(t)
	for _, name := range []string{rolloutBundle, ".update-123.bundle"} { // of a run that ended between the two files of a start, or before
		must(t, os.WriteFile(filepath.Join(c.state, name), []byte("bundle"), 0o600))
	}
	c.restart()
	if left := c.bundles(); len(left) != 0 {
		t.Errorf("without a roll-out: %v", left)
	}
	_, err := c.upload(aBundle(t, c.key, 200))
	must(t, err)
	_, err = c.AbortRollout("ann")
	must(t, err)
	must(t, os.WriteFile(c.keptBundle(), []byte("bundle"), 0o600))
	c.restart()
	if left := c.bundles(); len(left) != 0 {
		t.Errorf("after an aborted one: %v", left)
	}
}

// TestUploadsThatAreRefused: nothing is begun, and nothing stays on the disk.
func TestUploadsThatAreRefused(t *testing.T) {
	_, stranger, err := minisign.GenerateKey(rand.Reader)
	must(t, err)
	for name, refused := range map[string]struct {
		bundle func(c *coordinator) []byte
		want   error
		says   string
	}{
		"something else": {func(*coordinator) []byte { return []byte("bundle") }, web.ErrInvalid, "this is no update bundle"},
		"damaged": {func(c *coordinator) []byte {
			b := aBundle(t, c.key, 200)
			b[len(b)-1] ^= 1
			return b
		}, web.ErrInvalid, "the bundle is damaged"},
		"a strange key":  {func(*coordinator) []byte { return aBundle(t, stranger, 200) }, web.ErrInvalid, "is not signed by the release key"},
		"what runs here": {func(c *coordinator) []byte { return aBundle(t, c.key, 100) }, web.ErrInvalid, "not newer than what runs"},
		"to a package": {func(c *coordinator) []byte {
			c.updating.installer.Path += ".none"
			return aBundle(t, c.key, 200)
		}, web.ErrConflict, "a is one of the peers to update: this host does not run the appliance image"},
		"to no voter": {func(c *coordinator) []byte {
			c.voter = nil
			return aBundle(t, c.key, 200)
		}, web.ErrConflict, "a voter coordinates roll-outs"},
		"while an update comes": {func(c *coordinator) []byte {
			c.updating.busy.Store(true)
			return aBundle(t, c.key, 200)
		}, web.ErrConflict, "another update"},
	} {
		c := newCoordinator(t)
		_, err := c.upload(refused.bundle(c))
		if !errors.Is(err, refused.want) || !strings.Contains(err.Error(), refused.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, begun := c.Rollout(); !errors.Is(begun, web.ErrNotFound) || len(c.bundles()) != 0 {
			t.Errorf("%s: begun (%v), or kept: %v", name, begun, c.bundles())
		}
	}
}

// TestARollOutBackToAnOlderRelease takes what would be refused otherwise, here and where it is sent to.
func TestARollOutBackToAnOlderRelease(t *testing.T) {
	c := newCoordinator(t)
	if _, err := c.StartRollout(t.Context(), web.RolloutRequest{Peers: []string{"a"}, Older: true}); !errors.Is(err, web.ErrInvalid) {
		t.Errorf("of what is on the disks: %v", err)
	}
	b := aBundle(t, c.key, 50) // 100 runs
	r, err := c.UploadRollout(t.Context(), web.RolloutRequest{Peers: []string{"a"}, Older: true}, bytes.NewReader(b), int64(len(b)))
	if err != nil || !r.Older {
		t.Fatalf("%+v: %v", r, err)
	}
	c.restart() // what it was asked with is on the disk
	_, err = c.ResumeRollout("ann")
	must(t, err)
	if r = c.look("1"); r.State != rollout.Running || r.Peers[0].Step != rollout.Return || !r.Older {
		t.Errorf("%+v", r)
	}
	if s, err := c.machine.Store.Load(); err != nil || s.Slots[slot.B].Version != 50 {
		t.Errorf("slot b has %+v: %v", s.Slots[slot.B], err)
	}
}

// TestABundleForOtherMachines: a host that is no appliance has no key, and sends others what is whole.
func TestABundleForOtherMachines(t *testing.T) {
	c := newCoordinator(t)
	c.updating.machine = func() (slot.Machine, error) { return slot.Machine{}, slot.ErrNoAppliance }
	_, stranger, err := minisign.GenerateKey(rand.Reader)
	must(t, err)
	b := aBundle(t, stranger, 50)
	path, about, err := c.keepBundle(t.Context(), bytes.NewReader(b), -1, fitsOthers)
	if err != nil || about != (rollout.Bundle{Version: "2", Release: 50, Size: int64(len(b))}) || len(c.bundles()) != 1 {
		t.Errorf("%s: %+v, %v", path, about, err)
	}
	if _, _, err := c.keepBundle(t.Context(), bytes.NewReader(b[:len(b)-1]), -1, fitsOthers); !errors.Is(err, slot.ErrDamaged) {
		t.Errorf("truncated: %v", err)
	}
}
