// Package netlab builds networks out of Linux network namespaces: hosts, wires, switches, faults. The lab and the
// end-to-end tests stand on it. It needs no ip(8), tc(8) or ethtool(8), only CAP_NET_ADMIN and CAP_SYS_ADMIN, which
// the first process of a user namespace has too. Namespaces are named under /run/netns, so `ip netns` sees them.
package netlab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Dir is where ip-netns(8) keeps named namespaces.
const Dir = "/run/netns"

// Namespace is a named network namespace that is held open.
type Namespace struct {
	name   string
	handle netns.NsHandle
	links  *netlink.Handle
}

// Create makes a namespace, with its loopback up. One of that name that exists already is an error: Delete it first.
func Create(name string) (*Namespace, error) {
	if name == "" || strings.ContainsAny(name, "/ ") || name[0] == '.' {
		return nil, fmt.Errorf("namespace %q: want a file name", name)
	}
	if err := onThrowawayThread(func() error {
		h, err := netns.NewNamed(name)
		if err == nil {
			h.Close()
		}
		return err
	}); err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	n, err := Open(name)
	if err != nil {
		return nil, errors.Join(err, Delete(name))
	}
	if err := n.Up("lo"); err != nil {
		return nil, errors.Join(err, n.Close(), Delete(name))
	}
	return n, nil
}

// onThrowawayThread runs f on a thread that ends with it, so that nothing f does to the thread can leak.
func onThrowawayThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread
		done <- f()
	}()
	return <-done
}

// Open holds a namespace that exists.
func Open(name string) (*Namespace, error) {
	handle, err := netns.GetFromName(name)
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	links, err := netlink.NewHandleAt(handle, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open namespace %s: %w", name, err), handle.Close())
	}
	return &Namespace{name, handle, links}, nil
}

// Close lets go of the namespace, which stays.
func (n *Namespace) Close() error {
	n.links.Close()
	return n.handle.Close()
}

// Name is the name under Dir.
func (n *Namespace) Name() string { return n.name }

// Path is the file that stands for the namespace.
func (n *Namespace) Path() string { return filepath.Join(Dir, n.name) }

// Exists reports whether something of that name stands in Dir.
func Exists(name string) bool {
	_, err := os.Lstat(filepath.Join(Dir, name))
	return err == nil
}

// Delete kills what runs in the namespace and removes it; none of that name is no error. Its interfaces, and so the
// other ends of its wires, go with it.
func Delete(name string) error {
	path := filepath.Join(Dir, name)
	if err := KillAll(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	// Not mounted, or mounted in another mount namespace, is EINVAL: the file is all there is.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	return nil
}

// Do runs f on a thread inside the namespace: sockets that f opens stay in it, also after f. f starts no goroutine
// that is to be in the namespace as well.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		back, err := netns.Get()
		if err != nil {
			done <- err // stays locked: the thread ends
			return
		}
		defer back.Close()
		if err := netns.Set(n.handle); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", n.name, err)
			return
		}
		err = f()
		if netns.Set(back) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Sysctl sets a value under /proc/sys/net, such as "ipv4/ip_forward".
func (n *Namespace) Sysctl(key, value string) error {
	return n.Do(func() error {
		if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0); err != nil {
			return fmt.Errorf("namespace %s: %w", n.name, err)
		}
		return nil
	})
}
