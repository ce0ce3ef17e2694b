package tap

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
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
	name   string
	mtu    *atomic.Int32 // the device's
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool
	drops  [reasons]atomic.Uint64

	bufs    []byte
	lengths []int
	want    int
	got     int
	readNo  syscall.Errno
	read    func(fd uintptr) bool // bound once: a closure per call would be allocated

	header       [segment.VnetLen]byte
	iovs         [2]unix.Iovec
	writeNo      syscall.Errno
	write        func(fd uintptr) bool
	splitter     segment.Splitter
	sendFinished func(drawbridge.Frame)
	lost         bool // a segment of the packet being cut was not sent
}

func newQueue(file *os.File, name string, batch int, mtu *atomic.Int32) (*Queue, error) {
	if batch == 0 {
		batch = defaultBatch
	}
	q := &Queue{name: name, mtu: mtu, file: file, bufs: make([]byte, batch*bufLen), lengths: make([]int, batch)}
	q.read, q.write, q.sendFinished = q.receive, q.send, q.giveFinished
	q.iovs[0].Base = &q.header[0]
	q.iovs[0].SetLen(len(q.header))
	var err error
	if q.raw, err = file.SyscallConn(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return q, nil
}

// Name is the interface's name.
func (q *Queue) Name() string { return q.name }

// Close ends the queue; a blocked ReadBatch returns os.ErrClosed.
func (q *Queue) Close() error {
	q.closed.Store(true)
	return q.file.Close()
}

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

// receive reads the frames that are there, up to want, one system call each, for the device has none for many. false
// makes the runtime's poller wait and call again.
func (q *Queue) receive(fd uintptr) bool {
	q.got, q.readNo = 0, 0
	for q.got < q.want {
		buf := q.buf(q.got)
		n, _, errno := unix.Syscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)-room))
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return q.got > 0
		case errno != 0:
			q.readNo = errno
			return true
		default:
			q.lengths[q.got] = int(n)
			q.got++
		}
	}
	return true
}

// ReadBatch waits for frames and puts up to len(ps) of them into ps. Their bytes stay until the next call, and each
// has 256 bytes of capacity behind it that the caller may overwrite. While the interface is down it waits. An error
// that wraps ENODEV says that the interface was deleted. Close makes it return os.ErrClosed.
func (q *Queue) ReadBatch(ps []drawbridge.Packet) (int, error) {
	for {
		q.want = min(len(ps), len(q.lengths))
		if q.raw.Read(q.read) != nil {
			return 0, os.ErrClosed
		}
		n := 0
		for i := range q.got {
			if q.take(i, &ps[n]) {
				n++
			}
		}
		if err := q.readError(); n > 0 || err != nil {
			return n, err
		}
	}
}

// readError tells whether the last receive ended in an error that lasts; EINVAL concerned one frame, whose
// segmentation has no virtio-net header.
func (q *Queue) readError() error {
	switch q.readNo {
	case 0:
		return nil
	case unix.EINVAL:
		q.drop(malformed, 1)
		return nil
	}
	if q.got > 0 {
		return nil // these frames first; the error will still be there
	}
	if q.readNo == unix.EBADFD || q.readNo == unix.EIO {
		return q.goneError()
	}
	return fmt.Errorf("TAP device %s: receive frames: %w", q.name, q.readNo)
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

// send writes the frame that load prepared; it never waits.
func (q *Queue) send(fd uintptr) bool {
	for {
		_, _, q.writeNo = unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&q.iovs[0])), uintptr(len(q.iovs)))
		if q.writeNo != unix.EINTR {
			return true
		}
	}
}

// give sends one frame; the errors are those of WriteBatch.
func (q *Queue) give(f drawbridge.Frame, o drawbridge.Offload) (syscall.Errno, error) {
	segment.PutVnet(q.header[:], o)
	q.iovs[1].Base = &f[0]
	q.iovs[1].SetLen(len(f))
	if q.raw.Write(q.write) != nil {
		return 0, os.ErrClosed
	}
	switch q.writeNo {
	case unix.EIO:
		return q.writeNo, fmt.Errorf("TAP device %s: the interface is down; set it up: %w", q.name, unix.ENETDOWN)
	case unix.EBADFD:
		return q.writeNo, q.goneError()
	}
	return q.writeNo, nil
}

// WriteBatch gives ps to the interface in order and returns how many it took. It never waits: a frame that is not
// taken is counted (see Drops) and skipped. An error means that no frame can be given at present: it wraps ENETDOWN
// while the interface is down, ENODEV when it was deleted.
func (q *Queue) WriteBatch(ps []drawbridge.Packet) (taken int, err error) {
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
