package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// Kill ends the daemon of a node with SIGKILL, as a crash or a power cut would.
func Kill(name, node string) error {
	return change(name, func(l *Lab) error {
		if err := l.signal(node, syscall.SIGKILL); err != nil {
			return err
		}
		return until(startLimit, func() (bool, error) { return l.Processes[node].state() == dead, nil })
	})
}

// Stop ends the daemon of a node with SIGTERM, as systemd does before an upgrade, and waits until it has ended: it hands
// its segments over first.
func Stop(name, node string) error {
	return change(name, func(l *Lab) error {
		if err := l.signal(node, syscall.SIGTERM); err != nil {
			return err
		}
		return until(startLimit, func() (bool, error) { return l.Processes[node].state() == dead, nil })
	})
}

// Freeze stops the daemon of a node in its tracks (SIGSTOP), as a paused virtual machine would.
func Freeze(name, node string) error {
	return change(name, func(l *Lab) error { return l.signal(node, syscall.SIGSTOP) })
}

// Thaw lets a frozen daemon go on (SIGCONT).
func Thaw(name, node string) error {
	return change(name, func(l *Lab) error { return l.signal(node, syscall.SIGCONT) })
}

func (l *Lab) signal(node string, s syscall.Signal) error {
	if err := l.checkNode(node); err != nil {
		return err
	}
	if l.Processes[node].state() == dead {
		return fmt.Errorf("the daemon of %s does not run; `drawbridge lab start %s` starts it", node, node)
	}
	return l.Processes[node].signal(s)
}

func (l *Lab) checkNode(node string) error {
	if _, ok := l.plan.topo.node(node); !ok {
		return fmt.Errorf("%q is not a node; those are %s", node, nodeNames(l.plan.topo))
	}
	return nil
}

// Start starts the daemon of a node that was killed, and waits until it answers.
func Start(ctx context.Context, name, node string) error { return StartWith(ctx, name, node, "") }

// StartWith does so with another program, as after an update; empty: the one that the node ran before.
func StartWith(ctx context.Context, name, node, binary string) error {
	return change(name, func(l *Lab) error {
		if err := l.checkNode(node); err != nil {
			return err
		}
		if s := l.Processes[node].state(); s != dead {
			return fmt.Errorf("the daemon of %s is %s", node, s)
		}
		if binary != "" {
			if _, err := os.Stat(binary); err != nil {
				return err
			}
			if l.Updated == nil {
				l.Updated = map[string]string{}
			}
			l.Updated[node] = binary
		}
		if err := l.launch(node, "run", "--config", l.dirOf(node).config()); err != nil {
			return err
		}
		return l.awaitAnswer(ctx, node)
	})
}

// Exec is a command inside of a node or host, ready to start with Run: its daemon's socket and node file are in the environment, and
// this program is what `drawbridge` means.
func Exec(name, where string, args []string) (*exec.Cmd, *netlab.Namespace, error) {
	l, err := open(name)
	if err != nil {
		return nil, nil, err
	}
	if names := l.plan.names(); !slices.Contains(names, where) {
		return nil, nil, fmt.Errorf("%q is not in lab %s; there are %s", where, name, strings.Join(names, ", "))
	}
	program, err := l.program(args[0])
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program, args[1:]...)
	cmd.Env = environment()
	if d := l.nodeOf(where); d != "" {
		cmd.Env = append(cmd.Env, socketVariable+"="+d.socket(), configVariable+"="+d.config())
	}
	n, err := netlab.Open(l.plan.space(where))
	return cmd, n, err
}

// program finds what a command's first word means.
func (l *Lab) program(word string) (string, error) {
	if word == "drawbridge" {
		return l.Binary, nil
	}
	return exec.LookPath(word)
}

// nodeOf is the directory of a node, or of the node that a guest is on; empty: there is none.
func (l *Lab) nodeOf(where string) nodeDir {
	for _, h := range l.plan.hosts {
		if h.Name == where {
			where = h.At
		}
	}
	if _, ok := l.plan.topo.node(where); !ok {
		return ""
	}
	return l.dirOf(where)
}

// Logs copies the log of a node to w, from its beginning.
func Logs(name, node string, w io.Writer) error {
	l, err := open(name)
	if err != nil {
		return err
	}
	if _, isRouter := l.plan.topo.router(node); !isRouter {
		if err := l.checkNode(node); err != nil {
			return err
		}
	}
	f, err := os.Open(l.dirOf(node).log())
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
