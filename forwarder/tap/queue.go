package tap

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/descriptor"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

// Each receive buffer is [virtio-net header][frame][room]: the room is what readers may overwrite behind a frame. Its
// length is an odd number of cache lines, so that the beginnings of a batch's buffers lie in different cache sets.
const (
	maxFrame = 1<<16 + 64 // the kernel's limit of a TAP's super-frame, and link headers
	room     = 256
	bufLen   = 1031 * 64
)

const _ = uint(bufLen - segment.VnetLen - maxFrame - room) // does not compile when a buffer is too small

// reason says why a frame went no further. The order is that of reasonNames.
type reason int

const (
	truncated reason = iota // longer than a super-frame may be
	malformed               // its offload does not fit its contents
	busy                    // the kernel had no memory for it
	tooBig                  // datagrams of a super-frame are longer than the MTU
	down                    // the interface is down or gone
	refused                 // the kernel said no in another way
	reasons
)

var reasonNames = [reasons]string{"truncated", "malformed", "busy", "too-big", "down", "refused"}

// Queue is one queue of a device. One goroutine may read, another write, any may call the rest.
type Queue struct {
	name  string
	mtu   *atomic.Int32 // the device's
	file  *descriptor.File
	drops [reasons]atomic.Uint64

	// The reader's.
	bufs    []byte
	lengths []int

	// The writer's.
	fd           int // during WriteBatch
	header       [segment.VnetLen]byte
	iovs         [2]unix.Iovec
	splitter     segment.Splitter
	sendFinished func(drawbridge.Frame) // bound once: a closure per call would be allocated
	lost         bool                   // a segment of the packet being cut was not sent
}

func newQueue(fd int, name string, batch int, mtu *atomic.Int32) (*Queue, error) {
	if batch <= 0 {
		batch = defaultBatch
	}
	q := &Queue{name: name, mtu: mtu, bufs: make([]byte, batch*bufLen), lengths: make([]int, batch)}
	q.sendFinished = q.giveFinished
	q.iovs[0].Base = &q.header[0]
	q.iovs[0].SetLen(len(q.header))
	var err error
	q.file, err = descriptor.New(fd)
	return q, err
}

// Name is the interface's name.
func (q *Queue) Name() string { return q.name }

// Waiting reports whether a frame waits to be read.
func (q *Queue) Waiting() bool { return q.file.Waiting() }

// Close ends the queue; a blocked ReadBatch returns os.ErrClosed.
func (q *Queue) Close() error { return q.file.Close() }

// Drops counts frames that were lost at this queue, by reason. Those that came while nobody read are in the
// interface's own statistics (tx_dropped).
func (q *Queue) Drops() map[string]uint64 {
	counts := make(map[string]uint64, reasons)
	for i, name := range reasonNames {
		counts[name] = q.drops[i].Load()
	}
	return counts
}

func (q *Queue) drop(r reason, frames int) { q.drops[r].Add(uint64(frames)) }

func (q *Queue) buf(i int) []byte { return q.bufs[i*bufLen : (i+1)*bufLen : (i+1)*bufLen] }

// receive reads the frames that are there, up to so many, one system call each, for the device has none for many. The
// errno is of the read that got nothing.
func (q *Queue) receive(fd, want int) (got int, errno syscall.Errno) {
	for got < want {
		buf := q.buf(got)
		n, _, errno := unix.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)-room))
		switch errno {
		case 0:
			q.lengths[got] = int(n)
			got++
		case unix.EINTR:
		default:
			return got, errno
		}
	}
	return got, 0
}

// ReadBatch waits for frames and puts up to len(ps) of them into ps. Their bytes stay until the next call, and each
// has 256 bytes of capacity behind it that the caller may overwrite. While the interface is down it waits. An error
// that wraps ENODEV says that the interface was deleted. Close makes it return os.ErrClosed.
func (q *Queue) ReadBatch(ps []drawbridge.Packet) (n int, err error) {
	fd, ok := q.file.Enter()
	if !ok {
		return 0, os.ErrClosed
	}
	defer q.file.Leave()
	for n == 0 && err == nil {
		got, errno := q.receive(fd, min(len(ps), len(q.lengths)))
		for i := range got {
			if q.take(i, &ps[n]) {
				n++
			}
		}
		if n == 0 || errno == unix.EINVAL {
			err = q.check(errno)
		}
	}
	return n, err
}

