package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/forwarder/wireguard"
)

// PinnedAt is where everything of ours stands that the kernel keeps beyond a process. What other network namespaces pinned there is
// none of ours.
const PinnedAt = kernel.Pins

// Kinds of leftovers.
const (
	Pinned = "pinned BPF object"
	Socket = "socket"
	Filter = "gate on an interface"
	Engine = "kernel engine"
	Shield = "WireGuard device"
)

// leftovers finds what a former run left. While the daemon runs, what is pinned is in use.
func (g *gatherer) leftovers(running bool) (all []Leftover) {
	if !running {
		folders, _ := kernel.LeftPins(g.path(PinnedAt)) // not allowed to see: root will be
		for _, dir := range folders {
			all = append(all, pinned(dir)...)
		}
		all = append(all, guarded()...)
		all = append(all, engines()...)
		if wireguard.Left() { // after the engines that send through it
			all = append(all, Leftover{Shield, wireguard.Name, "a daemon that is gone left it"})
		}
	}
	if dead(g.cfg.Socket) {
		all = append(all, Leftover{Socket, g.cfg.Socket, "nobody answers at it"})
	}
	return all
}

// pinned lists everything below dir, what is in a directory before the directory.
func pinned(dir string) (all []Leftover) {
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { // unreadable: nothing to remove
		if err == nil {
			all = append(all, Leftover{Pinned, path, "no daemon runs that would use it"})
		}
		return nil
	})
	slices.Reverse(all)
	return all
}

// guarded lists the interfaces at which a killed daemon left its gate, which is shut for ever. A new one replaces it; it
// is in the way of whoever uses the interface for something else.
func guarded() (all []Leftover) {
	names, _ := hostnet.Guarded() // not allowed to see: root will be
	for _, n := range names {
		all = append(all, Leftover{Filter, n, "a daemon that is gone left it, shut"})
	}
	return all
}

// engines lists the interfaces at which a killed daemon left programs of the kernel engine, and its tunnels. They forward
// nothing any more.
func engines() (all []Leftover) {
	names, _ := kernel.Left() // not allowed to see: root will be
	for _, n := range names {
		all = append(all, Leftover{Engine, n, "a daemon that is gone left it"})
	}
	return all
}

// dead reports whether path is a socket at which nobody listens.
func dead(path string) bool {
	i, err := os.Lstat(path)
	if err != nil || i.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Clean removes leftovers, and goes on after one that cannot be removed. It looks at each again first: a daemon may have
// started since the list was made.
func Clean(all []Leftover) (removed []Leftover, err error) {
	for _, l := range all {
		switch {
		case l.Kind == Socket && !dead(l.Path):
			err = errors.Join(err, fmt.Errorf("%s: somebody answers at it now; it was left alone", l.Path))
			continue
		}
		if e := l.remove(); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("remove %s %s: %w", l.Kind, l.Path, e))
			continue
		}
		removed = append(removed, l)
	}
	return removed, err
}

func (l Leftover) remove() error {
	switch l.Kind {
	case Filter:
		return hostnet.Unguard(l.Path)
	case Engine:
		return kernel.CleanInterface(l.Path)
	case Shield:
		_, err := wireguard.Clean()
		return err
	}
	return os.Remove(l.Path)
}
