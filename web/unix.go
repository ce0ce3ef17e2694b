package web

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Group may use the local API, beside root.
const Group = "drawbridge"

// ErrInUse says that somebody answers on the socket already.
var ErrInUse = errors.New("another drawbridge answers there")

// ListenUnix listens on a socket that root and the group drawbridge may use, when there is such a group. What
// a killed daemon left there is replaced; a living one is not. The socket gets its place only when its
// permissions are right, by a rename. Close removes it.
func ListenUnix(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("socket %s: %w", path, ErrInUse)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	temporary := path + "." + strconv.Itoa(os.Getpid())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(permit(temporary), os.Rename(temporary, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", path, err), l.Close(), os.Remove(temporary))
	}
	return &unixListener{UnixListener: l, path: path}, nil
}

// permit lets the group in and everybody else out.
func permit(path string) error {
	g, err := user.LookupGroup(Group)
	if err != nil {
		return os.Chmod(path, 0o600) // no such group: root only
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("group %s: %w", Group, err)
	}
	return errors.Join(os.Chown(path, -1, gid), os.Chmod(path, 0o660))
}

// unixListener removes its socket, which go does not because it was renamed.
type unixListener struct {
	*net.UnixListener
	path string
	once sync.Once
}

// Close implements net.Listener.
func (l *unixListener) Close() error {
	l.once.Do(func() { _ = os.Remove(l.path) })
	return l.UnixListener.Close()
}
