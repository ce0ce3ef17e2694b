package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// demoLab is the name of the demo's lab. Nobody else sees it.
const demoLab = "demo"

// DemoCommand is `drawbridge demo`.
func DemoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "See a whole network at work on this machine, told step by step; needs no root",
		Long: `Build a network of two gateways, four peers, guests and a VLAN inside of this machine, let it work, break it, and tell
what happens. It needs no root where users may make namespaces of their own, touches nothing outside of them, and
leaves nothing behind. Without --once it stays, to be looked at, until Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.inside {
				return o.tell(c.Context(), c.OutOrStdout())
			}
			return o.enclose(c.Context())
		},
	}
	c.Flags().BoolVar(&o.once, "once", false, "end with the story")
	c.Flags().BoolVar(&o.yes, "yes", false, "the same: ask and wait for nothing")
	c.Flags().StringVar(&o.binary, "binary", os.Getenv("DRAWBRIDGE_BIN"), "program that the nodes run (default: this one, or $DRAWBRIDGE_BIN)")
	c.Flags().StringVar(&o.engine, "engine", web.EngineUser, "what carries frames: user or kernel; kernel needs root")
	c.Flags().BoolVar(&o.inside, "inside", false, "")
	_ = c.Flags().MarkHidden("inside") // it is there: the line above made it
	return c
}

type demoOptions struct {
	once, yes, inside bool
	binary, engine    string
}

// enclose starts the demo again as the first process of namespaces of its own: whatever happens to it, the kernel ends
// everything that it started with it.
func (o demoOptions) enclose(ctx context.Context) error {
	if o.engine == web.EngineKernel && os.Geteuid() != 0 {
		return errors.New("the kernel engine needs root: programs are loaded for the whole machine")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "demo", "--inside", fmt.Sprintf("--once=%v", o.once || o.yes), "--binary", o.binary, "--engine", o.engine)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = enclosure()
	// Ctrl-C reaches the demo by itself, which ends in good order; we only wait for it.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	runtime.LockOSThread() // Pdeathsig is about the thread that started it
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make namespaces: %w%s", err, remedy())
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(unix.SIGTERM) })()
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) {
		return errors.New("the demo did not work out; see above")
	} else if err != nil {
		return err
	}
	return nil
}

func enclosure() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
		Pdeathsig:  unix.SIGKILL,
	}
	if os.Geteuid() != 0 {
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return a
}

func remedy() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return "; this system does not let users make namespaces (sysctl user.max_user_namespaces, " +
		"kernel.apparmor_restrict_unprivileged_userns): run it as root"
}

// seclude gives the first process of the new namespaces a /proc and a /run of its own.
func seclude() error {
	steps := []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
	}
	for _, s := range steps {
		if err := unix.Mount(s.source, s.target, s.kind, s.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w%s", s.target, err, remedy())
		}
	}
	return nil
}

// tell runs inside: it prepares, tells the story and, unless it is to end, waits for Ctrl-C.
func (o demoOptions) tell(ctx context.Context, w io.Writer) error {
	if os.Getpid() != 1 {
		return errors.New("--inside is for the demo itself")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM)
	defer stop()
	outside, _ := os.Readlink("/proc/self") // our number out there, while that is what /proc shows
	if err := seclude(); err != nil {
		return err
	}
	if err := netlab.LoopbackUp(); err != nil {
		return err
	}
	s := &story{w: w}
	if err := s.tell(ctx, o.binary, o.engine); err != nil {
		return err
	}
	if o.once {
		return nil
	}
	s.say("")
	s.say("The network stays until Ctrl-C. To look at it, in another terminal:")
	s.say("  nsenter --target %s --mount --net --pid%s %s lab --name %s status", outside, credentials(), s.lab.Binary, demoLab)
	<-ctx.Done()
	return nil
}

// credentials is what nsenter wants besides when the namespaces are a user's: in them it may not set groups.
func credentials() string {
	uids, err := os.ReadFile("/proc/self/uid_map")
	if f := strings.Fields(string(uids)); err == nil && len(f) == 3 && f[1] == "0" {
		return ""
	}
	return " --user --preserve-credentials"
}
