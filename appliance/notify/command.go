package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command runs a program for every message. Who may change the network configuration is no administrator of every host:
// only programs that the host's own administrator has put into one directory are run.
type Command struct {
	dir  string
	args []string
}

// NewCommand returns a driver for a program in dir, named by its file or by its whole path.
func NewCommand(dir string, args []string) (*Command, error) {
	if len(args) == 0 || args[0] == "" {
		return nil, errors.New("no program is named")
	}
	return &Command{dir: dir, args: args}, nil
}

var _ Driver = (*Command)(nil)

// program is the path of what is run, after a look at who else could have written it.
func (c *Command) program() (string, error) {
	path := c.args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.dir, path)
	}
	path = filepath.Clean(path)
	if filepath.Dir(path) != filepath.Clean(c.dir) {
		return "", fmt.Errorf("%s is not in %s: this host runs no other programs; put it there", path, c.dir)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s does not exist on this host: put the program there", path)
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return "", fmt.Errorf("%s is no program: chmod 755 it", path)
	case info.Mode().Perm()&0o022 != 0:
		return "", fmt.Errorf("%s may be written by others than its owner: chmod 755 it", path)
	}
	return path, nil
}

// Tell implements Driver: the message is on standard input and its parts are in the environment; exit code 0 takes it.
func (c *Command) Tell(ctx context.Context, m *Message) error {
	path, err := c.program()
	if err != nil {
		return err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var said bounded
	cmd := exec.CommandContext(ctx, path, c.args[1:]...)
	cmd.Dir = "/"
	cmd.Env = environment(m)
	cmd.Stdin = bytes.NewReader(append(body, '\n'))
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // what it left running may hold its output open
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := startPlainly(cmd); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s did not end within %s and was killed", path, tellFor)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return fmt.Errorf("%s: %w%s", path, err, quote(said.b))
	}
	return nil
}

// startPlainly starts cmd without what the daemon is given and a script needs not: ambient capabilities, its priority,
// and being spared when memory runs out. Capabilities are those of a thread, so one is used up for it.
func startPlainly(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			started <- fmt.Errorf("give up capabilities: %w", err)
			return
		}
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 0) // a thread has its own, and gives it on
		started <- cmd.Start()
	}()
	if err := <-started; err != nil {
		return err
	}
	_ = os.WriteFile("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/oom_score_adj", []byte("0"), 0)
	return nil
}

// environment has the parts of a message by name, and little else.
func environment(m *Message) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	for name, value := range map[string]string{
		"SEQUENCE": strconv.FormatUint(m.Sequence, 10), "LOST": strconv.FormatUint(m.Lost, 10), "NETWORK": m.Network, "FROM": m.From,
		"SINK": m.Sink, "KEY": m.Key, "TEST": strconv.FormatBool(m.Test), "EVENT": m.Event.Kind, "LEVEL": m.Event.Level,
		"TIME": m.Event.Time.UTC().Format(time.RFC3339Nano), "TEXT": m.Event.Text, "PEER": m.Event.Peer, "PORT": m.Event.Port,
		"SEGMENT": m.Event.Segment, "EPOCH": m.Event.Epoch, "ALERT": m.Event.Alert, "REASON": m.Event.Reason,
	} {
		env = append(env, "DRAWBRIDGE_"+name+"="+strings.ReplaceAll(value, "\x00", ""))
	}
	return env
}

// Close implements Driver.
func (*Command) Close() error { return nil }

// bounded keeps the beginning of what is written to it.
type bounded struct{ b []byte }

func (o *bounded) Write(p []byte) (int, error) {
	o.b = append(o.b, p[:min(len(p), max(0, 4096-len(o.b)))]...)
	return len(p), nil
}
