package appliance

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/web"
)

const (
	// backupWithin is how long making a backup may take; a second of a fast core is usual.
	backupWithin = 2 * time.Minute
	// firstToGo is the badness at which the kernel ends a process for want of memory before any that matters (proc(5)).
	firstToGo = "900"
	lowest    = 19 // nice
)

// Backup implements web.Node. Another process makes it: making the key takes 256 MB of memory and a core for a second
// (scrypt with N = 2^18), which must come neither out of the daemon's locked memory nor out of the time for frames.
func (n *Node) Backup(ctx context.Context, passphrase string, w io.Writer) (name string, err error) {
	if len(passphrase) < backup.MinPassphrase {
		return "", fmt.Errorf("%w: the passphrase has %d bytes, want at least %d: the file holds private keys", web.ErrInvalid, len(passphrase), backup.MinPassphrase)
	}
	if !n.backing.TryLock() {
		return "", fmt.Errorf("%w: another backup is being made: wait for it", web.ErrConflict)
	}
	defer n.backing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, backupWithin)
	defer cancel()
	var wrong bytes.Buffer
	c := exec.CommandContext(ctx, "/proc/self/exe", "--config", n.cfg.Path, "--socket", n.cfg.Socket, "backup", "create", "-")
	c.Env = append(os.Environ(), backup.PassphraseVariable+"="+passphrase)
	c.Stdout, c.Stderr = w, &wrong
	if err := c.Start(); err != nil {
		return "", fmt.Errorf("%w: %w", web.ErrUnavailable, err)
	}
	n.makeModest(c.Process.Pid)
	if err := c.Wait(); err != nil {
		return "", fmt.Errorf("%w: %s", web.ErrUnavailable, cmp.Or(strings.TrimSpace(wrong.String()), err.Error()))
	}
	return fmt.Sprintf("drawbridge-%s-%s.age", n.creds.Name, time.Now().UTC().Format("20060102T150405Z")), nil
}

// makeModest has a process wait for everybody else, and go first when memory is short.
func (n *Node) makeModest(pid int) {
	err := errors.Join(
		unix.Setpriority(unix.PRIO_PROCESS, pid, lowest),
		os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(firstToGo), 0),
	)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // it may be done already
		n.log.Debug("the backup is made with the daemon's own rights to time and memory", "err", err)
	}
}
