package pipe

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Slots is how many segments a board has room for.
const Slots = 1022

// Board is the memory that the daemon and its agent share beside the gates. Whoever maps it first finds zeros: nothing
// may open, and nobody has given a sign of life.
type Board struct {
	// Daemon is moved on by the daemon for as long as its data path moves.
	Daemon atomic.Uint64
	// Agent is moved on by the agent with every turn of its loop.
	Agent atomic.Uint64
	// Allow is, for each segment, the epoch under which the daemon has nothing against an open gate; 0: none. To shut a
	// gate for good, store 0 here and then shut it; the agent looks once more after it has opened. One of the two sees
	// the other.
	Allow [Slots]atomic.Uint64
}

// NewBoard makes a board, and the descriptor by which another process joins it.
func NewBoard() (*Board, int, error) {
	fd, err := unix.MemfdCreate("drawbridge_board", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, -1, fmt.Errorf("board of the lease agent: %w", os.NewSyscallError("memfd_create", err))
	}
	err = os.NewSyscallError("ftruncate", unix.Ftruncate(fd, int64(unsafe.Sizeof(Board{}))))
	if err == nil {
		var b *Board
		if b, err = JoinBoard(fd); err == nil {
			return b, fd, nil
		}
	}
	_ = unix.Close(fd)
	return nil, -1, fmt.Errorf("board of the lease agent: %w", err)
}

// JoinBoard maps a board that another process made. The descriptor may be closed afterwards.
func JoinBoard(fd int) (*Board, error) {
	page, err := unix.Mmap(fd, 0, int(unsafe.Sizeof(Board{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return (*Board)(unsafe.Pointer(unsafe.SliceData(page))), nil
}

// Leave unmaps the board. Nobody may touch it afterwards.
func (b *Board) Leave() error {
	return os.NewSyscallError("munmap", unix.MunmapPtr(unsafe.Pointer(b), unsafe.Sizeof(*b)))
}
