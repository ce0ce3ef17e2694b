package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pinning mounts a BPF file system for the test and begins anew with engines that pin.
func pinning(t *testing.T, l *lab) (folder string) {
	t.Helper()
	folder = t.TempDir()
	must(t, unix.Mount("bpf", folder, "bpf", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(folder, unix.MNT_DETACH)) })
	for _, d := range l.nodes {
		must(t, d.e.Close())
		d.e, _ = reload(t, d, folder)
		must(t, d.e.Take(Everything), d.e.Renew(time.Hour), d.addPort("lan0", Port{Self: d.short, Gate: -1}))
	}
	l.apply()
	return folder
}

// pinned is how the engines of a test are pinned.
func pinned(folder string) Options {
	return Options{Device: "dbk0", Port: 4790, Settle: 300 * time.Millisecond, Pins: folder, Identity: "lan0"}
}

// reload is what a new process does: it goes on with what it finds, if it can.
func reload(t *testing.T, d *node, folder string) (e *Engine, adopted bool) {
	t.Helper()
	must(t, d.ns.Do(func() (err error) {
		if e, err = Adopt(pinned(folder)); errors.Is(err, ErrNotAdopted) {
			t.Log(err)
			e, err = Load(pinned(folder))
			return err
		}
		adopted = true
		return err
	}))
	return e, adopted
}

// TestServiceHasAFolderOfItsOwn: it sees the host's folder for pins at another place, which is the root of a mount.
func TestServiceHasAFolderOfItsOwn(t *testing.T) {
	host, service := t.TempDir(), t.TempDir()
	must(t, unix.Mount("bpf", host, "bpf", 0, "mode=0700"))
	t.Cleanup(func() { must(t, unix.Unmount(host, unix.MNT_DETACH)) })
	pins := filepath.Join(host, "drawbridge")
	if got := pinsHere(service, pins); got != pins {
		t.Errorf("%s without the service's", got)
	}
	if err := CanPin(service); !errors.Is(err, ErrNoPins) {
		t.Errorf("a folder of another file system: %v", err)
	}
	must(t, CanPin(pins), unix.Mount(pins, service, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(service, unix.MNT_DETACH)) })
	if got := pinsHere(service, pins); got != service {
		t.Errorf("%s although the service has its own", got)
	}
	must(t, CanPin(service))
	if got := pinsHere(t.TempDir()+"/no", t.TempDir()+"/such/folder"); CanPin(got) == nil {
		t.Errorf("can pin in %s", got)
	}
}

// TestUnitBindsTheFolder that is looked for.
func TestUnitBindsTheFolder(t *testing.T) {
	for file, line := range map[string]string{
		"drawbridge.service":  "\nBindPaths=-" + Pins + ":" + ServicePins + "\n",
		"drawbridge.tmpfiles": "\nd- " + Pins + " 0700 drawbridge drawbridge -\n",
	} {
		text, err := os.ReadFile("../../systemd/units/" + file)
		if must(t, err); !strings.Contains(string(text), line) {
			t.Errorf("%s lacks %q", file, line)
		}
	}
}

func TestNextProcessAdoptsWhatGoesOnForwarding(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	folder := pinning(t, l)
	a, b, d := l.nodes[1].host, l.nodes[2].host, l.nodes[1]
	meet(l, a, b)
	must(t, d.e.Close())
	f, mark := a.frame(b.mac), a.frame(b.mac)
	a.send(f)
	a.send(mark)
	if n := b.copies(f, mark); n != 1 {
		t.Errorf("with nobody at home %d copies arrive, want 1", n)
	}
	var adopted bool
	if d.e, adopted = reload(t, d, folder); !adopted {
		t.Fatal("the maps were not adopted")
	}
	all, err := d.e.MACs()
	must(t, err)
	if !slices.ContainsFunc(all, func(s Station) bool { return s.MAC == b.mac && s.Origin == 2 }) {
		t.Errorf("the addresses are lost: %v", all)
	}
	before, err := d.e.rows()
	must(t, err)
	if s := steps(before, l.table(1).rows()); len(s) != 0 {
		t.Errorf("the adopted table differs: %v", s)
	}
	must(t, d.addPort("lan0", Port{Self: 1, Gate: -1}), d.e.Prune())
	f, mark = a.frame(b.mac), a.frame(b.mac)
	a.send(f)
	a.send(mark)
	if n := b.copies(f, mark); n != 1 {
		t.Errorf("after the adoption %d copies arrive, want 1", n)
	}
	must(t, d.e.Remove())
	if left := pinsOf(t, d, folder); len(left) != 0 {
		t.Error("pins are left:", left)
	}
	if _, err := d.ns.IndexOf("dbk0"); err == nil {
		t.Error("the tunnel is left")
	}
	if d.e, adopted = reload(t, d, folder); adopted {
		t.Error("adopted what was removed")
	}
	must(t, l.nodes[2].e.Remove(), d.e.Remove())
	l.nodes[1].e, l.nodes[2].e = newEmpty(), newEmpty()
}

