package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// Pins is where engines keep their maps for the next process, a folder for each.
const Pins = "/sys/fs/bpf/drawbridge"

// openMaps takes over the pinned maps if all are there and look as this version makes them, else it begins anew.
func (e *Engine) openMaps() error {
	if e.options.Pins != "" {
		if e.adopted = e.adoptMaps() == nil; e.adopted {
			return nil
		}
		if err := e.unpin(); err != nil {
			return err
		}
		if err := os.MkdirAll(e.options.Pins, 0o700); err != nil {
			return fmt.Errorf("folder for pins: %w (is a BPF file system mounted at /sys/fs/bpf?)", err)
		}
	}
	for _, name := range shared {
		m, err := ebpf.NewMap(e.spec.Maps[name])
		if err != nil {
			return fmt.Errorf("create map %s: %w: %w", name, ErrNotSupported, err)
		}
		e.maps[name] = m
		if e.options.Pins != "" {
			if err := m.Pin(filepath.Join(e.options.Pins, name)); err != nil {
				return fmt.Errorf("pin map %s: %w", name, err)
			}
		}
	}
	return nil
}

// adoptMaps opens the pinned maps, all or none.
func (e *Engine) adoptMaps() error {
	found := map[string]*ebpf.Map{}
	for _, name := range shared {
		m, err := ebpf.LoadPinnedMap(filepath.Join(e.options.Pins, name), nil)
		if err == nil {
			found[name] = m
			err = e.spec.Maps[name].Compatible(m)
		}
		if err != nil {
			for _, m := range found {
				m.Close()
			}
			return err
		}
	}
	e.maps = found
	return nil
}

// unpin removes the pins of this engine. The maps go when no program has them any more.
func (e *Engine) unpin() error {
	if e.options.Pins == "" {
		return nil
	}
	if err := os.RemoveAll(e.options.Pins); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pins: %w", err)
	}
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
