// Package kernel forwards frames in the kernel: eBPF programs at the ports and at a VXLAN device decide, by maps that
// this process fills, and the gate of a segment port is compared with the kernel's own clock for each frame. It
// encrypts nothing, so it is for links whose underlay is trusted or protected by other means
// (docs/protocol/kernel.md).
package kernel

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNotSupported says that this kernel cannot run the engine; the error around it names what is missing.
var ErrNotSupported = errors.New("the kernel cannot forward frames")

// Options is what one engine is made with. An engine carries one overlay.
type Options struct {
	Device string        // name of the VXLAN device, at most 15 bytes
	Port   uint16        // UDP port of the overlay
	Settle time.Duration // how long an address must have been silent before it may turn up elsewhere
	Pins   string        // folder for this engine in a BPF file system, from which the next process adopts it; empty: none
}

// Engine is the data path of one overlay. Any goroutine may use it; Run is for one.
type Engine struct {
	// Set at construction, then constant.
	options Options
	spec    *ebpf.CollectionSpec
	maps    map[string]*ebpf.Map
	events  *ringbuf.Reader
	links   *netlink.Handle
	tunnel  netlink.Link
	adopted bool // the maps were there before

	mu    sync.Mutex // guards what follows, and the order of writes to the maps that Apply writes
	guard *attachment
	ports map[int]*attachment
}

// Load puts maps, programs and the tunnel device into the kernel, in the network namespace of the calling thread, or adopts
// what an earlier process pinned. Nothing is forwarded before Renew. The error wraps ErrNotSupported when the kernel or
// the privileges of the process do not allow it, and carries the verifier's log when that refused a program.
func Load(o Options) (*Engine, error) {
	spec, err := object()
	if err != nil {
		return nil, err
	}
	e := &Engine{options: o, spec: spec, maps: map[string]*ebpf.Map{}, ports: map[int]*attachment{}}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) open() (err error) {
	if e.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if err := e.openMaps(); err != nil {
		return err
	}
	if e.events, err = ringbuf.NewReader(e.maps[mapEvents]); err != nil {
		return fmt.Errorf("read the ring buffer: %w: %w", ErrNotSupported, err)
	}
	if e.tunnel, err = e.openTunnel(); err != nil {
		return err
	}
	return e.guardTunnel()
}

// Adopted reports whether an earlier process's maps were taken over: addresses are known, and so are peers.
func (e *Engine) Adopted() bool { return e.adopted }

// Renew lets the engine forward for d from now on. A daemon that is gone does not renew, and then guests are cut
// off too: nobody would find a loop among them.
func (e *Engine) Renew(d time.Duration) error {
	now, err := coarse()
	if err != nil {
		return err
	}
	if err := e.maps[mapLife].Put(uint32(0), uint64(now+d)); err != nil {
		return fmt.Errorf("renew the kernel engine: %w", err)
	}
	return nil
}

// coarse is the clock that the programs read for addresses: CLOCK_MONOTONIC_COARSE, exact to a tick, at most 10 ms.
func coarse() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// Close gives the engine's descriptors back. What is pinned stays and forwards for as long as it was renewed, for the
// next process to adopt; without pins everything is removed.
func (e *Engine) Close() error {
	if e.options.Pins == "" {
		return e.Remove()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.release()
}

// Remove takes the programs off the ports, and removes the device and the pins.
func (e *Engine) Remove() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, a := range e.ports {
		errs = append(errs, a.detach(e.links))
	}
	clear(e.ports)
	if e.tunnel != nil {
		errs = append(errs, gone(e.links.LinkDel(e.tunnel)))
	}
	return errors.Join(append(errs, e.unpin(), e.release())...)
}

// release closes descriptors; the kernel keeps what is pinned or attached.
func (e *Engine) release() error {
	var errs []error
	for _, a := range e.ports {
		errs = append(errs, a.close())
	}
	if e.guard != nil {
		errs = append(errs, e.guard.close())
	}
	if e.events != nil {
		errs = append(errs, e.events.Close())
	}
	for _, m := range e.maps {
		errs = append(errs, m.Close())
	}
	if e.links != nil {
		e.links.Close()
	}
	return errors.Join(errs...)
}
