package main

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr (linux/socket.h); x/sys has the calls' numbers only.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// pace sends the frame again and again, keeping to the rate in frames a second over the whole length in seconds.
func pace(fd int, frame []byte, rate, length float64) error {
	const batch = 32
	iov := unix.Iovec{Base: &frame[0]}
	iov.SetLen(len(frame))
	var msgs [batch]mmsghdr
	for i := range msgs {
		msgs[i].hdr.Iov = &iov
		msgs[i].hdr.SetIovlen(1)
	}
	start, end := time.Now(), time.Duration(length*float64(time.Second))
	for sent := 0; ; {
		passed := time.Since(start)
		if passed >= end {
			return nil
		}
		if float64(sent) > rate*passed.Seconds() {
			continue // ahead of the rate
		}
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])), batch, 0, 0, 0)
		if errno != 0 && !errors.Is(errno, unix.ENOBUFS) && !errors.Is(errno, unix.EAGAIN) {
			return errno
		}
		if errno == 0 {
			sent += int(n)
		}
	}
}