// pinsOf lists the folders of pins that are for whoever cleans at a node.
func pinsOf(t *testing.T, d *node, folder string) (left []string) {
	t.Helper()
	must(t, d.ns.Do(func() (err error) {
		left, err = LeftPins(folder)
		return err
	}))
	return left
}

// newEmpty is an engine that has nothing to close.
func newEmpty() *Engine { return &Engine{} }

func TestPortsOfTheEarlierProcessArePruned(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	folder := pinning(t, l)
	a, b, d := l.nodes[1].host, l.nodes[2].host, l.nodes[1]
	meet(l, a, b)
	must(t, d.e.Close())
	d.e, _ = reload(t, d, folder)
	must(t, d.e.Prune())
	var listed ports
	must(t, d.e.maps[mapLocal].Lookup(uint32(0), &listed))
	if listed.N != 0 {
		t.Errorf("%d ports are still flooded to", listed.N)
	}
	must(t, d.ns.Do(func() error {
		removed, err := Clean(folder + "/none")
		if slices.Contains(removed, "program on lan0") {
			t.Error("the program is still on the port")
		}
		return err
	}))
	must(t, l.nodes[2].e.Remove(), d.e.Remove())
	l.nodes[1].e, l.nodes[2].e = newEmpty(), newEmpty()
}

func TestCleanRemovesEverything(t *testing.T) {
	l := newLab(t, 1)
	folder := pinning(t, l)
	d := l.nodes[1]
	must(t, d.e.Close())
	var removed []string
	must(t, d.ns.Do(func() (err error) {
		removed, err = Clean(folder)
		return err
	}))
	for _, what := range []string{"tunnel dbk0", "program on lan0", "pins"} {
		if !slices.ContainsFunc(removed, func(s string) bool { return strings.HasPrefix(s, what) }) {
			t.Errorf("%s is not among what was removed: %v", what, removed)
		}
	}
	must(t, d.ns.Do(func() (err error) {
		removed, err = Clean(folder)
		return err
	}))
	if len(removed) != 0 {
		t.Errorf("the second time there was still %v", removed)
	}
	d.e = newEmpty()
}

// TestWhatIsLeftIsRemovedOneByOne is for whoever lists it first and asks.
func TestWhatIsLeftIsRemovedOneByOne(t *testing.T) {
	l := newLab(t, 1)
	pinning(t, l)
	d := l.nodes[1]
	must(t, d.e.Close())
	var left, after []string
	must(t, d.ns.Do(func() (err error) {
		if left, err = Left(); err != nil {
			return err
		}
		for _, name := range left {
			if err := CleanInterface(name); err != nil {
				return err
			}
		}
		after, err = Left()
		return err
	}))
	if !slices.Contains(left, "dbk0") || !slices.Contains(left, "lan0") || len(after) != 0 {
		t.Errorf("%v was left, and %v after it was cleaned", left, after)
	}
	d.e = newEmpty()
}

func TestForeignDeviceIsLeftAlone(t *testing.T) {
	ns := space(t, "own")
	must(t, ns.Bridge("dbk0"))
	err := ns.Do(func() error {
		e, err := Load(Options{Device: "dbk0", Port: 4790})
		if err == nil {
			return e.Close()
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "dbk0 is in the way") {
		t.Errorf("a bridge in the way: %v", err)
	}
	if _, err := ns.IndexOf("dbk0"); err != nil {
		t.Error("somebody else's bridge was removed")
	}
}
