// Package kernel forwards frames in the kernel: eBPF programs at the ports and at VXLAN devices decide, by maps that
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
)

// ErrNotSupported says that this kernel cannot run the engine; the error around it names what is missing.
var ErrNotSupported = errors.New("the kernel cannot forward frames")

// Short is the number of an attachment in the tunnel header: a peer's guests have one, and each of its segment ports
// has its own. 12 bits; 0 is none.
type Short uint16

// MaxShort is the largest number that 12 bits hold.
const MaxShort Short = 1<<12 - 1

// Options is what one engine is made with. An engine carries one overlay.
type Options struct {
	Device string        // name of the VXLAN device, at most 15 bytes
	Port   uint16        // UDP port of the overlay
	Settle time.Duration // how long an address must have been silent before it may turn up elsewhere
	Pins   string        // folder in a BPF file system where everything is kept for the next process; empty: nowhere
}

// Engine is the data path of one overlay. Any goroutine may use it.
type Engine struct {
	// Set at construction, then constant.
	options Options
	spec    *ebpf.CollectionSpec
	maps    map[string]*ebpf.Map
	events  *ringbuf.Reader
	links   *netlink.Handle
	tunnel  netlink.Link
	guard   *attachment // of the tunnel

	mu    sync.Mutex // guards what follows
	ports map[int]*attachment
}

// Load puts the maps and the tunnel device into the kernel, in the network namespace of the calling thread. The error
// wraps ErrNotSupported when the kernel or the privileges of the process do not allow it, and carries the verifier's
// log when that refused a program.
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
	if e.links, err = netlink.NewHandle(); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if err := e.openMaps(); err != nil {
		return err
	}
	if e.events, err = ringbuf.NewReader(e.maps[mapEvents]); err != nil {
		return fmt.Errorf("ring buffer: %w: %w", ErrNotSupported, err)
	}
	if e.tunnel, err = e.openTunnel(); err != nil {
		return err
	}
	return e.guardTunnel()
}

// Close takes the programs off the ports, removes the devices and gives the maps back.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for index, p := range e.ports {
		errs = append(errs, p.detach(e.links))
		delete(e.ports, index)
	}
	if e.tunnel != nil {
		errs = append(errs, e.links.LinkDel(e.tunnel))
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