// check deals with the errno of a read: waits if there was nothing, and tells errors that last.
func (q *Queue) check(errno syscall.Errno) error {
	switch errno {
	case 0:
	case unix.EAGAIN:
		if !q.file.Wait() {
			return os.ErrClosed
		}
	case unix.EINVAL: // a segmentation that has no virtio-net header; the kernel has dropped the frame
		q.drop(malformed, 1)
	case unix.EBADFD, unix.EIO:
		return q.goneError()
	default:
		return fmt.Errorf("TAP device %s: receive frames: %w", q.name, errno)
	}
	return nil
}

func (q *Queue) goneError() error {
	return fmt.Errorf("TAP device %s: the interface was deleted; open it again: %w", q.name, unix.ENODEV)
}

// take turns buffer i into a packet; false when it holds none.
func (q *Queue) take(i int, pk *drawbridge.Packet) bool {
	buf, length := q.buf(i), q.lengths[i]
	switch {
	case length < segment.VnetLen+drawbridge.MinFrame:
		q.drop(malformed, 1)
		return false
	case length >= len(buf)-room: // the device cuts what does not fit
		q.drop(truncated, 1)
		return false
	}
	pk.Frame, pk.Offload = buf[segment.VnetLen:length:length+room], segment.Vnet(buf)
	if segment.Settle(pk) != nil {
		q.drop(malformed, 1)
		return false
	}
	return true
}

// give sends one frame and never waits; the error is that of WriteBatch.
func (q *Queue) give(f drawbridge.Frame, o drawbridge.Offload) (errno syscall.Errno, err error) {
	segment.PutVnet(q.header[:], o)
	q.iovs[1].Base = &f[0]
	q.iovs[1].SetLen(len(f))
	for errno = unix.EINTR; errno == unix.EINTR; {
		_, _, errno = unix.Syscall(unix.SYS_WRITEV, uintptr(q.fd), uintptr(unsafe.Pointer(&q.iovs[0])), uintptr(len(q.iovs)))
	}
	switch errno {
	case unix.EIO:
		return errno, fmt.Errorf("TAP device %s: the interface is down; set it up: %w", q.name, unix.ENETDOWN)
	case unix.EBADFD:
		return errno, q.goneError()
	}
	return errno, nil
}

// WriteBatch gives ps to the interface in order and returns how many it took. It never waits: a frame that is not
// taken is counted (see Drops) and skipped. An error means that no frame can be given at present: it wraps ENETDOWN
// while the interface is down, ENODEV when it was deleted.
func (q *Queue) WriteBatch(ps []drawbridge.Packet) (taken int, err error) {
	var open bool
	if q.fd, open = q.file.Enter(); !open {
		return 0, os.ErrClosed
	}
	defer q.file.Leave()
	for i := range ps {
		pk := &ps[i]
		o, fits := segment.Fit(pk, int(q.mtu.Load()))
		switch {
		case len(pk.Frame) < drawbridge.MinFrame:
			q.drop(malformed, 1)
			continue
		case !fits:
			q.drop(tooBig, 1)
			continue
		}
		errno, err := q.give(pk.Frame, o)
		switch {
		case err != nil:
			q.drop(down, len(ps)-i)
			return taken, err
		case errno == 0:
			taken++
		case errno == unix.EINVAL && o.GSO != drawbridge.GSONone: // a shape that this kernel does not cut
			taken += q.giveCut(pk)
		default:
			q.drop(lossOf(errno), 1)
		}
	}
	return taken, nil
}

func lossOf(errno syscall.Errno) reason {
	switch errno {
	case unix.ENOBUFS, unix.EAGAIN, unix.ENOMEM:
		return busy
	}
	return refused
}

// giveCut sends pk as the finished frames that it stands for; 1 when all of them were taken.
func (q *Queue) giveCut(pk *drawbridge.Packet) int {
	q.lost = false
	if q.splitter.Split(pk, int(q.mtu.Load()), q.sendFinished) != nil {
		q.drop(malformed, 1)
		return 0
	}
	if q.lost {
		return 0
	}
	return 1
}

func (q *Queue) giveFinished(f drawbridge.Frame) {
	if errno, err := q.give(f, drawbridge.Offload{}); err != nil || errno != 0 {
		q.lost = true
		q.drop(lossOf(errno), 1)
	}
}
