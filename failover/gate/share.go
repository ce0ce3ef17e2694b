package gate

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover"
)

// Soft is a gate that no kernel program obeys, only whoever asks Permit. Its memory can be shared all the same: the
// process that keeps the lease opens and shuts it, and the one that forwards frames reads the same word.
type Soft struct {
	*failover.Gate
	memory int
}

// NewSoft returns a soft gate, shut.
func NewSoft() (*Soft, error) {
	fd, err := unix.MemfdCreate("drawbridge_gate", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory for a soft gate: %w", os.NewSyscallError("memfd_create", err))
	}
	s := &Soft{memory: fd}
	if err := unix.Ftruncate(fd, int64(os.Getpagesize())); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("memory for a soft gate: %w", os.NewSyscallError("ftruncate", err))
	}
	if s.Gate, err = Join(fd, Now); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return s, nil
}

// Memory is the descriptor of the gate's memory, for another process to Join.
func (s *Soft) Memory() int { return s.memory }

// Close shuts the gate. Its memory stays mapped, like a kernel gate's.
func (s *Soft) Close() error {
	s.Shut()
	return os.NewSyscallError("close", unix.Close(s.memory))
}

// Memory is the descriptor of the gate's map, for another process to Join.
func (k *Kernel) Memory() int { return k.state.FD() }

// Join returns a gate over memory that another process made, and shuts it. The clock is Now, or one that its owner has just
// read. The descriptor may be closed afterwards: the page stays mapped until the process ends, because a reader that
// asks late must find memory, shut.
func Join(memory int, now func() failover.Boottime) (*failover.Gate, error) {
	page, err := unix.Mmap(memory, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the gate into memory: %w", os.NewSyscallError("mmap", err))
	}
	return failover.NewGate((*failover.Cell)(unsafe.Pointer(unsafe.SliceData(page))), now), nil
}
