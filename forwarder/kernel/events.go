package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// Listener hears what the programs have to say. Run calls it, one call at a time; it must not block.
type Listener interface {
	// Learned tells of an address that is new or has moved.
	Learned(drawbridge.MAC, Place)
	// TooBig is given the first octets of a frame that came in from port, fits nobody's tunnel and must not be
	// fragmented, tags in line. It answers the frame to send back, or nil. f is valid until it returns.
	TooBig(port int, f drawbridge.Frame, mtu int) drawbridge.Frame
}

// Run hands events to l until ctx ends.
func (e *Engine) Run(ctx context.Context, l Listener) error {
	stop := context.AfterFunc(ctx, func() { e.events.Close() })
	defer stop()
	out, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket for answers: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(out)
	if err := unix.SetsockoptInt(out, unix.SOL_SOCKET, unix.SO_MARK, Mark); err != nil {
		return fmt.Errorf("socket for answers: %w", os.NewSyscallError("setsockopt", err))
	}
	var record ringbuf.Record
	for {
		err := e.events.ReadInto(&record)
		if errors.Is(err, os.ErrClosed) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the ring buffer: %w", err)
		}
		hear(record.RawSample, l, func(port int, f drawbridge.Frame) {
			// What the port does not take, a shut gate among it, is as lost as any answer may be.
			_ = unix.Sendto(out, f, 0, &unix.SockaddrLinklayer{Ifindex: port})
		})
	}
}

// hear takes one record apart. Records come from our own programs, so one that does not fit is of another version: no
// more is made of it.
func hear(raw []byte, l Listener, answer func(port int, f drawbridge.Frame)) {
	if len(raw) < 4 {
		return
	}
	switch kind := word(raw, 0); {
	case kind == kindLearned && len(raw) >= learnedBytes:
		l.Learned(drawbridge.MAC(raw[16:]), Place{Short(word(raw, 1)), int(word(raw, 2)), drawbridge.SegmentID(word(raw, 3))})
	case kind == kindPunted && len(raw) >= puntedHeader+puntedBytes:
		port, mtu, length, tag := int(word(raw, 1)), int(word(raw, 2)), word(raw, 3), word(raw, 4)
		f := drawbridge.Frame(raw[puntedHeader:][:min(length, puntedBytes)])
		if len(f) < drawbridge.MinFrame {
			return
		}
		if back := l.TooBig(port, inline(f, tag), mtu); len(back) >= drawbridge.MinFrame {
			answer(port, back)
		}
	}
}

func word(raw []byte, i int) uint32 { return binary.NativeEndian.Uint32(raw[4*i:]) }

// inline puts the outermost tag, which the kernel keeps beside a frame, into it.
func inline(f drawbridge.Frame, tag uint32) drawbridge.Frame {
	if tag == 0 {
		return f
	}
	tagged := append(make(drawbridge.Frame, 0, len(f)+4), f[:12]...)
	return append(binary.BigEndian.AppendUint32(tagged, tag), f[12:]...)
}
