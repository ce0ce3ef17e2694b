// Package gate puts a failover.Gate into the kernel: a map that this process writes through shared memory, a
// socket filter that guards capture and a traffic-control program that guards injection. Both compare the lease
// with the kernel's own clock for every frame, so a hung, stopped or killed process neither loops the network nor
// keeps it open past its lease.
package gate

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover"
)

// Mark is the SO_MARK of the sockets that inject frames. The egress program judges only frames that carry it, so
// the host's own traffic and ALONE hellos leave through a shut gate. "DBGT" in ASCII.
const Mark = 0x44424754

// ErrNotSupported says that this kernel cannot hold the gate; the error around it names the feature.
var ErrNotSupported = errors.New("the kernel cannot hold the gate")

// Kernel is a gate whose memory two kernel programs share.
type Kernel struct {
	*failover.Gate
	state   *ebpf.Map
	capture *ebpf.Program
	inject  *ebpf.Program
}

// Now reads CLOCK_BOOTTIME. The call never waits, so the runtime is not told of it.
func Now() failover.Boottime {
	var ts unix.Timespec
	if _, _, e := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		return failover.Forever // no clock: every lease is over
	}
	return failover.Boottime(ts.Nano())
}

// New loads the programs and returns the gate, shut. The error wraps ErrNotSupported when the kernel or the
// privileges of the process do not allow it; a soft gate is then what remains.
func New() (*Kernel, error) {
	state, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "drawbridge_gate", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(unsafe.Sizeof(failover.Cell{})),
		MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, fmt.Errorf("create the gate map: %w: %w", ErrNotSupported, err)
	}
	k := &Kernel{state: state}
	if err := k.load(); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Kernel) load() (err error) {
	if k.Gate, err = Join(k.state.FD(), Now); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	if k.capture, err = program("gate_capture", ebpf.SocketFilter, captureProgram(k.state.FD())); err != nil {
		return err
	}
	if k.inject, err = program("gate_inject", ebpf.SchedCLS, injectProgram(k.state.FD())); err != nil {
		return err
	}
	return nil
}

func program(name string, kind ebpf.ProgramType, code asm.Instructions) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: kind, Instructions: code, License: "Dual MIT/GPL"})
	if err != nil {
		return nil, fmt.Errorf("load %s: %w: %w", name, ErrNotSupported, err)
	}
	return p, nil
}

// CaptureFilter is the descriptor of the socket filter, to be attached (SO_ATTACH_BPF) to the socket that captures
// from the segment. It must sit there: a packet socket reads frames even when a traffic-control program drops them.
func (k *Kernel) CaptureFilter() int { return k.capture.FD() }

// InjectProgram is the descriptor of the traffic-control program for the segment port's egress hook. Sockets that
// inject must set Mark and must not bypass the queueing discipline, which would skip the program.
func (k *Kernel) InjectProgram() int { return k.inject.FD() }

// Close shuts the gate and gives the kernel objects back. Programs that are still attached stay, and stay shut.
func (k *Kernel) Close() error {
	if k.Gate != nil {
		k.Shut()
	}
	var errs []error
	for _, p := range []*ebpf.Program{k.capture, k.inject} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(append(errs, k.state.Close())...)
}
