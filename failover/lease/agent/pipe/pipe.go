// Package pipe is what the daemon and its lease agent, two processes, have between them: a socket that keeps messages
// apart, over which descriptors go too, and a page of shared memory for what must be seen at once. Both processes
// run the same file, so there is one version of it. docs/protocol/lease.md, "Agent".
package pipe

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// MaxMessage is the longest message: a status of 1,024 segments.
const MaxMessage = 64 << 10

// ErrGone says that the process at the other end has ended, or closed its end.
var ErrGone = errors.New("the process at the other end of the pipe has ended")

// New makes a pipe. Neither end blocks, and neither survives an exec by itself.
func New() (here, there int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("pipe to the lease agent: %w", os.NewSyscallError("socketpair", err))
	}
	return fds[0], fds[1], nil
}

// Send sends one message, with a descriptor unless that is negative. It answers false when there is no room: the other
// side is slow, or frozen, and the caller must try again.
func Send(fd int, message []byte, pass int) (sent bool, err error) {
	var rights []byte
	if pass >= 0 {
		rights = unix.UnixRights(pass)
	}
	for {
		switch err := unix.Sendmsg(fd, message, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
			return false, ErrGone
		default:
			return false, os.NewSyscallError("sendmsg", err)
		}
	}
}

// Receive takes one message into b, and the descriptor that came with it, or -1. It answers 0 octets when there is no
// message, and ErrGone when there will be none.
func Receive(fd int, b []byte) (n, passed int, err error) {
	var oob [64]byte
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, b, oob[:], unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return 0, -1, nil
		case errors.Is(err, unix.ECONNRESET):
			return 0, -1, ErrGone
		case err != nil:
			return 0, -1, os.NewSyscallError("recvmsg", err)
		}
		passed, err := descriptor(oob[:oobn])
		switch {
		case err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
			err = fmt.Errorf("message of the lease agent's pipe was cut: %w", ErrMessage)
		case err == nil && n == 0:
			err = ErrGone
		}
		if err != nil && passed >= 0 {
			_ = unix.Close(passed)
			passed = -1
		}
		return n, passed, err
	}
}

// descriptor reads what came beside a message: one descriptor at most.
func descriptor(oob []byte) (int, error) {
	if len(oob) == 0 {
		return -1, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d things beside a message: %w", len(messages), ErrMessage)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err == nil && len(fds) == 1 {
		return fds[0], nil
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	return -1, fmt.Errorf("%d descriptors beside a message: %w", len(fds), ErrMessage)
}
