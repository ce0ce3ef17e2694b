// Package kernel forwards frames in the kernel: eBPF programs at the ports and at a VXLAN device decide, by maps that
// this process fills, and the gate of a segment port is compared with the kernel's own clock for each frame. It
// encrypts nothing, so it is for links whose underlay is trusted or protected by other means
// (docs/protocol/kernel.md).
package kernel

import (
	"errors"
	"fmt"
	"net/netip"
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
	Inner  netip.Addr    // IPv6 address at a device that protects the underlay: only what is sent to it is taken; invalid: any
	Settle time.Duration // how long an address must have been silent before it may turn up elsewhere
	Pins   string        // folder for all engines in a BPF file system, from which the next process adopts this one; empty: none

	// Identity is what must be the same for the next process to go on with the maps: whose engine it is, and its ports.
	Identity string
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
	folder  string // of this engine's pins; empty: none

	mu    sync.Mutex // guards what follows, and the order of writes to the maps that Apply writes
	guard *attachment
	ports map[int]*attachment
}

// Load puts maps, programs and the tunnel device into the kernel, in the network namespace of the calling thread, in place of
// what an earlier process left of this engine. Nothing is forwarded before Renew. The error wraps ErrNotSupported when the kernel or
// the privileges of the process do not allow it, and carries the verifier's log when that refused a program; ErrNoPins when only
// pinning failed.
func Load(o Options) (*Engine, error) {
	e, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err = e.createMaps(); err == nil {
		e.tunnel, err = e.openTunnel()
	}
	if err == nil {
		err = e.begin()
	}
	if err != nil {
		return nil, errors.Join(err, e.Remove())
	}
	return e, nil
}

// Adopt goes on with what an earlier process pinned in the same namespace under the same fingerprint, while that may still forward. The
// UDP port is the earlier one's (Port). Nothing is renewed by it: what was left forwards as long as it would have, through the programs
// and gates of that process, until AddPort replaces them. The error wraps ErrNotAdopted; nothing has been changed then.
func Adopt(o Options) (*Engine, error) {
	e, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err = e.adoptMaps(); err == nil {
		err = e.adoptTunnel()
	}
	if err == nil {
		err = e.begin()
	}
	if err != nil {
		return nil, errors.Join(err, e.release())
	}
	return e, nil
}

func prepare(o Options) (e *Engine, err error) {
	e = &Engine{options: o, maps: map[string]*ebpf.Map{}, ports: map[int]*attachment{}}
	if e.spec, err = object(); err != nil {
		return nil, err
	}
	if o.Pins != "" {
		if e.folder, err = o.folder(); err != nil {
			return nil, err
		}
	}
	if e.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return e, nil
}

func (e *Engine) begin() (err error) {
	if e.events, err = ringbuf.NewReader(e.maps[mapEvents]); err != nil {
		return fmt.Errorf("read the ring buffer: %w: %w", ErrNotSupported, err)
	}
	return e.guardTunnel()
}

// Port is the UDP port of the tunnel.
func (e *Engine) Port() uint16 { return e.options.Port }

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
	if e.folder == "" {
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
