package kernel

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Pins is where engines keep their maps for the next process: a folder for each network namespace, in it one for each device, in it
// one that is named by the fingerprint.
const Pins = "/sys/fs/bpf/drawbridge"

// ServicePins is where the packaged service sees that folder. systemd mounts /sys/fs/bpf for root alone (mode 0700), so the service's
// user gets the folder bound to a place of its own (systemd/units/drawbridge.service).
const ServicePins = "/run/drawbridge/bpf"

// PinsHere is the folder for pins as this process sees it.
func PinsHere() string { return pinsHere(ServicePins, Pins) }

// pinsHere is the first folder that is in a BPF file system, or else the last.
func pinsHere(folders ...string) string {
	for _, folder := range folders {
		if inBPF(folder) == nil {
			return folder
		}
	}
	return folders[len(folders)-1]
}

// inBPF tells why a folder, or the one where it would be made, is not in a BPF file system.
func inBPF(root string) error {
	at := root
	var s unix.Statfs_t
	err := unix.Statfs(at, &s)
	if errors.Is(err, fs.ErrNotExist) {
		at = filepath.Dir(root)
		err = unix.Statfs(at, &s)
	}
	if err != nil || s.Type != unix.BPF_FS_MAGIC {
		return errors.Join(fmt.Errorf("no BPF file system is mounted at %s", at), err)
	}
	return nil
}

// ErrNoPins says that maps cannot be kept for the next process; the error around it says why.
var ErrNoPins = errors.New("a restart interrupts the kernel engine")

// ErrNotAdopted says that an earlier process left nothing that can be gone on with; the error around it says why.
var ErrNotAdopted = errors.New("begin anew")

// Namespace names the network namespace of the calling thread. The cookie is not given out again while the machine runs, unlike an
// inode's number, and all namespaces share one BPF file system.
func Namespace() (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("network namespace: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return "", fmt.Errorf("network namespace: %w", err)
	}
	return strconv.FormatUint(cookie, 16), nil
}

// CanPin tells why maps cannot be pinned below root, in the network namespace of the calling thread; nil: they can.
func CanPin(root string) error {
	here, err := Namespace()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoPins, err)
	}
	if err := inBPF(root); err != nil {
		return fmt.Errorf("%w: %w", ErrNoPins, err)
	}
	own := filepath.Join(root, here)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return fmt.Errorf("%w: folder for pins: %w", ErrNoPins, err)
	}
	_ = os.Remove(own) // unless there is something in it
	return nil
}

// fingerprint tells engines apart that must not go on with each other's maps: of other programs and so of other layouts, of
// another peer, with other ports.
func (o Options) fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%x %q %d %q", sha256.Sum256(dataplane), o.Device, o.Settle, o.Identity)
	return hex.EncodeToString(h.Sum(nil))
}

// folder is where this engine's pins are, whatever their fingerprint.
func (o Options) folder() (string, error) {
	here, err := Namespace()
	return filepath.Join(o.Pins, here, o.Device), err
}

// Pinned lists the devices whose engines have pins, in the network namespace of the calling thread.
func Pinned(root string) (devices []string, err error) {
	here, err := Namespace()
	if err != nil {
		return nil, err
	}
	all, _ := filepath.Glob(filepath.Join(root, here, "*")) // the pattern is good
	for _, path := range all {
		devices = append(devices, filepath.Base(path))
	}
	return devices, nil
}

// createMaps begins anew: what an earlier process pinned goes.
func (e *Engine) createMaps() error {
	if err := e.unpin(); err != nil {
		return err
	}
	at := filepath.Join(e.folder, e.options.fingerprint())
	if e.folder != "" {
		if err := os.MkdirAll(at, 0o700); err != nil {
			return fmt.Errorf("folder for pins: %w: %w", ErrNoPins, err)
		}
	}
	for _, name := range shared {
		m, err := ebpf.NewMap(e.spec.Maps[name])
		if err != nil {
			return fmt.Errorf("create map %s: %w: %w", name, ErrNotSupported, err)
		}
		e.maps[name] = m
		if e.folder != "" {
			if err := m.Pin(filepath.Join(at, name)); err != nil {
				return fmt.Errorf("pin map %s: %w: %w", name, ErrNoPins, err)
			}
		}
	}
	return nil
}

// adoptMaps opens the pinned maps of this fingerprint, all or none, while their engine may still forward: of one whose time is over
// nobody knows what was true.
func (e *Engine) adoptMaps() error {
	for _, name := range shared {
		m, err := ebpf.LoadPinnedMap(filepath.Join(e.folder, e.options.fingerprint(), name), nil)
		if err != nil {
			return fmt.Errorf("%w: map %s: %w", ErrNotAdopted, name, err)
		}
		e.maps[name] = m
		if err := e.spec.Maps[name].Compatible(m); err != nil {
			return fmt.Errorf("%w: map %s: %w", ErrNotAdopted, name, err)
		}
	}
	var took Entry
	if err := e.maps[mapEntry].Lookup(uint32(0), &took); err != nil || took != Everything {
		return errors.Join(fmt.Errorf("%w: it did not take in all frames", ErrNotAdopted), err)
	}
	left, err := lives(e.maps[mapLife])
	if err == nil && left <= 0 {
		err = fmt.Errorf("it was not renewed for %v longer than it may forward", -left)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAdopted, err)
	}
	return nil
}

// adoptTunnel takes over the device that is there.
func (e *Engine) adoptTunnel() error {
	link, err := e.links.LinkByName(e.options.Device)
	if err != nil {
		return fmt.Errorf("%w: VXLAN device %s: %w", ErrNotAdopted, e.options.Device, err)
	}
	v, ok := link.(*netlink.Vxlan)
	if !ok || !v.FlowBased || link.Attrs().Flags&unix.IFF_UP == 0 {
		return fmt.Errorf("%w: interface %s is not our tunnel", ErrNotAdopted, e.options.Device)
	}
	e.tunnel, e.options.Port = link, uint16(v.Port)
	return nil
}

// lives is for how long an engine may still forward; negative: since when it does not.
func lives(life *ebpf.Map) (time.Duration, error) {
	var until uint64
	if err := life.Lookup(uint32(0), &until); err != nil {
		return 0, fmt.Errorf("read for how long the kernel engine was renewed: %w", err)
	}
	now, err := coarse()
	return time.Duration(until) - now, err
}

// Lives is for how long the engine forwards if nobody renews it; negative: since when it does not.
func (e *Engine) Lives() (time.Duration, error) { return lives(e.maps[mapLife]) }

// unpin removes the pins of this engine. The maps go when no program has them any more.
func (e *Engine) unpin() error {
	if e.folder == "" {
		return nil
	}
	if err := os.RemoveAll(e.folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pins: %w", err)
	}
	_ = os.Remove(filepath.Dir(e.folder)) // unless another engine of this namespace is there
	return nil
}

// Prune ends forwarding on ports that an earlier process had and this one has not added. Whoever adopts calls it once all
// its ports are added.
func (e *Engine) Prune() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var l ports
	if err := e.maps[mapLocal].Lookup(uint32(0), &l); err != nil {
		return fmt.Errorf("local ports: %w", err)
	}
	var errs []error
	for _, p := range l.Port[:l.N] {
		if e.ports[int(p.Ifindex)] != nil {
			continue
		}
		errs = append(errs, e.unlistPort(p.Ifindex))
		if link, err := e.links.LinkByIndex(int(p.Ifindex)); err == nil {
			_, err = cleanLink(e.links, link)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Table is what the maps say: of the last Apply, or of an earlier process.
func (e *Engine) Table() (Table, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.rows()
	return r.table(), err
}
