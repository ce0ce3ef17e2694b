package access

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a unix socket.
type peer struct {
	uid    uint32
	groups []uint32
	err    error
}

// maxGroups is the kernel's own limit (NGROUPS_MAX, linux/limits.h).
const maxGroups = 65536

// peerOf asks the kernel. What it says was true when the connection was made.
func peerOf(c *net.UnixConn) (p peer) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{err: err}
	}
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			p.err = err
			return
		}
		p.uid, p.groups = cred.Uid, append(peerGroups(fd), cred.Gid)
	})
	if err != nil {
		p.err = err
	}
	return p
}

// peerGroups are the supplementary groups (SO_PEERGROUPS, Linux 4.13); none when the kernel does not tell.
func peerGroups(fd uintptr) []uint32 {
	for size := 32; size <= maxGroups; size *= 8 {
		groups := make([]uint32, size)
		length := uint32(4 * size)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&length)), 0)
		switch errno {
		case 0:
			return groups[:length/4]
		case syscall.ERANGE:
			continue
		default:
			return nil
		}
	}
	return nil
}

// admin reports whether the process may do everything: root, whoever the daemon runs as, and the group.
func (p peer) admin(group string) bool {
	if p.err != nil {
		return false
	}
	if p.uid == 0 || p.uid == uint32(os.Geteuid()) {
		return true
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return false // there is no such group
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	return err == nil && slices.Contains(p.groups, uint32(gid))
}

// name is for logs.
func (p peer) name() string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.uid), 10)); err == nil {
		return "unix:" + u.Username
	}
	return fmt.Sprintf("unix:%d", p.uid)
}
