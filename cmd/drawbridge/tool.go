package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// Exit codes, fixed for scripts (docs/reference/cli.md).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// tool is one call of the command.
type tool struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	stateDir string // of an appliance, which keeps its state nowhere else

	terminal    bool // out is one: a watched table is drawn in place
	interactive bool // somebody can answer a question
	colour      bool

	// Flags of all commands.
	socket, config string
	json, watch    bool
}

func newTool(in io.Reader, out, err io.Writer) *tool {
	return &tool{in: in, out: out, err: err, now: time.Now, stateDir: config.Default().StateDir}
}

// run carries out one command line and returns its exit code.
func (t *tool) run(ctx context.Context, args []string) int {
	root := t.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	fmt.Fprintf(t.err, "drawbridge: %v\n", err)
	if code == exitUsage {
		fmt.Fprintf(t.err, "see: %s --help\n", cmd.CommandPath())
	}
	return code
}

func exitCode(err error) int {
	var usage *usageError
	var unreachable *client.UnreachableError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unreachable), errors.Is(err, client.ErrEnded):
		return exitUnreachable
	default:
		return exitFailed
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use: "drawbridge",

		DisableFlagsInUseLine: true,
		Short:                 "An encrypted layer-2 mesh, and gateways to VLANs of which exactly one is open",
		Long:                  "Drawbridge joins hosts to one Ethernet: peers form an encrypted mesh, and two gateways bridge it to a VLAN, exactly one at a time.",
		SilenceErrors:         true,
		SilenceUsage:          true,
	}
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	flags := root.PersistentFlags()
	flags.StringVar(&t.socket, "socket", "", "unix socket of the daemon (environment: DRAWBRIDGE_SOCKET; otherwise what the node file says)")
	flags.StringVar(&t.config, "config", "", "node file (environment: DRAWBRIDGE_CONFIG; otherwise "+config.DefaultPath+")")
	t.fail(root.RegisterFlagCompletionFunc("config", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
	}))
	root.AddGroup(
		&cobra.Group{ID: groupSetup, Title: "Set up:"}, &cobra.Group{ID: groupLook, Title: "Look (all take --json and --watch):"},
		&cobra.Group{ID: groupAct, Title: "Act:"}, &cobra.Group{ID: groupTry, Title: "Try out:"},
	)
	add(root, groupSetup, t.initCommand(), t.tokenCommand(), t.joinCommand(), t.runCommand())
	add(root, groupLook, t.statusCommand(), t.peersCommand(), t.segmentsCommand(), t.votersCommand(), t.portsCommand(), t.routesCommand(), t.macsCommand(), t.loopsCommand(), t.eventsCommand(), t.alertsCommand())
	add(root, groupAct, t.configCommand(), t.ipamCommand(), t.switchoverCommand(), t.maintenanceCommand(), t.drillCommand(), t.flushEverywhereCommand(), t.captureCommand())
	add(root, groupSetup, t.usersCommand(), t.certificateCommand(), t.doctorCommand(), t.diagCommand())
	add(root, groupLook, t.operationsCommand(), t.auditCommand())
	add(root, groupTry, tryOut()...)
	add(root, groupAct, t.rolloutCommand(), t.restartCommand(), t.backupCommand(), t.updateCommand(), t.installCommand(), t.factoryResetCommand())
	root.AddCommand(t.versionCommand(), t.leaseAgentCommand(), t.provisionCommand(), t.screenCommand(), t.setupPageCommand(), t.carryOutCommand(), t.manCommand())
	strict(root)
	help(root)
	return root
}

// Groups of commands in the help.
const (
	groupSetup = "setup"
	groupLook  = "look"
	groupAct   = "act"
	groupTry   = "try"
)

func add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// fail ends the process because of a bug in the command tree.
func (t *tool) fail(err error) {
	if err != nil {
		panic(err)
	}
}

// onlyGroup marks a command that does nothing without one of its own.
const onlyGroup = "group"

// strict makes usage errors of what cobra would let pass or report as a failure: arguments that do not fit,
// and a group without a command.
func strict(c *cobra.Command) {
	fits := c.Args
	if fits == nil {
		fits = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := fits(c, args); err != nil {
			return &usageError{err.Error() + meant(c, args)}
		}
		return nil
	}
	if !c.Runnable() {
		c.Annotations = map[string]string{onlyGroup: ""}
		c.RunE = func(c *cobra.Command, _ []string) error {
			c.SetOut(c.ErrOrStderr())
			_ = c.Help() // to standard error; nothing is left to do when that is closed
			return usagef("%s wants a command", c.CommandPath())
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// meant names the commands that a mistyped one is like.
func meant(c *cobra.Command, args []string) string {
	if len(args) == 0 || !c.HasSubCommands() {
		return ""
	}
	c.SuggestionsMinimumDistance = 2 // letters
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return ": did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}

// unlessInterrupted is for commands that have no end of their own: interrupting them is no failure.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// client is for the daemon that the flags name.
func (t *tool) client() (*client.Client, error) {
	path, err := t.socketPath()
	if err != nil {
		return nil, err
	}
	return client.New(path), nil
}

// socketPath is the first of: flag, environment, node file, default. Without the flag or environment for it,
// a node file that cannot be read is none of the business of a command that only needs the socket.
func (t *tool) socketPath() (string, error) {
	if t.socket != "" {
		return t.socket, nil
	}
	if s := os.Getenv("DRAWBRIDGE_SOCKET"); s != "" {
		return s, nil
	}
	c, err := config.Load(t.configPath())
	switch {
	case err == nil:
		return c.Socket, nil
	case t.configPath() != config.DefaultPath:
		return "", err
	default:
		return config.Default().Socket, nil
	}
}

func (t *tool) configPath() string {
	if t.config != "" {
		return t.config
	}
	if p := os.Getenv("DRAWBRIDGE_CONFIG"); p != "" {
		return p
	}
	return config.DefaultPath
}
